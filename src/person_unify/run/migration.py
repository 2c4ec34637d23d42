"""One migration under way: everything between the snapshot and the published report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from person_unify import __version__
from person_unify.background import Background
from person_unify.errors import DatabaseError
from person_unify.evidence.finished import report_in
from person_unify.evidence.recorded import (
    Artefact,
    record_artefacts,
    record_run,
    recorded_checkpoints,
    recorded_decisions,
)
from person_unify.files import as_json, locks, rewrite
from person_unify.files.database import Database
from person_unify.files.journal import SIDE_FILES, beside
from person_unify.frames.decisions import Decisions
from person_unify.frames.ids import FreshIds
from person_unify.frames.ledger import CATALOG, Ledger
from person_unify.frames.registry import Registry
from person_unify.mappings.bind import Plan
from person_unify.mappings.known import unified_tables
from person_unify.options import MigrateOptions
from person_unify.page import render_page
from person_unify.progress import PHASES, Note, PhaseStarted
from person_unify.report import CheckResult, FileFacts, Report
from person_unify.run import resume_state, staged
from person_unify.run.acceptance import require_no_errors, require_sound, run_checks
from person_unify.run.budget import budget_of
from person_unify.run.clock import Clock, now_ms
from person_unify.run.counts import Counts, count_decisions
from person_unify.run.directory import Facts, RunDirectory, this_machine
from person_unify.run.earlier import Earlier
from person_unify.run.filling import Filling
from person_unify.run.preflight import (
    failed_migrations,
    for_postgresql,
    needs_baseline,
    planned,
    require_empty,
    require_persons,
    with_demands,
)
from person_unify.run.stream import Stream
from person_unify.run.unfinished import is_verified, target_backup
from person_unify.schema import UNIFIED, Schema, quote
from person_unify.stages.extract import Extractor
from person_unify.stages.load import Loader, opened_to_verify
from person_unify.stages.publish import (
    checkpoints_path,
    ledger_path,
    page_path,
    publish,
    put_back,
    report_path,
)
from person_unify.stages.snapshot import has_changed, sha256_now
from person_unify.stages.transform import Options
from person_unify.stages.verify import Files, VerifyOptions


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the files were once everything was verified: SHA-256, None where nobody can tell."""

    target_sha256: str | None
    source_sha256: str | None
    source_changed: bool


@dataclass(slots=True)
class Migration:
    """One migration under way: its files, and the steps between the snapshot and the report."""

    options: MigrateOptions
    snapshot: Path
    directory: RunDirectory
    facts: Facts
    clock: Clock
    decisions: Decisions
    earlier: Earlier
    counts: Counts = field(init=False)
    sealed: Sealed = field(init=False)

    @property
    def ledger(self) -> Path:
        """Where the ledger is going to stand."""
        return ledger_path(self.options.target)

    def carry_out(self) -> Report:
        """Everything after the snapshot that is not done yet."""
        report = self._taken_over()
        if report is None:
            report = self._made()
        with self.clock.phase("publish"):
            self._publish()
        self.facts = self.directory.done(self.facts, "publish")
        return self._published(report)

    def _taken_over(self) -> Report | None:
        """The report of an attempt that was stopped after everything was verified."""
        synced = "verify" in self.facts.phases
        if not (synced or self.facts.machine == this_machine()):
            return None
        if not is_verified(self.directory, self.facts):
            return None
        with self._opened() as database:
            report = report_in(database, self._staged_target, self._staged_ledger)
            self.clock.checkpoints.resume(recorded_checkpoints(database))
        self._look_at_source(report.target.sha256 if report.target else None)
        self._sync()
        self.clock.progress(Note("taken over: everything up to the verified target"))
        return replace(report, ledger=str(self.ledger))

    def _made(self) -> Report:
        """Fill and verify the staged files, but for what a stopped attempt has filled."""
        extractor = Extractor(self.snapshot, without_nul=self.options.for_postgresql)
        plan, schema = self._plan(extractor)
        people = self._loaded()
        if people is None:
            people = self._load(extractor, plan, schema)
        if self.options.strict:
            require_no_errors(self.counts.errors)
        return self._verify(plan, people)

    def _loaded(self) -> dict[str, int] | None:
        """What an attempt that was stopped after loading counted; None if it is to be loaded."""
        if "load" not in self.facts.phases:
            return None
        if self.facts.machine == this_machine() and self._are_intact():
            people = resume_state.restore(self.directory.path, self.counts, self.clock)
            if people is not None:
                self.clock.progress(Note("taken over: the snapshot and every row"))
                return people
        self.clock.progress(Note("the staged rows are not intact: they are loaded again"))
        return None

    def _are_intact(self) -> bool:
        try:
            for path in (self._staged_target, self._staged_ledger):
                with Database(path, settled=True) as database:
                    if database.value("PRAGMA quick_check(1)") != "ok":
                        return False
        except DatabaseError:
            return False
        return True

    def _load(self, extractor: Extractor, plan: Plan, schema: Schema) -> dict[str, int]:
        """Fill new staged files, in one transaction."""
        # What is staged from here on is of this boot, and is not loaded until it says so.
        phases = tuple(phase for phase in self.facts.phases if phase != "load")
        self.facts = replace(self.facts, machine=this_machine(), phases=phases)
        self.directory.write(self.facts)
        for path in (self._staged_target, self._staged_ledger):
            for suffix in ("", *SIDE_FILES):
                beside(path, suffix).unlink(missing_ok=True)
        before = self._before if self.facts.in_place else None
        loader = Loader(self._staged_target, self._staged_ledger, self.snapshot, before)
        try:
            filling = self._filling(loader, extractor, plan)
            people = filling.carry_out(schema, self.options.relax_unique)
        finally:
            loader.close()
        resume_state.save(self.directory.path, people, self.counts, self.clock)
        self.facts = self.directory.done(self.facts, "load")
        return people

    def _verify(self, plan: Plan, people: Mapping[str, int]) -> Report:
        """Prove the closed staged files, and record in the ledger what they are."""
        paths = (self.snapshot, self._staged_target, self._staged_ledger)
        part = budget_of(self.options.memory).part
        files = Files(*paths, earlier=self.earlier.ledger, part=part)
        options = VerifyOptions(
            self.options.timezone,
            self.options.implied_grants,
            self.facts.run_time,
            for_postgresql=self.options.for_postgresql,
        )
        digest = Background(partial(locks.sha256, self._staged_target))
        with self.clock.phase("verify"), digest:
            checks = run_checks(files, plan, options, self.clock.progress)
        self.earlier.require_unchanged()
        with self._opened() as database:
            report = self._report(database, people, checks)
            require_sound(report)
        self._look_at_source(digest.result())
        self._record(report)
        self._sync()
        return report

    def _opened(self) -> AbstractContextManager[Database]:
        """The closed staged files with the snapshot, as often as one likes."""
        files = (self._staged_target, self._staged_ledger, self.snapshot)
        return opened_to_verify(*files, settled=True)

    def _record(self, report: Report) -> None:
        """Write into the ledger, in one transaction, that the run is verified."""
        with Database(self._staged_target, settled=True) as database:
            database.attach(self._staged_ledger, CATALOG)
            ledger = Ledger(database)
            database.execute("BEGIN IMMEDIATE")
            names = {"source": Path(self.facts.source).name, "target": Path(self.facts.target).name}
            named = {"id": self.facts.id, **names}
            record_run(ledger, report, named, self.clock.checkpoints.rows())
            record_artefacts(ledger, self._artefacts())
            database.execute("COMMIT")

    def _sync(self) -> None:
        """Have what is verified on the disk, and say so."""
        for path in (self._staged_target, self._staged_ledger):
            locks.sync(path)
        self.facts = self.directory.done(self.facts, "verify")

    def _filling(self, loader: Loader, extractor: Extractor, plan: Plan) -> Filling:
        options = Options(self.facts.run_time, self.options.timezone, self.options.implied_grants)
        registry = Registry(
            FreshIds(self.facts.run_time, bytes.fromhex(self.facts.seed), self.earlier.maps)
        )
        budget = budget_of(self.options.memory)
        stream = Stream(extractor, plan, options, self.clock, registry, self.decisions, budget)
        stream.phases = tuple(phase for phase in PHASES if phase != "snapshot")
        return Filling(loader, stream, self.counts)

    @property
    def _staged_target(self) -> Path:
        return self.directory.path / staged.TARGET

    @property
    def _staged_ledger(self) -> Path:
        return self.directory.path / staged.LEDGER

    @property
    def _before(self) -> Path:
        return self.directory.path / staged.BEFORE

    @property
    def _target_backup(self) -> Path:
        return target_backup(self.options.target, self.facts)

    def _artefacts(self) -> Iterator[Artefact]:
        """The files of the run: what it began with, and what it leaves."""
        source = str(self.options.source.absolute())
        copy, target = self.snapshot, self._staged_target.stat().st_size
        yield Artefact("source", source, self.facts.source_sha256, self.facts.source_bytes)
        copied, size = self.facts.snapshot_sha256, copy.stat().st_size
        yield Artefact("snapshot", str(copy.absolute()), copied, size)
        if self.facts.in_place:
            size = self._before.stat().st_size
            path = str(self._target_backup.absolute())
            yield Artefact("pre_migration", path, self.facts.target_sha256, size)
        else:
            yield Artefact("created", self.options.target.name, None, None)
        yield Artefact("source_after", source, self.sealed.source_sha256, None)
        path = str(self.options.target.absolute())
        yield Artefact("target", path, self.sealed.target_sha256, target)

    def _look_at_source(self, target_sha256: str | None) -> None:
        """Note what the source is now that everything is read, beside what the target is."""
        now = sha256_now(self.options.source)
        facts = self.facts
        changed = has_changed(
            self.options.source, now, facts.source_sha256, facts.source_log_sha256
        )
        self.sealed = Sealed(target_sha256, now, changed)

    def _publish(self) -> None:
        """Give the files their names; the target comes last, for it is what others wait for."""
        publish(self._staged_ledger, self.ledger)
        if not self.facts.in_place:
            publish(self._staged_target, self.options.target)
            return
        publish(self._before, self._target_backup)
        wait = self.options.busy_timeout
        put_back(self._staged_target, self._before, self.options.target, wait)

    def _plan(self, extractor: Extractor) -> tuple[Plan, Schema]:
        self.clock.progress(PhaseStarted("extract"))
        if not self.facts.in_place:
            schema = self.options.schema or UNIFIED
            if self.options.for_postgresql:
                schema = for_postgresql(schema)
            plan = planned(extractor, schema)
        else:
            with Database(self._before, settled=True) as database:
                schema = unified_tables(database)
                plan = planned(extractor, schema)
                require_empty(database, plan)
                plan = with_demands(plan, database)
        if not self.options.allow_empty:
            require_persons(extractor, plan)
        self.counts = Counts(plan)
        return plan, schema

    def _report(
        self, database: Database, people: Mapping[str, int], checks: list[CheckResult]
    ) -> Report:
        actual = {
            table: int(database.value(f"SELECT count(*) FROM {quote(table)}"))
            for table in ("persons", "access_grants")
        }
        report = Report(
            tool_version=__version__,
            command="migrate",
            started_ms=self.facts.run_time,
            finished_ms=now_ms(),
            source=FileFacts(
                str(self.options.source), self.facts.source_bytes, self.facts.source_sha256
            ),
            target=None,
            ledger=str(self.ledger),
            outcome="verified",
            options={
                **self.options.recorded(),
                **self.decisions.recorded(),
                **self.earlier.recorded(),
            },
            phases=self.clock.timings(),
            decisions=count_decisions(recorded_decisions(database)),
            verification=tuple(checks),
            needs_baseline=needs_baseline(database),
            failed_migrations=failed_migrations(database),
        )
        return self.counts.told_in(report, people, actual)

    def _published(self, report: Report) -> Report:
        """Write the report beside the ledger, and return it with what is only known now."""
        target = self.options.target
        files = {
            "target": str(target),
            "ledger": str(self.ledger),
            "report": str(report_path(target)),
            "page": str(page_path(target)),
            "checkpoints": str(checkpoints_path(target)),
        }
        if self.options.keep_backup:
            files["backup"] = str(self.snapshot)
        if self.facts.in_place:
            files["target before"] = str(self._target_backup)
        final = replace(
            report,
            finished_ms=now_ms(),
            target=FileFacts(str(target), target.stat().st_size, self.sealed.target_sha256),
            source_sha256_after=self.sealed.source_sha256,
            source_changed=self.sealed.source_changed,
            phases=self.clock.timings(),
            files=files,
            outcome="published",
        )
        own = self.directory.path
        rewrite(report_path(target), as_json(final.to_json()), own / staged.REPORT, durable=True)
        rewrite(page_path(target), render_page(final).encode(), own / staged.PAGE, durable=True)
        return final
