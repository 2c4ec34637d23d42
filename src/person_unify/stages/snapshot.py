"""Snapshot: one private, consistent copy of the source, which is also the operator's backup."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from person_unify.database import copy_snapshot
from person_unify.errors import MigrationError, SourceError

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The copy, and what the source was when it was taken: bytes and SHA-256 of its main file."""

    path: Path
    source_bytes: int
    source_sha256: str


def take(source: Path, directory: Path, moment: datetime) -> Snapshot:
    """Copy the source into ``directory`` as ``<name>.backup-<UTC time>``, mode 0600.

    Raises :class:`SourceError` for anything that cannot be read as an SQLite database.
    """
    require_file(source)
    path = directory / f"{source.name}.backup-{moment.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
    digest = sha256(source)
    try:
        path.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise MigrationError(
            f"cannot write a backup into {directory}: {error.strerror}; "
            "name another with --backup-dir"
        ) from error
    try:
        copy_snapshot(source, path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Snapshot(path, source.stat().st_size, digest)


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


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; the file must not be open in this process."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def require_space(directory: Path, needed: int, purpose: str) -> None:
    """Refuse a volume that is smaller than the estimate in bytes."""
    try:
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise MigrationError(
            f"{directory} cannot take {purpose}: {error.strerror}; choose another directory"
        ) from error
    if free < needed:
        raise MigrationError(
            f"the volume of {directory} has {free} bytes free and {purpose} needs about {needed}: "
            "free some space or choose another volume"
        )
