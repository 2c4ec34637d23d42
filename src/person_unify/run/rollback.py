"""Rollback: a target as it was before its run, and the run's ledger kept aside.

What is to be done is read from the files each time: after a crash the same call finishes.  Before
the first change the ledger gets the name under which it is kept, beside its own, which goes last.
So a target that a rollback removed is told from one that somebody moved away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from person_unify.errors import TargetError
from person_unify.evidence.beside import Marks
from person_unify.evidence.recorded import Artefact, ArtefactKind, recorded_files
from person_unify.files import locks
from person_unify.files.copies import Exclusive
from person_unify.files.header import HEADER_BYTES
from person_unify.files.journal import SIDE_FILES, beside
from person_unify.files.names import is_regular, stamp, stamped
from person_unify.files.new import rename_to_free
from person_unify.run import staged
from person_unify.run.directory import FACTS, RunDirectory
from person_unify.stages.publish import PRE_MIGRATION, evidence_of, ledger_path

ROLLED_BACK = ".rolled-back-"


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What was done: ``restored`` an in-place target, or removed a created one; the kept files.

    left: what has the name of the run's report, page or checkpoints and is not that.
    """

    target: Path
    restored: bool
    kept: tuple[Path, ...]
    left: tuple[Path, ...] = ()


def rollback(target: Path, *, force: bool = False, wait: float = 5.0) -> RolledBack:
    """Undo the migration into ``target``: put it back from its backup, or remove it if it was new.

    A target that has changed since the run is refused unless ``force``; then a copy of it is kept.
    Raises :class:`TargetError` also if another program has it open (for over ``wait`` seconds), if
    the ledger is not that of a run into a file of this name, if it has no backup, if the target
    is not there, and if a run is unfinished.
    """
    ledger = _ledger(target)
    directory = RunDirectory.claim(target)
    try:
        if (directory.path / FACTS).exists():
            raise TargetError(
                f"a run into {target} is unfinished: finish it with migrate --resume, or discard "
                "it with migrate --fresh, first"
            )
        recorded = recorded_files(ledger, target)
        backup = _backup(target, recorded.get("pre_migration"))
        moment = begun(ledger)
        if not target.exists() and (backup is not None or moment is None):
            raise TargetError(_gone(target, backup))
        moment = moment or stamp(datetime.now(UTC))
        kept = _undo(directory, recorded, backup, moment, force, wait)
        kept += [*_keep_evidence(target, Marks.of(ledger), moment), kept_as(ledger, moment)]
    finally:
        directory.leave()
    ledger.unlink()
    locks.sync(ledger.parent)
    return RolledBack(target, backup is not None, tuple(kept), tuple(evidence_of(target)))


def begun(ledger: Path) -> str | None:
    """The instant of a rollback that was stopped, as it stands in names; None if none was begun."""
    for path in stamped(ledger, ROLLED_BACK):
        if path.is_file() and locks.alike(path, ledger):
            return path.name.rpartition(ROLLED_BACK)[2]
    return None


def _undo(
    directory: RunDirectory,
    recorded: Mapping[ArtefactKind, Artefact],
    backup: Path | None,
    moment: str,
    force: bool,
    wait: float,
) -> list[Path]:
    """Put the target back or remove it, where that is not done yet; returns what was kept of it."""
    target, kept = directory.target, []
    before = recorded["pre_migration"].sha256 if backup else None
    if target.exists():
        with Exclusive(target, wait) as held:
            if backup is None or held.sha256() != before:
                if _changed(held, recorded.get("target"), backup):
                    kept.append(_keep_changed(held, directory, moment, force))
                _begin(target, moment)
                if backup is None:
                    held.remove()
                else:
                    held.put_back(backup)
                    if held.sha256() != before:
                        raise TargetError(
                            f"{target} could not be put back byte for byte: its backup is intact"
                        )
            if backup is not None:
                held.remove_spent_journal()
    if backup is None:
        for suffix in SIDE_FILES:  # what belonged to a created target goes with it
            side = beside(target, suffix)
            if is_regular(side):
                side.unlink()
    _begin(target, moment)
    return kept


def _begin(target: Path, moment: str) -> None:
    """Give the ledger the name under which it is kept: from here on a rollback is under way."""
    ledger = ledger_path(target)
    kept = kept_as(ledger, moment)
    if not kept.exists():
        os.link(ledger, kept)
    locks.sync(target.parent)


def _ledger(target: Path) -> Path:
    """The ledger of a target that may be rolled back."""
    if target.is_symlink():
        raise TargetError(f"{target} is a symbolic link: give the path of the file itself")
    if target.exists() and not target.is_file():
        raise TargetError(f"{target} is not a file: give the path of the migrated database")
    ledger = ledger_path(target)
    if not ledger.is_file():
        raise TargetError(f"{ledger} does not exist: there is no run to roll back")
    return ledger


def _gone(target: Path, backup: Path | None) -> str:
    if backup is not None:
        return f"{target} is gone; what it was before the run is in {backup}"
    return (
        f"{target} does not exist: it was moved or removed since the run, and nothing is rolled "
        "back; bring it back under that name, or remove what the run left with purge"
    )


def _backup(target: Path, recorded: Artefact | None) -> Path | None:
    """The intact backup of an in-place target: the file beside it that holds what was recorded."""
    if recorded is None:
        return None
    found = [path for path in stamped(target, PRE_MIGRATION) if path.is_file()]
    if not found:
        name = Path(recorded.path).name
        raise TargetError(
            f"{target.with_name(name)} does not exist: without it the target cannot be put back"
        )
    for path in found:
        if path.stat().st_size == recorded.bytes and locks.sha256(path) == recorded.sha256:
            return path
    raise TargetError(f"{found[-1]} is not what the run wrote: the target cannot be put back")


def _changed(held: Exclusive, recorded: Artefact | None, backup: Path | None) -> bool:
    """Whether the target is neither what the run left nor what a rollback was about to leave."""
    if recorded is not None and recorded.sha256 == held.sha256():
        return False
    if backup is None:
        return True
    # Put back, but killed before the header's counters were, or before the end was cut off.
    length = backup.stat().st_size - HEADER_BYTES
    rest = locks.sha256(backup, start=HEADER_BYTES)
    return held.sha256(HEADER_BYTES, length) != rest


def _keep_changed(held: Exclusive, directory: RunDirectory, moment: str, force: bool) -> Path:
    path = held.path
    if not force:
        raise TargetError(
            f"{path} has changed since the run, or the run could not note what it left: what was "
            "written since would be lost; --force rolls back all the same and keeps a copy"
        )
    kept, copy = kept_as(path, moment), directory.path / staged.CHANGED
    copy.unlink(missing_ok=True)
    locks.copy(path, copy, beside=True)
    if kept.exists() and not locks.alike(copy, kept):
        kept = kept_as(path, stamp(datetime.now(UTC)))
    _rename(copy, kept)
    return kept


def _keep_evidence(target: Path, marks: Marks, moment: str) -> Iterator[Path]:
    """Keep aside what tells of the run besides the ledger."""
    for path in filter(marks.are_in, evidence_of(target)):
        kept = kept_as(path, moment)
        _rename(path, kept)
        yield kept


def kept_as(path: Path, moment: str) -> Path:
    """Where a rollback of that moment keeps a file."""
    return path.with_name(f"{path.name}{ROLLED_BACK}{moment}")


def _rename(path: Path, kept: Path) -> None:
    """Give a file the name under which it is kept; a kill may have left it with both."""
    if kept.exists() and locks.alike(kept, path):
        path.unlink()
    else:
        rename_to_free(path, kept)
    locks.sync(kept.parent)
