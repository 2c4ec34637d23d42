"""Locks: which SQLite library has which file open in this process.

Python, connectorx and ADBC bring an SQLite each.  POSIX locks belong to the process: whoever closes
a file, a plain ``open(path).close()`` included, drops the locks that any other part of the process
holds on it, and other programs may write into the middle of a transaction.  So a file has one
library at a time, and is not opened beside it; a violation is a bug of ours and raises
:class:`HeldElsewhere` before any harm is done.

Exempt are *settled* files, our finished snapshots: nobody writes them, SQLite opens them
``immutable`` and takes no lock that could be lost.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import BinaryIO

_BLOCK = 1 << 20

Identity = tuple[int, int]
"""Device and inode: the same file under whatever name."""


class HeldElsewhere(Exception):
    """Two parts of this process reached for one file: an internal error, no state of the data."""


@dataclass(slots=True)
class _Held:
    owner: str
    settled: bool
    holders: int = 0
    parked: list[BinaryIO] = field(default_factory=list)


_HELD: dict[Identity, _Held] = {}
_TURN = Lock()
"""Of threads that open and close files: one at a time keeps the account."""


def take(path: Path, library: str, *, settled: bool = False) -> Identity:
    """Note that ``library`` is about to open a file that exists; :func:`release` takes it back."""
    identity = _identity(path)
    with _TURN:
        held = _HELD.setdefault(identity, _Held(library, settled))
        if held.settled != settled or (held.owner != library and not settled):
            said = f"{path.name} is open in {held.owner} and was asked for by {library}"
            raise HeldElsewhere(said)
        held.holders += 1
    return identity


def release(identity: Identity) -> None:
    """Note that a holder has closed the file; the last one lets parked descriptors go."""
    with _TURN:
        held = _HELD[identity]
        held.holders -= 1
        if not held.holders:
            del _HELD[identity]
            for file in held.parked:
                file.close()


@contextmanager
def holding(path: Path, library: str, *, settled: bool = False) -> Iterator[Identity]:
    """:func:`take` and :func:`release` around a block."""
    identity = take(path, library, settled=settled)
    try:
        yield identity
    finally:
        release(identity)


@contextmanager
def reading(path: Path, *, beside: bool = False, mode: str = "rb") -> Iterator[BinaryIO]:
    """Open a database file as plain bytes.

    Refused while a library has it, unless ``beside`` says that this is meant: then the descriptor
    stays open until the library has closed the file, so that no lock is dropped.
    """
    held = _HELD.get(_identity(path))
    if held is not None and not held.settled and not beside:
        raise HeldElsewhere(f"{path.name} is open in {held.owner} and was to be read beside it")
    file: BinaryIO = path.open(mode)  # type: ignore[assignment]
    try:
        yield file
    finally:
        with _TURN:
            if held is not None and held.holders:
                held.parked.append(file)
            else:
                file.close()


def has_locks(path: Path) -> bool:
    """Whether the volume of a database knows locks; where it does not, SQLite says it is busy.

    Locks a byte that SQLite never locks, for a moment, of a file that no library has open.
    """
    with reading(path) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1)
        except OSError as error:
            return error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
    return True


def sha256(path: Path, *, beside: bool = False, start: int = 0, limit: int | None = None) -> str:
    """SHA-256 in hexadecimal of a file, or of ``limit`` bytes of it from ``start`` on.

    ``beside``: see :func:`reading`.
    """
    digest = hashlib.sha256()
    with reading(path, beside=beside) as file:
        file.seek(start)
        left = limit
        while block := file.read(_BLOCK if left is None else min(_BLOCK, left)):
            digest.update(block)
            left = None if left is None else left - len(block)
    return digest.hexdigest()


def alike(one: Path, other: Path) -> bool:
    """Whether two files are one, or hold the same: a directory that was copied lost its links."""
    if one.samefile(other):
        return True
    return one.stat().st_size == other.stat().st_size and sha256(one) == sha256(other)


def copy(path: Path, to: Path, *, beside: bool = False) -> str:
    """Copy a file byte for byte into a new private one (mode 0600); returns its SHA-256.

    A file that grows meanwhile is copied as far as it went at the start.
    """
    digest = hashlib.sha256()
    new = partial(os.open, mode=0o600)
    with reading(path, beside=beside) as file, open(to, "xb", opener=new) as written:
        left = os.fstat(file.fileno()).st_size
        while left and (block := file.read(min(_BLOCK, left))):
            digest.update(block)
            written.write(block)
            left -= len(block)
        written.flush()
        os.fsync(written.fileno())
    return digest.hexdigest()


def open_elsewhere(path: Path) -> bool:
    """Whether anybody else has the file open just now; False where the system does not tell."""
    if sys.platform != "linux":
        return False
    with reading(path) as file:
        try:
            # A lease is granted only while nobody else has the file open.  Should somebody open
            # it in this very moment, the kernel tells us by a signal: by one that is ignored.
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            return error.errno == errno.EAGAIN
    return False


def sync(path: Path) -> None:
    """Flush a file that no library has open, or a directory's entries, to the disk."""
    if (held := _HELD.get(_identity(path))) is not None and not held.settled:
        raise HeldElsewhere(f"{path.name} is open in {held.owner} and was to be flushed")
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _identity(path: Path) -> Identity:
    facts = path.stat()
    return facts.st_dev, facts.st_ino
