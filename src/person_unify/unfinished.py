"""A run that was stopped: whether it can go on, and how to get rid of it.

How far it came is read from its files, not from what was last written about it: a kill may come
between a commit or a link and the note that it happened.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from person_unify import __version__, custody
from person_unify.copies import SIDE_FILES
from person_unify.database import Database
from person_unify.errors import (
    DatabaseLocked,
    DiskError,
    MigrationError,
    SourceError,
    TargetError,
)
from person_unify.options import MigrateOptions
from person_unify.recorded import recorded_run_id
from person_unify.rundir import ENDED, Facts, RunDirectory
from person_unify.stages.publish import checkpoints_path, ledger_path
from person_unify.stages.snapshot import (
    UNFINISHED,
    Snapshot,
    changed_since,
    sha256_now,
    stamp,
)

STAGED_TARGET, STAGED_LEDGER = "target.db", "ledger.db"

_MENDED_BY_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def take_up(
    directory: RunDirectory,
    options: MigrateOptions,
    deciding: Mapping[str, str | int | bool | None],
) -> Facts | None:
    """The unfinished run to go on with; None to begin anew, with nothing left of an earlier one.

    deciding: the choices that the result depends on.

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
    over = is_over(directory, facts)
    if over and ENDED in facts.phases and not options.resume:
        directory.forget()
        return None
    if options.fresh:
        if over:
            raise TargetError(
                f"{options.target} is filled and verified by an earlier run, which only lacks its "
                "last steps: pass --resume to finish it"
            )
        discard(directory, facts)
        return None
    if not options.resume:
        raise TargetError(
            f"an unfinished run into {options.target} of {facts.moment:%Y-%m-%d %H:%M:%S} UTC was "
            "found: pass --resume to go on with it, or --fresh to discard it and start anew"
        )
    if not over:
        _require_same(facts, options, deciding)
    return facts


def is_over(directory: RunDirectory, facts: Facts) -> bool:
    """Whether the target holds the verified rows for good, whatever else is missing."""
    if not is_committed(directory, facts):
        return False
    staged = directory.path / STAGED_TARGET
    target = Path(facts.target)
    if facts.in_place:
        return True
    return target.exists() and (not staged.exists() or custody.alike(staged, target))


def is_committed(directory: RunDirectory, facts: Facts) -> bool:
    """Whether the run got as far as its last commit; undoes what a kill before it left half done.

    Raises :class:`TargetError` when an in-place target is in use by another program.
    """
    target = Path(facts.target)
    if facts.in_place and target.with_name(f"{target.name}-journal").exists():
        try:
            with Database(target) as database:
                database.value("SELECT count(*) FROM sqlite_master")
        except DatabaseLocked as error:
            raise TargetError(
                f"{target} is in use by another program: stop it and run again"
            ) from error
    return ledger_of(directory, facts) is not None


def ledger_of(directory: RunDirectory, facts: Facts) -> Path | None:
    """The run's complete ledger, staged or published; None before the last commit."""
    for path in (directory.path / STAGED_LEDGER, ledger_path(Path(facts.target))):
        if recorded_run_id(path) == facts.id:
            return path
    return None


def discard(directory: RunDirectory, facts: Facts) -> None:
    """Remove what a run that is not over has made: its ledger, copies, checkpoints and staging."""
    target = Path(facts.target)
    published = ledger_path(target)
    is_committed(directory, facts)
    if recorded_run_id(published) == facts.id:
        published.unlink()
    remove_snapshot(facts)
    target_backup(target, facts).unlink(missing_ok=True)
    if facts.snapshot_sha256 is not None:  # until then the file is of another run
        checkpoints_path(target).unlink(missing_ok=True)
    directory.forget()


def target_backup(target: Path, facts: Facts) -> Path:
    """Where the copy of an in-place target, as it was before the run, is going to stand."""
    return target.with_name(f"{target.name}.pre-migration-{stamp(facts.moment)}")


def snapshot_of(facts: Facts, options: MigrateOptions) -> Path:
    """The run's copy of the source, as the operator would name it from where they stand."""
    absolute = Path(facts.snapshot)
    named = (options.backup_dir or options.source.parent) / absolute.name
    return named if named.absolute() == absolute else absolute


def require_snapshot(facts: Facts) -> None:
    """Refuse to go on without the copy of the source, byte for byte as it was taken."""
    if sha256_now(Path(facts.snapshot)) != facts.snapshot_sha256:
        raise SourceError(
            f"{facts.snapshot}, the unfinished run's copy of the source, is gone or was changed: "
            "pass --fresh to start anew"
        )


def remove_snapshot(facts: Facts) -> None:
    """Remove the run's copy of the source, complete or not."""
    path = Path(facts.snapshot)
    for name in (path.name, *(f"{path.name}{UNFINISHED}{side}" for side in ("", *SIDE_FILES))):
        path.with_name(name).unlink(missing_ok=True)


def can_be_resumed(error: BaseException) -> bool:
    """Whether what stopped a run may be gone when the operator starts it again.

    So it is with an interrupt and with a disk that is full or fails; every other error would come
    back.
    """
    if isinstance(error, KeyboardInterrupt | MemoryError | DiskError):
        return True
    if isinstance(error, OSError) and error.errno in _MENDED_BY_SPACE:
        return True
    return isinstance(error, MigrationError) and (
        error.__cause__ is not None and can_be_resumed(error.__cause__)
    )


def _require_same(
    facts: Facts, options: MigrateOptions, deciding: Mapping[str, str | int | bool | None]
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
    before = Snapshot(
        Path(facts.snapshot), facts.source_bytes, facts.source_sha256, facts.source_log_sha256
    )
    if facts.source_sha256 and changed_since(before, options.source, sha256_now(options.source)):
        raise SourceError(f"{options.source} has changed since the unfinished run began{begin}")
