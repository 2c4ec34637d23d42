"""The run directory beside the target: the lock, the facts of the run, and its staged files.

``.<target name>.migrating/`` exists while a run is under way, and after one that was stopped: then
``run.json`` says what it was, and ``--resume`` goes on with it.  Its lock is held by the process
that works in it and vanishes with that process, so a stale lock needs no guessing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from person_unify.errors import MigrationError, TargetError
from person_unify.files import as_json, locks, replace_private
from person_unify.files.names import stamp
from person_unify.files.private import abandoned, remove_abandoned
from person_unify.run import staged
from person_unify.stages.publish import evidence_stem

LOCK, FACTS = "lock", "run.json"
Place = tuple[int, int]
"""Device and inode: which file or directory it is, wherever it was moved."""

ENDED = "end"
"""Stands among the phases of a run that has nothing left to do."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What ``run.json`` holds: what a run was asked, what it drew, and how far it came.

    moment: the run's time, UTC.  seed: of the fresh ids.  options: those that change the result.
    source_sha256, source_log_sha256: as the snapshot found the source; None before it.
    snapshot: its path; which file it is, and its SHA-256, once it is complete, before it is named.
    home: which directory the run directory was when the run began; in a copy it is another.
    target_sha256: of the copy of a target that was there.
    machine: names the boot of the machine; after another one, staged files may lack pages.
    phases: those that are over and are not repeated: ``snapshot``, ``load``, ``verify`` and
    ``publish``.
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
    snapshot_file: Place | None = None
    snapshot_sha256: str | None = None
    home: Place | None = None
    source_bytes: int = 0
    source_sha256: str = ""
    source_log_sha256: str | None = None
    target_sha256: str | None = None
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
        if any("\0" in raw[name] for name in ("source", "target", "snapshot")):
            raise ValueError("a path that no file can have")
        places = {
            name: None if raw[name] is None else (int(raw[name][0]), int(raw[name][1]))
            for name in ("snapshot_file", "home")
        }
        return cls(**{**raw, **places, "moment": moment, "phases": tuple(raw["phases"])})


def run_directory(target: Path) -> Path:
    """Where an unfinished run keeps its files.

    >>> run_directory(Path("a/new.db")).name
    '.new.db.migrating'
    """
    return target.with_name(f".{target.name}.migrating")


def holder(target: Path) -> int | None:
    """The process (its id, 0 if it has not told) that works on a target; None if there is none."""
    try:
        handle = os.open(run_directory(target) / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        told = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
        return int(told) if told.isdecimal() else 0
    finally:
        os.close(handle)
    return None


def require_alone(target: Path) -> None:
    """Refuse a target while a run into another, whose reports have the same names, is unfinished.

    The caller has claimed the target: of two that begin at once, one at least finds the other.
    Raises :class:`TargetError`.
    """
    for path in sorted(target.parent.glob(".*.migrating")):
        other = target.with_name(path.name[1:].removesuffix(".migrating"))
        if other.name == target.name or evidence_stem(other) != evidence_stem(target):
            continue
        if holder(other) is not None or (path / FACTS).exists():
            raise TargetError(
                f"a run into {other} is unfinished, and its reports have the same names as those "
                f"of {target.name}: choose a target whose name differs before its suffix"
            )


class RunDirectory:
    """The directory of the one run on a target; :meth:`claim` gives it to one process at a time."""

    def __init__(self, path: Path, lock: int, target: Path, places: Iterable[Path] = ()) -> None:
        """Wrap a directory whose lock the caller holds under the descriptor ``lock``."""
        self.path = path
        self.target = target
        self._lock = lock
        self._places = tuple(place.absolute() for place in (path.parent, *places))

    @classmethod
    def claim(cls, target: Path, places: Iterable[Path] = ()) -> Self:
        """Take the run directory of a target, making it if there is none.

        places: directories that the operator named, in which the run's copy of the source may be.
        Raises :class:`TargetError` at once when another process is at work on the target.
        """
        path = run_directory(target)
        while True:
            try:
                lock = _opened(path)
            except FileNotFoundError:
                continue  # its owner removed it while we looked
            except OSError as error:
                raise MigrationError(
                    f"cannot write into {path.parent}: {error.strerror}"
                ) from error
            try:
                _lock(lock, path, target)
            except BaseException:
                os.close(lock)
                raise
            if _is_still(lock, path / LOCK):
                directory = cls(path, lock, target, places)
                directory._sign()
                return directory
            os.close(lock)

    def _sign(self) -> None:
        """Write into the lock who holds it."""
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError as error:
            self.leave()
            raise MigrationError(
                f"cannot write into {self.path.parent}: {error.strerror}"
            ) from error

    def facts(self) -> Facts | None:
        """The run that was stopped here; None if there was none."""
        try:
            return Facts.from_json(json.loads((self.path / FACTS).read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise TargetError(
                f"{self.path} belongs to an unfinished run that this version cannot read: "
                "pass --fresh to discard it, or finish it with the version that began it"
            ) from error

    def write(self, facts: Facts) -> None:
        """Replace the facts, durably."""
        replace_private(self.path / FACTS, as_json(facts.to_json()))

    def done(self, facts: Facts, phase: str) -> Facts:
        """Write the facts once a phase is over."""
        facts = replace(facts, phases=tuple(dict.fromkeys((*facts.phases, phase))))
        self.write(facts)
        return facts

    def end(self) -> None:
        """Remove the directory of a run that has nothing left to do, and say so before.

        Where it cannot be removed, the next call then knows that it is of no use any more.
        """
        facts = self.facts()
        if facts is not None:
            with contextlib.suppress(MigrationError):
                self.done(facts, ENDED)
        self.remove()

    def is_home(self, facts: Facts) -> bool:
        """Whether this is the directory that the run began in, and not a copy of it."""
        return place_of(self.path) == facts.home

    def adopt(
        self, facts: Facts, snapshot: Path, made: Path | None = None, digest: str | None = None
    ) -> Facts:
        """Write down that the run is at home here, and which file its copy of the source is.

        made: where the run's own copy stands just now; None if it only reads that of another.
        digest: its SHA-256.
        """
        facts = replace(
            facts,
            target=str(self.target.absolute()),
            home=place_of(self.path),
            snapshot=str(snapshot.absolute()),
            snapshot_file=None if made is None else place_of(made),
            snapshot_sha256=digest,
        )
        self.write(facts)
        return facts

    def snapshot(self, facts: Facts) -> Path | None:
        """The run's own copy of the source, in this place; None where none is provably that.

        A run that was copied with its directory owns the copy that was copied with it: the file
        that it made itself belongs to the directory that it began in.  It is looked for only where
        the operator is, since the facts may have been edited on their way.
        """
        if not _is_name_of_copy(facts) or facts.snapshot_sha256 is None:
            return None
        for directory in self._backups(facts):
            path = directory / Path(facts.snapshot).name
            try:
                found = path.lstat()
            except OSError:
                continue
            own = (found.st_dev, found.st_ino) == facts.snapshot_file
            if own != self.is_home(facts) or not stat.S_ISREG(found.st_mode):
                continue
            if facts.snapshot_sha256 == locks.sha256(path):
                return path
        return None

    def unproven(self, facts: Facts) -> Path | None:
        """A file where the facts say that the copy is, of a run of which none is provably it."""
        if not _is_name_of_copy(facts):
            return None
        made = Path(facts.snapshot)
        found = (directory / made.name for directory in (self._seen(facts), made.parent))
        return next((path for path in found if path.is_file()), None)

    def readable_snapshot(self, facts: Facts) -> Path | None:
        """A copy of the source as the run took it, its own or, in a copy of the run, another's."""
        own = self.snapshot(facts)
        made = Path(facts.snapshot)
        places = (*(directory / made.name for directory in self._backups(facts)), made)
        same = (p for p in places if p.is_file() and locks.sha256(p) == facts.snapshot_sha256)
        return own or next(same, None)

    def remove_snapshot(self, facts: Facts) -> bool:
        """Remove what a kill left of the copy's making, and the run's own copy if there is one."""
        for directory in self._backups(facts):
            for left in abandoned(directory):
                remove_abandoned(left)
        path = self.snapshot(facts)
        if path is not None:
            path.unlink()
        return path is not None

    def _backups(self, facts: Facts) -> list[Path]:
        """Where the run's copy of the source may stand: where the operator is, or names.

        At home also where the run wrote down, and the same as seen from here, for a directory
        that was moved: there the copy is known by its device and inode.  A copy of the run never
        has the directory which the run itself wrote into.
        """
        made = Path(facts.snapshot).parent
        if not self.is_home(facts):
            there = made.exists()
            places = (p for p in self._places if not (there and p.exists() and p.samefile(made)))
            return list(dict.fromkeys(places))
        return list(dict.fromkeys((*self._places, self._seen(facts), made)))

    def _seen(self, facts: Facts) -> Path:
        """The directory that the facts name, as seen from here if the run was moved or copied."""
        seen = os.path.relpath(Path(facts.snapshot).parent, Path(facts.target).parent)
        return Path(os.path.normpath(self.path.parent.absolute() / seen))

    def leave(self) -> None:
        """Give the lock back; the directory stays if it holds an unfinished run."""
        if (self.path / FACTS).exists():
            os.close(self._lock)
        else:
            self.remove()

    def forget(self) -> None:
        """Empty the directory; the facts go first, so that half a run is never resumed."""
        (self.path / FACTS).unlink(missing_ok=True)
        self.clear()

    def remove(self) -> None:
        """Remove the directory and give the lock back."""
        try:
            self.forget()
            (self.path / LOCK).unlink(missing_ok=True)
            for _ in range(2):  # what fails once, as on a network volume, may not twice
                # The next run claims it as soon as its lock is gone.
                with contextlib.suppress(OSError):
                    self.path.rmdir()
        finally:
            os.close(self._lock)

    def clear(self) -> None:
        """Remove the files that a run puts into the directory, but for the lock and the facts."""
        for path in self.path.iterdir():
            if staged.NAMES.fullmatch(path.name) and (path.is_symlink() or not path.is_dir()):
                path.unlink(missing_ok=True)


def _is_name_of_copy(facts: Facts) -> bool:
    """Whether the facts call the copy of the source what a run of that moment calls it."""
    return Path(facts.snapshot).name.rpartition(".backup-")[2] == stamp(facts.moment)


def place_of(path: Path) -> Place:
    """Which file or directory a path leads to just now; links are not followed."""
    found = path.lstat()
    return found.st_dev, found.st_ino


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
    names = os.listdir(path)
    if names and not {LOCK, FACTS} & set(names):
        raise TargetError(f"{path} holds files, and no run's: move it away first")
    return os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _lock(handle: int, path: Path, target: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise TargetError(
            f"{target} is being migrated by another process (pid {holder}): wait for its end"
        ) from error
    except OSError as error:
        with contextlib.suppress(OSError):
            (path / LOCK).unlink()
            path.rmdir()
        raise MigrationError(
            f"the volume of {target} knows no file locks ({error.strerror}), by which two runs are "
            "kept apart: choose another volume"
        ) from error


def _is_still(handle: int, path: Path) -> bool:
    """Whether the locked file is the one that has the name now."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
