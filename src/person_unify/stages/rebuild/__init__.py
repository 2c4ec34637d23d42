"""Rebuild: the old tables again, from target and ledger alone (contract section 9).

Nothing of the transform or the load is used here: the same mapping objects are walked backwards,
and what no target cell holds comes from the archive.
"""

from __future__ import annotations

from person_unify.errors import MigrationError
from person_unify.files.database import Database
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
    "definitions",
    "stored_schema",
    "write",
]


def definitions(old: Database, ledger: Database) -> TableComparison:
    """Whether the ledger keeps the DDL of everything that the old database has."""
    listed = (
        "SELECT type, name, tbl_name, sql FROM sqlite_master "
        "WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql IS NOT NULL"
    )
    try:
        there = set(old.rows(listed))
        kept = set(ledger.rows("SELECT type, name, table_name, sql FROM source_schema"))
    except MigrationError as error:
        return TableComparison("sqlite_master", 0, 0, problem=str(error))
    missing, added = len(there - kept), len(kept - there)
    return TableComparison("sqlite_master", len(there), len(kept), missing, added)
