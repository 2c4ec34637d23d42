"""Where databases are opened and driver errors become ours.

Three SQLite libraries live in this process, and each file has one of them at a time
(:mod:`person_unify.files.locks` says why, and sees to it):

* the source: Python's, in :mod:`person_unify.files.copies`, and only while the snapshot is taken;
* the snapshot: connectorx for reading frames and ADBC (:class:`Database`), both without locks,
  because nobody writes it any more;
* target and ledger: ADBC; for a rollback Python's, once ADBC has closed them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any, TypeAlias
from urllib.parse import quote as percent

import adbc_driver_manager
import adbc_driver_sqlite.dbapi
import polars as pl

from person_unify.errors import (
    BatchTooLarge,
    DatabaseError,
    DatabaseLocked,
    DiskError,
    FeatureMissing,
)
from person_unify.files import locks
from person_unify.files.closing import Closing
from person_unify.files.header import is_in_wal_mode
from person_unify.files.journal import beside, require_harmless
from person_unify.schema import Catalogue, Column, ForeignKey, Table, literal, quote

_BATCH_ROWS, _ROWS_PER_BATCH = "adbc.sqlite.query.batch_rows", 16_384

_SAFE_REASON = re.compile(
    r"(NOT NULL|UNIQUE|CHECK|FOREIGN KEY) constraint failed(: [\w.]+(, [\w.]+)*)?"
    r"|database is locked|database table is locked|database or disk is full|disk I/O error"
    r"|attempt to write a readonly database|unable to open database file|interrupted"
    r"|database disk image is malformed|file is not a database|out of memory|string or blob too big"
    r"|no such collation sequence: \w+|(no such|unknown) function: \w+|no such module: \w+"
    r"|malformed database schema|no query solution|no such (table|column)|disk full"
    r"|too many (columns|attached databases|terms)"
)

_KINDS = {
    "database is locked": DatabaseLocked,
    **dict.fromkeys(("database or disk is full", "disk full", "disk I/O error"), DiskError),
}


_MISSING = ("no such collation", "no such function", "unknown function", "no such module")
"""How SQLite begins; where it wants the collation of a table without rowid, by another message."""


def _kind(why: str) -> type[DatabaseError]:
    if why.startswith(_MISSING) or why == "no query solution":
        return FeatureMissing
    return _KINDS.get(why, DatabaseError)


def reason(error: BaseException) -> str:
    """What went wrong, without any cell: the part of a driver's message known to be safe."""
    found = _SAFE_REASON.search(str(error))
    return found.group(0) if found else f"{type(error).__name__}"


class Database(Closing):
    """One ADBC connection; statements run in autocommit unless a transaction is begun in SQL."""

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        settled: bool = False,
        busy_ms: int = 5000,
    ) -> None:
        """Open (and, unless ``read_only`` or ``settled``, create) the file.

        ``settled``: a finished file that nobody writes any more, read without locks.  Raises
        :class:`DatabaseError`, and :class:`TargetError` for side files that lead elsewhere.
        """
        self.path = path
        self._taken = ExitStack()
        self._turn = RLock()  # a connection serves one thread at a time
        uri = self._take(path, "ro" if read_only else "rwc", settled)
        try:
            with _translated(f"open {path.name}"):
                # autocommit keeps the dbapi layer from beginning a transaction before our PRAGMAs.
                self._connection = adbc_driver_sqlite.dbapi.connect(uri, autocommit=True)
        except BaseException:
            self._taken.close()
            raise
        try:
            self.execute(f"PRAGMA busy_timeout = {busy_ms}")
        except BaseException:
            self.close()
            raise

    def attach(
        self, path: Path, name: str, *, read_only: bool = False, settled: bool = False
    ) -> None:
        """Attach a further file under ``name``, opened as the main one is."""
        uri = self._take(path, "ro" if read_only else "rwc", settled)
        self.execute(f"ATTACH {literal(uri)} AS {name}")

    def _take(self, path: Path, mode: str, settled: bool) -> str:
        """Take account of a file, made first where it may be created; returns its URI."""
        if not settled:
            require_harmless(path)
        if mode == "ro" and not settled:
            _require_room_for_log(path)
        try:
            if mode == "rwc" and not settled and not path.exists():
                path.touch(mode=0o600)
            self._taken.callback(locks.release, locks.take(path, "ADBC", settled=settled))
        except OSError as error:
            raise DatabaseError(f"could not open {path.name}: {error.strerror}") from error
        chosen = "mode=ro&immutable=1" if settled else f"mode={mode}"
        return f"file:{percent(str(path))}?{chosen}"

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back by SQLite.

        Where an interrupt came while the driver made or closed a statement, it cannot be closed
        any more.  The process is about to end, which does it, so the interrupt goes on its way.
        """
        interrupted = isinstance(sys.exception(), KeyboardInterrupt)
        try:
            self._connection.close()
        except RuntimeError:
            if not interrupted:
                raise
            self._connection._closed = True  # its finalizer would try again, and say so on stderr
        self._taken.close()

    def execute(self, statement: str) -> None:
        """Run one statement; raises :class:`DatabaseError` without quoting any cell."""
        action = f"run {statement.split(maxsplit=1)[0]} on {self.path.name}"
        with self._turn, _translated(action), self._connection.cursor() as cursor:
            cursor.execute(statement)
            # ADBC steps lazily: an unread result leaves the statement, and its lock, open.
            cursor.fetchall()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a small query as Python values."""
        action = f"query {self.path.name}"
        with self._turn, _translated(action), self._connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def frame(self, query: str) -> pl.DataFrame:
        """A query's rows, columns c0, c1 …; raises :class:`DatabaseError` for text but UTF-8.

        ADBC takes the types from the first rows, so a query should begin with a row of literals.
        """
        action = f"query {self.path.name}"
        with self._turn, _translated(action), self._connection.cursor() as cursor:
            try:
                cursor.adbc_statement.set_options(**{_BATCH_ROWS: str(_ROWS_PER_BATCH)})
                cursor.execute(query)
                table = cursor.fetch_arrow_table()
                table.validate(full=True)
            except (ValueError, OSError) as error:
                raise DatabaseError(f"could not {action}: {reason(error)}") from error
        return pl.DataFrame(table.rename_columns([f"c{n}" for n in range(table.num_columns)]))

    def value(self, query: str) -> Any:
        """The first column of the first row of a query."""
        return self.rows(query)[0][0]

    def ingest(self, table: str, frame: pl.DataFrame, *, catalog: str = "main") -> None:
        """Append a frame's rows to an existing table; columns bind by name, others take DEFAULT."""
        if frame.is_empty():
            return
        action = f"load {table}"
        with self._turn, _translated(action), self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, frame.to_arrow(), mode="append", catalog_name=catalog)


Opener: TypeAlias = Callable[[], AbstractContextManager[Database]]
"""Opens files that are open already once more, for a thread that closes them again."""


def _require_room_for_log(path: Path) -> None:
    """Refuse a file whose write-ahead log SQLite would have to begin where nothing can be written.

    It would only say that it cannot open the file.
    """
    if os.access(path.parent, os.W_OK) or beside(path, "-shm").exists() or not path.is_file():
        return
    if is_in_wal_mode(path):
        raise DatabaseError(
            f"{path} asks for a write-ahead log, and none can be begun beside it, where nothing "
            "can be written: copy it, with its ledger and a -wal file if there is one, into a "
            "directory of your own first"
        )


@contextmanager
def _translated(action: str) -> Iterator[None]:
    try:
        yield
    except adbc_driver_manager.Error as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            # ADBC answers Ctrl-C by cancelling, which SQLite's driver does not support.
            raise KeyboardInterrupt from error
        why = reason(error)
        raise _kind(why)(f"could not {action}: {why}") from error
    except UnicodeDecodeError as error:
        raise DatabaseError(f"could not {action}: it holds text that is not UTF-8") from error


def read_frame(
    path: Path,
    sentinel: str,
    queries: Sequence[str],
    columns: Sequence[str],
    *,
    settled: bool = True,
) -> pl.DataFrame:
    """Run typed queries over a file through connectorx and return one frame.

    ``sentinel`` selects one literal per column and no row: it fixes the types.  ``settled``: nobody
    writes the file any more, so it is read without locks.  Rows come in no particular order.
    Raises :class:`DatabaseError` when a cell does not fit the sentinel's type, and
    :class:`TargetError` for side files that lead elsewhere.
    """
    # What connectorx cannot open it tries again for half a minute, and it collapses "..".
    try:
        path = path.resolve(strict=True)
        if not os.access(path, os.R_OK):
            raise PermissionError(None, "permission denied")
    except OSError as error:
        raise DatabaseError(f"could not open {path.name}: {error.strerror}") from error
    if not settled:
        require_harmless(path)
    mode = "mode%3Dro%26immutable%3D1" if settled else "mode%3Dro"
    uri = f"sqlite://file%3A{percent(percent(str(path)))}%3F{mode}"
    try:
        with locks.holding(path, "connectorx", settled=settled):
            frame: pl.DataFrame = _connectorx().read_sql(
                uri, [sentinel, *queries], return_type="polars"
            )
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        why = reason(error)
        raise _kind(why)(f"could not read {path.name}: {why}") from error
    except BaseException as error:
        # connectorx panics (a BaseException of its own) on batches beyond 2 GiB of text.
        if type(error).__name__ != "PanicException":
            raise
        raise BatchTooLarge(f"could not read {path.name}: one row holds over 2 GiB") from error
    frame.columns = list(columns)
    return frame


@cache
def _connectorx() -> Any:
    """The driver; its connection pool would log to the terminal unless told so when imported."""
    before = os.environ.get("RUST_LOG")
    os.environ["RUST_LOG"] = "off"
    try:
        import connectorx
    finally:
        if before is None:
            del os.environ["RUST_LOG"]
        else:
            os.environ["RUST_LOG"] = before
    return connectorx


_GENERATED = (2, 3)
"""What ``table_xinfo`` says of generated columns, virtual and stored."""


def inspect(database: Database, catalog: str = "main") -> Catalogue[Table]:
    """The tables of a database as it stands, by name: columns, primary, foreign and unique keys.

    Views, ``sqlite_%`` and virtual tables are left out; UNIQUE indexes that are partial or over
    expressions are not listed.
    """
    schema = literal(catalog)
    tables = (
        f"(SELECT rowid AS n, name FROM {quote(catalog)}.sqlite_master WHERE type = 'table' "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL TABLE%') AS m"
    )
    columns: dict[str, list[Column]] = {}
    for name, column, type_, not_null, default, position, hidden in database.rows(
        "SELECT m.name, c.name, coalesce(c.type, ''), c.\"notnull\", c.dflt_value, c.pk, c.hidden "
        f"FROM {tables}, pragma_table_xinfo(m.name, {schema}) AS c "
        "WHERE c.hidden <> 1 ORDER BY m.n, c.cid"
    ):
        found = Column(
            column, type_.upper(), bool(not_null), default, position, generated=hidden in _GENERATED
        )
        columns.setdefault(name, []).append(found)
    keys: dict[str, list[ForeignKey]] = {}
    for name, column, table, referenced, on_delete in database.rows(
        'SELECT m.name, k."from", k."table", k."to", k.on_delete '
        f"FROM {tables}, pragma_foreign_key_list(m.name, {schema}) AS k ORDER BY m.n, k.id"
    ):
        keys.setdefault(name, []).append(ForeignKey(column, table, referenced or "id", on_delete))
    indexes: dict[str, dict[tuple[str, str], list[tuple[str | None, str]]]] = {}
    for name, index, origin, column, collation in database.rows(
        f"SELECT m.name, i.name, i.origin, c.name, upper(c.coll) FROM {tables}, "
        f"pragma_index_list(m.name, {schema}) AS i, pragma_index_xinfo(i.name, {schema}) AS c "
        'WHERE i."unique" AND NOT i.partial AND c."key" ORDER BY m.n, i.seq DESC, c.seqno'
    ):
        indexes.setdefault(name, {}).setdefault((index, origin), []).append((column, collation))
    return Catalogue(
        {
            name: Table(
                name, tuple(listed), tuple(keys.get(name, ())), *_uniques(indexes.get(name, {}))
            )
            for name, listed in columns.items()
        }
    )


def _uniques(
    indexes: Mapping[tuple[str, str], Sequence[tuple[str | None, str]]],
) -> tuple[
    tuple[tuple[str, ...], ...], tuple[()], tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
]:
    """The column lists of UNIQUE indexes but for those over expressions, and their collations."""
    uniques, collations = [], []
    for (_, origin), columns in indexes.items():
        names = tuple(name for name, _ in columns if name is not None)
        if len(names) < len(columns):
            continue
        if origin != "pk":
            uniques.append(names)
        how = tuple(collation for _, collation in columns)
        if set(how) != {"BINARY"}:
            collations.append((names, how))
    return tuple(uniques), (), tuple(collations)
