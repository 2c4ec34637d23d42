"""Open what a verification found wrong in a table to the keys of the rows (contract section 10)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from person_unify.errors import UsageError
from person_unify.files import private_directory
from person_unify.mappings.bind import Plan, bind
from person_unify.mappings.known import unified_tables
from person_unify.recorded import recorded_run
from person_unify.schema import Catalogue, folded
from person_unify.stages.extract import Extractor
from person_unify.stages.load import opened_to_verify
from person_unify.stages.publish import finished_ledger
from person_unify.stages.snapshot import require_file, take
from person_unify.stages.verify.differences import KINDS, Comparison, differences

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
            return differences(database, plan, run.options, tables, column, limit)


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
