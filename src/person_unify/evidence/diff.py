"""Open what a verification found wrong in a table to the keys of the rows (contract section 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from person_unify.errors import DatabaseError, UsageError
from person_unify.evidence.recorded import recorded_run
from person_unify.files import private_directory
from person_unify.mappings.bind import Plan, bind
from person_unify.mappings.known import unified_tables
from person_unify.schema import Catalogue, folded
from person_unify.stages.extract import Extractor
from person_unify.stages.load import opened_to_verify
from person_unify.stages.publish import finished_ledger
from person_unify.stages.snapshot import require_file, take
from person_unify.stages.verify import KINDS, Check, Files, Findings, Found, VerifyOptions, verify

__all__ = ["KINDS", "Comparison", "diff", "sources_of"]


def diff(
    source: Path,
    target: Path,
    table: str | None = None,
    column: str | None = None,
    limit: int = 20,
) -> Comparison:
    """Compare an old table, all that fill a target table, or all, with target and archive, by key.

    Raises :class:`UsageError` for a table or a column that neither side has.
    """
    require_file(source)
    ledger = finished_ledger(target, "diff", source)
    with private_directory() as temporary:
        snapshot = take(source, temporary, datetime.now(UTC))
        extractor = Extractor(snapshot.path)
        with opened_to_verify(target, ledger, snapshot.path) as database:
            run = recorded_run(database, ledger)
            plan = bind(extractor.tables, unified_tables(database), extractor.has_rows)
        tables = sources_of(plan, table)
        if column is not None:
            _require_column(plan, tables, column)
        files = Files(snapshot.path, target, ledger, settled=False)
        return differences(files, plan, run.options, Asked(tables, column, limit))


@dataclass(frozen=True, slots=True)
class Asked:
    """The source tables to compare, by their names in the file; of one column, if it is given.

    limit: keys to list for each kind of difference.
    """

    tables: Sequence[str]
    column: str | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Comparison:
    """compared: how many of what.  keys: source table -> the columns of its key.

    unopened: failed checks for which no row can be named.
    """

    compared: dict[str, int]
    keys: dict[str, tuple[str, ...]]
    found: tuple[Found, ...]
    unopened: tuple[Check, ...]

    @property
    def total(self) -> int:
        """The number of differences, those without a key included."""
        return sum(found.count for found in self.found) + len(self.unopened)


_LOGS = ("rows_logged", "soft_references")
"""Checks of what was logged: a missing entry is no difference of a row or a cell."""


def differences(files: Files, plan: Plan, options: VerifyOptions, asked: Asked) -> Comparison:
    """Verify some tables, and open what is wrong to the keys of its rows.

    Raises :class:`DatabaseError` where something could not be compared.
    """
    tables, views = frozenset(asked.tables), "parent_child_views"
    links, children = (plan.source_names.get(n, n) for n in ("parent_children", "children"))
    # A child of a pair speaks for its view before a link does.
    wanted = tables | {children} if links in tables else tables
    findings = Findings(wanted, asked.limit)
    checks = verify(files, plan, options, lambda _: None, findings)
    for check in checks:
        if check.outcome == "error" and (check.table is None or check.table in tables):
            place = "" if check.table is None else f" of {check.table}"
            raise DatabaseError(f"{check.name}{place} could not be compared: {check.detail}")
    missing = [c for c in checks if c.name == "ledger_tables" and c.outcome == "failed"]
    if missing and not findings.keys:
        raise DatabaseError(f"the ledger could not be compared: {missing[0].detail}")
    found = [f for f in findings.found.values() if f.source in tables or f.target == views]
    if asked.column is not None:
        found = [f for f in found if asked.column in (f.column, f.also)]
    failed = [c for c in checks if c.outcome == "failed" and c.table in tables]
    if found or asked.column is not None:
        failed = [c for c in failed if c.name in _LOGS and asked.column is None]
    keys = {name: findings.keys[name] for name in asked.tables if name in findings.keys}
    compared = {"source rows": 0, "target rows": sum(findings.rows.values()), "archive rows": 0}
    return Comparison(compared | findings.compared, keys, tuple(found), tuple(failed))


def sources_of(plan: Plan, table: str | None) -> tuple[str, ...]:
    """The source tables, as the file names them, that a name means; all of them for None.

    An old table by its usual name or the file's, else every table that fills a target of that name.
    """
    in_file = [bound.name for bound in plan.bound] + [t.name for t in plan.unmapped]
    if table is None:
        return tuple(dict.fromkeys(in_file))
    names = Catalogue({name: name for name in in_file} | dict(plan.source_names))
    if table in names:
        return (names[table],)
    filled = ((b.name, b.target.name) for b in plan.bound if b.target is not None)
    filling = [name for name, target in filled if folded(target) == folded(table)]
    if not filling:
        raise UsageError(f"neither the source nor a table that it fills is called {table}")
    return tuple(dict.fromkeys(filling))


def _require_column(plan: Plan, tables: tuple[str, ...], column: str) -> None:
    sources = [b.source for b in plan.bound if b.name in tables]
    sources += [t for t in plan.unmapped if t.name in tables]
    targets = [b.target for b in plan.bound if b.name in tables and b.target is not None]
    tables_ = (*sources, *targets)
    if all(table.column(column) is None for table in tables_):
        known = {table.written(name) for table in tables_ for name in table.column_names}
        raise UsageError(
            f"neither {' nor '.join(tables)} nor what they become has a column {column}: "
            f"give one of {', '.join(sorted(known))}"
        )
