"""The tables, indexes, views and triggers of the old database, as the ledger keeps their DDL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from person_unify.errors import DatabaseError, TargetError
from person_unify.files.database import Database

_CREATE = re.compile(r"CREATE\s+(?:(?:UNIQUE\s+)?INDEX|TABLE|VIEW|TRIGGER)\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry of the old database's ``sqlite_master``."""

    type: str
    name: str
    sql: str

    @property
    def virtual(self) -> bool:
        """Whether it is a virtual table, whose rows stand in tables of their own."""
        return self.sql.upper().startswith("CREATE VIRTUAL TABLE")

    def statement(self) -> str:
        """The DDL that makes it."""
        if _CREATE.match(self.sql) is None:
            raise TargetError(
                f"the ledger's definition of {self.name} is no CREATE statement: "
                "the ledger has been changed since the run"
            )
        return self.sql


@dataclass(frozen=True, slots=True)
class StoredSchema:
    """What the old database consisted of; ``rows``: table -> how many rows it had."""

    objects: tuple[Stored, ...]
    rows: Mapping[str, int]

    def create_tables(self, database: Database) -> None:
        """Create every table, empty; raises :class:`DatabaseError` where this SQLite cannot."""
        for stored in self.objects:
            if stored.type == "table" and not stored.virtual:
                database.execute(stored.statement())

    def create_others(self, database: Database) -> tuple[str, ...]:
        """Create indexes, views and triggers as far as that is possible; returns the others."""
        impossible = [f"virtual table {stored.name}" for stored in self.objects if stored.virtual]
        for stored in self.objects:
            if stored.type != "table":
                try:
                    database.execute(stored.statement())
                except DatabaseError:
                    impossible.append(f"{stored.type} {stored.name}")
        return tuple(impossible)


def stored_schema(ledger: Database) -> StoredSchema:
    """Read what the ledger keeps; raises :class:`TargetError` if it is of an earlier version."""
    if not ledger.rows("SELECT 1 FROM sqlite_master WHERE name = 'source_schema'"):
        raise TargetError(
            "the ledger does not keep the old schema: it was written by an earlier version; "
            "migrate again to get one that does"
        )
    found = ledger.rows(
        'SELECT type, name, sql, coalesce("rows", 0) FROM source_schema ORDER BY rowid'
    )
    objects = tuple(Stored(type_, name, sql) for type_, name, sql, _ in found)
    rows = {name: int(count) for type_, name, _, count in found if type_ == "table"}
    return StoredSchema(objects, rows)
