"""Whole database files: the snapshot of a source, and a target put back from its backup.

This is where Python's own SQLite library works; see :mod:`person_unify.custody` for why it never
meets the others on one file.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote as percent

from person_unify import custody
from person_unify.errors import DatabaseError, SourceError, TargetError

HEADER = b"SQLite format 3\x00"
_LIBRARY = "Python's sqlite3"
_PAUSE = 0.1
_ATTEMPTS = 5
_IN_WAL_MODE = b"\x02"

SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite may put beside a database's main file."""

_MOVING = ("", "-wal", "-journal")
"""What a database consists of; ``-shm`` is only an index of the log."""


def is_database(path: Path) -> bool:
    """Whether a file begins as SQLite databases do (encrypted ones do not)."""
    return _header(path)[: len(HEADER)] == HEADER


def copy_snapshot(source: Path, copy: Path, wait: float = 5.0) -> None:
    """Copy one instant of ``source`` into a new private file, without a trace at the source.

    SQLite's online backup does it in one step, over a connection that cannot write.  Where even a
    reading connection would have to write beside the source (write-ahead log, a transaction that
    somebody's death left half done), main file and log are copied byte for byte instead and SQLite
    sorts them out in the copy.  ``wait`` is in seconds, for a source that is locked.

    Raises :class:`SourceError` when the file is no database, encrypted, damaged, locked for longer,
    or written so fast that no instant can be caught.
    """
    real = source.resolve()
    if not is_database(real):
        raise SourceError(
            f"{source} is not an SQLite database (or is encrypted): "
            "give the platform's old database"
        )
    try:
        # Byte 18 of the header: 2 where readers need the write-ahead log.
        if _header(real)[18:19] == _IN_WAL_MODE or not _backed_up(real, copy, wait):
            _copy_bytes(source, real, copy)
        found = _settle(copy)
    except sqlite3.Error as error:
        raise SourceError(f"{source} cannot be read as a database: {_reason(error)}") from error
    if found != "ok":
        raise SourceError(
            f"{source} is damaged: quick_check failed; restore it from a backup first"
        )


def undo(path: Path) -> None:
    """Let SQLite roll back what a dead program left half done in a database."""
    with custody.holding(path, _LIBRARY), closing(_connect(path, "rw")) as there:
        there.execute("SELECT count(*) FROM sqlite_master").fetchone()


def put_back(target: Path, backup: Path, wait: float = 5.0) -> None:
    """Give ``target``, in the same file, the content of ``backup``; all of it or nothing.

    SQLite writes the pages in one journalled transaction, so that a crash leaves the one or the
    other; its few counters in the header are put back after it.  Raises :class:`TargetError` when
    another program has the target open.
    """
    with custody.holding(target, _LIBRARY), closing(_connect(target, "rw")) as there:
        _hold(there, target, wait)
        # Immutable: a reader of a file in WAL mode would leave side files beside it.
        with (
            custody.holding(backup, _LIBRARY, settled=True),
            closing(_connect(backup, "ro&immutable=1")) as saved,
        ):
            saved.backup(there, pages=-1)
        with custody.reading(backup) as file:
            header = file.read(100)
        with custody.reading(target, beside=True, mode="rb+") as file:
            file.write(header)
            file.flush()
            os.fsync(file.fileno())


def _hold(there: sqlite3.Connection, target: Path, wait: float) -> None:
    """Lock everybody else out until the connection is closed, and end a write-ahead log."""
    deadline = time.monotonic() + wait
    while True:
        try:
            there.execute("PRAGMA locking_mode = EXCLUSIVE")
            there.execute("PRAGMA journal_mode = DELETE").fetchone()
            there.execute("BEGIN EXCLUSIVE")
            there.execute("COMMIT")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise DatabaseError(f"could not lock {target.name}: {_reason(error)}") from error
            if time.monotonic() >= deadline:
                raise TargetError(
                    f"{target} is in use by another program: stop it and run again"
                ) from error


class _StillLocked(Exception):
    pass


def _backed_up(real: Path, copy: Path, wait: float) -> bool:
    """Copy by the online backup; False where a dead program's transaction must be undone first."""
    deadline = time.monotonic() + wait

    def waiting(status: int, remaining: int, total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > deadline:
            raise _StillLocked

    with custody.holding(real, _LIBRARY), closing(_connect(real, "ro")) as origin:
        _create(copy)
        with custody.holding(copy, _LIBRARY), closing(_connect(copy, "rw")) as saved:
            try:
                origin.backup(saved, pages=-1, progress=waiting, sleep=_PAUSE)
            except _StillLocked:
                raise SourceError(
                    f"{real} is locked by another program: stop it and run again"
                ) from None
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                    raise
                return False
    return True


def _copy_bytes(source: Path, real: Path, copy: Path) -> None:
    """Copy main file and log as they are, again until nothing moved from start to end.

    Everything is read twice, and the second reading begins when the first is over: what is equal
    both times stood still in between, so the copy is what the files were at that instant.  A log
    may have grown; what is behind the copied part came later.
    """
    for _ in range(_ATTEMPTS):
        for suffix in _MOVING:
            _beside(copy, suffix).unlink(missing_ok=True)
        try:
            copied = {
                suffix: custody.copy(_beside(real, suffix), _beside(copy, suffix))
                for suffix in _MOVING
                if _beside(real, suffix).exists()
            }
            if all(_still(real, suffix, copied.get(suffix)) for suffix in _MOVING):
                return
        except FileNotFoundError:
            continue  # a log that went while it was looked at
    raise SourceError(
        f"{source} is being written too fast to catch one instant of it: stop the platform first"
    )


def _still(real: Path, suffix: str, copied: tuple[int, str] | None) -> bool:
    path = _beside(real, suffix)
    if copied is None:
        return not path.exists()
    size, digest = copied
    grown = path.stat().st_size - size
    if grown < 0 or (grown and suffix != "-wal"):
        return False
    return custody.sha256(path, limit=size) == digest


def _settle(copy: Path) -> str:
    """Recover what the copy brought along, make it one file, and check it."""
    with custody.holding(copy, _LIBRARY), closing(_connect(copy, "rw")) as saved:
        saved.execute("PRAGMA journal_mode = DELETE").fetchone()
        found = str(saved.execute("PRAGMA quick_check(1)").fetchone()[0])
    custody.sync(copy)
    return found


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{percent(str(path))}?mode={mode}", uri=True, timeout=_PAUSE, isolation_level=None
    )


def _create(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _header(path: Path) -> bytes:
    with custody.reading(path) as file:
        return file.read(100)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _reason(error: sqlite3.Error) -> str:
    """SQLite's name for what went wrong: its messages may quote what a schema or a cell holds."""
    return getattr(error, "sqlite_errorname", "") or type(error).__name__
