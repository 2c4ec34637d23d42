"""Purge: what runs leave behind and nobody needs for ever, listed and removed.

All of it holds personal data: the copies of source and target, the directory of a run that died,
ledgers of runs that were rolled back, what commands that were killed worked on.

A file is listed only if it is provably one that a run made, in this place: it stands beside the
target or in a directory that the operator names, has the name that runs give, and holds what the
run recorded.  A path in a ledger is never followed, for a ledger travels.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from person_unify.errors import TargetError
from person_unify.evidence.beside import Marks
from person_unify.evidence.recorded import Artefact, recorded_files
from person_unify.files import locks
from person_unify.files.header import is_database
from person_unify.files.names import STAMP, is_regular, stamped
from person_unify.files.private import abandoned, remove_abandoned, temporary_root
from person_unify.run.directory import RunDirectory, run_directory
from person_unify.run.rollback import ROLLED_BACK, begun, kept_as
from person_unify.run.unfinished import discard, is_over
from person_unify.stages.publish import (
    PRE_MIGRATION,
    checkpoints_path,
    evidence_of,
    ledger_path,
    page_path,
    report_path,
)

COPY, KILLED = "copy of the source", "working files of a killed command"

State = Literal["here", "elsewhere", "unproven"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or directory of a run: what it is, its bytes, when it was last written (s).

    state: of a file that is told and not removed: it stands, by the ledger's word, ``elsewhere``,
    in a directory that was not looked into, or is ``unproven``, not provably one that a run made.
    """

    path: Path
    kind: str
    bytes: int
    modified: float
    state: State = "here"


def leftovers(
    target: Path, *, with_ledger: bool = False, places: Sequence[Path] = ()
) -> list[Leftover]:
    """What the runs into ``target`` left behind; the ledger and its report only if asked for.

    ``places`` are looked into besides the target's directory and the temporary one.  The target
    itself is never among it.  Raises :class:`TargetError` for a ledger that is not that of a run
    into a file of this name, while a run or rollback is under way or was stopped, and for a run
    that is complete but for its last steps, which are to be finished first.
    """
    ledger = ledger_path(target)
    looked = list(dict.fromkeys(path.absolute() for path in (target.parent, *places)))
    found: dict[Path, str] = {}
    dead, foreign = _of_a_dead_run(target, looked)
    for path, kind in (*dead.items(), *_of_finished_runs(target, ledger, looked)):
        found.setdefault(path.absolute(), kind)
    for root in dict.fromkeys((*looked, temporary_root())):
        found.update((path, KILLED) for path in abandoned(root))
    if with_ledger and os.path.lexists(ledger):
        marks = Marks.of(ledger)
        for path in evidence_of(target):
            (found if marks.are_in(path) else foreign)[path.absolute()] = "report"
        (found if is_regular(ledger) else foreign)[ledger.absolute()] = "ledger"
    listed = [_leftover(path, kind) for path, kind in found.items()]
    left = [_leftover(path, kind, "unproven") for path, kind in foreign.items()]
    return [*listed, *left, *_elsewhere(target, ledger, looked)]


def purge(target: Path, found: Iterable[Leftover]) -> None:
    """Remove them for good; an unfinished run is discarded as ``migrate --fresh`` does it."""
    here = [leftover for leftover in found if leftover.state == "here"]
    for leftover in here:
        path = leftover.path
        if path == run_directory(target).absolute():
            _discard(target, [other.path.parent for other in here])
        elif leftover.kind == KILLED:
            remove_abandoned(path)
        elif is_regular(path):
            path.unlink()
        locks.sync(path.parent)


def _of_a_dead_run(target: Path, looked: Sequence[Path]) -> tuple[dict[Path, str], dict[Path, str]]:
    """What a run that died left, and what is in the place of that and not provably it."""
    if not run_directory(target).exists():
        return {}, {}
    directory = RunDirectory.claim(target, looked)
    try:
        facts = directory.facts()
        over = facts is not None and is_over(directory, facts)
        snapshot = None if facts is None else directory.snapshot(facts)
        unproven = directory.unproven(facts) if facts is not None and snapshot is None else None
    finally:
        directory.leave()
    if over:
        raise TargetError(
            f"the run into {target} only lacks its last steps: finish it with migrate --resume"
        )
    found = {} if facts is None else {run_directory(target): "unfinished run"}
    if snapshot is not None:
        found[snapshot] = COPY
    return found, {} if unproven is None else {unproven: COPY}


def _discard(target: Path, looked: Sequence[Path]) -> None:
    directory = RunDirectory.claim(target, looked)
    facts = directory.facts()
    if facts is not None:
        discard(directory, facts)
    directory.remove()


def _of_finished_runs(
    target: Path, ledger: Path, looked: Sequence[Path]
) -> Iterator[tuple[Path, str]]:
    """What the ledger beside the target, and those that rollbacks kept aside, can prove."""
    if os.path.lexists(ledger):
        if begun(ledger):
            raise TargetError(f"a rollback of {target} was stopped: finish it with rollback")
        yield from _copies(target, ledger, looked)
    for aside in filter(is_regular, stamped(ledger, ROLLED_BACK)):
        moment = aside.name.rpartition(ROLLED_BACK)[2]
        try:
            yield from _copies(target, aside, looked)
        except TargetError:
            continue  # a file of such a name that is no ledger of ours
        marks = Marks.of(aside)
        for path in (report_path(target), page_path(target), checkpoints_path(target)):
            kept = kept_as(path, moment)
            if marks.are_in(kept):
                yield kept, "report of a run rolled back"
        kept = kept_as(target, moment)
        if is_regular(kept) and is_database(kept):
            yield kept, "target that was rolled back"
        yield aside, "ledger of a run rolled back"


def _copies(target: Path, ledger: Path, looked: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """The copies of source and target that a run made, where they hold what it recorded."""
    files = recorded_files(ledger, target)
    for place in looked:
        path = place / _name_of_copy(files["snapshot"])
        if _holds(path, files["snapshot"]):
            yield path, COPY
    if "pre_migration" in files:
        for path in stamped(target, PRE_MIGRATION):
            if _holds(path, files["pre_migration"]):
                yield path, "target before the run"


def _elsewhere(target: Path, ledger: Path, looked: Sequence[Path]) -> Iterator[Leftover]:
    """The copy of the source that stands in a directory which only the ledger names."""
    for book in (ledger, *stamped(ledger, ROLLED_BACK)):
        try:
            snapshot = recorded_files(book, target)["snapshot"]
        except TargetError:
            continue
        path = Path(snapshot.path).with_name(_name_of_copy(snapshot))
        if path.parent not in looked and _holds(path, snapshot):
            yield _leftover(path, COPY, "elsewhere")


def _name_of_copy(snapshot: Artefact) -> str:
    """The recorded name of a copy of the source; raises :class:`TargetError` for another name."""
    name = Path(snapshot.path).name
    if not STAMP.fullmatch(name.rpartition(".backup-")[2]) or "\0" in name:
        raise TargetError(f"{name} is not what a run calls a copy of the source")
    return name


def _holds(path: Path, recorded: Artefact) -> bool:
    """Whether a file is, byte for byte, the one that was recorded."""
    if not is_regular(path) or path.stat().st_size != recorded.bytes:
        return False
    try:
        return locks.sha256(path) == recorded.sha256
    except OSError:
        return False


def _leftover(path: Path, kind: str, state: State = "here") -> Leftover:
    facts = path.lstat()
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    size = facts.st_size if not path.is_dir() else sum(p.lstat().st_size for p in inside)
    return Leftover(path, kind, size, facts.st_mtime, state)
