"""The run directory beside the target: the lock, the facts of the run, and its staged files.

``.<target name>.migrating/`` exists while a run is under way, and after one that was stopped: then
``run.json`` says what it was, and ``--resume`` goes on with it.  Its lock is held by the process
that works in it and vanishes with that process, so a stale lock needs no guessing.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from person_unify.errors import MigrationError, TargetError

LOCK, FACTS = "lock", "run.json"


@dataclass(frozen=True, slots=True)
class Facts:
    """What ``run.json`` holds: what a run was asked, what it drew, and how far it came.

    moment: the run's time, UTC.  seed: of the fresh ids.  options: those that change the result.
    source_sha256, source_log_sha256: as the snapshot found the source; None before it.
    snapshot: its path, and its SHA-256 once it is complete.
    machine: names the boot of the machine; after another one, staged files may lack pages.
    phases: those that are over and are not repeated: ``snapshot``, ``verify``, ``publish``.
    """

    id: str
    tool_version: str
    moment: datetime
    seed: str
    source: str
    target: str
    in_place: bool
    options: Mapping[str, str | int | bool | None]
    machine: str | None
    snapshot: str
    snapshot_sha256: str | None = None
    source_bytes: int = 0
    source_sha256: str = ""
    source_log_sha256: str | None = None
    phases: tuple[str, ...] = ()

    @property
    def run_time(self) -> int:
        """The one instant of the run, in ms since the epoch."""
        return int(self.moment.timestamp() * 1000)

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON types."""
        return {**asdict(self), "moment": self.moment.isoformat()}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Facts:
        """What :meth:`to_json` gave; raises ValueError, TypeError or KeyError for anything else."""
        moment = datetime.fromisoformat(raw["moment"])
        return cls(**{**raw, "moment": moment, "phases": tuple(raw["phases"])})


def run_directory(target: Path) -> Path:
    """Where an unfinished run keeps its files.

    >>> run_directory(Path("a/new.db")).name
    '.new.db.migrating'
    """
    return target.with_name(f".{target.name}.migrating")


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Write a JSON file of its owner's, whole or not at all; ``durable``: also by a power cut."""
    new = path.with_name(f"{path.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
        file.flush()
        if durable:
            os.fsync(handle)
    new.replace(path)
    if durable:
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def this_machine() -> str | None:
    """A name for the machine's present boot; None where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return None


def _opened(path: Path) -> int:
    """The lock file of a run directory, opened; the directory is made if it is not there."""
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise TargetError(f"{path} is not a directory of your own: move it away first")
    return os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _lock(handle: int, target: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise TargetError(
            f"{target} is being migrated by another process (pid {holder}): wait for its end"
        ) from error
    except OSError as error:
        raise MigrationError(f"cannot lock {target.name}: {error.strerror}") from error


def _is_still(handle: int, path: Path) -> bool:
    """Whether the locked file is the one that has the name now."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
