"""Deliver: a verified SQLite target goes into the platform's own empty PostgreSQL tables.

One transaction: lock, check that the tables are empty and that their indexes can hold the rows, put
keys, indexes and triggers aside, COPY, put them back, read everything back and compare it cell by
cell, commit.  The ledger says before the commit what is about to be, and the server says after it
what became of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from person_unify.errors import (
    DatabaseError,
    DatabaseLocked,
    ServerError,
    TargetError,
    TargetInUse,
    VerificationFailed,
)
from person_unify.evidence.recorded import recorded_files
from person_unify.files import private_directory
from person_unify.files.database import Database
from person_unify.files.private import temporary_files_in
from person_unify.mappings.bind import type_of
from person_unify.postgres import record
from person_unify.postgres.address import Address
from person_unify.postgres.aside import aside
from person_unify.postgres.catalogue import TARGET, Home, homes
from person_unify.postgres.entries import require_entries
from person_unify.postgres.mirror import differences, mirror
from person_unify.postgres.record import Delivery
from person_unify.postgres.rows import Columns, frames
from person_unify.postgres.server import Server
from person_unify.progress import Progress, TableFinished, TableStarted, one_at_a_time, silent
from person_unify.run.budget import Budget, budget_of
from person_unify.run.clock import now_ms
from person_unify.run.preflight import HISTORY
from person_unify.schema import UNIFIED, Column, Table, quote
from person_unify.stages.extract import Extractor
from person_unify.stages.publish import finished_ledger
from person_unify.stages.snapshot import take

_NOTES = ("persons", "migration_notes")
"""The ledger's ``person_notes`` holds these, too; the platform's own schema has no such column."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a delivery did: rows per table."""

    address: Address
    rows: Mapping[str, int]


def deliver(
    target: Path,
    address: Address,
    *,
    wait: float = 5.0,
    memory: int | None = None,
    progress: Progress = silent,
) -> Delivered:
    """Copy a finished target into the tables of a PostgreSQL schema, or leave them as they are.

    wait: seconds to wait for another connection's lock.  Raises :class:`TargetError` for a target
    that has changed since its run, tables that are not there, not empty, or lack a column, and
    cells that they cannot hold; :class:`VerificationFailed` where what is read back differs;
    :class:`ServerError` for whatever else the server refuses.
    """
    ledger = finished_ledger(target, "deliver")
    sealed = recorded_files(ledger, target).get("target")
    with private_directory() as temporary, temporary_files_in(temporary):
        copy = take(target, temporary, datetime.now(UTC), wait)
        if sealed is None or copy.source_sha256 != sealed.sha256:
            raise TargetError(
                f"{target} has changed since its run, so nothing of it is proven: deliver what the "
                "run left, or roll it back and migrate again"
            )
        with one_at_a_time(progress) as told, Server(address) as server:
            before = record.latest(ledger, server)
            if before is not None and before.outcome == "committed":
                raise TargetError(
                    f"{target} has been delivered to {address} already: rollback takes that back"
                )
            work = _Work(server, Extractor(copy.path), temporary, budget_of(memory), told)
            with _refused_clearly(address):
                delivery = work.carry_out(ledger, wait)
    if record.settled(ledger, delivery, record.how_it_ended(address, delivery)).outcome != (
        "committed"
    ):
        raise ServerError(f"{address} did not commit the delivery: its tables are as they were")
    return Delivered(address, {table: rows for table, (rows, _) in delivery.tables.items()})


@contextmanager
def _refused_clearly(address: Address) -> Iterator[None]:
    """What a person can act on, said as such."""
    try:
        yield
    except DatabaseLocked as error:
        raise TargetInUse(
            f"another connection has tables of {address} locked, nothing was delivered: stop the "
            "platform, or wait longer with --busy-timeout"
        ) from error
    except ServerError as error:
        if error.code == "42501":
            raise TargetError(
                f"{error}, nothing was delivered: deliver as the owner of the tables"
            ) from error
        if error.code.startswith("23"):
            raise TargetError(
                f"{error}, nothing was delivered: the platform's schema asks more than the "
                "verified rows give"
            ) from error
        raise


@dataclass(slots=True)
class _Work:
    """One delivery under way, on one connection."""

    server: Server
    extractor: Extractor
    directory: Path
    budget: Budget
    progress: Progress
    homes: dict[str, Home] = field(default_factory=dict)
    columns: list[Columns] = field(default_factory=list)

    def carry_out(self, ledger: Path, wait: float) -> Delivery:
        """Everything up to the commit, of which only the server knows how it ended."""
        self._bind()
        self.server.execute("BEGIN")
        try:
            delivery = self._fill(wait)
            record.write(ledger, delivery)
        except BaseException:
            with suppress(DatabaseError):
                self.server.execute("ROLLBACK")
            raise
        with suppress(ServerError):  # the server is asked how it ended, whatever it says now
            self.server.execute("COMMIT")
        return delivery

    def _bind(self) -> None:
        """Find the home of every table and column that holds something."""
        found = homes(self.server, TARGET)
        with Database(self.extractor.snapshot, settled=True) as database:
            problems = []
            for name, table in self.extractor.tables.items():
                if name == HISTORY:
                    continue
                home = found.get(name)
                if (home is None or name not in UNIFIED) and not self.extractor.has_rows(name):
                    continue  # a further table is not ours where nothing goes into it
                if home is None:
                    problems.append(f"there is no table {name}")
                    continue
                names, wrong = _columns(table, home, database)
                problems += wrong
                self.homes[home.table.name] = home
                self.columns.append(Columns(name, home.table, names))
        if problems or not self.columns:
            raise TargetError(
                f"{self.server.address} cannot take the rows ({'; '.join(problems[:5]) or 'empty'})"
                ": bring it to the platform's current schema, by prisma migrate deploy"
            )

    def _fill(self, wait: float) -> Delivery:
        server, schema = self.server, quote(self.server.address.schema)
        xid = str(server.value("SELECT pg_current_xact_id()::text"))
        server.lock((f"{schema}.{quote(name)}" for name in self.homes), wait)
        self._require_unchanged()
        require_empty(server, self.homes)
        for columns in self.columns:
            require_entries(server, self.extractor, columns, self.budget)
        gone = aside(server, self.homes)
        for one in gone:
            server.execute(one.drop)
        for columns in self.columns:
            self._copy(columns)
        for one in reversed(gone):
            for statement in one.restore:
                server.execute(statement)
        self._compare()
        return Delivery(
            xid=xid,
            address=server.address.shown,
            server=record.identity(server),
            schema=server.address.schema,
            started=now_ms(),
            tables=record.digests(server, self.homes),
        )

    def _require_unchanged(self) -> None:
        """Now that nobody can change them: the tables are what they were."""
        now = homes(self.server, TARGET)
        changed = [name for name, home in self.homes.items() if now.get(name) != home]
        if changed:
            raise TargetError(f"{changed[0]} was changed by somebody meanwhile: deliver again")

    def _copy(self, columns: Columns) -> None:
        self.progress(TableStarted("publish", columns.home.name))
        total = 0
        for frame in frames(self.extractor, columns, self.budget):
            self.server.copy(columns.home.name, frame)
            total += frame.height
        self.progress(TableFinished("publish", columns.home.name, total, 0.0))

    def _compare(self) -> None:
        """Read everything back, and hold it against the verified file cell by cell."""
        back = self.directory / "read-back.db"
        mirror(self.server, self.homes.values(), back, self.progress)
        expected = {
            c.table: (_in_file(c, c.home.primary_key), _in_file(c, tuple(c.names.values())))
            for c in self.columns
        }
        wrong = list(differences(self.extractor.snapshot, back, expected))
        if wrong:
            raise VerificationFailed(
                f"{self.server.address} does not hold what was sent, nothing was delivered: "
                + ", ".join(map(str, wrong[:5]))
            )


def require_empty(server: Server, tables: Iterable[str]) -> None:
    """Refuse tables that hold rows; raises :class:`TargetError`."""
    full = record.filled(server, tables)
    if full:
        raise TargetError(
            f"{server.address} is not empty ({', '.join(full[:5])} hold rows), nothing was "
            "delivered: empty those tables, or choose another schema"
        )


def _in_file(columns: Columns, homes_: Sequence[str]) -> tuple[str, ...]:
    """Names that both files know, for SQLite compares A to Z without regard to case."""
    return tuple(name for name in homes_ if name in columns.names.values())


def _columns(table: Table, home: Home, database: Database) -> tuple[dict[str, str], list[str]]:
    """Which columns go where, and what is in the way."""
    names: dict[str, str] = {}
    wrong = [f"{table.name}.{name} has a type that rows do not fill" for name in home.demanded]
    for column in table.columns:
        there = home.table.column(column.name)
        if there is None:
            filled = f"SELECT EXISTS (SELECT 1 FROM {quote(table.name)} WHERE {quote(column.name)} "
            if (table.name, column.name) != _NOTES and database.value(f"{filled} IS NOT NULL)"):
                wrong.append(f"{table.name} has no column {column.name}")
        elif _kind(there) != _kind(column):
            wrong.append(f"{table.name}.{column.name} is {there.type}, not {column.type}")
        else:
            names[column.name] = there.name
    wrong += [
        f"{table.name}.{column.name} is required and nothing fills it"
        for column in home.table.columns
        if column.not_null
        and column.default is None
        and column.name not in (*names.values(), *home.filled)
    ]
    return names, wrong


def _kind(column: Column) -> str:
    return "INTEGER" if type_of(column) == "INT4" else type_of(column)
