"""The verifier's workbench: one connection, the plan, and the answers so far.

Everything it builds are TEMP tables named ``verify_…``, which a read-only target and an open
transaction allow; they are dropped at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from person_unify.database import Database
from person_unify.errors import DatabaseError
from person_unify.mappings.bind import BoundMapping, Plan
from person_unify.mappings.known import unified_tables
from person_unify.schema import Schema, Table, quote
from person_unify.stages.verify.cells import literal
from person_unify.stages.verify.check import Check, VerifyOptions

if TYPE_CHECKING:
    from person_unify.stages.verify.passes import Sweep

MAPS = (
    "patient_to_person",
    "child_to_person",
    "child_to_view",
    "patient_to_view",
    "consent_to_grant",
    "parent_link_to_view",
)
"""The ledger's maps of the form (old_id, new_id)."""


_CACHES = {"main": 16_384, "source": 16_384, "ledger": 16_384, "temp": 65_536}
"""KiB per connection; measured with up to eight times as much, which was no faster."""


class UnknownRuleError(Exception):
    """A mapping names a rule that the verifier was not taught."""


@dataclass
class Bench:
    """What the checks share.  ``temps`` are the TEMP tables that exist at the moment.

    target: its tables as they stand.  ledger: its tables and their columns.  unordered: tables of
    the source without a rowid.  counted: how many rows tables of the source have.  swept: sweeps
    that ran, with what ``Sweep.run`` found per label.
    """

    database: Database
    plan: Plan
    options: VerifyOptions
    progress: Callable[[str], None]
    checks: list[Check] = field(default_factory=list)
    temps: list[str] = field(default_factory=list)
    target: Schema = field(default_factory=dict)
    ledger: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unordered: set[str] = field(default_factory=set)
    swept: list[tuple[Sweep, dict[str, tuple[int, int]]]] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """Look at the schemas of target and ledger, and take memory for their pages."""
        # The lookups live in temp, whose pages SQLite would otherwise read again and again.
        for catalog, kibibytes in _CACHES.items():
            self.database.execute(f"PRAGMA {catalog}.cache_size = -{kibibytes}")
        self.target = unified_tables(self.database)
        columns: dict[str, list[str]] = {}
        for table, column in self.database.rows(
            "SELECT m.name, c.name FROM ledger.sqlite_master AS m, "
            "pragma_table_info(m.name, 'ledger') AS c WHERE m.type = 'table' ORDER BY m.rowid, "
            "c.cid"
        ):
            columns.setdefault(table, []).append(column)
        self.ledger = {table: tuple(names) for table, names in columns.items()}
        self.unordered = {
            str(name)
            for (name,) in self.database.rows(
                "SELECT name FROM pragma_table_list() WHERE schema = 'source' AND wr = 1"
            )
        }

    def source(self, usual: str) -> str | None:
        """An old table as SQL (``source."…"``), None where the file has none of that name."""
        name = self.plan.source_names.get(usual)
        return None if name is None else f"source.{quote(name)}"

    def mapping(self, usual: str) -> BoundMapping | None:
        """The first mapping of an old table that fills a target table."""
        return next((b for b in self.plan.of(usual) if b.target is not None), None)

    def column(self, usual: str, name: str, alias: str = "s") -> str:
        """A cell of an old table, ``NULL`` where the file has no such column."""
        found = next((b.source.column(name) for b in self.plan.of(usual)), None)
        return "NULL" if found is None else f"{alias}.{quote(name)}"

    @property
    def field(self) -> str:
        """The column that an entry of the log names, by the name that mappings know it by."""
        cases = [
            f"WHEN source_table = {literal(table)} AND field = {literal(written)} "
            f"THEN {literal(name)}"
            for table, columns in self.plan.respelt.items()
            for name, written in columns.items()
        ]
        return f"CASE {' '.join(cases)} ELSE field END" if cases else "field"

    def known(self, table: str, written: str) -> str:
        """A column of an old table, by the name that mappings know it by."""
        names = self.plan.respelt.get(table, {})
        return next((name for name, other in names.items() if other == written), written)

    def value(self, query: str) -> int:
        """The one number of a query."""
        return int(self.database.value(query) or 0)

    def count(self, table: Table) -> int:
        """The number of rows of a source table, counted once."""
        if table.name not in self.counted:
            self.counted[table.name] = self.value(
                f"SELECT count(*) FROM source.{quote(table.name)}"
            )
        return self.counted[table.name]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a small query."""
        return self.database.rows(query)

    def temp(self, name: str, *statements: str) -> None:
        """Make the TEMP table ``name`` by these statements, in place of an earlier one."""
        self.drop(name)
        self.temps.append(name)
        for statement in statements:
            self.database.execute(statement)

    def drop(self, name: str) -> None:
        """Drop a TEMP table if it is there."""
        if name in self.temps:
            self.database.execute(f"DROP TABLE IF EXISTS temp.{name}")
            self.temps.remove(name)

    def drop_all(self) -> None:
        """Drop every TEMP table of the verification."""
        for name in list(self.temps):
            self.drop(name)

    @contextmanager
    def guarded(self, name: str, table: str | None = None) -> Iterator[None]:
        """Turn a failing statement into a check that ended in ``error``."""
        try:
            yield
        except (DatabaseError, UnknownRuleError) as error:
            self.checks.append(Check(name, table, None, None, "error", str(error)))

    def compare(
        self, name: str, table: str | None, expected: int, actual: int, detail: str = ""
    ) -> None:
        """Add a check that two numbers agree; 0 and 0 compares nothing."""
        if expected == actual == 0:
            self.skip(name, table, detail or "nothing to compare: there are none")
            return
        outcome = "passed" if expected == actual else "failed"
        self.checks.append(
            Check(
                name, table, expected, actual, "passed" if outcome == "passed" else "failed", detail
            )
        )

    def skip(self, name: str, table: str | None, why: str) -> None:
        """Add a check that does not apply here."""
        self.checks.append(Check(name, table, None, None, "not_applicable", why))

    def judge(
        self, name: str, table: str | None, compared: int, failures: Sequence[tuple[str, int]]
    ) -> None:
        """Add a check over ``compared`` things; ``failures`` counts the wrong ones by kind."""
        wrong = [(label, count) for label, count in failures if count]
        if not compared and not wrong:
            self.skip(name, table, "nothing to compare: there are no rows")
            return
        detail = ", ".join(f"{label}: {count}" for label, count in wrong)
        bad = sum(count for _, count in wrong)
        self.checks.append(
            Check(name, table, compared, compared - bad, "failed" if bad else "passed", detail)
        )


def differing(bench: Bench, columns: str, left: str, right: str) -> tuple[int, int]:
    """How many rows (each as often as it occurs) only the left or only the right query has."""
    one, other = (
        f"SELECT {columns}, count(*) FROM ({side}) GROUP BY {columns}" for side in (left, right)
    )
    only_left = bench.value(f"SELECT count(*) FROM ({one} EXCEPT {other})")
    return only_left, bench.value(f"SELECT count(*) FROM ({other} EXCEPT {one})")


def rowid_of(bench: Bench, table: Table) -> str | None:
    """The name that reaches a source table's rowid; None if it has none or columns hide it."""
    if table.name in bench.unordered:
        return None
    return next((n for n in ("rowid", "_rowid_", "oid") if table.column(n) is None), None)


def before(bench: Bench, table: Table, left: str, right: str) -> str:
    """Whether row ``left`` of a source table stands before row ``right`` in source order."""
    rowid = rowid_of(bench, table)
    if rowid is not None:
        return f"{left}.{rowid} < {right}.{rowid}"
    keys = table.primary_key or table.column_names
    sides = [", ".join(f"{alias}.{quote(key)}" for key in keys) for alias in (left, right)]
    return f"({sides[0]}) < ({sides[1]})"


def in_list(values: Sequence[str]) -> str:
    """Texts as the right side of ``IN``."""
    return "(" + ", ".join(literal(value) for value in values) + ")"
