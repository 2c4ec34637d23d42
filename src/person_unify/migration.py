"""One migration under way: everything between the snapshot and the published report."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from time import perf_counter

from person_unify import __version__
from person_unify.clock import Clock, now_ms
from person_unify.database import Database, inspect
from person_unify.decisions import Decisions
from person_unify.errors import StrictStop, VerificationFailed
from person_unify.frames import Outcome
from person_unify.lineage import lineage, lines
from person_unify.mappings.bind import Plan, bind
from person_unify.options import MigrateOptions
from person_unify.page import render_page
from person_unify.preflight import (
    must_relax_unique,
    require_empty,
    require_key_columns,
    require_room_to_archive,
    require_unique_columns,
)
from person_unify.progress import PhaseStarted, Progress, TableFinished, TableStarted
from person_unify.recorded import record_run
from person_unify.report import CheckResult, FileFacts, Report
from person_unify.schema import UNIFIED, Schema, quote
from person_unify.stages import verify
from person_unify.stages.extract import Extractor
from person_unify.stages.load import Loader
from person_unify.stages.publish import ledger_path, publish
from person_unify.stages.resolve import Resolution
from person_unify.stages.snapshot import Snapshot, sha256
from person_unify.stages.transform import Options
from person_unify.stages.verify import VerifyOptions
from person_unify.stream import Stream
from person_unify.tally import Tally, count_decisions

REPORT_NAME = "migration-report.json"
PAGE_NAME = "migration-report.html"


@dataclass(slots=True)
class Migration:
    """One migration under way: its files, and the steps between the snapshot and the report."""

    options: MigrateOptions
    snapshot: Snapshot
    staging: Path
    in_place: bool
    moment: datetime
    clock: Clock
    decisions: Decisions
    tally: Tally = field(init=False)

    @property
    def run_time(self) -> int:
        """The one instant of the run, in ms since the epoch."""
        return int(self.moment.timestamp() * 1000)

    @property
    def ledger(self) -> Path:
        """Where the ledger is going to stand."""
        return ledger_path(self.options.target)

    def carry_out(self) -> Report:
        """Everything after the snapshot."""
        # Looked at before anything attaches it: a foreign encoding is an error of its own.
        extractor = Extractor(self.snapshot.path)
        target = self.options.target if self.in_place else self.staging / "target.db"
        # Filling in place commits two files at once, so the ledger must stand where it stays.
        ledger = self.ledger if self.in_place else self.staging / "ledger.db"
        ledger.touch(mode=0o600)
        try:
            report = self._transact(target, ledger, extractor)
        except BaseException:
            if self.in_place:
                ledger.unlink(missing_ok=True)
            raise
        with self.clock.phase("publish"):
            if not self.in_place:
                self._publish(target, ledger)
        return self._published(report)

    def _transact(self, target: Path, ledger: Path, extractor: Extractor) -> Report:
        """Fill target and ledger in one transaction, verify, commit."""
        loader = Loader(target, ledger, self.snapshot.path, created=not self.in_place)
        try:
            plan, schema = self._plan(loader, extractor)
            checks, resolution = self._fill(loader, extractor, plan, schema)
            report = self._report(loader, plan, resolution, checks)
            self._require_publishable_result(report)
            names = (self.options.source.name, self.options.target.name)
            record_run(loader.ledger, report, names, self.clock.phases)
            loader.commit()
        finally:
            loader.close()
        return report

    def _publish(self, target: Path, ledger: Path) -> None:
        """Give both files their names; the target's comes last, for it is what others wait for."""
        publish(ledger, self.ledger)
        try:
            publish(target, self.options.target)
        except BaseException:
            self.ledger.unlink()
            raise

    def _plan(self, loader: Loader, extractor: Extractor) -> tuple[Plan, Schema]:
        self.clock.progress(PhaseStarted("extract"))
        schema = inspect(loader.database) if self.in_place else UNIFIED
        plan = bind(extractor.tables, schema, extractor.has_rows)
        self.tally = Tally(plan)
        require_room_to_archive(plan)
        require_key_columns(plan, extractor)
        require_unique_columns(plan, extractor)
        if self.in_place:
            require_empty(loader.database, plan)
        return plan, schema

    def _fill(
        self, loader: Loader, extractor: Extractor, plan: Plan, schema: Schema
    ) -> tuple[list[CheckResult], Resolution]:
        options = Options(self.run_time, self.options.timezone, self.options.implied_grants)
        stream = Stream(extractor, plan, options, self.clock, self.decisions)
        opening, resolution = stream.opening()
        relax = must_relax_unique(resolution, schema, self.options.relax_unique)
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
        self.clock.add("load", 0, perf_counter() - started)
        for phase in ("extract", "resolve", "transform", "load"):
            self.clock.done(phase)
        with self.clock.phase("verify"):
            checks = run_checks(loader.database, plan, self._verify_options(), self.clock.progress)
        return checks, resolution

    def _verify_options(self) -> VerifyOptions:
        return VerifyOptions(self.options.timezone, self.options.implied_grants, self.run_time)

    def _load(self, loader: Loader, outcome: Outcome) -> None:
        self.clock.progress(TableStarted("load", outcome.source, outcome.source_rows))
        started = perf_counter()
        rows = loader.load(outcome)
        seconds = perf_counter() - started
        self.clock.add("load", rows, seconds)
        self.clock.progress(TableFinished("load", outcome.source, rows, seconds))
        self.tally.add(outcome)

    def _load_resolution(self, loader: Loader, resolution: Resolution) -> None:
        started = perf_counter()
        loader.database.ingest("parent_child_views", resolution.views)
        loader.database.ingest("access_grants", resolution.implied)
        for frame in resolution.discrepancies:
            loader.ledger.append("discrepancies", frame)
        loader.ledger.append("person_notes", resolution.notes)
        loader.ledger.append("questions", resolution.questions)
        loader.ledger.append("decisions", resolution.decisions)
        rows = resolution.views.height + resolution.implied.height
        self.clock.add("load", rows, perf_counter() - started)
        self.tally.say(resolution.discrepancies)

    def _require_publishable_result(self, report: Report) -> None:
        failed = report.failed_checks
        if failed:
            names = ", ".join(
                dict.fromkeys(f"{c.name} ({c.table})" if c.table else c.name for c in failed)
            )
            raise VerificationFailed(
                f"{len(failed)} of {len(report.verification)} checks failed, nothing was "
                f"published: {names}"
            )
        if report.unexplained:
            raise VerificationFailed(
                f"the reconciliation of {', '.join(report.unexplained)} does not add up, nothing "
                "was published: please report this with the counts that check prints"
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
            finished_ms=now_ms(),
            source=FileFacts(
                str(self.options.source), self.snapshot.source_bytes, self.snapshot.source_sha256
            ),
            target=None,
            ledger=str(self.ledger),
            outcome="verified",
            options={**self.options.recorded(), **self.decisions.recorded()},
            phases=self.clock.timings(),
            tables=tuple(self.tally.tables),
            equations=self.tally.equations(counts, actual),
            discrepancies=self.tally.discrepancies(),
            decisions=count_decisions(resolution.decisions),
            normalisations=tuple(self.tally.normalisations),
            drift=plan.notes,
            verification=tuple(checks),
            lineage=lines(plan),
        )

    def _published(self, report: Report) -> Report:
        """Write the report beside the ledger, and return it with what is only known now."""
        target = self.options.target
        files = {
            "target": str(target),
            "ledger": str(self.ledger),
            "report": str(target.with_name(REPORT_NAME)),
            "page": str(target.with_name(PAGE_NAME)),
        }
        if self.options.keep_backup:
            files["backup"] = str(self.snapshot.path)
        final = replace(
            report,
            finished_ms=now_ms(),
            target=FileFacts(str(target), target.stat().st_size, sha256(target)),
            phases=self.clock.timings(),
            files=files,
            outcome="published",
        )
        self._write(REPORT_NAME, json.dumps(final.to_json(), indent=2) + "\n")
        self._write(PAGE_NAME, render_page(final))
        return final

    def _write(self, name: str, text: str) -> None:
        """Write a file beside the target, for its owner only, in place of an earlier run's."""
        staged = self.staging / name
        staged.touch(mode=0o600)
        staged.write_text(text, encoding="utf-8")
        staged.replace(self.options.target.with_name(name))


def run_checks(
    database: Database, plan: Plan, options: VerifyOptions, progress: Progress
) -> list[CheckResult]:
    """Run every check of section 10 on a target with ledger and snapshot attached."""

    def said(name: str) -> None:
        progress(TableStarted("verify", name))

    return [
        CheckResult(c.name, c.table, c.expected, c.actual, c.outcome, c.detail)
        for c in verify.verify(database, plan, options, said)
    ]
