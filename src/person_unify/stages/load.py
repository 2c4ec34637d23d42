"""Load: rows into target and ledger through one ADBC connection.

A target that does not exist yet is built in a staging file that nobody else sees, and committed
step by step, so that a run that was killed can go on.  The journal is on, because a killed process
leaves a malformed file without one; nothing is synced before the end, because after a power cut
the staging file is built again.  An existing target is filled in place,
in one exclusive transaction with its rollback journal on.  (With a write-ahead log, target and
ledger would be committed one after the other; such a target gets its log back after the commit.)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from person_unify import custody
from person_unify.database import Database, Opener
from person_unify.errors import DatabaseError, DatabaseLocked, TargetError
from person_unify.frames import Outcome
from person_unify.ledger import CATALOG, Ledger
from person_unify.report import Normalisation
from person_unify.schema import UNIFIED, Table, create_index, create_table, quote

_STAGING = (
    "PRAGMA page_size = 8192",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = TRUNCATE",
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -32768",
)
_IN_PLACE = ("PRAGMA cache_size = -32768",)
_BOTH = ("main", CATALOG)


class Loader:
    """The transaction over target (``main``), ledger (``ledger``) and snapshot (``source``)."""

    def __init__(
        self, target: Path, ledger: Path, snapshot: Path, *, created: bool, wait: float = 5.0
    ) -> None:
        """Open the target and attach the others; ``created``: the target is a new staging file.

        An existing target is locked from here on, after at most ``wait`` seconds; raises
        :class:`TargetError` if another program keeps it longer.
        """
        self.created = created
        self._in_wal_mode = False
        self._files = (target, ledger, snapshot)
        self.database = Database(target)
        try:
            if not created:
                self._look(wait)
            self._prepare(ledger, snapshot)
            if not created:
                self._lock(wait)
        except DatabaseLocked as error:
            self.close()
            raise TargetError(
                f"{target} is in use by another program: stop it and run again"
            ) from error
        except BaseException:
            self.close()
            raise
        self.ledger = Ledger(self.database)
        self._triggers: list[str] = []
        self._expected_changes = 0

    def _prepare(self, ledger: Path, snapshot: Path) -> None:
        for pragma in _STAGING if self.created else _IN_PLACE:
            self.database.execute(pragma)
        self.database.execute("PRAGMA foreign_keys = OFF")
        self.database.attach(ledger, CATALOG)
        if self.created:
            self.database.execute(f"PRAGMA {CATALOG}.synchronous = OFF")
            self.database.execute(f"PRAGMA {CATALOG}.journal_mode = TRUNCATE")
        self.database.attach(snapshot, "source", settled=True)
        for attached in (CATALOG, "source"):
            # A cache is a database's own, and the default of 2 MB reads every page many times.
            self.database.execute(f"PRAGMA {attached}.cache_size = -16384")

    def _look(self, wait: float) -> None:
        self.database.execute_when_free("SELECT 1 FROM sqlite_master LIMIT 1", wait)
        self._in_wal_mode = self.database.value("PRAGMA main.journal_mode") == "wal"

    def _lock(self, wait: float) -> None:
        if self._in_wal_mode:
            self.database.execute_when_free("PRAGMA main.journal_mode = DELETE", wait)
        self.database.execute_when_free("BEGIN EXCLUSIVE", wait)

    def back_up(self, copy: Path) -> tuple[int, str]:
        """Copy an existing target as it was before the run; bytes and SHA-256 of the copy."""
        size, digest = custody.copy(self.database.path, copy, beside=True)
        if self._in_wal_mode:
            with custody.reading(copy, mode="rb+") as file:
                file.seek(18)
                file.write(b"\x02\x02")  # the file format numbers of a database in WAL mode
                file.flush()
                os.fsync(file.fileno())
            digest = custody.sha256(copy)
        return size, digest

    def begin(self, schema: Iterable[Table]) -> None:
        """Begin to write: create the tables of a new target, set an old one's triggers aside."""
        if self.created:
            self.database.execute("BEGIN EXCLUSIVE")
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

    def go_on(self) -> int | None:
        """Begin again in staging files, and say after which step; None if they are not intact.

        SQLite has rolled both back to their last step.  A kill between the two commits of a step
        shows as different steps.
        """
        try:
            steps = {int(self.database.value(f"PRAGMA {name}.user_version")) for name in _BOTH}
            found = {self.database.value(f"PRAGMA {name}.quick_check(1)") for name in _BOTH}
        except DatabaseError:
            return None
        if len(steps) > 1 or found != {"ok"}:
            return None
        self.database.execute("BEGIN EXCLUSIVE")
        return steps.pop()

    def keep(self, step: int) -> None:
        """Commit what staging files hold by now, as step 1, 2, ..., and go on."""
        self._number(step)
        self.database.execute("COMMIT")
        self.database.execute("BEGIN EXCLUSIVE")

    def _number(self, step: int) -> None:
        for name in _BOTH:
            self.database.execute(f"PRAGMA {name}.user_version = {step}")

    def load(self, outcome: Outcome) -> int:
        """Append what became of a source table or a part of it, but the archive; returns rows."""
        loaded = 0
        for table, rows in outcome.rows.items():
            self.database.ingest(table, rows)
            loaded += rows.height
        for table, frame in outcome.maps.items():
            self.ledger.append(table, frame)
        for frame in outcome.discrepancies:
            self.ledger.append("discrepancies", frame)
        return loaded

    def archive(self, outcome: Outcome) -> int:
        """Write what the target does not hold of these rows; returns the archive's rows."""
        if outcome.archive is None:
            return 0
        self.ledger.archive(outcome.archive)
        return outcome.archive.frame.height

    def end_table(self, source: str, normalised: Iterable[Normalisation]) -> None:
        """Write what is only known when a source table is complete."""
        self.ledger.append_rows(
            "normalisations",
            (
                {
                    "source_table": found.table,
                    "source_column": found.column,
                    "rule": found.rule,
                    "cells": found.cells,
                }
                for found in normalised
            ),
        )
        self.ledger.end_archive(source)

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

    @contextmanager
    def to_verify(self) -> Iterator[tuple[Database, Opener | None]]:
        """The files as they stand, once or, where all is committed, as often as one likes.

        Staging files are given out of hand for that long, and nobody else knows them; what an
        existing target holds by now is seen by this connection alone.
        """
        if not self.created:
            yield self.database, None
            return
        self.database.execute("COMMIT")
        self.close()
        again = partial(opened_to_verify, *self._files, settled=True)
        with again() as database:
            yield database, again
        self.database = Database(self._files[0])
        self._prepare(*self._files[1:])
        self.ledger = Ledger(self.database)
        self.database.execute("BEGIN EXCLUSIVE")

    def commit(self) -> None:
        """Commit target and ledger for good; a target that had a write-ahead log gets it back."""
        if self.created:
            self._number(0)
        self._expected_changes = self._changes() + 1
        self.database.execute("COMMIT")
        if self._in_wal_mode:
            with contextlib.suppress(DatabaseLocked):  # whoever has it open decides its mode
                self.database.execute_when_free("PRAGMA main.journal_mode = WAL", wait=0)
                self._expected_changes += 1

    def seal(self) -> str | None:
        """SHA-256 of the target as it was committed, in a new transaction for the ledger.

        None if another program has written to the target since the commit.
        """
        self.database.execute("BEGIN IMMEDIATE")
        if not self.created and self._was_written():
            return None
        return custody.sha256(self.database.path, beside=True)

    def _was_written(self) -> bool:
        log = self.database.path.with_name(self.database.path.name + "-wal")
        logged = log.exists() and log.stat().st_size
        return bool(logged) or self._changes() != self._expected_changes

    def _changes(self) -> int:
        """SQLite's count of the transactions that changed the main file, from its header."""
        with custody.reading(self.database.path, beside=True) as file:
            return int.from_bytes(file.read(28)[24:], "big")

    def finish_seal(self) -> None:
        """Commit what the ledger got since :meth:`seal`; the target has not been touched."""
        self.database.execute("COMMIT")

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


def built_in_schema() -> tuple[Table, ...]:
    """The unified schema that an absent target is created with."""
    return tuple(UNIFIED.values())
