"""Load: rows into target and ledger through one ADBC connection, in one transaction.

Both are private staged files that are thrown away if the transaction does not end: so there is no
journal, and nothing is synced.  The target begins as a new file, or as the copy of one that exists:
then whatever is not ours in it stays, and its triggers do not fire.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from person_unify.errors import DatabaseError, TargetError
from person_unify.files import locks
from person_unify.files.database import Database
from person_unify.files.header import is_in_wal_mode, set_wal_mode
from person_unify.files.target_rules import Demand, demands, put_back, set_aside
from person_unify.frames.ledger import CATALOG, Ledger
from person_unify.frames.model import Outcome
from person_unify.report import Normalisation
from person_unify.schema import Table, create_index, create_table, literal, quote

_PRAGMAS = (
    "PRAGMA page_size = 8192",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -32768",
    "PRAGMA foreign_keys = OFF",
)


class Loader:
    """The transaction over target (``main``), ledger (``ledger``) and snapshot (``source``)."""

    def __init__(
        self, target: Path, ledger: Path, snapshot: Path, before: Path | None = None
    ) -> None:
        """Make target and ledger, two new files, and attach the snapshot.

        before: what the target begins as; None for a target with the built-in schema.
        """
        self._before = before
        if before is not None:
            locks.copy(before, target)
            set_wal_mode(target, on=False)
        self.database = Database(target)
        try:
            for pragma in _PRAGMAS:
                self.database.execute(pragma)
            self.database.attach(ledger, CATALOG)
            self.database.execute(f"PRAGMA {CATALOG}.synchronous = OFF")
            self.database.execute(f"PRAGMA {CATALOG}.journal_mode = OFF")
            self.database.attach(snapshot, "source", settled=True)
            for attached in (CATALOG, "source"):
                # A cache is a database's own, and the default of 2 MB reads every page many times.
                self.database.execute(f"PRAGMA {attached}.cache_size = -16384")
        except BaseException:
            self.close()
            raise
        self.ledger = Ledger(self.database)
        self._triggers: list[str] = []
        self._demands: list[Demand] = []

    def begin(self, schema: Iterable[Table]) -> None:
        """Begin to write: make a new target's tables, set aside an old one's triggers and rules."""
        self.database.execute("BEGIN EXCLUSIVE")
        self.ledger.create()
        if self._before is None:
            for table in schema:
                self.database.execute(create_table(table))
            return
        for name, sql in self.database.rows(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        ):
            self._triggers.append(sql)
            self.database.execute(f"DROP TRIGGER {quote(name)}")
        self._demands = demands(self.database)
        set_aside(self.database, self._demands)

    def load(self, outcome: Outcome) -> int:
        """Append what became of a source table or a part of it, but the archive; returns rows."""
        loaded = 0
        for table, rows in outcome.rows.items():
            self.append(table, rows)
            loaded += rows.height
        for table, frame in outcome.maps.items():
            self.ledger.append(table, frame)
        for frame in outcome.discrepancies:
            self.ledger.append("discrepancies", frame)
        return loaded

    def append(self, table: str, rows: pl.DataFrame) -> None:
        """Append rows to a table; raises :class:`TargetError` for a constraint of the target."""
        try:
            self.database.ingest(table, rows)
        except DatabaseError as error:
            if "constraint failed" not in str(error):
                raise
            raise TargetError(
                f"the target does not take the rows of {table} ({error}), nothing was published: "
                "give it the platform's current schema, or drop that constraint first"
            ) from error

    def archive(self, outcome: Outcome) -> int:
        """Write what the target does not hold of these rows; returns the archive's rows."""
        if outcome.archive is None:
            return 0
        self.ledger.archive(outcome.archive)
        return outcome.archive.frame.height

    def record_normalisations(self, found: Iterable[Normalisation]) -> None:
        """Keep how many cells each rule brought into canonical form."""
        self.ledger.append_rows(
            "normalisations",
            (
                {
                    "source_table": rule.table,
                    "source_column": rule.column,
                    "rule": rule.rule,
                    "cells": rule.cells,
                }
                for rule in found
            ),
        )

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
            f"SELECT l.name, l.origin FROM pragma_index_list({literal(table)}) AS l "
            'WHERE l."unique" AND '
            f"(SELECT group_concat(name) FROM pragma_index_info(l.name)) = {literal(column)}"
        )
        for name, origin in found:
            if origin != "c":
                raise TargetError(
                    f"the UNIQUE on {table}.{column} is part of the table's definition and cannot "
                    "be dropped: recreate the target with the platform's current schema"
                )
            self.database.execute(f"DROP INDEX {quote(name)}")

    def finish(self, schema: Iterable[Table]) -> None:
        """Create what is cheaper to make once the rows are there: indexes, and triggers again.

        Raises :class:`TargetError` for rows that an old target does not take.
        """
        if self._before is None:
            for table in schema:
                for statement in create_index(table):
                    self.database.execute(statement)
        put_back(self.database, self._demands)
        for statement in self._triggers:
            self.database.execute(statement)
        self.ledger.index()

    def commit(self) -> None:
        """Commit and close both files; the target asks for a log if the one that was there did."""
        self.database.execute("COMMIT")
        target = self.database.path
        self.close()
        if self._before is not None and is_in_wal_mode(self._before):
            set_wal_mode(target, on=True)

    def close(self) -> None:
        """Close the connection; what was not committed is gone."""
        self.database.close()


@contextmanager
def opened_to_verify(
    target: Path, ledger: Path, snapshot: Path, *, settled: bool = False
) -> Iterator[Database]:
    """A finished target with its ledger and a snapshot of the source attached, all read-only.

    settled: nobody can write target and ledger, so they are read without locks.
    """
    with Database(target, read_only=True, settled=settled) as database:
        database.attach(ledger, CATALOG, read_only=True, settled=settled)
        database.attach(snapshot, "source", settled=True)
        yield database
