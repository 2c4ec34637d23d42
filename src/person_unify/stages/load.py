"""Load: rows into target and ledger through one ADBC connection, in one transaction.

A target that does not exist yet is built in a staging file that nobody else sees, so it may go
without a journal: if anything fails, the file is deleted.  An existing target is filled in place,
in one exclusive transaction with its journal on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from person_unify.database import Database, attach
from person_unify.errors import DatabaseError, TargetError
from person_unify.frames import Outcome
from person_unify.ledger import CATALOG, Ledger
from person_unify.schema import UNIFIED, Table, create_index, create_table, quote

_STAGING = (
    "PRAGMA page_size = 8192",
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA cache_size = -65536",
)
_IN_PLACE = ("PRAGMA cache_size = -65536",)


class Loader:
    """The transaction over target (``main``), ledger (``ledger``) and snapshot (``source``)."""

    def __init__(self, target: Path, ledger: Path, snapshot: Path, *, created: bool) -> None:
        """Open the target and attach the others; ``created``: the target is a new staging file."""
        self.created = created
        self.database = Database(target)
        try:
            self._prepare(ledger, snapshot)
        except BaseException:
            self.close()
            raise
        self.ledger = Ledger(self.database)
        self._triggers: list[str] = []

    def _prepare(self, ledger: Path, snapshot: Path) -> None:
        for pragma in _STAGING if self.created else _IN_PLACE:
            self.database.execute(pragma)
        self.database.execute("PRAGMA foreign_keys = OFF")
        attach(self.database, ledger, CATALOG, "rwc")
        if self.created:
            self.database.execute(f"PRAGMA {CATALOG}.synchronous = OFF")
            self.database.execute(f"PRAGMA {CATALOG}.journal_mode = OFF")
        attach(self.database, snapshot, "source", "ro")
        for attached in (CATALOG, "source"):
            # A cache is a database's own, and the default of 2 MB reads every page many times.
            self.database.execute(f"PRAGMA {attached}.cache_size = -65536")

    def begin(self, schema: Iterable[Table]) -> None:
        """Begin the transaction; create the tables of a new target, drop triggers of an old one."""
        try:
            self.database.execute("BEGIN EXCLUSIVE")
        except DatabaseError as error:
            raise DatabaseError(
                f"{self.database.path.name} is in use by another program: {error}; "
                "stop it and run again"
            ) from error
        self.ledger.create()
        if self.created:
            for table in schema:
                self.database.execute(create_table(table))
            return
        for name, sql in self.database.rows(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        ):
            self._triggers.append(sql)
            self.database.execute(f"DROP TRIGGER {quote(name)}")

    def load(self, outcome: Outcome) -> int:
        """Append what became of one source table, archive aside; returns the target rows."""
        loaded = 0
        for table, rows in outcome.rows.items():
            self.database.ingest(table, rows)
            loaded += rows.height
        for table, frame in outcome.maps.items():
            self.ledger.append(table, frame)
        for frame in outcome.discrepancies:
            self.ledger.append("discrepancies", frame)
        self.ledger.append_rows(
            "normalisations",
            (
                {
                    "source_table": outcome.source,
                    "source_column": column,
                    "rule": rule,
                    "cells": cells,
                }
                for column, rule, cells in outcome.normalisations
            ),
        )
        return loaded

    def archive(self, outcome: Outcome) -> int:
        """Write what the target does not hold of one source table; returns the archive's rows."""
        if outcome.archive is None:
            return 0
        self.ledger.archive(outcome.archive)
        return outcome.archive.frame.height

    def record_source(self, rows: Mapping[str, int]) -> None:
        """Keep the old database's DDL and the rows of each table, for ``rebuild``."""
        found = self.database.rows(
            "SELECT type, name, tbl_name, sql FROM source.sqlite_master "
            "WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql IS NOT NULL ORDER BY rowid"
        )
        self.ledger.append_rows(
            "source_schema",
            (
                {
                    "type": type_,
                    "name": name,
                    "table_name": table,
                    "sql": sql,
                    "rows": rows.get(name) if type_ == "table" else None,
                }
                for type_, name, table, sql in found
            ),
        )

    def drop_unique(self, table: str, column: str) -> None:
        """Drop the target's UNIQUE index on one column; refuse a UNIQUE of the table itself."""
        found = self.database.rows(
            "SELECT l.name, l.origin FROM pragma_index_list('"
            + table.replace("'", "''")
            + '\') AS l WHERE l."unique" AND '
            + "(SELECT group_concat(name) FROM pragma_index_info(l.name)) = '"
            + column.replace("'", "''")
            + "'"
        )
        for name, origin in found:
            if origin != "c":
                raise TargetError(
                    f"the UNIQUE on {table}.{column} is part of the table's definition and cannot "
                    "be dropped: recreate the target with the platform's current schema"
                )
            self.database.execute(f"DROP INDEX {quote(name)}")

    def finish(self, schema: Iterable[Table]) -> None:
        """Create what is cheaper to make once the rows are there: indexes, and triggers again."""
        if self.created:
            for table in schema:
                for statement in create_index(table):
                    self.database.execute(statement)
        for statement in self._triggers:
            self.database.execute(statement)
        self.ledger.index()

    def commit(self) -> None:
        """Commit target and ledger together."""
        self.database.execute("COMMIT")

    def close(self) -> None:
        """Close the connection; what was not committed is gone."""
        self.database.close()


def attach_for_verification(database: Database, ledger: Path, snapshot: Path) -> None:
    """Attach a finished ledger and a snapshot of the source, read-only, to a finished target."""
    attach(database, ledger, CATALOG, "ro")
    attach(database, snapshot, "source", "ro")


def built_in_schema() -> tuple[Table, ...]:
    """The unified schema that an absent target is created with."""
    return tuple(UNIFIED.values())
