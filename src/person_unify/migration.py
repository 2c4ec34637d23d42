"""One migration under way: everything between the snapshot and the published report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from person_unify import __version__, custody
from person_unify.acceptance import require_no_errors, require_sound, run_checks
from person_unify.budget import budget_of
from person_unify.clock import Clock, now_ms
from person_unify.copies import SIDE_FILES
from person_unify.database import inspect
from person_unify.decisions import Decisions
from person_unify.errors import DatabaseError
from person_unify.files import replace_private
from person_unify.filling import Filling, StagingSpoilt
from person_unify.ids import FreshIds
from person_unify.lineage import lines
from person_unify.mappings.bind import Plan
from person_unify.memory import Memory
from person_unify.options import MigrateOptions
from person_unify.page import render_page
from person_unify.preflight import (
    failed_migrations,
    needs_baseline,
    planned,
    require_empty,
)
from person_unify.progress import Note, PhaseStarted
from person_unify.proving import prove
from person_unify.recorded import (
    Artefact,
    record_artefacts,
    record_run,
    recorded_artefacts,
    recorded_decisions,
)
from person_unify.registry import Registry
from person_unify.report import CheckResult, FileFacts, Report
from person_unify.rundir import Facts, RunDirectory, this_machine, write_json
from person_unify.schema import UNIFIED, Schema, quote
from person_unify.stages.extract import Extractor
from person_unify.stages.load import Loader
from person_unify.stages.publish import (
    checkpoints_path,
    ledger_path,
    page_path,
    publish,
    remove_super_journals,
    report_path,
)
from person_unify.stages.snapshot import Snapshot, changed_since, sha256_now
from person_unify.stages.transform import Options
from person_unify.stages.verify import VerifyOptions
from person_unify.stream import Stream
from person_unify.tally import Tally, count_decisions
from person_unify.unfinished import (
    STAGED_LEDGER,
    STAGED_TARGET,
    ledger_of,
    target_backup,
)

SAVED_REPORT = "report.json"
"""The report in the run directory, until it is published."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the files were right after the commit: SHA-256, None where it could not be told."""

    target_sha256: str | None
    source_sha256: str | None
    source_changed: bool


@dataclass(slots=True)
class Migration:
    """One migration under way: its files, and the steps between the snapshot and the report."""

    options: MigrateOptions
    snapshot: Snapshot
    directory: RunDirectory
    facts: Facts
    clock: Clock
    decisions: Decisions
    tally: Tally = field(init=False)
    sealed: Sealed = field(init=False)

    @property
    def staging(self) -> Path:
        """The private directory in which the run works."""
        return self.directory.path

    @property
    def in_place(self) -> bool:
        """Whether the target existed before the run."""
        return self.facts.in_place

    @property
    def run_time(self) -> int:
        """The one instant of the run, in ms since the epoch."""
        return self.facts.run_time

    @property
    def ledger(self) -> Path:
        """Where the ledger is going to stand."""
        return ledger_path(self.options.target)

    def carry_out(self) -> Report:
        """Everything after the snapshot that is not done yet."""
        target = self.options.target if self.in_place else self.staging / STAGED_TARGET
        ledger = self.staging / STAGED_LEDGER
        report = self._committed()
        if report is None:
            report = self._transact(target, ledger)
        for staged in (target, ledger):
            if staged.parent == self.staging and staged.exists():
                custody.sync(staged)
        self.facts = self.directory.done(self.facts, "verify")
        with self.clock.phase("publish"):
            self._publish(target, ledger)
        self.facts = self.directory.done(self.facts, "publish")
        if self.in_place:
            remove_super_journals(self.options.target)
        return self._published(report)

    def _committed(self) -> Report | None:
        """The report of an attempt that was stopped after its last commit; None if none was."""
        ledger = ledger_of(self.directory, self.facts)
        if ledger is None or self._may_lack_pages():
            return None
        saved = json.loads((self.staging / SAVED_REPORT).read_text("utf-8"))
        self.clock.checkpoints.restore(saved["checkpoints"])
        found = recorded_artefacts(ledger) or {}
        now = sha256_now(self.options.source)
        changed = changed_since(self.snapshot, self.options.source, now)
        self.sealed = Sealed(found["target"].sha256 if "target" in found else None, now, changed)
        if "target" not in found and not self.in_place:
            loader = self._loader(self.staging / STAGED_TARGET, ledger, resumed=False)
            try:
                self._seal(loader)
            finally:
                loader.close()
        self.clock.progress(Note("taken over: everything up to the verified target"))
        return Report.from_json(saved["report"])

    def _may_lack_pages(self) -> bool:
        """Whether the machine was restarted before staged files were synced."""
        synced = self.in_place or "verify" in self.facts.phases
        return not synced and self.facts.machine != this_machine()

    def _transact(self, target: Path, ledger: Path) -> Report:
        """Fill target and ledger, verify, commit; on the staging files of a stopped run if any."""
        if not self.in_place and target.exists() and ledger.exists():
            if self.facts.machine == this_machine():
                try:
                    return self._attempt(target, ledger, resumed=True)
                except StagingSpoilt:
                    pass
            self.clock.progress(Note("the staged rows are not intact: they are loaded again"))
        for path in (target, ledger):
            for suffix in ("", *SIDE_FILES):
                if path.parent == self.staging:
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
        # From here on the staged files are of this boot; the old ones had to be gone first.
        self.facts = replace(self.facts, machine=this_machine())
        self.directory.write(self.facts)
        ledger.touch(mode=0o600)
        return self._attempt(target, ledger, resumed=False)

    def _attempt(self, target: Path, ledger: Path, *, resumed: bool) -> Report:
        # Looked at before anything attaches it: a foreign encoding is an error of its own.
        extractor = Extractor(self.snapshot.path)
        loader = self._loader(target, ledger, resumed)
        try:
            artefacts = self._artefacts(loader)
            plan, schema = self._plan(loader, extractor)
            counts = self._filling(loader, extractor, plan).carry_out(
                schema, self.options.relax_unique, resumed
            )
            if self.options.strict:
                require_no_errors(self.tally.errors)
            with self.clock.phase("verify"):
                options = self._verify_options()
                with loader.to_verify() as (database, again):
                    checks = run_checks(database, plan, options, self.clock.progress, again)
            if self.options.prove:
                with self.clock.phase("prove"):
                    self._scratch.unlink(missing_ok=True)  # an attempt may have died here
                    checks += prove(loader.database, self._scratch, self.clock.progress)
            report = self._report(loader, plan, counts, checks)
            require_sound(report, loader.database)
            self._save(report)
            record_run(loader.ledger, report, self.facts, self.clock.checkpoints.rows())
            record_artefacts(loader.ledger, artefacts)
            if self.in_place:
                # An attempt that died here has left an equal copy under that name.
                publish(self._staged_backup, self._target_backup)
            loader.commit()
            self._seal(loader)
        finally:
            loader.close()
        return report

    def _loader(self, target: Path, ledger: Path, resumed: bool) -> Loader:
        wait = self.options.busy_timeout
        try:
            return Loader(target, ledger, self.snapshot.path, created=not self.in_place, wait=wait)
        except DatabaseError as error:
            if resumed:
                raise StagingSpoilt from error
            raise

    def _filling(self, loader: Loader, extractor: Extractor, plan: Plan) -> Filling:
        options = Options(self.run_time, self.options.timezone, self.options.implied_grants)
        registry = Registry(FreshIds(self.run_time, bytes.fromhex(self.facts.seed)))
        budget = budget_of(self.options.memory)
        stream = Stream(extractor, plan, options, self.clock, registry, self.decisions, budget)
        memory = None
        if not self.in_place:
            memory = Memory(self.staging, stream.looked_up, registry, self.tally, self.clock)
        return Filling(loader, stream, self.tally, memory)

    def _save(self, report: Report) -> None:
        """Keep the report for a run that is stopped between its last commit and its end."""
        saved = {"report": report.to_json(), "checkpoints": self.clock.checkpoints.to_json()}
        write_json(self.staging / SAVED_REPORT, saved, durable=True)

    @property
    def _target_backup(self) -> Path:
        return target_backup(self.options.target, self.facts)

    @property
    def _staged_backup(self) -> Path:
        return self.staging / "pre-migration.db"

    @property
    def _scratch(self) -> Path:
        return self.staging / "rebuilt.db"

    def _artefacts(self, loader: Loader) -> list[Artefact]:
        """Back an existing target up, and say what files this run began with."""
        found = [
            Artefact(
                "source",
                str(self.options.source.absolute()),
                self.snapshot.source_sha256,
                self.snapshot.source_bytes,
            ),
            Artefact(
                "snapshot",
                str(self.snapshot.path.absolute()),
                self.facts.snapshot_sha256,
                self.snapshot.path.stat().st_size,
            ),
        ]
        if self.in_place:
            self._staged_backup.unlink(missing_ok=True)
            size, digest = loader.back_up(self._staged_backup)
            path = str(self._target_backup.absolute())
            found.append(Artefact("pre_migration", path, digest, size))
        return found

    def _seal(self, loader: Loader) -> None:
        """Record what target and source are after the commit; rollback asks for it."""
        source = self.options.source
        now = sha256_now(source)
        changed = changed_since(self.snapshot, source, now)
        self.sealed = Sealed(None, now, changed)
        try:
            digest = loader.seal()
            path, size = str(self.options.target.absolute()), loader.database.path.stat().st_size
            record_artefacts(
                loader.ledger,
                [
                    Artefact("source_after", str(source.absolute()), now, None),
                    Artefact("target", path, digest, size),
                ],
            )
            loader.finish_seal()
        except DatabaseError as error:
            if not self.in_place:
                raise
            # The target is filled and verified: all that is missing is a proof for rollback.
            self.clock.progress(Note(f"rollback will ask for --force: {error}"))
        else:
            self.sealed = Sealed(digest, now, changed)

    def _publish(self, target: Path, ledger: Path) -> None:
        """Give the files their names; a new target's comes last, for it is what others wait for."""
        for staged, final in ((ledger, self.ledger), (target, self.options.target)):
            if staged.parent == self.staging and staged.exists():
                publish(staged, final)

    def _plan(self, loader: Loader, extractor: Extractor) -> tuple[Plan, Schema]:
        self.clock.progress(PhaseStarted("extract"))
        schema = inspect(loader.database) if self.in_place else UNIFIED
        plan = planned(extractor, schema)
        self.tally = Tally(plan)
        if self.in_place:
            require_empty(loader.database, plan)
        return plan, schema

    def _verify_options(self) -> VerifyOptions:
        return VerifyOptions(self.options.timezone, self.options.implied_grants, self.run_time)

    def _report(
        self, loader: Loader, plan: Plan, counts: Mapping[str, int], checks: list[CheckResult]
    ) -> Report:
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
            decisions=count_decisions(recorded_decisions(loader.database)),
            normalisations=self.tally.normalisations,
            drift=plan.notes,
            verification=tuple(checks),
            lineage=lines(plan),
            needs_baseline=needs_baseline(loader.database),
            failed_migrations=failed_migrations(loader.database),
        )

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
            files["backup"] = str(self.snapshot.path)
        if self.in_place:
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
        write_json(report_path(target), final.to_json())
        replace_private(page_path(target), render_page(final).encode())
        return final
