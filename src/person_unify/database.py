"""The only place that opens a database, and where driver errors become ours.

Three SQLite libraries live in this process (Python's, connectorx's, ADBC's).  Closing a file in one
drops the POSIX locks that another holds on it, so each file has one library at a time:

* the source: Python's ``sqlite3``, read-only, and only for the backup into our own snapshot;
* the snapshot: connectorx for reading frames and :class:`Database` (ADBC), both of which only read;
* target and ledger: :class:`Database` alone.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote as percent

import adbc_driver_manager
import adbc_driver_sqlite.dbapi
import connectorx
import polars as pl

from person_unify.errors import BatchTooLarge, DatabaseError, SourceError
from person_unify.schema import Column, ForeignKey, Table, quote

HEADER = b"SQLite format 3\x00"

_SAFE_REASON = re.compile(
    r"(NOT NULL|UNIQUE|CHECK|FOREIGN KEY) constraint failed(: [\w.]+(, [\w.]+)*)?"
    r"|database is locked|database table is locked|database or disk is full|disk I/O error"
    r"|attempt to write a readonly database|unable to open database file|interrupted"
    r"|database disk image is malformed|file is not a database|out of memory|string or blob too big"
    r"|no such (table|column)|too many (columns|attached databases|terms)|disk full"
)


def reason(error: BaseException) -> str:
    """What went wrong, without any cell: the part of a driver's message known to be safe."""
    found = _SAFE_REASON.search(str(error))
    return found.group(0) if found else f"{type(error).__name__}"


class Database:
    """One ADBC connection; statements run in autocommit unless a transaction is begun in SQL."""

    def __init__(self, path: Path, *, read_only: bool = False, busy_ms: int = 5000) -> None:
        """Open (and, unless ``read_only``, create) the file; raises :class:`DatabaseError`."""
        self.path = path
        mode = "ro" if read_only else "rwc"
        uri = f"file:{percent(str(path))}?mode={mode}"
        with _translated(f"open {path.name}"):
            # autocommit keeps the dbapi layer from beginning a transaction before our PRAGMAs.
            self._connection = adbc_driver_sqlite.dbapi.connect(uri, autocommit=True)
        try:
            self.execute(f"PRAGMA busy_timeout = {busy_ms}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back by SQLite."""
        self._connection.close()

    def execute(self, statement: str) -> None:
        """Run one statement; raises :class:`DatabaseError` without quoting any cell."""
        with _translated(f"run {statement.split(maxsplit=1)[0]} on {self.path.name}"):
            cursor = self._connection.cursor()
            try:
                cursor.execute(statement)
                # ADBC steps lazily: an unread result leaves the statement, and its lock, open.
                cursor.fetchall()
            finally:
                cursor.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a small query as Python values."""
        with _translated(f"query {self.path.name}"):
            cursor = self._connection.cursor()
            try:
                cursor.execute(query)
                return cursor.fetchall()
            finally:
                cursor.close()

    def value(self, query: str) -> Any:
        """The first column of the first row of a query."""
        return self.rows(query)[0][0]

    def ingest(self, table: str, frame: pl.DataFrame, *, catalog: str = "main") -> None:
        """Append a frame's rows to an existing table; columns bind by name, others take DEFAULT."""
        if frame.is_empty():
            return
        with _translated(f"load {table}"):
            cursor = self._connection.cursor()
            try:
                cursor.adbc_ingest(table, frame.to_arrow(), mode="append", catalog_name=catalog)
            finally:
                cursor.close()


@contextmanager
def _translated(action: str) -> Iterator[None]:
    try:
        yield
    except adbc_driver_manager.Error as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            # ADBC answers Ctrl-C by cancelling, which SQLite's driver does not support.
            raise KeyboardInterrupt from error
        raise DatabaseError(f"could not {action}: {reason(error)}") from error


def copy_snapshot(source: Path, snapshot: Path) -> None:
    """Copy one instant of ``source`` into a private file by SQLite's online backup, in one step.

    Raises :class:`SourceError` when the file is missing, not a database, encrypted or damaged.
    """
    with open(source, "rb") as file:
        if file.read(len(HEADER)) != HEADER:
            raise SourceError(
                f"{source} is not an SQLite database (or is encrypted): "
                "give the platform's old database"
            )
    try:
        origin = sqlite3.connect(f"file:{percent(str(source))}?mode=ro", uri=True)
        try:
            copy = sqlite3.connect(snapshot)
            try:
                origin.backup(copy, pages=-1)
                copy.execute("PRAGMA journal_mode = DELETE")
                found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
            finally:
                copy.close()
        finally:
            origin.close()
    except sqlite3.Error as error:
        raise SourceError(f"{source} cannot be read as a database: {reason(error)}") from error
    if found != "ok":
        raise SourceError(
            f"{source} is damaged: quick_check failed; restore it from a backup first"
        )


def read_frame(
    path: Path, sentinel: str, queries: Sequence[str], columns: Sequence[str]
) -> pl.DataFrame:
    """Run typed queries over a snapshot through connectorx and return one frame.

    ``sentinel`` selects one literal per column and no row: it fixes the types.  Rows come in no
    particular order.  Raises :class:`DatabaseError` when a cell does not fit the sentinel's type.
    """
    uri = f"sqlite://file%3A{percent(percent(str(path)))}%3Fmode%3Dro"
    try:
        frame: pl.DataFrame = connectorx.read_sql(uri, [sentinel, *queries], return_type="polars")
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise DatabaseError(f"could not read {path.name}: {reason(error)}") from error
    except BaseException as error:
        # connectorx panics (a BaseException of its own) on batches beyond 2 GiB of text.
        if type(error).__name__ != "PanicException":
            raise
        raise BatchTooLarge(f"could not read {path.name}: one row holds over 2 GiB") from error
    frame.columns = list(columns)
    return frame


def inspect(database: Database, catalog: str = "main") -> dict[str, Table]:
    """The tables of a database as it stands, by name: columns, primary, foreign and unique keys.

    Views, ``sqlite_%`` and virtual tables are left out; UNIQUE indexes that are partial or over
    expressions are not listed.
    """
    schema = "'" + catalog.replace("'", "''") + "'"
    tables = (
        f"(SELECT rowid AS n, name FROM {quote(catalog)}.sqlite_master WHERE type = 'table' "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL TABLE%') AS m"
    )
    columns: dict[str, list[Column]] = {}
    for name, column, type_, not_null, default, position in database.rows(
        "SELECT m.name, c.name, coalesce(c.type, ''), c.\"notnull\", c.dflt_value, c.pk "
        f"FROM {tables}, pragma_table_xinfo(m.name, {schema}) AS c "
        "WHERE c.hidden <> 1 ORDER BY m.n, c.cid"
    ):
        found = Column(column, type_.upper(), bool(not_null), default, position)
        columns.setdefault(name, []).append(found)
    keys: dict[str, list[ForeignKey]] = {}
    for name, column, table, referenced, on_delete in database.rows(
        'SELECT m.name, k."from", k."table", k."to", k.on_delete '
        f"FROM {tables}, pragma_foreign_key_list(m.name, {schema}) AS k ORDER BY m.n, k.id"
    ):
        keys.setdefault(name, []).append(ForeignKey(column, table, referenced or "id", on_delete))
    indexes: dict[str, dict[str, list[str | None]]] = {}
    for name, index, column in database.rows(
        f"SELECT m.name, i.name, c.name FROM {tables}, "
        f"pragma_index_list(m.name, {schema}) AS i, pragma_index_info(i.name, {schema}) AS c "
        "WHERE i.\"unique\" AND NOT i.partial AND i.origin <> 'pk' "
        "ORDER BY m.n, i.seq DESC, c.seqno"
    ):
        indexes.setdefault(name, {}).setdefault(index, []).append(column)
    return {
        name: Table(name, tuple(listed), tuple(keys.get(name, ())), _uniques(indexes.get(name, {})))
        for name, listed in columns.items()
    }


def _uniques(indexes: Mapping[str, Sequence[str | None]]) -> tuple[tuple[str, ...], ...]:
    """The column lists of UNIQUE indexes, but for those over expressions."""
    groups = (tuple(c for c in columns if c is not None) for columns in indexes.values())
    return tuple(
        group
        for group, columns in zip(groups, indexes.values(), strict=True)
        if None not in columns
    )
