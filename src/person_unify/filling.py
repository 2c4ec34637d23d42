"""Filling target and ledger: the opening, then table after table, then the indexes.

Each of these is a step, kept in the staging files as soon as it is done and not done again by a
run that is resumed; a target in place is one transaction, so nothing is kept before its end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter

from person_unify.aside import ahead
from person_unify.checkpoints import Checkpoint
from person_unify.clock import Clock, now_ms
from person_unify.findings import FINDINGS
from person_unify.frames import Outcome
from person_unify.lineage import lineage
from person_unify.memory import Memory
from person_unify.preflight import must_relax_unique
from person_unify.progress import Note, PhaseStarted, Told
from person_unify.schema import Schema
from person_unify.stages.load import Loader
from person_unify.stages.resolve import Resolution
from person_unify.stream import Stream
from person_unify.tally import Tally

OPENING = 1
"""The first step: users, parents, and the persons, which are resolved together."""


class StagingSpoilt(Exception):
    """The staging files of an earlier run cannot be gone on with, and are to be built again."""


@dataclass(slots=True)
class Loading:
    """One table that is being loaded: since when (ms), and what its parts add up to."""

    told: Told
    began: int = field(default_factory=now_ms)
    source_rows: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count a part of it."""
        self.source_rows += outcome.source_rows
        self.errors += _errors(outcome)

    def ended(self) -> Checkpoint:
        """The table's checkpoint, now that it is complete."""
        errors = tuple(f"{n} {kind}" for kind, n in sorted(self.errors.items()))
        return Checkpoint("load", self.told.table, self.began, now_ms(), self.source_rows, errors)


@dataclass(slots=True)
class Filling:
    """The way of all rows from the snapshot into target and ledger; ``memory`` None in place."""

    loader: Loader
    stream: Stream
    tally: Tally
    memory: Memory | None
    _counts: dict[str, int] = field(default_factory=dict)
    _under_way: Loading | None = None
    _ended: list[Checkpoint] = field(default_factory=list)

    @property
    def _clock(self) -> Clock:
        return self.stream.clock

    def carry_out(self, schema: Schema, relax_unique: bool, resumed: bool) -> dict[str, int]:
        """Fill everything that is not filled yet; returns the terms of the equations.

        Raises :class:`StagingSpoilt` when ``resumed`` files are not intact.
        """
        last = OPENING + len(self.stream.later) + 1
        step = self._go_on(last) if resumed else 0
        if step < OPENING:
            self._open(schema, relax_unique)
            step = OPENING
        for made in ahead(self.stream.rest(step - OPENING)):
            self._load(made.taken(self._clock), last=made.last)
            if made.last:
                step += 1
                self._keep(step)
        if step < last:
            started = perf_counter()
            self.loader.finish(schema.values())
            self._clock.add("load", 0, perf_counter() - started)
            self.loader.record_source({t.source: t.source_rows for t in self.tally.tables})
            self._keep(last)
        for phase in ("extract", "resolve", "transform", "load", "archive"):
            self._clock.done(phase)
        return self._counts

    def _go_on(self, last: int) -> int:
        """The step after which the staging files go on."""
        step = self.loader.go_on()
        if step is None or step > last or self.memory is None:
            raise StagingSpoilt
        counts = self.memory.restore(step)
        if counts is None:
            raise StagingSpoilt
        self._counts = counts
        done = len(self.tally.tables)
        what = "every table, with its indexes" if step == last else f"{done} tables"
        self._clock.progress(Note(f"taken over: the snapshot and {what}"))
        return step

    def _open(self, schema: Schema, relax_unique: bool) -> None:
        """Fill users, parents and persons; what it knows of all persons is gone at its end."""
        first = ahead(self.stream.first())
        self._clock.progress(PhaseStarted("load"))
        self.loader.begin(schema.values())
        self.loader.ledger.append("lineage", lineage(self.stream.plan))
        for made in first:
            self._load(made.taken(self._clock), last=made.last)
        resolution = self.stream.people()
        if must_relax_unique(resolution, schema, relax_unique):
            self.loader.drop_unique("parent_child_views", "person_id")
        self._counts = {**resolution.counts, "implied": resolution.implied.height}
        for made in ahead(self.stream.represented(resolution.outcomes)):
            self._load(made.taken(self._clock), last=made.last)
        self._load_resolution(resolution)
        self._keep(OPENING)

    def _load(self, outcome: Outcome, *, last: bool) -> None:
        """Load a table, or the next part of the one that is under way."""
        if self._under_way is None:
            expected = outcome.source_rows if last else None
            told = Told(self._clock.progress, "load", outcome.source, expected)
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
        self.tally.add(outcome)
        if last:
            self.loader.end_table(outcome.source, self.tally.normalised(outcome.source))
            self._ended.append(table.ended())
            self._under_way = None
        table.told.advance(rows, seconds, last=last)

    def _load_resolution(self, resolution: Resolution) -> None:
        started = perf_counter()
        views = resolution.outcomes.other_views()
        self.loader.database.ingest("parent_child_views", views)
        self.loader.database.ingest("access_grants", resolution.implied)
        for frame in resolution.discrepancies:
            self.loader.ledger.append("discrepancies", frame)
        self.loader.ledger.append("person_notes", resolution.notes)
        self.loader.ledger.append("questions", resolution.questions)
        self.loader.ledger.append("decisions", resolution.decisions)
        rows = views.height + resolution.implied.height
        self._clock.add("load", rows, perf_counter() - started)
        self.tally.say(resolution.discrepancies)

    def _keep(self, step: int) -> None:
        """Make a step last; only then its tables are shown as done."""
        checkpoints = self._clock.checkpoints
        checkpoints.entries += self._ended
        self._ended.clear()
        if self.memory is not None:
            self.memory.save(step, self._counts)
            self.loader.keep(step)
        checkpoints.show()


def _errors(outcome: Outcome) -> Counter[str]:
    """How many discrepancies of severity error rows have, by kind."""
    found: Counter[str] = Counter()
    for frame in outcome.discrepancies:
        for kind, count in frame["kind"].value_counts().iter_rows():
            if FINDINGS[kind].severity == "error":
                found[kind] += count
    return found
