"""The tables of a file by the names that mappings use, whatever case the file writes them in."""

from __future__ import annotations

from dataclasses import replace

from person_unify.errors import FeatureMissing
from person_unify.files.database import Database, inspect
from person_unify.mappings import SHORT_NAMES
from person_unify.schema import OLD, UNIFIED, Catalogue, Column, Table, quote

_USUAL = Catalogue({short: usual for usual, short in SHORT_NAMES.items()})

_ANY = Table(
    "", tuple(Column(c, "") for c in ("id", "person_id", "patient_id", "child_id", "created_at"))
)
"""Columns that mean something in whatever table they stand."""


def known_tables(database: Database, catalog: str = "main") -> Catalogue[Table]:
    """The tables of a database, their columns by the names that the built-in schemas give them."""
    found = {}
    for name, table in inspect(database, catalog).items():
        for known in (old_table(name), UNIFIED.get(name), _ANY):
            table = table if known is None else table.known_as(known)
        found[name] = table
    return Catalogue(found)


def readable_tables(database: Database) -> Catalogue[Table]:
    """The same without the generated columns that need a function which this SQLite lacks."""
    return Catalogue({n: _computable(database, t) for n, t in known_tables(database).items()})


def _computable(database: Database, table: Table) -> Table:
    missing = set()
    for column in table.columns:
        if column.generated:
            try:
                query = f"SELECT {quote(column.name)} FROM {quote(table.name)} NOT INDEXED LIMIT 0"
                database.rows(query)
            except FeatureMissing:
                missing.add(column.name)
    if not missing:
        return table
    return replace(table, columns=tuple(c for c in table.columns if c.name not in missing))


def old_table(name: str) -> Table | None:
    """The old schema's table of that usual or short name, in any case."""
    return OLD.get(name) or OLD.get(_USUAL.get(name, ""))


def unified_tables(database: Database, catalog: str = "main") -> Catalogue[Table]:
    """The tables of a target, by the unified schema's names; so are those that keys reference.

    Generated columns are left to SQLite.
    """

    def usual(table: str) -> str:
        known = UNIFIED.get(table)
        return table if known is None else known.name

    return Catalogue(
        {
            usual(name): replace(
                table,
                name=usual(name),
                columns=tuple(c for c in table.columns if not c.generated),
                computed=tuple(c.name for c in table.columns if c.generated),
                foreign_keys=tuple(replace(k, table=usual(k.table)) for k in table.foreign_keys),
            )
            for name, table in known_tables(database, catalog).items()
        }
    )
