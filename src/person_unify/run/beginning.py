"""How a run begins: its facts, drawn before the first write, and the copy of its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

from person_unify import __version__
from person_unify.errors import TargetError
from person_unify.files.names import require_room_for_names, stamp
from person_unify.files.new import rename_to_free
from person_unify.frames.ids import new_seed
from person_unify.options import MigrateOptions
from person_unify.progress import Note
from person_unify.run.clock import Clock
from person_unify.run.directory import Facts, RunDirectory, require_alone, this_machine
from person_unify.run.unfinished import copy_target, require_copies
from person_unify.stages.publish import evidence_of, ledger_path, require_publishable
from person_unify.stages.snapshot import require_space, snapshot_path, take


def new_run(options: MigrateOptions, deciding: Mapping[str, str | int | bool | None]) -> Facts:
    """The facts of a run that begins now; raises where it cannot.

    deciding: the choices that the result depends on.
    """
    source, target = options.source, options.target
    require_alone(target)
    exists = require_publishable(target, ledger_path(target))
    if exists and options.for_postgresql:
        raise TargetError(
            f"{target} exists, and what is made for PostgreSQL is a new file: give a path that "
            "does not exist yet"
        )
    backups = backups_of(options)
    size = source.stat().st_size
    require_space(backups, size, "the backup")
    require_room_for_names(backups / source.name)
    require_space(target.parent, (3 if exists else 2) * size, "the migration")
    moment = datetime.now(UTC)
    # What tells of a run whose target and ledger are gone stands beside what this one tells.
    for path in evidence_of(target):
        rename_to_free(path, path.with_name(f"{path.name}.earlier-{stamp(moment)}"))
    return Facts(
        id=str(uuid4()),
        tool_version=__version__,
        moment=moment,
        seed=new_seed().hex(),
        source=str(source.absolute()),
        target=str(target.absolute()),
        in_place=exists,
        options=dict(deciding),
        machine=this_machine(),
        snapshot=str(snapshot_path(source, backups, moment).absolute()),
    )


def backups_of(options: MigrateOptions) -> Path:
    """The directory for the copy of the source, as the operator names it."""
    return options.backup_dir or options.source.parent


def with_snapshot(
    options: MigrateOptions, directory: RunDirectory, facts: Facts, clock: Clock
) -> Facts:
    """Take the run's copy of the source, or find the one that a stopped attempt took."""
    if "snapshot" not in facts.phases:
        return _taken(options, directory, facts, clock)
    path = require_copies(directory, facts)
    facts = directory.adopt(facts, path, directory.snapshot(facts), facts.snapshot_sha256)
    clock.add("snapshot", 0, 0.0)
    clock.done("snapshot")
    return facts


def snapshot_of(facts: Facts, options: MigrateOptions) -> Path:
    """The run's copy of the source, as the operator would name it from where they stand."""
    absolute = Path(facts.snapshot)
    named = backups_of(options) / absolute.name
    return named if named.absolute() == absolute else absolute


def _taken(options: MigrateOptions, directory: RunDirectory, facts: Facts, clock: Clock) -> Facts:
    """Take the run's copy of the source; which file it is is known before it has its name."""
    directory.remove_snapshot(facts)
    backups = backups_of(options)
    path = snapshot_path(options.source, backups, facts.moment)
    facts = directory.adopt(facts, path)
    before = None
    with clock.phase("snapshot"):
        if facts.in_place:
            before = copy_target(directory, facts, options.busy_timeout)
        taken = take(
            options.source,
            backups,
            facts.moment,
            options.busy_timeout,
            before_naming=partial(directory.adopt, facts, path),
        )
    if taken.note is not None:
        clock.progress(Note(taken.note))
    facts = replace(
        directory.adopt(facts, path, path, taken.sha256),
        source_bytes=taken.source_bytes,
        source_sha256=taken.source_sha256,
        source_log_sha256=taken.log_sha256,
        target_sha256=before,
    )
    return directory.done(facts, "snapshot")
