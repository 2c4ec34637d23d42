"""Snapshot: one private, consistent copy of the source, which is also the operator's backup."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from person_unify.background import Background
from person_unify.errors import DatabaseError, MigrationError, SourceError
from person_unify.files import locks, private_directory
from person_unify.files.copies import copy_snapshot
from person_unify.files.damage import has_unreadable_pages
from person_unify.files.header import is_in_wal_mode
from person_unify.files.journal import beside
from person_unify.files.names import stamp
from person_unify.files.new import rename_to_free


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The copy, and what the source was just before it was taken.

    ``source_bytes`` and ``source_sha256`` are of its main file, ``log_sha256`` is of its
    write-ahead log (None without one).  ``note``: what the operator should know of the source.
    ``sha256``: of the copy, where it was just taken.
    """

    path: Path
    source_bytes: int
    source_sha256: str
    log_sha256: str | None = None
    note: str | None = None
    sha256: str | None = None


def take(
    source: Path,
    directory: Path,
    moment: datetime,
    wait: float = 5.0,
    before_naming: Callable[[Path, str], object] | None = None,
) -> Snapshot:
    """Copy the source into ``directory`` as ``<name>.backup-<UTC time>``, mode 0600.

    The file is made in a private directory in there, and gets that name, which nothing else has,
    when it is complete, its pages are sound, and it is on the disk.  Waits so many seconds for a
    source that another program has locked.  ``before_naming`` is called with the finished copy
    and its SHA-256 while it is still in there.  Raises :class:`SourceError` for
    anything that cannot be read as an SQLite database.
    """
    require_file(source)
    path = snapshot_path(source, directory, moment)
    size = source.stat().st_size
    try:
        digest = locks.sha256(source)
    except OSError as error:
        raise SourceError(f"{source} cannot be read: {error.strerror}") from error
    log = _log_sha256(source)
    try:
        with private_directory(directory) as working:
            copy_snapshot(source, working / "copy.db", wait)
            with Background(partial(locks.sha256, working / "copy.db")) as own:
                _require_readable_pages(source, working / "copy.db")
            note = _note(source, log)
            if before_naming is not None:
                before_naming(working / "copy.db", own.result())
            rename_to_free(working / "copy.db", path)
        locks.sync(directory)
    except OSError as error:
        why = "there is one of that name already" if path.exists() else error.strerror
        raise MigrationError(
            f"cannot write a backup into {directory}: {why}; name another with --backup-dir"
        ) from error
    return Snapshot(path, size, digest, log, note, own.result())


def _note(source: Path, log: str | None) -> str | None:
    """What is to be said of a source in WAL mode that has no log beside it."""
    real = source.resolve()
    if log is not None or not is_in_wal_mode(real) or beside(real, "-wal").exists():
        return None
    return (
        f"{source} is in WAL mode and has no {real.name}-wal beside it: it is complete if the "
        "platform closed it, but not if it was copied without its log while that ran"
    )


def _require_readable_pages(source: Path, copy: Path) -> None:
    try:
        damaged = has_unreadable_pages(copy)
    except DatabaseError as error:
        # Pages are checked without an exception; what has one is what SQLite makes of the schema.
        raise SourceError(
            f"{source}: its schema is damaged ({error}); restore it from a backup first"
        ) from error
    if damaged:
        raise SourceError(
            f"{source} is damaged: quick_check failed; restore it from a backup first"
        )


def snapshot_path(source: Path, directory: Path, moment: datetime) -> Path:
    """Where the snapshot that is taken at that moment stands."""
    return directory / f"{source.name}.backup-{stamp(moment)}"


def sha256_now(source: Path) -> str | None:
    """SHA-256 of the source's main file as it is now; None if it cannot be read any more."""
    try:
        return locks.sha256(source)
    except OSError:
        return None


def has_changed(source: Path, now: str | None, digest: str, log: str | None) -> bool:
    """Whether the source, its write-ahead log included, is not what it was before the snapshot.

    now: what :func:`sha256_now` says of it.  digest, log: as :class:`Snapshot` found both.
    """
    return now != digest or _log_sha256(source) != log


def _log_sha256(source: Path) -> str | None:
    real = source.resolve()
    log = beside(real, "-wal")
    try:
        return locks.sha256(log) if log.stat().st_size else None
    except OSError:
        return None


def require_file(source: Path) -> None:
    """Refuse a source that is missing, no regular file, or not readable."""
    try:
        mode = source.stat().st_mode
    except OSError as error:
        raise SourceError(f"{source} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise SourceError(f"{source} is not a file: give the path of the old database")
    if not os.access(source, os.R_OK):
        raise SourceError(f"{source} cannot be read: permission denied")


def require_space(directory: Path, needed: int, purpose: str) -> None:
    """Refuse a volume that is smaller than the estimate in bytes."""
    try:
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise MigrationError(
            f"{directory} cannot take {purpose}: {error.strerror}; choose another directory"
        ) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise MigrationError(f"{directory} cannot be written and is to take {purpose}")
    if free < needed:
        raise MigrationError(
            f"the volume of {directory} has {free} bytes free and {purpose} needs about {needed}: "
            "free some space or choose another volume"
        )
