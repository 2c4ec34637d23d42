"""One connection to a PostgreSQL server, where its errors become ours.

The server's messages quote cells and statements: only codes and names of constraints are passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import adbc_driver_manager
import polars as pl

from person_unify.background import Background
from person_unify.errors import DatabaseError, DatabaseLocked, DiskError, ServerError, UsageError
from person_unify.files.closing import Closing
from person_unify.postgres.address import Address

T = TypeVar("T")

_PAUSE = 0.1
"""Seconds between two attempts to have a statement cancelled, which may not have begun yet."""

_WORDS = {
    "42501": "a privilege is missing",
    "53100": "the server's disk is full",
    "53300": "the server takes no more connections",
    "54000": "an index entry is too long",
    "55P03": "another connection holds a lock",
    "57014": "the statement was cancelled or ran into a time limit",
    "57P01": "the server was shut down",
    "22021": "a text holds what the server's encoding does not",
    "23505": "a unique key is taken twice",
    "23503": "a foreign key names nothing",
    "23514": "a CHECK is violated",
    "23502": "a required column has no value",
    "28P01": "the password was not accepted",
    "28000": "the user was not accepted",
    "3D000": "there is no such database",
    "25006": "the server takes no writes: it is a standby or read-only",
}
_KINDS: dict[str, type[DatabaseError]] = {"55P03": DatabaseLocked, "53100": DiskError}
_UNREACHED = re.compile(
    r"Connection refused|timeout expired|No such file or directory|could not translate host name"
    r"|password authentication failed|no password supplied|no pg_hba.conf entry"
    r"|role .* does not exist|database .* does not exist|definition of service .* not found"
    r"|invalid URI query parameter|server does not support SSL|certificate verify failed"
    r"|the database system is (?:starting up|shutting down|in recovery mode)"
    r"|too many clients already"
)
_NAMED = re.compile(r'"[^"]*"')


class Server(Closing):
    """A connection in autocommit: transactions are begun and ended in SQL."""

    def __init__(self, address: Address) -> None:
        """Connect; raises :class:`DatabaseError`, and :class:`UsageError` without the driver."""
        try:
            import adbc_driver_postgresql.dbapi
        except ImportError as error:
            raise UsageError(
                "PostgreSQL needs its driver: pip install '.[postgres]' in the checkout"
            ) from error
        self.address = address
        connect = partial(adbc_driver_postgresql.dbapi.connect, address.uri, autocommit=True)
        try:
            self._connection = Background(connect).heard()
        except adbc_driver_manager.Error as error:
            raise _unreachable(address, error) from None
        for setting in (
            "DateStyle = 'ISO, YMD'",
            "TimeZone = 'UTC'",
            "extra_float_digits = 1",
            "IntervalStyle = 'postgres'",
            "bytea_output = 'hex'",
            "idle_in_transaction_session_timeout = 0",
            "search_path = pg_catalog",
            # Rows that a policy hides are refused rather than missed.
            "row_security = off",
        ):
            self.execute(f"SET {setting}")
        encoding = self.value("SELECT current_setting('server_encoding')")
        if encoding != "UTF8":
            self.close()
            raise DatabaseError(f"{address} is encoded in {encoding}, and has to be in UTF8")

    def close(self) -> None:
        """Close the connection; the server rolls an open transaction back."""
        self._connection.close()

    def execute(self, statement: str) -> None:
        """Run one statement; raises :class:`ServerError` without quoting any cell."""
        action = f"run {' '.join(statement.split()[:2])}"
        with self._translated(action), self._connection.cursor() as cursor:
            self._heard(lambda: cursor.execute(statement))

    def lock(self, places: Iterable[str], wait: float) -> None:
        """Have tables to oneself until the transaction ends; waits so many seconds for others.

        Raises :class:`DatabaseLocked`, then and from whatever else in it meets another's lock.
        """
        self.execute("SET LOCAL synchronous_commit = on")
        self.execute(f"SET LOCAL lock_timeout = {max(1, int(wait * 1000))}")
        self.execute(f"LOCK TABLE {', '.join(places)} IN ACCESS EXCLUSIVE MODE")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a small query as Python values."""
        with self._translated("look at the database"), self._connection.cursor() as cursor:
            self._heard(lambda: cursor.execute(query))
            found: list[tuple[Any, ...]] = self._heard(cursor.fetchall)
            return found

    def value(self, query: str) -> Any:
        """The first column of the first row of a query."""
        return self.rows(query)[0][0]

    def batches(self, query: str, about: str) -> Iterator[pl.DataFrame]:
        """A query's rows as they come, in frames of bounded size."""
        with self._translated(f"read {about}"), self._connection.cursor() as cursor:
            self._heard(lambda: cursor.execute(query))
            reader = iter(cursor.fetch_record_batch())
            while (batch := self._heard(lambda: next(reader, None))) is not None:
                frame = pl.from_arrow(batch)
                assert isinstance(frame, pl.DataFrame)
                yield frame

    def copy(self, table: str, frame: pl.DataFrame, schema: str | None = None) -> None:
        """Append a frame's rows to a table by COPY; columns bind by name, others take DEFAULT.

        schema: of the table, if not the address's.
        """
        with self._translated(f"load {table}"), self._connection.cursor() as cursor:
            rows, schema = frame.to_arrow(), schema or self.address.schema
            self._heard(
                lambda: cursor.adbc_ingest(table, rows, mode="append", db_schema_name=schema)
            )

    def _heard(self, call: Callable[[], T]) -> T:
        """A call of the driver beside which signals are heard; an interrupt has it cancelled.

        In the main thread the driver would take Ctrl-C for a cancellation and say nothing more,
        and any other signal would have to wait for the server.
        """
        running = Background(call)
        try:
            return running.heard()
        except KeyboardInterrupt:
            # No cursor can be closed while the driver is at work on it.
            while not running.over:
                with suppress(KeyboardInterrupt):
                    with suppress(adbc_driver_manager.Error):
                        self._connection.adbc_cancel()
                    running.wait(_PAUSE)
            raise

    @contextmanager
    def _translated(self, action: str) -> Iterator[None]:
        try:
            yield
        except adbc_driver_manager.Error as error:
            raise self._error(action, error) from None
        except OSError as error:  # Arrow's, while it reads what the server sends
            raise ServerError(
                f"could not {action} on {self.address}: the reading failed"
            ) from error

    def _error(self, action: str, error: adbc_driver_manager.Error) -> DatabaseError:
        code = error.sqlstate or ""
        constraint = _constraint(error)
        said = (
            f"{_WORDS.get(code, 'the server refused it')} ({code})" if code else "connection lost"
        )
        about = f", {constraint}" if constraint else ""
        message = f"could not {action} on {self.address}: {said}{about}"
        kind = _KINDS.get(code)
        if kind is not None:
            return kind(message)
        return ServerError(message, code, constraint)


def _constraint(error: adbc_driver_manager.Error) -> str:
    """The constraint or index that the server names; the details' keys come as bytes."""
    for key, value in error.details:
        if key in (b"PG_DIAG_CONSTRAINT_NAME", "PG_DIAG_CONSTRAINT_NAME"):
            return value.decode(errors="replace")
    return ""


def _unreachable(address: Address, error: adbc_driver_manager.Error) -> DatabaseError:
    """A refused connection in the words of libpq that name nothing."""
    found = _UNREACHED.search(str(error))
    why = _NAMED.sub("of that name", found.group(0)) if found else "the connection was refused"
    return ServerError(f"could not connect to {address}: {why}", error.sqlstate or "")
