"""The story in order: snapshot, extract, resolve, transform, load, verify, publish.

:func:`migrate` is the whole of it, :func:`check` goes as far as transform and writes nothing,
:func:`verify` proves a finished migration again from the files alone.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from uuid import uuid4

from person_unify import __version__
from person_unify.database import Database, inspect
from person_unify.errors import (
    MigrationError,
    SourceError,
    StrictStop,
    TargetError,
    UsageError,
    VerificationFailed,
)
from person_unify.frames import Outcome
from person_unify.ledger import CATALOG, Ledger
from person_unify.lineage import lineage
from person_unify.mappings.bind import Plan, bind
from person_unify.progress import (
    PhaseFinished,
    PhaseStarted,
    Progress,
    TableFinished,
    TableStarted,
    silent,
)
from person_unify.report import CheckResult, FileFacts, PhaseTiming, Report
from person_unify.schema import UNIFIED, Schema, quote
from person_unify.stages.extract import Extractor
from person_unify.stages.load import Loader, attach_for_verification
from person_unify.stages.publish import ledger_path, publish, require_publishable
from person_unify.stages.resolve import Resolution
from person_unify.stages.snapshot import Snapshot, require_file, require_space, sha256, take
from person_unify.stages.transform import Options
from person_unify.stages.verify import VerifyOptions
from person_unify.stages.verify import verify as run_checks
from person_unify.stream import Stopwatch, Stream
from person_unify.tally import Tally

REPORT_NAME = "migration-report.json"


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What ``check`` is asked: the source, a target that may be there already, and the choices."""

    source: Path
    target: Path | None = None
    timezone: str = "Asia/Kolkata"
    implied_grants: str = "active"


@dataclass(frozen=True, slots=True)
class MigrateOptions:
    """What ``migrate`` is asked; ``backup_dir`` None keeps the snapshot beside the source."""

    source: Path
    target: Path
    timezone: str = "Asia/Kolkata"
    implied_grants: str = "active"
    strict: bool = False
    relax_unique: bool = False
    backup_dir: Path | None = None
    keep_backup: bool = True

    def recorded(self) -> dict[str, str | int | bool | None]:
        """The choices as they stand in report and ledger."""
        chosen = asdict(self)
        return {
            name: chosen[name]
            for name in ("timezone", "implied_grants", "strict", "relax_unique", "keep_backup")
        }


@dataclass(slots=True)
class _Clock:
    """Phases as they start and end, on the progress and for the report."""

    progress: Progress
    watch: Stopwatch = field(default_factory=Stopwatch)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time one phase that nothing else interleaves with."""
        self.progress(PhaseStarted(name))
        started = perf_counter()
        yield
        self.watch.add(name, 0, perf_counter() - started)
        self.done(name)

    def done(self, name: str) -> None:
        """Announce the end of a phase with what was added up for it."""
        rows, seconds = self.watch.rows.get(name, 0), self.watch.seconds.get(name, 0.0)
        self.progress(PhaseFinished(name, rows, seconds))

    def timings(self) -> tuple[PhaseTiming, ...]:
        """Rows and seconds per phase, in the order they first ran."""
        return tuple(
            PhaseTiming(name, self.watch.rows[name], seconds)
            for name, seconds in self.watch.seconds.items()
        )


def migrate(options: MigrateOptions, progress: Progress = silent) -> Report:
    """Migrate a whole database; either target, ledger and report appear, or nothing changes.

    Raises a :class:`MigrationError` of the kind its tree describes; the source is never written.
    """
    _require_timezone(options.timezone)
    source, target = options.source, options.target
    require_file(source)
    if target.exists() and source.samefile(target):
        raise UsageError(
            "source and target are the same file: give the new database a path of its own"
        )
    ledger = ledger_path(target)
    exists = require_publishable(target, ledger)
    size = source.stat().st_size
    require_space(target.parent, 3 * size, "the migration")
    moment = datetime.now(UTC)
    clock = _Clock(progress)
    with _staging(target) as staging:
        with clock.phase("snapshot"):
            snapshot = take(source, options.backup_dir or source.parent, moment)
        try:
            run = _Run(options, snapshot, staging, ledger, exists, moment, clock)
            report = run.carry_out()
        except BaseException:
            snapshot.path.unlink(missing_ok=True)
            raise
        if not options.keep_backup:
            snapshot.path.unlink()
    return report


@dataclass(slots=True)
class _Run:
    """One migration under way: its files, and the steps between the snapshot and the report."""

    options: MigrateOptions
    snapshot: Snapshot
    staging: Path
    ledger: Path
    in_place: bool
    moment: datetime
    clock: _Clock
    tally: Tally = field(default_factory=Tally)

    @property
    def run_time(self) -> int:
        return int(self.moment.timestamp() * 1000)

    def carry_out(self) -> Report:
        """Everything after the snapshot."""
        target = self.options.target if self.in_place else self.staging / "target.db"
        loader = Loader(
            target, self.staging / "ledger.db", self.snapshot.path, created=not self.in_place
        )
        try:
            extractor, plan, schema = self._plan(loader)
            checks, resolution = self._fill(loader, extractor, plan, schema)
            report = self._report(loader, plan, resolution, checks)
            self._require_publishable_result(checks)
            self._record(loader.ledger, report)
            loader.commit()
        finally:
            loader.close()
        with self.clock.phase("publish"):
            publish(self.staging / "ledger.db", self.ledger)
            if not self.in_place:
                publish(target, self.options.target)
        return self._published(report)

    def _plan(self, loader: Loader) -> tuple[Extractor, Plan, Schema]:
        self.clock.progress(PhaseStarted("extract"))
        extractor = Extractor(self.snapshot.path)
        schema = inspect(loader.database) if self.in_place else UNIFIED
        plan = bind(extractor.tables, schema, lambda table: extractor.count(table) > 0)
        _require_unique_columns(plan, extractor)
        if self.in_place:
            _require_empty(loader.database, plan)
        return extractor, plan, schema

    def _fill(
        self, loader: Loader, extractor: Extractor, plan: Plan, schema: Schema
    ) -> tuple[list[CheckResult], Resolution]:
        options = Options(self.run_time, self.options.timezone, self.options.implied_grants)
        stream = Stream(extractor, plan, options, self.clock.progress, self.clock.watch)
        opening, resolution = stream.opening()
        relax = _require_several_parents(resolution, schema, self.options.relax_unique)
        self.clock.progress(PhaseStarted("load"))
        loader.begin(schema.values())
        if relax:
            loader.drop_unique("parent_child_views", "person_id")
        loader.ledger.append("lineage", lineage(plan))
        for outcome in opening:
            self._load(loader, outcome)
        self._load_resolution(loader, resolution)
        for outcome in stream.rest():
            self._load(loader, outcome)
        started = perf_counter()
        loader.finish(schema.values())
        self.clock.watch.add("load", 0, perf_counter() - started)
        for phase in ("extract", "resolve", "transform", "load"):
            self.clock.done(phase)
        with self.clock.phase("verify"):
            checks = _checks(loader.database, plan, self._verify_options(), self.clock.progress)
        return checks, resolution

    def _verify_options(self) -> VerifyOptions:
        return VerifyOptions(self.options.timezone, self.options.implied_grants, self.run_time)

    def _load(self, loader: Loader, outcome: Outcome) -> None:
        self.clock.progress(TableStarted("load", outcome.source, outcome.source_rows))
        started = perf_counter()
        rows = loader.load(outcome)
        seconds = perf_counter() - started
        self.clock.watch.add("load", rows, seconds)
        self.clock.progress(TableFinished("load", outcome.source, rows, seconds))
        self.tally.add(outcome)

    def _load_resolution(self, loader: Loader, resolution: Resolution) -> None:
        started = perf_counter()
        loader.database.ingest("parent_child_views", resolution.views)
        loader.database.ingest("access_grants", resolution.implied)
        for frame in resolution.discrepancies:
            loader.ledger.append("discrepancies", frame)
        loader.ledger.append("person_notes", resolution.notes)
        rows = resolution.views.height + resolution.implied.height
        self.clock.watch.add("load", rows, perf_counter() - started)
        self.tally.say(resolution.discrepancies)

    def _require_publishable_result(self, checks: list[CheckResult]) -> None:
        failed = [check for check in checks if check.outcome in ("failed", "error")]
        if failed:
            names = ", ".join(
                dict.fromkeys(f"{c.name} ({c.table})" if c.table else c.name for c in failed)
            )
            raise VerificationFailed(
                f"{len(failed)} of {len(checks)} checks failed, nothing was published: {names}"
            )
        if self.options.strict and self.tally.errors:
            raise StrictStop(
                f"there are {self.tally.errors} discrepancies of severity error and --strict was "
                "given, nothing was published: look at them with check, or run without --strict"
            )

    def _report(
        self, loader: Loader, plan: Plan, resolution: Resolution, checks: list[CheckResult]
    ) -> Report:
        counts = {**resolution.counts, "implied": resolution.implied.height}
        actual = {
            table: int(loader.database.value(f"SELECT count(*) FROM {quote(table)}"))
            for table in ("persons", "access_grants")
        }
        return Report(
            tool_version=__version__,
            command="migrate",
            started_ms=self.run_time,
            finished_ms=_now(),
            source=_facts(self.options.source, self.snapshot),
            target=None,
            ledger=str(self.ledger),
            outcome="verified",
            options=self.options.recorded(),
            phases=self.clock.timings(),
            tables=tuple(self.tally.tables),
            equations=self.tally.equations(counts, actual, plan),
            discrepancies=self.tally.discrepancies(),
            normalisations=tuple(self.tally.normalisations),
            drift=plan.notes,
            verification=tuple(checks),
        )

    def _record(self, ledger: Ledger, report: Report) -> None:
        """Write run, checkpoints and verification into the ledger, inside the transaction."""
        ledger.append_rows(
            "run",
            [
                {
                    "id": str(uuid4()),
                    "tool_version": __version__,
                    "started": self.run_time,
                    "finished": report.finished_ms,
                    "source": self.options.source.name,
                    "target": self.options.target.name,
                    "source_sha256": self.snapshot.source_sha256,
                    "options": json.dumps(dict(report.options), sort_keys=True),
                    "outcome": report.outcome,
                }
            ],
        )
        ledger.append_rows(
            "verification",
            (
                {
                    "check": check.name,
                    "source_table": check.table,
                    "expected": check.expected,
                    "actual": check.actual,
                    "passed": {"passed": 1, "failed": 0, "error": 0}.get(check.outcome),
                    "outcome": check.outcome,
                    "detail": check.detail,
                }
                for check in report.verification
            ),
        )

    def _published(self, report: Report) -> Report:
        """Write the report beside the ledger, and return it with what is only known now."""
        target = self.options.target
        files = {
            "target": str(target),
            "ledger": str(self.ledger),
            "report": str(target.with_name(REPORT_NAME)),
        }
        if self.options.keep_backup:
            files["backup"] = str(self.snapshot.path)
        final = replace(
            report,
            finished_ms=_now(),
            target=FileFacts(str(target), target.stat().st_size, sha256(target)),
            phases=self.clock.timings(),
            files=files,
            outcome="published",
        )
        text = json.dumps(final.to_json(), indent=2)
        path = target.with_name(REPORT_NAME)
        staged = self.staging / REPORT_NAME
        staged.write_text(text + "\n", encoding="utf-8")
        staged.replace(path)
        return final


def check(options: CheckOptions, progress: Progress = silent) -> Report:
    """Say what a migration would do: counts, drift and discrepancies; nothing is kept."""
    _require_timezone(options.timezone)
    require_file(options.source)
    clock = _Clock(progress)
    moment = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="person-unify-") as temporary:
        with clock.phase("snapshot"):
            snapshot = take(options.source, Path(temporary), moment)
        extractor = Extractor(snapshot.path)
        schema = _schema_of(options.target)
        plan = bind(extractor.tables, schema, lambda table: extractor.count(table) > 0)
        _require_unique_columns(plan, extractor)
        run_time = int(moment.timestamp() * 1000)
        stream = Stream(
            extractor,
            plan,
            Options(run_time, options.timezone, options.implied_grants),
            progress,
            clock.watch,
        )
        tally = Tally()
        opening, resolution = stream.opening()
        _require_several_parents(resolution, schema, relax=True)
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
        finished_ms=_now(),
        source=_facts(options.source, snapshot),
        target=None,
        ledger=None,
        outcome="checked, nothing written",
        options={"timezone": options.timezone, "implied_grants": options.implied_grants},
        phases=clock.timings(),
        tables=tuple(tally.tables),
        equations=tally.equations(counts, tally.rows, plan),
        discrepancies=tally.discrepancies(),
        normalisations=tuple(tally.normalisations),
        drift=plan.notes,
    )


def verify(source: Path, target: Path, progress: Progress = silent) -> Report:
    """Prove a finished migration again, from source, target and ledger alone (section 10)."""
    require_file(source)
    ledger = ledger_path(target)
    for path in (target, ledger):
        if not path.is_file():
            raise TargetError(f"{path} does not exist: verify needs the target and its ledger")
    clock = _Clock(progress)
    moment = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="person-unify-") as temporary:
        with clock.phase("snapshot"):
            snapshot = take(source, Path(temporary), moment)
        extractor = Extractor(snapshot.path)
        with Database(target, read_only=True) as database, clock.phase("verify"):
            attach_for_verification(database, ledger, snapshot.path)
            run = _recorded_run(database)
            plan = bind(extractor.tables, inspect(database), lambda t: extractor.count(t) > 0)
            checks = _checks(database, plan, run, progress)
    return Report(
        tool_version=__version__,
        command="verify",
        started_ms=int(moment.timestamp() * 1000),
        finished_ms=_now(),
        source=_facts(source, snapshot),
        target=FileFacts(str(target), target.stat().st_size, sha256(target)),
        ledger=str(ledger),
        outcome="verified",
        phases=clock.timings(),
        drift=plan.notes,
        verification=tuple(checks),
    )


def _recorded_run(database: Database) -> VerifyOptions:
    rows = database.rows(
        f"SELECT started, options FROM {CATALOG}.run ORDER BY started DESC LIMIT 1"
    )
    if not rows:
        raise TargetError("the ledger records no finished run: it does not belong to this target")
    started, chosen = rows[0]
    options = json.loads(chosen)
    return VerifyOptions(options["timezone"], options["implied_grants"], int(started))


def _checks(
    database: Database, plan: Plan, options: VerifyOptions, progress: Progress
) -> list[CheckResult]:
    def said(name: str) -> None:
        progress(TableStarted("verify", name))

    return [
        CheckResult(c.name, c.table, c.expected, c.actual, c.outcome, c.detail)
        for c in run_checks(database, plan, options, said)
    ]


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


def _require_timezone(name: str) -> None:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"time zone {name!r} is unknown: give an IANA name such as Asia/Kolkata"
        ) from error


def _require_unique_columns(plan: Plan, extractor: Extractor) -> None:
    """Refuse a missing column that a UNIQUE of NOT NULL columns needs, where there are rows."""
    for bound in plan.bound:
        table = bound.source
        expected = bound.target
        if expected is None or bound.mapping.source not in plan.source_names:
            continue
        words = {b.target.name: getattr(b.word, "column", None) for b in bound.columns}
        not_null = {c.name for c in expected.columns if c.not_null}
        for unique in (expected.primary_key, *expected.uniques):
            if not set(unique) <= not_null:
                continue
            lost = [
                words[c] for c in unique if words.get(c) and table.column(words[c] or "") is None
            ]
            if lost and extractor.count(table.name):
                raise SourceError(
                    f"{table.name} has rows but no column {lost[0]}, which must be unique in "
                    f"{expected.name}: add the column first"
                )


def _require_empty(database: Database, plan: Plan) -> None:
    targets = dict.fromkeys(b.target.name for b in plan.bound if b.target is not None)
    filled = [
        table
        for table in targets
        if database.value(f"SELECT EXISTS (SELECT 1 FROM {quote(table)})")
    ]
    if filled:
        raise TargetError(
            f"the target is not empty: {', '.join(filled[:5])} hold rows; give an empty database or a "
            "path that does not exist yet"
        )


def _require_several_parents(resolution: Resolution, schema: Schema, relax: bool) -> bool:
    """Whether the early schema's UNIQUE on ``person_id`` is in the way and may be dropped."""
    if ("person_id",) not in schema["parent_child_views"].uniques:
        return False
    persons = resolution.views["person_id"]
    several = persons.value_counts().filter(persons.value_counts()["count"] > 1).height
    if several and not relax:
        raise TargetError(
            f"the target allows one parent per person (UNIQUE on parent_child_views.person_id) and "
            f"{several} persons have several: use --relax-unique to drop that index, or update the target"
        )
    return several > 0


def _schema_of(target: Path | None) -> Schema:
    if target is None or not target.exists():
        return UNIFIED
    with Database(target, read_only=True) as database:
        return inspect(database)


def _facts(source: Path, snapshot: Snapshot) -> FileFacts:
    return FileFacts(str(source), snapshot.source_bytes, snapshot.source_sha256)


def _now() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
