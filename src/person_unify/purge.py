"""Purge: what runs leave behind and nobody needs for ever, listed and removed.

All of it holds personal data: the copies of source and target, the directory of a run that died,
ledgers of runs that were rolled back, temporary snapshots of dead processes.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from person_unify import custody
from person_unify.copies import SIDE_FILES
from person_unify.errors import TargetError
from person_unify.recorded import recorded_artefacts
from person_unify.rollback import ROLLED_BACK, reports_of
from person_unify.rundir import is_running, run_directory
from person_unify.stages.publish import (
    CHECKPOINTS_NAME,
    REPORT_NAME,
    ledger_path,
    texts,
)
from person_unify.stages.snapshot import TEMPORARY_PREFIX, UNFINISHED

_SNAPSHOT = re.compile(r"\.backup-\d{8}T\d{6}\.\d{6}Z$")


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
    when the ledger of a filled target stands in the directory of a run that died.
    """
    ledger, directory = ledger_path(target), run_directory(target)
    if is_running(directory):
        raise TargetError(f"a run into {target} is under way: wait for its end")
    if not ledger.exists() and "pre_migration" in (
        recorded_artefacts(directory / "ledger.db") or ()
    ):
        raise TargetError(
            f"{target} is filled and its ledger is still in {directory}: finish the run with "
            "migrate --resume first"
        )
    found: dict[Path, str] = {}
    for path, kind in _candidates(target, ledger, directory):
        found.setdefault(path.absolute(), kind)
    if with_ledger:
        found[ledger.absolute()] = "ledger"
        found.update((path.absolute(), "report") for path in reports_of(target))
    return [_leftover(path, kind) for path, kind in found.items() if os.path.lexists(path)]


def purge(found: Iterable[Leftover]) -> None:
    """Remove them for good."""
    for leftover in found:
        path = leftover.path
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        custody.sync(path.parent)


def _candidates(target: Path, ledger: Path, directory: Path) -> Iterator[tuple[Path, str]]:
    aside = _beside(ledger, ROLLED_BACK)
    for text in texts(directory / "run.json"):
        if _SNAPSHOT.search(text):
            yield from _copy_of_the_source(Path(text))
    for book in (ledger, directory / "ledger.db", *aside):
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
        for name in (REPORT_NAME, CHECKPOINTS_NAME):
            yield target.with_name(f"{name}{ROLLED_BACK}{moment}"), "report of a run rolled back"
        yield book, "ledger of a run rolled back"
    yield directory, "unfinished run"
    for path in _abandoned():
        yield path, "temporary copy of a dead process"


def _copy_of_the_source(path: Path) -> Iterator[tuple[Path, str]]:
    yield path, "copy of the source"
    for suffix in ("", *SIDE_FILES):
        yield path.with_name(path.name + UNFINISHED + suffix), "unfinished copy of the source"


def _beside(path: Path, infix: str) -> list[Path]:
    """The files beside ``path`` whose names go on with ``infix`` after its own, oldest first."""
    return sorted(p for p in path.parent.iterdir() if p.name.startswith(path.name + infix))


def _abandoned() -> Iterator[Path]:
    """Our temporary directories whose process is no more."""
    for path in Path(tempfile.gettempdir()).glob(f"{TEMPORARY_PREFIX}*-*"):
        number = path.name.removeprefix(TEMPORARY_PREFIX).partition("-")[0]
        if number.isdecimal() and path.is_dir() and path.stat().st_uid == os.getuid():
            try:
                os.kill(int(number), 0)
            except ProcessLookupError:
                yield path
            except PermissionError:
                continue


def _leftover(path: Path, kind: str) -> Leftover:
    facts = path.lstat()
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    size = facts.st_size if not path.is_dir() else sum(p.lstat().st_size for p in inside)
    return Leftover(path, kind, size, facts.st_mtime)
