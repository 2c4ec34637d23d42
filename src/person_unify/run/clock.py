"""Phases as they start and end: announced to the progress, added up for report and ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter

from person_unify.evidence.checkpoints import Checkpoint, Checkpoints
from person_unify.progress import PHASES, PhaseFinished, PhaseStarted, Progress
from person_unify.report import PhaseTiming


def now_ms() -> int:
    """The present instant in ms since the epoch."""
    return int(datetime.now(UTC).timestamp() * 1000)


@dataclass(slots=True)
class Worked:
    """One phase: when it began and last did something (ms), its rows and its seconds of work."""

    started: int
    finished: int
    rows: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Clock:
    """Rows and seconds per phase; phases that alternate table by table are added up."""

    progress: Progress
    phases: dict[str, Worked] = field(default_factory=dict)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)

    def add(self, phase: str, rows: int, seconds: float) -> None:
        """Count rows and seconds of work towards a phase."""
        now = now_ms()
        entry = self.phases.setdefault(phase, Worked(now - int(seconds * 1000), now))
        entry.rows += rows
        entry.seconds += seconds
        entry.finished = now

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase that no other alternates with, and announce it."""
        self.progress(PhaseStarted(name))
        started = perf_counter()
        yield
        self.add(name, 0, perf_counter() - started)
        self.done(name)
        self.checkpoints.show()

    def done(self, name: str) -> None:
        """Announce the end of a phase, and make it a checkpoint."""
        entry = self.phases.get(name)
        if entry is not None:
            end = Checkpoint(name, None, entry.started, entry.finished, entry.rows)
            self.checkpoints.add(end)
            self.progress(PhaseFinished(name, entry.rows, entry.seconds))

    def timings(self) -> tuple[PhaseTiming, ...]:
        """Rows and seconds per phase, in the order of the story."""
        ordered = sorted(self.phases.items(), key=lambda phase: PHASES.index(phase[0]))
        return tuple(PhaseTiming(name, entry.rows, entry.seconds) for name, entry in ordered)
