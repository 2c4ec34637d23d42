"""What a running pipeline tells whoever watches: typed events, handed to one callable.

The pipeline and its stages emit; the command line draws.  An event names phases, tables, counts and
seconds, never a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

PHASES = (
    "snapshot",
    "extract",
    "resolve",
    "transform",
    "load",
    "archive",
    "verify",
    "publish",
)
"""The story in order."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What there is to do, once it is known: rows and tables of the source, phases to come."""

    rows: int
    tables: int
    phases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase of the story begins; ``phase`` is one of :data:`PHASES`, or ``sample``."""

    phase: str


@dataclass(frozen=True, slots=True)
class PhaseFinished:
    """A phase is over, after so many rows (0 where rows mean nothing) and wall-clock seconds."""

    phase: str
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TableStarted:
    """Work on one table begins; ``rows`` is None while nobody has counted them."""

    phase: str
    table: str
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class TableAdvanced:
    """So many further rows of a table are done; :class:`TableFinished` still tells their sum."""

    phase: str
    table: str
    rows: int


@dataclass(frozen=True, slots=True)
class TableFinished:
    """One table is done, after so many rows and wall-clock seconds."""

    phase: str
    table: str
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence worth reading now, such as an assumption that the run makes."""

    message: str


Event: TypeAlias = (
    Planned | PhaseStarted | PhaseFinished | TableStarted | TableAdvanced | TableFinished | Note
)
Progress: TypeAlias = Callable[[Event], None]


def silent(event: Event) -> None:
    """A progress that nobody watches."""


@dataclass(slots=True)
class TableProgress:
    """Tells the progress of one table in one phase, part by part.

    expected: its rows, None while nobody has counted them.
    """

    progress: Progress
    phase: str
    table: str
    expected: int | None = None
    rows: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Say that the table begins."""
        self.progress(TableStarted(self.phase, self.table, self.expected))

    def advance(self, rows: int, seconds: float, *, last: bool) -> None:
        """Count a part; say so, or with the last one that the table is done."""
        self.rows += rows
        self.seconds += seconds
        if last:
            self.progress(TableFinished(self.phase, self.table, self.rows, self.seconds))
        else:
            self.progress(TableAdvanced(self.phase, self.table, rows))


@contextmanager
def one_at_a_time(progress: Progress) -> Iterator[Progress]:
    """The same progress for several threads to tell; nothing is told after the block."""
    lock, over = Lock(), False

    def told(event: Event) -> None:
        with lock:
            if not over:
                progress(event)

    try:
        yield told
    finally:
        with lock:
            over = True
