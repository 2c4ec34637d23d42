"""Filling target and ledger in one transaction: persons, then every other table, then indexes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import perf_counter

from person_unify.background import prefetch
from person_unify.evidence.checkpoints import Checkpoint
from person_unify.evidence.lineage import lineage
from person_unify.findings import FINDINGS
from person_unify.frames.model import Outcome
from person_unify.progress import PhaseStarted, TableProgress
from person_unify.run.clock import Clock, now_ms
from person_unify.run.counts import Counts
from person_unify.run.preflight import must_relax_unique
from person_unify.run.stream import PartResult, Stream
from person_unify.schema import Schema
from person_unify.stages.load import Loader
from person_unify.stages.resolve import Resolution


@dataclass(slots=True)
class Loading:
    """One table that is being loaded: since when (ms), and what its parts add up to."""

    told: TableProgress
    began: int = field(default_factory=now_ms)
    source_rows: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count a part of it, and how many discrepancies of severity error it has, by kind."""
        self.source_rows += outcome.source_rows
        for frame in outcome.discrepancies:
            for kind, count in frame["kind"].value_counts().iter_rows():
                if FINDINGS[kind].severity == "error":
                    self.errors[kind] += count

    def ended(self) -> Checkpoint:
        """The table's checkpoint, now that it is complete."""
        errors = tuple(f"{n} {kind}" for kind, n in sorted(self.errors.items()))
        return Checkpoint("load", self.told.table, self.began, now_ms(), self.source_rows, errors)


@dataclass(slots=True)
class Filling:
    """The way of all rows from the snapshot into target and ledger."""

    loader: Loader
    stream: Stream
    counts: Counts
    _under_way: Loading | None = None

    @property
    def _clock(self) -> Clock:
        return self.stream.clock

    def carry_out(self, schema: Schema, relax_unique: bool) -> dict[str, int]:
        """Fill everything and commit; returns the terms of the equations."""
        first = prefetch(self.stream.first())
        self._clock.progress(PhaseStarted("load"))
        self.loader.begin(schema.values())
        self.loader.ledger.append("lineage", lineage(self.stream.plan))
        self._load_all(first)
        people = self._persons(schema, relax_unique)
        self._load_all(prefetch(self.stream.rest()))
        started = perf_counter()
        self.loader.finish(schema.values())
        self.loader.record_normalisations(self.counts.normalisations)
        self.loader.record_source({t.source: t.source_rows for t in self.counts.tables})
        self.loader.commit()
        self._clock.add("load", 0, perf_counter() - started)
        for phase in ("extract", "resolve", "transform", "load", "archive"):
            self._clock.done(phase)
        self._clock.checkpoints.show()
        return people

    def _persons(self, schema: Schema, relax_unique: bool) -> dict[str, int]:
        """Fill persons and views; what is known of all persons is gone at its end."""
        resolution = self.stream.people()
        if must_relax_unique(resolution, schema, relax_unique):
            self.loader.drop_unique("parent_child_views", "person_id")
        self._load_all(prefetch(self.stream.represented(resolution.outcomes)))
        self._load_resolution(resolution)
        return {**resolution.counts, "implied": resolution.implied.height}

    def _load_all(self, items: Iterable[PartResult]) -> None:
        for made in items:
            self._load(made.taken(self._clock), last=made.last)

    def _load(self, outcome: Outcome, *, last: bool) -> None:
        """Load a table, or the next part of the one that is under way."""
        if self._under_way is None:
            expected = outcome.source_rows if last else None
            told = TableProgress(self._clock.progress, "load", outcome.source, expected)
            self._under_way = Loading(told)
        table = self._under_way
        started = perf_counter()
        rows = self.loader.load(outcome)
        seconds = perf_counter() - started
        self._clock.add("load", rows, seconds)
        table.add(outcome)
        started = perf_counter()
        archived = self.loader.archive(outcome)
        self._clock.add("archive", archived, perf_counter() - started)
        self.counts.add(outcome)
        if last:
            self._clock.checkpoints.add(table.ended())
            self._under_way = None
        table.told.advance(rows, seconds, last=last)

    def _load_resolution(self, resolution: Resolution) -> None:
        started = perf_counter()
        views = resolution.outcomes.other_views()
        self.loader.append("parent_child_views", views)
        self.loader.append("access_grants", resolution.implied)
        for frame in resolution.discrepancies:
            self.loader.ledger.append("discrepancies", frame)
        self.loader.ledger.append("person_notes", resolution.notes)
        self.loader.ledger.append("questions", resolution.questions)
        self.loader.ledger.append("decisions", resolution.decisions)
        rows = views.height + resolution.implied.height
        self._clock.add("load", rows, perf_counter() - started)
        self.counts.say(resolution.discrepancies)
