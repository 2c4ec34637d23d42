"""Whole database files: the snapshot of a source, and a target put back from its backup.

This is where Python's own SQLite library works; :mod:`person_unify.files.locks` says why it never
meets the others on one file.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import quote as percent

from person_unify.errors import DatabaseError, DiskError, SourceError, TargetError, TargetInUse
from person_unify.files import locks
from person_unify.files.closing import Closing
from person_unify.files.header import fingerprint, header, is_database, is_in_wal_mode
from person_unify.files.journal import beside, forget_super_journal, require_harmless

_LIBRARY = "Python's sqlite3"
_PAUSE = 0.1
_ATTEMPTS = 5

_MOVING = ("", "-wal", "-journal")
"""What a database consists of; ``-shm`` is only an index of the log."""


def copy_snapshot(source: Path, copy: Path, wait: float = 5.0) -> None:
    """Copy one instant of ``source`` into a new private file, without a trace at the source.

    SQLite's online backup does it in one step, over a connection that cannot write.  Where even a
    reading connection would have to write beside the source (write-ahead log, a transaction that
    somebody's death left half done), main file and log are copied byte for byte instead and SQLite
    sorts them out in the copy.  ``wait`` is in seconds, for a source that is locked.

    Raises :class:`SourceError` when the file is no database, encrypted, damaged, locked for longer,
    or written so fast that no instant can be caught, and :class:`DiskError` when there is no room
    for the copy.
    """
    real = source.resolve()
    if not is_database(real):
        raise SourceError(
            f"{source} is not an SQLite database (or is encrypted): "
            "give the platform's old database"
        )
    for suffix in _MOVING[1:]:
        _require_readable(beside(real, suffix))
    if not locks.has_locks(real):
        raise SourceError(_without_locks(source))
    try:
        if is_in_wal_mode(real):
            _require_one_name(source, real)
        if is_in_wal_mode(real) or not _backed_up(real, copy, wait):
            with _no_checkpoint(real, wait):
                _copy_bytes(source, real, copy)
        _settle(copy)
    except sqlite3.Error as error:
        if _cannot_write(error):
            raise DiskError(
                f"the copy of the source cannot be written into {copy.parent}: {_reason(error)}; "
                "free some space or choose another volume"
            ) from error
        raise SourceError(f"{source} cannot be read as a database: {_reason(error)}") from error
    except UnicodeDecodeError as error:
        # SQLite quotes what it found in the schema, and Python cannot read that.
        raise SourceError(f"{source}: its schema is damaged; restore it from a backup") from error


def _require_readable(side: Path) -> None:
    """Refuse a log or journal that cannot be read: without it, what is committed is unknown."""
    try:
        handle = os.open(side, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SourceError(
            f"{side} cannot be read: {error.strerror}; the database is not complete without it"
        ) from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise SourceError(f"{side} is not a file: find out who put it there, and remove it")
    finally:
        os.close(handle)


def _require_one_name(source: Path, real: Path) -> None:
    """Refuse a database in WAL mode whose log may lie beside another name of the same file."""
    if real.stat().st_nlink > 1:
        raise SourceError(
            f"{source} has several names (hard links) and is in WAL mode: what was written last "
            "may be in the log beside another of them; copy it with SQLite under the name that the "
            "platform uses (VACUUM INTO), and give that copy"
        )


def undo(path: Path) -> None:
    """Let SQLite roll back what a dead program left half done in a database."""
    with locks.holding(path, _LIBRARY), closing(_connect(path, "rw")) as there:
        there.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if there.execute("PRAGMA journal_mode").fetchone()[0] == "delete":
            # A journal of changes that had not reached the file is not hot, and would stay.
            for mode in ("TRUNCATE", "DELETE"):
                there.execute(f"PRAGMA journal_mode = {mode}").fetchone()


class Exclusive(Closing):
    """A database that no other program reads or writes while this object has it."""

    def __init__(self, path: Path, wait: float = 5.0, *, alone: bool = True) -> None:
        """Lock the file, after SQLite has undone or completed what a dead program left in it.

        Raises :class:`TargetInUse` when others have it locked for more than ``wait`` seconds, or,
        if we are to be ``alone`` and the system tells (Linux), have it open at all.
        """
        self.path = path
        if alone and locks.open_elsewhere(path):
            raise _in_use(path)
        if not locks.has_locks(path):
            raise TargetError(_without_locks(path))
        require_harmless(path)
        with ExitStack() as stack:
            self._identity = stack.enter_context(locks.holding(path, _LIBRARY))
            self._connection = _connect(path, "rw")
            stack.callback(self._connection.close)
            self._lock(wait)
            self._held = stack.pop_all()

    def _lock(self, wait: float) -> None:
        deadline = time.monotonic() + wait
        while True:
            try:
                self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._connection.execute("BEGIN EXCLUSIVE")
                self._connection.execute("COMMIT")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return
            except sqlite3.Error as error:
                if _code(error) != sqlite3.SQLITE_BUSY:
                    raise DatabaseError(f"could not lock {self.path}: {_reason(error)}") from error
                if time.monotonic() >= deadline:
                    raise _in_use(self.path) from error

    def close(self) -> None:
        """Let the others in again."""
        self._held.close()

    def sha256(self, start: int = 0, limit: int | None = None) -> str:
        """SHA-256 of the main file, which holds everything, or of a part of it in bytes."""
        return locks.sha256(self.path, beside=True, start=start, limit=limit)

    def remove(self) -> None:
        """Remove the file, provided that it is still the one that was locked."""
        found = self.path.lstat()
        if (found.st_dev, found.st_ino) != self._identity:
            raise TargetError(f"{self.path} was replaced meanwhile: it was not touched")
        self.path.unlink()

    def copy(self, to: Path) -> str:
        """Copy the main file, which holds everything, byte for byte; returns its SHA-256."""
        return locks.copy(self.path, to, beside=True)

    def fingerprint(self) -> str:
        """See :func:`fingerprint`."""
        return fingerprint(self.path, beside=True)

    def shares_rows(self, other: Path, table: str) -> bool:
        """Whether a row of that table has an ``id`` that one of a settled file has too."""
        try:
            self._connection.execute("ATTACH ? AS other", (_uri(other, "ro&immutable=1"),))
            try:
                found = self._connection.execute(
                    f'SELECT EXISTS (SELECT 1 FROM main."{table}" JOIN other."{table}" USING (id))'
                ).fetchone()
            finally:
                self._connection.execute("DETACH other")
        except sqlite3.Error as error:
            raise DatabaseError(f"could not query {self.path}: {_reason(error)}") from error
        return bool(found[0])

    def put_back(self, backup: Path) -> None:
        """Give the file the content of ``backup``, all of it or nothing.

        SQLite writes the pages in one journalled transaction, so a crash leaves the one or the
        other; the few counters of its own that it changes in the header are put back after it.
        """
        try:
            self._connection.execute("PRAGMA journal_mode = DELETE").fetchone()
            # Immutable: a reader of a file in WAL mode would leave side files beside it.
            with (
                locks.holding(backup, _LIBRARY, settled=True),
                closing(_connect(backup, "ro&immutable=1")) as saved,
            ):
                saved.backup(self._connection, pages=-1)
        except sqlite3.Error as error:
            kind = DiskError if _cannot_write(error) else DatabaseError
            raise kind(f"could not put {self.path} back: {_reason(error)}") from error
        start = header(backup)
        with locks.reading(self.path, beside=True, mode="rb+") as file:
            file.write(start)
            file.truncate(backup.stat().st_size)
            file.flush()
            os.fsync(file.fileno())

    def remove_spent_journal(self) -> None:
        """Remove a journal that holds nothing to undo any more.

        SQLite, which keeps the file locked, only clears the journal's header after a commit, and
        removes it when it closes: not where the disk failed meanwhile, or the process was killed.
        Raises :class:`DatabaseError` where the journal still holds what would be undone.
        """
        journal = beside(self.path, "-journal")
        if not journal.exists():
            return
        with locks.reading(journal) as file:
            if file.read(1) not in (b"", b"\0"):
                raise DatabaseError(f"could not put {self.path} back for good: run rollback again")
        journal.unlink()


def _without_locks(path: Path) -> str:
    return (
        f"the volume of {path} knows no file locks, by which other programs are kept from writing "
        "meanwhile: use a copy on another volume"
    )


def _in_use(path: Path) -> TargetInUse:
    return TargetInUse(f"{path} is in use by another program: stop it and run again")


def _backed_up(real: Path, copy: Path, wait: float) -> bool:
    """Copy by the online backup; False where a dead program's transaction must be undone first."""
    with locks.holding(real, _LIBRARY), closing(_connect(real, "ro")) as origin:
        if not _read_locked(origin, real, wait):
            return False
        copy.touch(mode=0o600, exist_ok=False)
        with locks.holding(copy, _LIBRARY), closing(_connect(copy, "rw")) as saved:
            origin.backup(saved, pages=-1)
        # The backup counts as a change of the copy: with the source's own counters in the header
        # the two are equal byte for byte.
        start = header(real, beside=True)
        with locks.reading(copy, mode="rb+") as file:
            file.write(start)
    return True


def _read_locked(origin: sqlite3.Connection, real: Path, wait: float) -> bool:
    """Keep writers off until the connection is closed; False where that takes writing first."""
    deadline = time.monotonic() + wait
    while True:
        try:
            origin.execute("BEGIN")
            origin.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return True
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname == "SQLITE_READONLY_ROLLBACK":
                return False
            if _code(error) != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() >= deadline:
                raise SourceError(
                    f"{real} is locked by another program: stop it and run again"
                ) from error
            origin.execute("ROLLBACK")


@contextmanager
def _no_checkpoint(real: Path, wait: float) -> Iterator[None]:
    """Keep other programs from moving their log into the main file; they may go on writing to it.

    The bytes are those of SQLite's file format, in the log's index: 121 is held by checkpoints, 127
    (with others) by who starts the log anew.  Without an index that can be read, or a lock in time,
    nothing is lost: the copy is compared anyway.
    """
    index = beside(real, "-shm")
    deadline = time.monotonic() + wait
    with ExitStack() as stack:
        if os.access(index, os.R_OK):
            file = stack.enter_context(locks.reading(index))
            for start in (121, 127):
                while time.monotonic() < deadline:
                    try:
                        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, start)
                        break
                    except BlockingIOError:
                        time.sleep(_PAUSE / 10)
        yield


def _copy_bytes(source: Path, real: Path, copy: Path) -> None:
    """Copy main file and log as they are, again until nothing moved from start to end.

    Everything is read twice, and the second reading begins when the first is over: what is equal
    both times stood still in between, so the copy is what the files were at that instant.  Of a log
    that counts which is committed; what others write behind it came later.
    """
    for _ in range(_ATTEMPTS):
        for suffix in _MOVING:
            beside(copy, suffix).unlink(missing_ok=True)
        try:
            for suffix in _MOVING:
                if beside(real, suffix).exists():
                    locks.copy(beside(real, suffix), beside(copy, suffix))
            if all(_stood_still(beside(real, s), beside(copy, s), s) for s in _MOVING):
                return
        except FileNotFoundError:
            continue  # a log that went while it was looked at
    raise SourceError(
        f"{source} is being written too fast to catch one instant of it: stop the platform first"
    )


def _stood_still(original: Path, copied: Path, suffix: str) -> bool:
    if not copied.exists():
        return not original.exists()
    if suffix == "-wal":
        length = _committed(copied)
    else:
        length = copied.stat().st_size
        if original.stat().st_size != length:
            return False
    return locks.sha256(original, limit=length) == locks.sha256(copied, limit=length)


def _committed(log: Path) -> int:
    """How many bytes of a write-ahead log belong to committed transactions, by its file format.

    The rest is a transaction under way, or what an earlier round of the log left in the file.
    """
    with locks.reading(log) as file:
        header = file.read(32)
        page_size, salts = int.from_bytes(header[8:12], "big"), header[16:24]
        end = position = len(header)
        while (frame := file.read(24))[8:16] == salts and len(frame) == 24:
            position = file.seek(position + len(frame) + page_size)
            if any(frame[4:8]):  # the size of the database, which only a commit states
                end = position
    return end


def _settle(copy: Path) -> None:
    """Recover what the copy brought along, and make it one file."""
    if beside(copy, "-journal").exists():
        forget_super_journal(beside(copy, "-journal"))
    with locks.holding(copy, _LIBRARY), closing(_connect(copy, "rw")) as saved:
        saved.execute("PRAGMA journal_mode = DELETE").fetchone()
    locks.sync(copy)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    if mode == "rw":
        require_harmless(path)
    connection = sqlite3.connect(_uri(path, mode), uri=True, timeout=_PAUSE, isolation_level=None)
    # Its temporary files would hold pages of the database, in a directory chosen long ago.
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _uri(path: Path, mode: str) -> str:
    return f"file:{percent(str(path))}?mode={mode}"


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 for errors of the Python layer."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _cannot_write(error: sqlite3.Error) -> bool:
    """Whether it is about the copy: the source is only read."""
    name = _reason(error)
    return name == "SQLITE_FULL" or (
        name.startswith("SQLITE_IOERR") and not name.endswith(("_READ", "_LOCK"))
    )


def _reason(error: sqlite3.Error) -> str:
    """SQLite's name for what went wrong: its messages may quote what a schema or a cell holds."""
    return getattr(error, "sqlite_errorname", "") or type(error).__name__
