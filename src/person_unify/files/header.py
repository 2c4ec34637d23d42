"""What the header of a database file says, by SQLite's file format, without any library."""

from __future__ import annotations

import hashlib
from pathlib import Path

from person_unify.files import locks

HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\x00"
_IN_WAL_MODE = b"\x02"
_COUNTERS = (slice(18, 20), slice(24, 28), slice(40, 44), slice(92, 100))
"""What a header says of journal mode, numbers of changes (of the schema, too, which a backup
counts up), and who made the last one."""


def is_database(path: Path) -> bool:
    """Whether a file begins as SQLite databases do (encrypted ones do not)."""
    return header(path).startswith(_MAGIC)


def is_in_wal_mode(path: Path) -> bool:
    """Whether the header of a database asks for a write-ahead log."""
    return header(path)[18:19] == _IN_WAL_MODE


def set_wal_mode(path: Path, *, on: bool) -> None:
    """Have a closed database of ours ask for a write-ahead log, or for a rollback journal."""
    with locks.reading(path, mode="rb+") as file:
        file.seek(18)
        file.write(b"\x02\x02" if on else b"\x01\x01")


def fingerprint(path: Path, *, beside: bool = False) -> str:
    """SHA-256 of a database's main file, but for what its header counts of changes.

    It is the same again when SQLite has undone a transaction, or the journal mode was changed.
    ``beside``: see :func:`person_unify.files.locks.reading`.
    """
    with locks.reading(path, beside=beside) as file:
        start = bytearray(file.read(HEADER_BYTES))
        for counters in _COUNTERS:
            start[counters] = bytes(len(start[counters]))
        digest = hashlib.sha256(start)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def header(path: Path, *, beside: bool = False) -> bytes:
    """The header as it is in the file, or less in a shorter one; ``beside`` as above."""
    with locks.reading(path, beside=beside) as file:
        return file.read(HEADER_BYTES)
