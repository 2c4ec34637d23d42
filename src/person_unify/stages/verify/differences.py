"""Differences: what the checks judged wrong in some tables, opened to keys (contract section 10).

The sweeps of the verification run as they are; where one counted something wrong, the same
condition is asked again for the keys of its rows.  No cell is read, only keys and names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from person_unify.database import Database
from person_unify.errors import DatabaseError
from person_unify.mappings import CORE_TABLES
from person_unify.mappings.bind import BoundMapping, Plan
from person_unify.schema import Table, quote
from person_unify.stages.verify.archive import archive_of
from person_unify.stages.verify.archive_probes import archive_probes
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.check import Check, VerifyOptions
from person_unify.stages.verify.core import check_core
from person_unify.stages.verify.lookups import prepare_all
from person_unify.stages.verify.probes import (
    KINDS,
    Kind,
    Probe,
    cell_probes,
    implied_probes,
    key_of,
    link_probes,
    people_probes,
    plus_people,
    plus_probe,
    row_probes,
    view_probes,
    whole_probe,
)
from person_unify.stages.verify.tables import check_table

__all__ = ["KINDS", "Comparison", "Difference", "Found", "Kind", "differences"]

Key = tuple[str | None, ...]
PEOPLE = ("persons", "clinician_patient_views", "parent_child_views")


@dataclass(frozen=True, slots=True)
class Difference:
    """One wrong row: its keys in source and target as texts, None where there is no such row."""

    source_key: Key | None
    target_key: Key | None


@dataclass(frozen=True, slots=True)
class Found:
    """One kind of difference: how many there are, and the keys of the first.

    column: of the target for ``changed``, else of the source; None where the row itself is wrong.
    """

    kind: Kind
    source: str
    target: str | None
    column: str | None
    detail: str
    count: int
    rows: tuple[Difference, ...]


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


def differences(
    database: Database,
    plan: Plan,
    options: VerifyOptions,
    tables: Sequence[str],
    column: str | None = None,
    limit: int = 20,
) -> Comparison:
    """Compare source tables (by their names in the file) with target and archive.

    ``column`` keeps the cells of one column; each kind of difference lists up to ``limit`` keys.
    The database is as for ``verify``.  Raises :class:`DatabaseError` when nothing can be compared.
    """
    bench = Bench(database, plan, options, lambda _: None)
    try:
        with bench.guarded("preparation"):
            bench.look()
            prepare_all(bench)
        _require_no_error(bench)
        found = [f for name in tables for f in _of_table(bench, name, tables, column, limit)]
        targets = _targets(bench, tables)
        if column is None:
            found += _answers(bench, _plus(bench, targets), None, limit)
        compared = _compared(bench, tables, targets)
        keys = {table.name: key_of(bench, table, usual)[0] for table, usual in _of(bench, tables)}
    finally:
        bench.drop_all()
    failed = [check for check in bench.checks if check.outcome == "failed"]
    if found or column is not None:
        failed = [check for check in failed if check.name in LOGS and column is None]
    return Comparison(compared, keys, tuple(found), tuple(failed))


LOGS = ("rows_logged", "soft_references")
"""Checks of what was logged: a missing entry is no difference of a row or a cell."""


def _of(bench: Bench, tables: Sequence[str]) -> Iterator[tuple[Table, str]]:
    """The source tables of some names, with the contract's names for them."""
    known = {b.name: (b.source, b.mapping.source) for b in bench.plan.bound}
    known |= {table.name: (table, table.name) for table in bench.plan.unmapped}
    yield from (known[name] for name in tables)


def _bounds(bench: Bench, name: str) -> list[BoundMapping]:
    return [b for b in bench.plan.bound if b.name == name and b.target is not None]


def _targets(bench: Bench, tables: Sequence[str]) -> list[str]:
    names = [b.target.name for t in tables for b in _bounds(bench, t) if b.target is not None]
    return list(dict.fromkeys(names))


def _of_table(
    bench: Bench, name: str, tables: Sequence[str], column: str | None, limit: int
) -> list[Found]:
    """Run the checks of one table, and open what they counted."""
    (table, usual), bounds = next(_of(bench, [name])), _bounds(bench, name)
    bench.swept.clear()
    with bench.guarded("cells_match", name):
        if usual in CORE_TABLES:
            check_core(bench, (usual,))
        elif bounds:
            check_table(bench, bounds[0])
    _require_no_error(bench)
    probes = _probes(bench, table, usual, bounds)
    if usual in ("children", "parent_children"):
        views = view_probes(bench, usual, of_children="children" in tables)
        probes = chain(probes, views)
    return list(_answers(bench, probes, column, limit))


def _probes(bench: Bench, table: Table, usual: str, bounds: list[BoundMapping]) -> Iterator[Probe]:
    if not bounds:
        yield whole_probe(bench, table, usual)
    elif usual in ("patients", "children"):
        yield from people_probes(bench, usual)
    elif usual == "parent_children":
        yield from link_probes(bench, bounds[0])
    else:
        yield from row_probes(bench, bounds[0])
    if usual == "consent_grants":
        yield from implied_probes(bench)
    if bounds:
        yield from cell_probes(bench, usual)
    yield from archive_probes(bench, table, usual, mapped=bool(bounds))


def _plus(bench: Bench, targets: Sequence[str]) -> Iterator[Probe]:
    for target in targets:
        probe = plus_people(target) if target in PEOPLE else plus_probe(bench, target)
        if probe is not None:
            yield probe


def _answers(
    bench: Bench, probes: Iterator[Probe], column: str | None, limit: int
) -> Iterator[Found]:
    """Ask every probe, or those of one column."""
    for probe in probes:
        if column is not None and column not in (probe.column, probe.also):
            continue
        condition = f"FROM {probe.origin} WHERE {probe.where}"
        count = bench.value(f"SELECT count(*) {condition}")
        if count:
            rows = tuple(_keys(bench, probe, f"{condition} LIMIT {limit}"))
            yield Found(
                *(probe.kind, probe.source, probe.target, probe.column, probe.detail, count, rows)
            )


def _keys(bench: Bench, probe: Probe, condition: str) -> Iterator[Difference]:
    expressions = (*probe.source_key, *probe.target_key)
    # A key of any class and any bytes travels as hexadecimal digits.
    listed = ", ".join(
        f"CASE WHEN {e} IS NOT NULL THEN hex(CAST({e} AS BLOB)) END" for e in expressions
    )
    split = len(probe.source_key)
    for row in bench.rows(f"SELECT {listed or 'NULL'} {condition}"):
        texts = tuple(None if cell is None else _text(str(cell)) for cell in row)
        yield Difference(_key(texts[:split]), _key(texts[split : len(expressions)]))


def _key(parts: Key) -> Key | None:
    return parts if any(part is not None for part in parts) else None


def _text(digits: str) -> str:
    return bytes.fromhex(digits).decode("utf-8", "backslashreplace")


def _compared(bench: Bench, tables: Sequence[str], targets: Sequence[str]) -> dict[str, int]:
    """Rows of source, target and archive, and the cells that the checks compared."""
    archives = [archive_of(bench, table) for table, _ in _of(bench, tables)]
    places = {
        "source rows": [f"source.{quote(name)}" for name in tables],
        "target rows": [f"main.{quote(name)}" for name in targets],
        "archive rows": [archive.table for archive in archives if archive is not None],
    }
    compared = {
        what: sum(bench.value(f"SELECT count(*) FROM {name}") for name in names)
        for what, names in places.items()
    }
    for what, checks in (
        ("target cells", ("cells_match",)),
        ("source cells", ("archived_cells",)),
    ):
        expected = [check.expected for check in bench.checks if check.name in checks]
        compared[what] = sum(number for number in expected if isinstance(number, int))
    return compared


def _require_no_error(bench: Bench) -> None:
    """A check whose statements failed has compared nothing."""
    for check in bench.checks:
        if check.outcome == "error":
            table = "" if check.table is None else f" of {check.table}"
            raise DatabaseError(f"{check.name}{table} could not be compared: {check.detail}")
