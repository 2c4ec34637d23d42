"""What lies beside a database, looked at before SQLite does.

A journal may name a *super-journal*, by which SQLite commits several files at once.  When SQLite
undoes a transaction it deletes the file of that name, so whoever made the journal chooses a file to
be deleted.  No journal that names one is ever given to SQLite.

The format is that of https://www.sqlite.org/fileformat.html#the_rollback_journal: the record is the
number of the lock page, the name, its length, its checksum, and the eight bytes that journals begin
with.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from person_unify.errors import TargetError

SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite may put beside a database's main file."""

_MAGIC = bytes.fromhex("d9d505f920a163d7")
_TAIL = 16


def beside(path: Path, suffix: str) -> Path:
    """The side file of a database."""
    return path.with_name(path.name + suffix)


def super_journal(journal: Path) -> bytes | None:
    """The path of the super-journal that a journal names; None if it names none."""
    with journal.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _TAIL:
            return None
        file.seek(size - _TAIL)
        tail = file.read(_TAIL)
        length, checksum = int.from_bytes(tail[:4], "big"), int.from_bytes(tail[4:8], "big")
        if tail[8:] != _MAGIC or not 0 < length <= size - _TAIL:
            return None
        file.seek(size - _TAIL - length)
        name = file.read(length)
    # A char of C is signed on one machine and unsigned on the other.
    signed = sum(name) - 256 * sum(byte > 127 for byte in name)
    return name if checksum in (sum(name) % 2**32, signed % 2**32) else None


def forget_super_journal(journal: Path) -> None:
    """Settle what the copy of a journal says of a super-journal, as SQLite would, and forget it.

    Where the super-journal is gone, the transaction was committed and the journal means nothing;
    where it is there, the transaction is to be undone.  It is looked at and left alone.
    """
    name = super_journal(journal)
    if name is None:
        return
    if not os.path.exists(name):
        journal.unlink()
        return
    with journal.open("r+b") as file:
        file.seek(-len(_MAGIC), os.SEEK_END)
        file.write(bytes(len(_MAGIC)))


def require_harmless(path: Path) -> None:
    """Refuse side files of a database that lead elsewhere, before SQLite opens any of them.

    It would wait for ever for whoever may write into a pipe, and follows a link to the database.
    Raises :class:`TargetError` for what is no regular file, and for a journal that names a
    super-journal.
    """
    itself = Path(os.path.realpath(path))
    for suffix in SIDE_FILES:
        side = beside(itself, suffix)
        try:
            mode = side.lstat().st_mode
        except OSError:
            continue
        if not stat.S_ISREG(mode):
            raise TargetError(
                f"{side} is not a file of its own but leads elsewhere: find out who put it there, "
                "and remove it"
            )
        if suffix == "-journal" and super_journal(side) is not None:
            raise TargetError(
                f"{side} names another file, which SQLite would delete when it undoes what that "
                f"journal holds: have {path.name} opened by the program that left it, or restore "
                "it from a backup"
            )
