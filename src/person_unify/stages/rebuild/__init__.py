"""Rebuild: the old tables again, from target and ledger alone (contract section 9).

Nothing of the transform or the load is used here: the same mapping objects are walked backwards,
and what no target cell holds comes from the archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from person_unify.database import Database
from person_unify.errors import MigrationError
from person_unify.mappings.bind import Plan
from person_unify.mappings.known import known_tables, readable_tables, unified_tables
from person_unify.stages.rebuild.builder import Rebuilder, Rebuilt
from person_unify.stages.rebuild.compare import TableComparison, compare_table
from person_unify.stages.rebuild.objects import StoredSchema, stored_schema
from person_unify.stages.rebuild.store import CELLS_AT_ONCE, File
from person_unify.stages.rebuild.writing import RebuiltTable, write

__all__ = [
    "CELLS_AT_ONCE",
    "File",
    "Rebuilder",
    "Rebuilt",
    "RebuiltTable",
    "StoredSchema",
    "TableComparison",
    "compare_table",
    "differences",
    "stored_schema",
    "write",
]


def differences(
    snapshot: Path,
    target: Path,
    ledger: Path,
    plan: Plan,
    *,
    settled: bool = True,
    cells_at_once: int = CELLS_AT_ONCE,
) -> Iterator[TableComparison]:
    """Every table of the source against what target and ledger give back, and the definitions.

    plan: of the source's tables.  settled: nobody writes target and ledger any more.
    cells_at_once: how many cells of a table are worked on at once.  What keeps a table from being
    compared is an answer too.
    """
    yield _definitions(snapshot, ledger, settled)
    with ExitStack() as stack:
        try:
            source = stack.enter_context(
                File(snapshot, readable_tables, cells_at_once=cells_at_once)
            )
            made = [
                stack.enter_context(
                    File(path, catalogue, settled=settled, cells_at_once=cells_at_once)
                )
                for path, catalogue in ((target, unified_tables), (ledger, known_tables))
            ]
        except MigrationError as error:
            yield TableComparison("sqlite_master", 0, 0, problem=str(error))
            return
        rebuilder = Rebuilder(made[0], made[1], plan, source.tables)
        for name in source.tables:
            try:
                yield compare_table(source.store(name), rebuilder.table(name))
            except MigrationError as error:
                yield TableComparison(name, 0, 0, problem=str(error))


def _definitions(snapshot: Path, ledger: Path, settled: bool) -> TableComparison:
    """Whether the ledger keeps the DDL of everything that the old database has."""
    listed = (
        "SELECT type, name, tbl_name, sql FROM sqlite_master "
        "WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql IS NOT NULL"
    )
    try:
        with Database(snapshot, read_only=True, settled=True) as database:
            old = set(database.rows(listed))
        with Database(ledger, read_only=True, settled=settled) as database:
            kept = set(database.rows("SELECT type, name, table_name, sql FROM source_schema"))
    except MigrationError as error:
        return TableComparison("sqlite_master", 0, 0, problem=str(error))
    missing, added = len(old - kept), len(kept - old)
    return TableComparison("sqlite_master", len(old), len(kept), missing, added)
