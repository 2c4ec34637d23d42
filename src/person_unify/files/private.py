"""Directories to work in: their owner's only, and found again when their process was killed.

Each is locked by the process that works in it, and a lock vanishes with its process: so what a
killed command left is told from what a living one has, whatever process has that number by now.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from person_unify.errors import MigrationError
from person_unify.files.new import PREFIX

_OURS = {
    (stat.S_IFDIR, 0o700): os.O_RDONLY | os.O_DIRECTORY,
    (stat.S_IFREG, 0o600): os.O_RDWR,  # which some network volumes want of whoever locks a file
}
"""Kind and mode of what is ours -> how it is opened."""
_NAME = re.compile(rf"{re.escape(PREFIX)}[0-9a-f]{{32}}")


def temporary_root() -> Path:
    """Where copies go that nobody keeps: ``TMPDIR``, else ``/tmp``.

    Raises :class:`MigrationError` where that is not a directory to write into.  Python would take
    another one without a word, and personal data would be where nobody looks for them.
    """
    named = os.environ.get("TMPDIR")
    root = Path(named or "/tmp").absolute()
    if not root.is_dir():
        why = "is not a directory"
    elif not os.access(root, os.W_OK | os.X_OK):
        why = "cannot be written"
    else:
        return root
    told = f"TMPDIR names {root}, which {why}" if named else f"{root} {why}"
    raise MigrationError(f"{told}: name a directory for temporary files with TMPDIR")


@contextmanager
def temporary_files_in(directory: Path) -> Iterator[None]:
    """Have the temporary files of Python and SQLite go into a directory of ours.

    SQLite's libraries look once per process, when they are first used: so does the first run.
    """
    before, named = tempfile.tempdir, os.environ.get("SQLITE_TMPDIR")
    tempfile.tempdir = os.environ["SQLITE_TMPDIR"] = str(directory)
    try:
        yield
    finally:
        tempfile.tempdir = before
        if named is None:
            del os.environ["SQLITE_TMPDIR"]
        else:
            os.environ["SQLITE_TMPDIR"] = named


@contextmanager
def private_directory(beside: Path | None = None) -> Iterator[Path]:
    """A directory of mode 0700 for files that are not kept, gone at the end whatever happens.

    It is in :func:`temporary_root`, or, for files that are to get a name on the same volume, in
    the directory ``beside``.  Temporary files of the libraries go there too for that long.  A kill
    leaves it for :func:`abandoned`.  Raises :class:`MigrationError` where there can be none.
    """
    root = temporary_root() if beside is None else beside
    try:
        directory, lock = _made(root)
    except OSError as error:
        raise MigrationError(f"cannot write into {root}: {error.strerror}") from error
    try:
        with temporary_files_in(directory):
            yield directory
    finally:
        for _ in range(2):  # what fails once, as on a network volume, may not twice
            shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def abandoned(root: Path) -> Iterator[Path]:
    """What is in ``root`` under a name of ours for a time, and whose process is no more.

    That are directories of :func:`private_directory`, and files of
    :class:`~person_unify.files.new.NewFiles` that had not yet got their names.  Only what is ours
    beyond doubt: a real directory or file of such a name and mode that belongs to the caller and
    that nobody has locked.  Whatever else stands there is passed over.
    """
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return
    for name in names:
        lock = _locked(root / name) if _NAME.fullmatch(name) else None
        if lock is not None:
            os.close(lock)
            yield root / name


def remove_abandoned(path: Path) -> None:
    """Remove what :func:`abandoned` told of, unless a process has it now.

    It stays locked until it is gone, so that nobody begins to work in it meanwhile.
    """
    lock = _locked(path)
    if lock is None:
        return
    try:
        if stat.S_ISDIR(os.fstat(lock).st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(lock)


def _made(root: Path) -> tuple[Path, int]:
    """A new directory and the descriptor that holds its lock."""
    while True:
        directory = root / f"{PREFIX}{secrets.token_hex(16)}"
        directory.mkdir(mode=0o700)
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        os.fchmod(lock, 0o700)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)  # a purge took it for abandoned just now
            continue
        if directory.exists():
            return directory, lock
        os.close(lock)


def _locked(path: Path) -> int | None:
    """The descriptor of a directory or file of ours, locked; None if not ours or in use."""
    try:
        flags = _OURS[_kind(path.lstat())]
        lock = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, KeyError):
        return None
    try:
        there = os.fstat(lock)
        if there.st_uid == os.geteuid() and _kind(there) in _OURS:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _kind(facts: os.stat_result) -> tuple[int, int]:
    return stat.S_IFMT(facts.st_mode), stat.S_IMODE(facts.st_mode)
