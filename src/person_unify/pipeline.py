"""The story in order: snapshot, extract, resolve, transform, load, verify, publish.

:func:`migrate` is the whole of it, :func:`check` goes as far as transform and writes nothing,
:func:`verify` proves a finished migration again from the files alone.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from person_unify import __version__
from person_unify.clock import Clock, now_ms
from person_unify.database import Database, inspect
from person_unify.decisions import Decisions, read_decisions
from person_unify.errors import MigrationError, TargetError
from person_unify.lineage import lines
from person_unify.mappings.bind import bind
from person_unify.migration import Migration, run_checks
from person_unify.options import CheckOptions, MigrateOptions
from person_unify.preflight import (
    must_relax_unique,
    require_empty,
    require_key_columns,
    require_room_to_archive,
    require_timezone,
    require_two_files,
    require_unique_columns,
    schema_of,
)
from person_unify.progress import Progress, silent
from person_unify.recorded import recorded_run, source_check
from person_unify.report import FileFacts, Report
from person_unify.stages.extract import Extractor
from person_unify.stages.load import attach_for_verification
from person_unify.stages.publish import ledger_path, require_publishable
from person_unify.stages.snapshot import Snapshot, require_file, require_space, sha256, take
from person_unify.stages.transform import Options
from person_unify.stream import Stream
from person_unify.tally import Tally, count_decisions

__all__ = ["CheckOptions", "MigrateOptions", "check", "migrate", "verify"]


def migrate(options: MigrateOptions, progress: Progress = silent) -> Report:
    """Migrate a whole database; either target, ledger and report appear, or nothing changes.

    Raises a :class:`MigrationError` of the kind its tree describes; the source is never written.
    """
    require_timezone(options.timezone)
    source, target = options.source, options.target
    require_file(source)
    require_two_files(source, target)
    exists = require_publishable(target, ledger_path(target))
    backups = options.backup_dir or source.parent
    size = source.stat().st_size
    require_space(backups, size, "the backup")
    require_space(target.parent, 2 * size, "the migration")
    decisions = _decisions(options.decisions)
    moment = datetime.now(UTC)
    clock = Clock(progress)
    with _staging(target) as staging:
        with clock.phase("snapshot"):
            snapshot = take(source, backups, moment)
        try:
            report = Migration(
                options, snapshot, staging, exists, moment, clock, decisions
            ).carry_out()
        except BaseException:
            snapshot.path.unlink(missing_ok=True)
            raise
        if not options.keep_backup:
            snapshot.path.unlink()
    return report


def check(options: CheckOptions, progress: Progress = silent) -> Report:
    """Say what a migration would do: counts, drift and discrepancies; nothing is kept."""
    require_timezone(options.timezone)
    require_file(options.source)
    if options.target is not None:
        require_two_files(options.source, options.target)
        require_publishable(options.target, ledger_path(options.target))
    decisions = _decisions(options.decisions)
    clock = Clock(progress)
    moment = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="person-unify-") as temporary:
        with clock.phase("snapshot"):
            snapshot = take(options.source, Path(temporary), moment)
        extractor = Extractor(snapshot.path)
        schema = schema_of(options.target)
        plan = bind(extractor.tables, schema, extractor.has_rows)
        require_room_to_archive(plan)
        require_key_columns(plan, extractor)
        require_unique_columns(plan, extractor)
        if options.target is not None and options.target.exists():
            with Database(options.target, read_only=True) as database:
                require_empty(database, plan)
        run_time = int(moment.timestamp() * 1000)
        chosen = Options(run_time, options.timezone, options.implied_grants)
        stream = Stream(extractor, plan, chosen, clock, decisions)
        tally = Tally(plan)
        opening, resolution = stream.opening()
        must_relax_unique(resolution, schema, relax=False)
        for outcome in opening:
            tally.add(outcome)
        tally.say(resolution.discrepancies)
        tally.rows["access_grants"] += resolution.implied.height
        for outcome in stream.rest():
            tally.add(outcome)
    counts = {**resolution.counts, "implied": resolution.implied.height}
    return Report(
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
            **decisions.recorded(),
        },
        phases=clock.timings(),
        tables=tuple(tally.tables),
        equations=tally.equations(counts, tally.rows),
        discrepancies=tally.discrepancies(),
        decisions=count_decisions(resolution.decisions),
        normalisations=tuple(tally.normalisations),
        drift=plan.notes,
        lineage=lines(plan),
    )


def verify(source: Path, target: Path, progress: Progress = silent) -> Report:
    """Prove a finished migration again, from source, target and ledger alone (section 10)."""
    require_file(source)
    ledger = ledger_path(target)
    for path in (target, ledger):
        if not path.is_file():
            raise TargetError(f"{path} does not exist: verify needs the target and its ledger")
    clock = Clock(progress)
    moment = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="person-unify-") as temporary:
        with clock.phase("snapshot"):
            snapshot = take(source, Path(temporary), moment)
        extractor = Extractor(snapshot.path)
        with Database(target, read_only=True) as database, clock.phase("verify"):
            attach_for_verification(database, ledger, snapshot.path)
            run = recorded_run(database)
            plan = bind(extractor.tables, inspect(database), extractor.has_rows)
            checks = [
                source_check(run, snapshot.source_sha256),
                *run_checks(database, plan, run.options, progress),
            ]
    return Report(
        tool_version=__version__,
        command="verify",
        started_ms=int(moment.timestamp() * 1000),
        finished_ms=now_ms(),
        source=_facts(source, snapshot),
        target=FileFacts(str(target), target.stat().st_size, sha256(target)),
        ledger=str(ledger),
        outcome="verified",
        phases=clock.timings(),
        drift=plan.notes,
        verification=tuple(checks),
    )


def _decisions(path: Path | None) -> Decisions:
    return Decisions() if path is None else read_decisions(path)


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A private directory beside the target, gone at the end whatever happens."""
    try:
        path = Path(tempfile.mkdtemp(prefix=f".{target.name}.migrating-", dir=target.parent))
    except OSError as error:
        raise MigrationError(f"cannot write into {target.parent}: {error.strerror}") from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _facts(source: Path, snapshot: Snapshot) -> FileFacts:
    return FileFacts(str(source), snapshot.source_bytes, snapshot.source_sha256)
