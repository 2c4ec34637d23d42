"""The story in order: snapshot, extract, resolve, transform, load, verify, publish.

:func:`migrate` is the whole of it, :func:`check` goes as far as transform and writes nothing,
:func:`verify` proves a finished migration again from the files alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import polars as pl

from person_unify import __version__
from person_unify.background import prefetch
from person_unify.errors import TargetError, UsageError
from person_unify.evidence.checkpoints import Checkpoints
from person_unify.evidence.lineage import lineage
from person_unify.evidence.recorded import recorded_run, source_check
from person_unify.files import locks, private_directory
from person_unify.files.database import Database
from person_unify.files.new import require_hard_links
from person_unify.files.private import temporary_files_in
from person_unify.frames.decisions import Decisions, read_decisions
from person_unify.frames.ids import FreshIds
from person_unify.frames.model import Outcome
from person_unify.frames.registry import Registry
from person_unify.frames.timezones import zone
from person_unify.mappings.bind import Plan, bind
from person_unify.mappings.known import unified_tables
from person_unify.options import POSTGRESQL, CheckOptions, MigrateOptions
from person_unify.progress import Note, Planned, Progress, one_at_a_time, silent
from person_unify.report import FileFacts, Report
from person_unify.run import staged
from person_unify.run.acceptance import run_checks
from person_unify.run.beginning import backups_of, new_run, snapshot_of, with_snapshot
from person_unify.run.budget import budget_of
from person_unify.run.clock import Clock, now_ms
from person_unify.run.counts import Counts, count_decisions
from person_unify.run.directory import Facts, RunDirectory
from person_unify.run.earlier import Earlier, read_earlier
from person_unify.run.migration import Migration
from person_unify.run.preflight import (
    failed_migrations,
    for_postgresql,
    must_relax_unique,
    planned,
    require_empty,
    require_persons,
    require_text_paths,
    require_two_files,
    schema_of,
    with_demands,
)
from person_unify.run.stream import Stream
from person_unify.run.unfinished import stop, take_up
from person_unify.schema import UNIFIED, Schema
from person_unify.stages.extract import Extractor
from person_unify.stages.load import opened_to_verify
from person_unify.stages.publish import (
    checkpoints_path,
    finished_ledger,
    ledger_path,
    require_directory,
    require_publishable,
    require_room_for_its_files,
)
from person_unify.stages.resolve import Resolution
from person_unify.stages.snapshot import (
    Snapshot,
    require_file,
    take,
)
from person_unify.stages.transform import Options
from person_unify.stages.verify import Files

__all__ = [
    "CheckOptions",
    "MigrateOptions",
    "Witness",
    "check",
    "lineage_of_source",
    "migrate",
    "verify",
]

Witness: TypeAlias = Callable[[Plan | Resolution | Outcome], None]
"""Sees what a check makes and would otherwise only count: the plan, then frames as they come."""


def migrate(options: MigrateOptions, progress: Progress = silent) -> Report:
    """Migrate a whole database; either target, ledger and report appear, or nothing changes.

    Raises a :class:`MigrationError` of the kind its tree describes; the source is never written.
    What an interrupt or a full disk stops is kept beside the target, to go on with; an error's
    notes say so.
    """
    if options.resume and options.fresh:
        raise UsageError("--resume and --fresh exclude each other: give one of them")
    zone(options.timezone)  # refuses an unknown one
    require_text_paths(options.source, options.target, options.backup_dir)
    require_file(options.source)
    require_two_files(options.source, options.target)
    require_directory(options.target)
    require_room_for_its_files(options.target)
    decisions = _decisions(options.decisions)
    earlier = read_earlier(options.ids_from)
    deciding = {**options.deciding(), **decisions.recorded(), **earlier.recorded()}
    directory = RunDirectory.claim(options.target, [backups_of(options)])
    try:
        facts = take_up(directory, options, deciding, progress) or new_run(options, deciding)
        require_hard_links(directory.path)
    except BaseException:
        directory.leave()
        raise
    try:
        with temporary_files_in(directory.path), one_at_a_time(progress) as told:
            report = _carry_out(options, (decisions, earlier), directory, facts, told)
    except BaseException as error:
        stop(directory, facts, error)
        raise
    try:
        directory.end()
    except KeyboardInterrupt as error:
        error.add_note("the migration is complete")
        raise
    except OSError as error:
        left = f"{directory.path} could not be removed: {error.strerror}"
        progress(Note(f"{left}; the next call of migrate or purge does it"))
    return report


def _carry_out(
    options: MigrateOptions,
    given: tuple[Decisions, Earlier],
    directory: RunDirectory,
    facts: Facts,
    progress: Progress,
) -> Report:
    shown = checkpoints_path(options.target), directory.path / staged.CHECKPOINTS
    clock = Clock(progress, checkpoints=Checkpoints(shown))
    facts = with_snapshot(options, directory, facts, clock)
    snapshot = snapshot_of(facts, options)
    report = Migration(options, snapshot, directory, facts, clock, *given).carry_out()
    if not options.keep_backup:
        directory.remove_snapshot(facts)
    return report


def _unseen(found: Plan | Resolution | Outcome) -> None:
    """A witness who keeps nothing."""


def check(options: CheckOptions, progress: Progress = silent, witness: Witness = _unseen) -> Report:
    """Say what a migration would do: counts, drift and discrepancies; no file is kept."""
    zone(options.timezone)  # refuses an unknown one
    require_text_paths(options.source, options.target)
    require_file(options.source)
    if options.target is not None:
        require_two_files(options.source, options.target)
        require_publishable(options.target, ledger_path(options.target))
    decisions = _decisions(options.decisions)
    moment = datetime.now(UTC)
    with private_directory() as temporary, one_at_a_time(progress) as told:
        clock = Clock(told)
        with clock.phase("snapshot"):
            snapshot = take(options.source, temporary, moment)
        extractor = Extractor(snapshot.path, without_nul=options.for_postgresql)
        plan, schema, failed = _plan(extractor, options)
        run_time = int(moment.timestamp() * 1000)
        chosen = Options(run_time, options.timezone, options.implied_grants)
        registry = Registry(FreshIds(run_time))
        budget = budget_of(options.memory)
        stream = Stream(extractor, plan, chosen, clock, registry, decisions, budget)
        counts = Counts(plan)
        witness(plan)
        resolution = _gone_through(stream, schema, counts, witness)
    people = {**resolution.counts, "implied": resolution.implied.height}
    report = Report(
        tool_version=__version__,
        command="check",
        started_ms=run_time,
        finished_ms=now_ms(),
        source=_facts(options.source, snapshot),
        target=None,
        ledger=None,
        outcome="checked, nothing written",
        options={
            "timezone": options.timezone,
            "implied_grants": options.implied_grants,
            **({"for": POSTGRESQL} if options.for_postgresql else {}),
            **decisions.recorded(),
        },
        phases=clock.timings(),
        decisions=count_decisions(resolution.decisions),
        failed_migrations=failed,
    )
    return counts.told_in(report, people, counts.rows)


def _plan(extractor: Extractor, options: CheckOptions) -> tuple[Plan, Schema, tuple[str, ...]]:
    """The plan, the target's schema, and the migrations of Prisma's that failed in the target."""
    schema = schema_of(options.target)
    if options.for_postgresql:
        schema = for_postgresql(schema)
    plan = planned(extractor, schema)
    if not options.allow_empty:
        require_persons(extractor, plan)
    if options.target is None or not options.target.exists():
        return plan, schema, ()
    with Database(options.target, read_only=True) as database:
        require_empty(database, plan)
        return with_demands(plan, database), schema, failed_migrations(database)


def _gone_through(stream: Stream, schema: Schema, counts: Counts, witness: Witness) -> Resolution:
    """Pull all outcomes, count them and show them to the witness; returns the persons'."""

    def see(outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            counts.add(outcome)
            witness(outcome)

    see(made.taken(stream.clock) for made in prefetch(stream.first()))
    resolution = stream.people()
    must_relax_unique(resolution, schema, relax=False)
    see(made.taken(stream.clock) for made in prefetch(stream.represented(resolution.outcomes)))
    witness(resolution)
    see(made.taken(stream.clock) for made in prefetch(stream.rest()))
    counts.say(resolution.discrepancies)
    counts.rows["access_grants"] += resolution.implied.height
    for phase in stream.phases:
        stream.clock.done(phase)
    return resolution


def verify(
    source: Path,
    target: Path,
    progress: Progress = silent,
    ids_from: Path | None = None,
    ledger: Path | None = None,
) -> Report:
    """Prove a finished migration again, from source, target and ledger alone (section 10).

    ids_from: the ledger of the run whose ids this one kept, to have that proved too.  ledger: the
    run's own, where it does not stand beside the target.
    """
    require_text_paths(source, target)
    require_file(source)
    ledger = ledger or finished_ledger(target, "verify", source)
    earlier = read_earlier(ids_from)
    moment = datetime.now(UTC)
    with private_directory() as temporary, one_at_a_time(progress) as told:
        clock = Clock(told)
        with clock.phase("snapshot"):
            snapshot = take(source, temporary, moment)
        extractor = Extractor(snapshot.path)
        with clock.phase("verify"):
            with opened_to_verify(target, ledger, snapshot.path) as database:
                run = recorded_run(database, ledger)
                if earlier.digest not in (None, run.options.ids_from):
                    raise TargetError(
                        f"{ids_from} is not the ledger whose ids the run into {target} kept: give "
                        "the one that migrate was given, unchanged"
                    )
                plan = bind(extractor.tables, unified_tables(database), extractor.has_rows)
            names = {*(b.name for b in plan.bound), *(t.name for t in plan.unmapped)}
            told(Planned(0, len(names), ("verify",)))
            files = Files(snapshot.path, target, ledger, False, earlier.ledger)
            checks = [
                source_check(run, snapshot.source_sha256),
                *run_checks(files, plan, run.options, told),
            ]
    failed = [c for c in checks if c.outcome in ("failed", "error")]
    return Report(
        tool_version=__version__,
        command="verify",
        started_ms=int(moment.timestamp() * 1000),
        finished_ms=now_ms(),
        source=_facts(source, snapshot),
        target=FileFacts(str(target), target.stat().st_size, locks.sha256(target)),
        ledger=str(ledger),
        outcome="NOT VERIFIED" if failed else "verified",
        phases=clock.timings(),
        drift=plan.notes,
        verification=tuple(checks),
    )


def lineage_of_source(source: Path) -> pl.DataFrame:
    """The lineage that a migration of this old database would record; nothing is kept.

    Columns as of :func:`person_unify.evidence.lineage.lineage`.
    """
    require_file(source)
    with private_directory() as temporary:
        snapshot = take(source, temporary, datetime.now(UTC))
        extractor = Extractor(snapshot.path)
        plan = planned(extractor, UNIFIED)
    return lineage(plan)


def _decisions(path: Path | None) -> Decisions:
    return Decisions() if path is None else read_decisions(path)


def _facts(source: Path, snapshot: Snapshot) -> FileFacts:
    return FileFacts(str(source), snapshot.source_bytes, snapshot.source_sha256)
