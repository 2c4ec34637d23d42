"""The two schemas as data: what the platform's real databases declare.

``OLD`` and ``UNIFIED`` are read from the JSON files beside this module; nothing else in the package
states a table's columns.  :func:`ddl` writes them the way Prisma does on SQLite.
"""

from person_unify.schema.ddl import (
    create_index,
    create_statements,
    create_table,
    ddl,
    literal,
    quote,
)
from person_unify.schema.identifiers import Catalogue, folded
from person_unify.schema.model import (
    OLD,
    UNIFIED,
    Column,
    ForeignKey,
    Schema,
    Table,
)

__all__ = [
    "OLD",
    "UNIFIED",
    "Catalogue",
    "Column",
    "ForeignKey",
    "Schema",
    "Table",
    "create_index",
    "create_statements",
    "create_table",
    "ddl",
    "folded",
    "literal",
    "quote",
]
