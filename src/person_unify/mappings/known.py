"""The tables of a file by the names that mappings use, whatever case the file writes them in."""

from __future__ import annotations

from dataclasses import replace

from person_unify.database import Database, inspect
from person_unify.mappings import SHORT_NAMES
from person_unify.schema import OLD, UNIFIED, Catalogue, Column, Table

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


def old_table(name: str) -> Table | None:
    """The old schema's table of that usual or short name, in any case."""
    return OLD.get(name) or OLD.get(_USUAL.get(name, ""))


def unified_tables(database: Database, catalog: str = "main") -> Catalogue[Table]:
    """The tables of a target, by the unified schema's names; so are those that keys reference."""

    def usual(table: str) -> str:
        known = UNIFIED.get(table)
        return table if known is None else known.name

    return Catalogue(
        {
            usual(name): replace(
                table,
                name=usual(name),
                foreign_keys=tuple(replace(k, table=usual(k.table)) for k in table.foreign_keys),
            )
            for name, table in known_tables(database, catalog).items()
        }
    )
