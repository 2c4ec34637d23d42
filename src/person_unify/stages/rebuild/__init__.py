"""Rebuild: the old database again, from target and ledger alone (contract section 9).

Nothing of the transform or the load is used here: the same mapping objects are walked backwards, as
SQL over whole tables, and what no target cell holds comes from the archive.
"""

from person_unify.stages.rebuild.builder import Rebuilder, RebuiltTable
from person_unify.stages.rebuild.compare import TableComparison, compare_table
from person_unify.stages.rebuild.objects import Places, StoredSchema, stored_schema

__all__ = [
    "Places",
    "Rebuilder",
    "RebuiltTable",
    "StoredSchema",
    "TableComparison",
    "compare_table",
    "stored_schema",
]
