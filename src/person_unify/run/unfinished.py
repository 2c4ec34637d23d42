"""A run that was stopped: whether it can go on, and how to get rid of it.

How far it came is read from its files, not from what was last written about it: a kill may come
between a commit or a link and the note that it happened.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from person_unify import __version__
from person_unify.background import over_within
from person_unify.errors import (
    DiskError,
    MigrationError,
    SourceError,
    TargetError,
    TargetInUse,
)
from person_unify.evidence.recorded import recorded_run_id
from person_unify.files import locks
from person_unify.files.copies import Exclusive
from person_unify.files.header import fingerprint
from person_unify.files.names import stamp
from person_unify.files.new import is_rewritten
from person_unify.options import MigrateOptions
from person_unify.progress import Note, Progress
from person_unify.run import staged
from person_unify.run.directory import ENDED, FACTS, Facts, RunDirectory, holder, run_directory
from person_unify.stages.publish import PRE_MIGRATION, checkpoints_path, is_put_back, ledger_path
from person_unify.stages.snapshot import has_changed, sha256_now

_MENDED_BY_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


State = Literal["under way", "stopped", "finished", "none"]


def state_of(target: Path) -> State:
    """How far a run into a target is, as its run directory and its ledger tell."""
    if holder(target) is not None:
        return "under way"
    if (run_directory(target) / FACTS).exists():
        return "stopped"
    return "finished" if ledger_path(target).exists() else "none"


def take_up(
    directory: RunDirectory,
    options: MigrateOptions,
    deciding: Mapping[str, str | int | bool | None],
    progress: Progress,
) -> Facts | None:
    """The unfinished run to go on with; None to begin anew, with nothing left of an earlier one.

    deciding: the choices that the result depends on.  What has the place of the earlier run's copy
    and is not provably that is left, and named to ``progress``.

    Raises :class:`TargetError` or :class:`SourceError` where the operator must decide, or where
    the run cannot go on; the message names the way out.
    """
    try:
        facts = directory.facts()
    except TargetError:
        if not options.fresh:
            raise
        facts = None
    if facts is None:
        directory.clear()
        return None
    over = is_over(directory, facts, options.busy_timeout)
    if over and ENDED in facts.phases and not options.resume:
        directory.forget()
        return None
    if options.fresh:
        if over:
            raise TargetError(
                f"{options.target} is filled and verified by an earlier run, which only lacks its "
                "last steps: pass --resume to finish it"
            )
        left = None if discard(directory, facts) else directory.unproven(facts)
        if left is not None:
            said = "is not provably the copy of the source that the discarded run took, and stays"
            progress(Note(f"{left} {said}"))
        return None
    if not options.resume:
        raise TargetError(
            f"an unfinished run into {options.target} of {facts.moment:%Y-%m-%d %H:%M:%S} UTC was "
            "found: pass --resume to go on with it, or --fresh to discard it and start anew"
        )
    if not over:
        _require_same(directory, facts, options, deciding)
    return facts


def is_over(directory: RunDirectory, facts: Facts, wait: float = 5.0) -> bool:
    """Whether the target holds the verified rows for good, whatever else is missing.

    Of a target in place SQLite then has undone what a kill left half done.  Raises
    :class:`TargetInUse` when another program has it locked for more than ``wait`` seconds.
    """
    if not is_verified(directory, facts):
        return False
    filled = directory.path / staged.TARGET
    target = directory.target
    if facts.in_place:
        begun = "verify" in facts.phases
        return begun and target.exists() and is_put_back(filled, target, wait)
    return target.exists() and locks.alike(filled, target)


def is_verified(directory: RunDirectory, facts: Facts) -> bool:
    """Whether the run got as far as recording in its ledger that everything is verified."""
    return recorded_run_id(directory.path / staged.LEDGER) == facts.id


def discard(directory: RunDirectory, facts: Facts) -> bool:
    """Remove what a run that is not over has made: its ledger, copies, checkpoints and staging.

    A file that has its name already goes only if it is the one that still is staged.  Returns
    whether the run's own copy of the source was among it.
    """
    target = directory.target
    for name, final in (
        (staged.LEDGER, ledger_path(target)),
        (staged.BEFORE, target_backup(target, facts)),
    ):
        made = directory.path / name
        if made.is_file() and final.is_file() and locks.alike(made, final):
            final.unlink()
    had_copy = directory.remove_snapshot(facts)
    shown = checkpoints_path(target)
    if is_rewritten(shown, directory.path / staged.CHECKPOINTS):
        shown.unlink()
    directory.forget()
    return had_copy


def target_backup(target: Path, facts: Facts) -> Path:
    """Where the copy of an in-place target, as it was before the run, is going to stand."""
    return target.with_name(f"{target.name}{PRE_MIGRATION}{stamp(facts.moment)}")


def copy_target(directory: RunDirectory, facts: Facts, wait: float) -> str:
    """Copy a target that is there into the run directory; returns the copy's SHA-256.

    Raises :class:`TargetInUse` when another program has it locked for more than ``wait`` seconds.
    """
    copy = directory.path / staged.BEFORE
    copy.unlink(missing_ok=True)  # an attempt may have died here
    with Exclusive(directory.target, wait, alone=False) as held:
        return held.copy(copy)


def require_copies(directory: RunDirectory, facts: Facts) -> Path:
    """The copy of the source, where it and that of the target are as they were taken.

    Raises :class:`SourceError` or :class:`TargetError` where one is gone or was changed.
    """
    copied = directory.path / staged.BEFORE
    if facts.in_place and sha256_now(copied) != facts.target_sha256:
        raise TargetError(
            f"{copied}, the unfinished run's copy of the target, is gone or was changed: pass "
            "--fresh to start anew"
        )
    path = directory.readable_snapshot(facts)
    if path is None:
        raise SourceError(
            f"{facts.snapshot}, the unfinished run's copy of the source, is gone or was changed: "
            "pass --fresh to start anew"
        )
    return path


def stop(directory: RunDirectory, facts: Facts, error: BaseException) -> None:
    """Leave what can be resumed, and say so in a note of what stopped the run; remove all else."""
    kept = directory.facts()
    # A thread that still reads comes before the commit, and what it reads is not to be touched.
    over = kept is not None and over_within(0) and _may_be_over(directory, kept)
    if kept is not None and "snapshot" in kept.phases and (over or _can_be_resumed(error)):
        over = over and not isinstance(error, TargetInUse)
        done = "the target is filled and verified" if over else "what was done is kept"
        error.add_note(f"{done}: run again with --resume" + ("" if over else " or --fresh"))
    else:
        discard(directory, kept or facts)
    directory.leave()


def _may_be_over(directory: RunDirectory, facts: Facts) -> bool:
    try:
        return is_over(directory, facts, wait=0)
    except TargetInUse:
        return True  # nobody can tell


def _can_be_resumed(error: BaseException) -> bool:
    """Whether what stopped a run may be gone when the operator starts it again.

    So it is with an interrupt, with a disk that is full or fails, and with a target that others
    have locked; every other error would come back.
    """
    if isinstance(error, KeyboardInterrupt | MemoryError | DiskError | TargetInUse):
        return True
    if isinstance(error, OSError) and error.errno in _MENDED_BY_SPACE:
        return True
    return isinstance(error, MigrationError) and (
        error.__cause__ is not None and _can_be_resumed(error.__cause__)
    )


def _require_same(
    directory: RunDirectory,
    facts: Facts,
    options: MigrateOptions,
    deciding: Mapping[str, str | int | bool | None],
) -> None:
    """Refuse to go on where the result would not be that of one uninterrupted run."""
    begin = "; pass --fresh to discard the unfinished run and start anew"
    if facts.tool_version != __version__:
        raise TargetError(
            f"the unfinished run is of version {facts.tool_version} and this is {__version__}: "
            f"finish it with that version{begin}"
        )
    changed = [
        name
        for name in sorted({*deciding, *facts.options})
        if facts.options.get(name) != deciding.get(name)
    ]
    if changed:
        raise TargetError(
            f"the unfinished run has another {', '.join(changed)}: give the same options{begin}"
        )
    if not facts.in_place and options.target.exists():
        raise TargetError(
            f"{options.target} appeared since the unfinished run began: move it away{begin}"
        )
    if facts.in_place and not options.target.exists():
        raise TargetError(f"{options.target}, which the unfinished run fills, is gone{begin}")
    copied = directory.path / staged.BEFORE
    # Where no digest is noted, a kill may have left half a copy, which is taken anew.
    taken = facts.target_sha256 is not None and copied.exists()
    if taken and fingerprint(copied) != fingerprint(options.target):
        raise TargetError(f"{options.target} has changed since the unfinished run began{begin}")
    source, digest = options.source, facts.source_sha256
    if digest and has_changed(source, sha256_now(source), digest, facts.source_log_sha256):
        raise SourceError(f"{options.source} has changed since the unfinished run began{begin}")
