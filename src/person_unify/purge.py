"""Purge: what runs leave behind and nobody needs for ever, listed and removed.

All of it holds personal data: the copies of source and target, the directory of a run that died,
ledgers of runs that were rolled back, what commands that were killed worked on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from person_unify import custody
from person_unify.copies import SIDE_FILES
from person_unify.errors import TargetError
from person_unify.files.private import abandoned, temporary_root
from person_unify.recorded import recorded_artefacts
from person_unify.rollback import ROLLED_BACK
from person_unify.rundir import RunDirectory, run_directory
from person_unify.stages.publish import (
    checkpoints_path,
    evidence_of,
    ledger_path,
    page_path,
    report_path,
)
from person_unify.stages.snapshot import UNFINISHED
from person_unify.unfinished import discard, is_over


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or directory of a run: what it is, its bytes, and when it was last written (s)."""

    path: Path
    kind: str
    bytes: int
    modified: float


def leftovers(target: Path, *, with_ledger: bool = False) -> list[Leftover]:
    """What the runs into ``target`` left behind; the ledger and its report only if asked for.

    The target itself is never among it.  Raises :class:`TargetError` while a run is under way, and
    for one that is complete but for its last steps, which are to be finished first.
    """
    ledger = ledger_path(target)
    found: dict[Path, str] = {}
    for path, kind in (*_of_a_dead_run(target), *_of_finished_runs(target, ledger)):
        found.setdefault(path.absolute(), kind)
    for root in dict.fromkeys((target.parent.absolute(), temporary_root())):
        found.update((path, "working files of a killed command") for path in abandoned(root))
    if with_ledger:
        found.update((path.absolute(), "report") for path in evidence_of(target))
        found[ledger.absolute()] = "ledger"
    return [_leftover(path, kind) for path, kind in found.items() if os.path.lexists(path)]


def purge(target: Path, found: Iterable[Leftover]) -> None:
    """Remove them for good; an unfinished run is discarded as ``migrate --fresh`` does it."""
    for leftover in found:
        path = leftover.path
        if path == run_directory(target).absolute():
            _discard(target)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        custody.sync(path.parent)


def _of_a_dead_run(target: Path) -> Iterator[tuple[Path, str]]:
    if not run_directory(target).exists():
        return
    directory = RunDirectory.claim(target)
    try:
        facts = directory.facts()
        over = facts is not None and is_over(directory, facts)
    finally:
        directory.leave()
    if over:
        raise TargetError(
            f"the run into {target} only lacks its last steps: finish it with migrate --resume"
        )
    yield run_directory(target), "unfinished run"
    if facts is not None:
        yield checkpoints_path(target), "checkpoints of an unfinished run"
        yield from _copy_of_the_source(Path(facts.snapshot))


def _discard(target: Path) -> None:
    directory = RunDirectory.claim(target)
    facts = directory.facts()
    if facts is not None:
        discard(directory, facts)
    directory.remove()


def _of_finished_runs(target: Path, ledger: Path) -> Iterator[tuple[Path, str]]:
    aside = _beside(ledger, ROLLED_BACK)
    for book in (ledger, *aside):
        artefacts = recorded_artefacts(book) or {}
        if "snapshot" in artefacts:
            yield from _copy_of_the_source(Path(artefacts["snapshot"].path))
        if "pre_migration" in artefacts:
            yield Path(artefacts["pre_migration"].path), "target before the run"
    for path in _beside(target, ".pre-migration-"):
        yield path, "target before the run"
    for path in _beside(target, ROLLED_BACK):
        yield path, "target that was rolled back"
    for book in aside:
        moment = book.name.rpartition(ROLLED_BACK)[2]
        for place in (report_path, page_path, checkpoints_path):
            name = f"{place(target).name}{ROLLED_BACK}{moment}"
            yield target.with_name(name), "report of a run rolled back"
        yield book, "ledger of a run rolled back"


def _copy_of_the_source(path: Path) -> Iterator[tuple[Path, str]]:
    yield path, "copy of the source"
    for suffix in ("", *SIDE_FILES):
        yield path.with_name(path.name + UNFINISHED + suffix), "unfinished copy of the source"


def _beside(path: Path, infix: str) -> list[Path]:
    """The files beside ``path`` whose names go on with ``infix`` after its own, oldest first."""
    return sorted(p for p in path.parent.iterdir() if p.name.startswith(path.name + infix))


def _leftover(path: Path, kind: str) -> Leftover:
    facts = path.lstat()
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    size = facts.st_size if not path.is_dir() else sum(p.lstat().st_size for p in inside)
    return Leftover(path, kind, size, facts.st_mtime)
