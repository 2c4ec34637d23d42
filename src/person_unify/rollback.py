"""Rollback: a target as it was before its run, and the run's ledger kept aside.

What is to be done is read from the files each time, and the ledger keeps its name until all of it
is done: after a crash the same call finishes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from person_unify import custody
from person_unify.copies import HEADER_BYTES, SIDE_FILES, Exclusive
from person_unify.errors import TargetError
from person_unify.recorded import Artefact, ArtefactKind, recorded_artefacts
from person_unify.rundir import FACTS, run_directory
from person_unify.stages.publish import evidence_of, ledger_path
from person_unify.stages.snapshot import UNFINISHED, stamp

ROLLED_BACK = ".rolled-back-"


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What was done: ``restored`` an in-place target, or removed a created one; the kept files."""

    target: Path
    restored: bool
    kept: tuple[Path, ...]


def rollback(target: Path, *, force: bool = False, wait: float = 5.0) -> RolledBack:
    """Undo the migration into ``target``: put it back from its backup, or remove it if it was new.

    A target that has changed since the run is refused unless ``force``; then a copy of it is kept.
    Raises :class:`TargetError` also if another program has it open (for over ``wait`` seconds), if
    it has no ledger or no backup, and if a run is unfinished.
    """
    ledger = ledger_path(target)
    artefacts = _artefacts(target, ledger)
    moment = stamp(datetime.now(UTC))
    backup = _backup(target, artefacts.get("pre_migration"))
    kept: list[Path] = []
    if target.exists():
        before = artefacts["pre_migration"].sha256 if backup else None
        with Exclusive(target, wait) as held:
            if backup is None or held.sha256() != before:
                if _changed(held, artefacts.get("target"), backup):
                    kept.append(_keep_changed(held, moment, force))
                if backup is None:
                    target.unlink()
                else:
                    held.put_back(backup)
                    _require_equal(held, before)
            if backup is not None:
                held.remove_spent_journal()
    elif backup is not None:
        raise TargetError(f"{target} is gone; what it was before the run is in {backup}")
    if backup is None:
        _remove_side_files(target)
    custody.sync(target.parent)
    kept += _keep_aside(target, ledger, moment)
    return RolledBack(target, backup is not None, tuple(kept))


def _artefacts(target: Path, ledger: Path) -> dict[ArtefactKind, Artefact]:
    if target.is_symlink():
        raise TargetError(f"{target} is a symbolic link: give the path of the file itself")
    if target.exists() and not target.is_file():
        raise TargetError(f"{target} is not a file: give the path of the migrated database")
    if (run_directory(target) / FACTS).exists():
        raise TargetError(
            f"a run into {target} is unfinished: finish it with migrate --resume, or discard it "
            "with migrate --fresh, first"
        )
    if not ledger.is_file():
        raise TargetError(f"{ledger} does not exist: there is no run to roll back")
    found = recorded_artefacts(ledger)
    if found is None:
        raise TargetError(
            f"{ledger} is not the ledger of a finished run: nothing can be told of it"
        )
    return found


def _backup(target: Path, recorded: Artefact | None) -> Path | None:
    """The intact backup of an in-place target, where it was made or, moved along, beside it."""
    if recorded is None:
        return None
    paths = (Path(recorded.path), target.with_name(Path(recorded.path).name))
    backup = next((path for path in paths if path.is_file()), None)
    if backup is None:
        raise TargetError(f"{paths[0]} does not exist: without it the target cannot be put back")
    if custody.sha256(backup) != recorded.sha256:
        raise TargetError(f"{backup} is not what the run wrote: the target cannot be put back")
    return backup


def _changed(held: Exclusive, recorded: Artefact | None, backup: Path | None) -> bool:
    """Whether the target is neither what the run left nor what a rollback was about to leave."""
    if recorded is not None and recorded.sha256 == held.sha256():
        return False
    # Put back, but killed before the header's counters were.
    return backup is None or held.sha256(HEADER_BYTES) != custody.sha256(backup, start=HEADER_BYTES)


def _keep_changed(held: Exclusive, moment: str, force: bool) -> Path:
    path = held.path
    if not force:
        raise TargetError(
            f"{path} has changed since the run, or the run could not note what it left: what was "
            "written since would be lost; --force rolls back all the same and keeps a copy"
        )
    kept = path.with_name(f"{path.name}{ROLLED_BACK}{moment}")
    unfinished = kept.with_name(kept.name + UNFINISHED)
    custody.copy(path, unfinished, beside=True)
    unfinished.rename(kept)
    custody.sync(kept.parent)
    return kept


def _require_equal(held: Exclusive, expected: str | None) -> None:
    if held.sha256() != expected:
        raise TargetError(f"{held.path} could not be put back byte for byte: its backup is intact")


def _remove_side_files(target: Path) -> None:
    """What belonged to a created target goes with it."""
    for suffix in SIDE_FILES:
        target.with_name(target.name + suffix).unlink(missing_ok=True)


def _keep_aside(target: Path, ledger: Path, moment: str) -> Iterator[Path]:
    """Rename what tells of the run; the ledger last, for as long as it stands a rollback is due."""
    for path in (*evidence_of(target), ledger):
        kept = path.with_name(f"{path.name}{ROLLED_BACK}{moment}")
        path.rename(kept)
        custody.sync(kept.parent)
        yield kept
