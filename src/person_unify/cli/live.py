"""What a running command shows: one bar and a line per phase, plain lines, JSON, or nothing."""

from __future__ import annotations

import re
import sys
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from person_unify.cli.streams import Screen, printable, screen, write_event, write_line
from person_unify.progress import (
    Event,
    Note,
    PhaseFinished,
    PhaseStarted,
    Planned,
    Progress,
    TableAdvanced,
    TableFinished,
    TableStarted,
    silent,
)

_WEIGHTS = {
    "extract": 10,
    "resolve": 3,
    "transform": 20,
    "load": 25,
    "archive": 7,
    "verify": 33,
    "publish": 2,
}
"""What share of a run's time its phases take, about; measured, 100,000 persons."""

_SHOWN_RATE = 0.01
"""Seconds below which a rate says nothing."""


def watch(*, quiet: bool = False, as_json: bool = False) -> AbstractContextManager[Progress]:
    """The progress that fits the options and the terminal; leaving it restores the terminal."""
    if as_json:
        return nullcontext(show_json)
    if quiet:
        return nullcontext(silent)
    console = screen(sys.stderr)
    return RichProgress(console) if console.is_interactive else nullcontext(show_plain)


def show_json(event: Event) -> None:
    """One JSON event per line on stdout: ``{"event": "table_finished", "phase": …}``."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
    write_event({"event": name, **asdict(event)}, needs_reader=True)


def show_plain(event: Event) -> None:
    """One line on stderr per finished table and phase."""
    match event:
        case TableFinished(phase, table, rows, seconds):
            write_line(_line(phase, table, rows, seconds), sys.stderr, needs_reader=True)
        case PhaseFinished(phase, rows, seconds):
            write_line(_line(phase, "(done)", rows, seconds), sys.stderr, needs_reader=True)
        case Note(message):
            write_line(f"note: {printable(message)}", sys.stderr, needs_reader=True)


def _line(phase: str, what: str, rows: int, seconds: float) -> str:
    counted = f"{rows:>13,} rows {seconds:>9.2f} s {_rate(rows, seconds):>18}"
    return f"{phase:<10} {printable(what):<26} {counted}".rstrip()


def _rate(rows: int, seconds: float) -> str:
    """Rows per second; nothing where the time is too short to tell."""
    return f"{rows / seconds:,.0f} rows/s" if rows and seconds >= _SHOWN_RATE else ""


@dataclass(slots=True)
class Done:
    """How much of a run is done, as a share of its whole work."""

    planned: Planned | None = None
    rows: Counter[str] = field(default_factory=Counter)
    ended: set[str] = field(default_factory=set)
    verified: set[str] = field(default_factory=set)
    _advanced: Counter[tuple[str, str]] = field(default_factory=Counter)

    def see(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case Planned():
                self.planned = event
            case TableStarted("verify", table):
                self.verified.add(table)
            case TableAdvanced(phase, table, rows):
                self._advanced[phase, table] += rows
                self.rows[phase] += rows
            case TableFinished(phase, table, rows):
                self.rows[phase] += rows - self._advanced.pop((phase, table), 0)
            case PhaseFinished(phase, rows):
                self.ended.add(phase)
                self.rows[phase] = rows

    def tables(self, phase: str) -> str:
        """``12 of 55 tables`` of the verification."""
        if phase != "verify" or self.planned is None:
            return ""
        total = self.planned.tables
        at = total if phase in self.ended else min(len(self.verified), total)
        return f"{at} of {total} tables"

    @property
    def share(self) -> float | None:
        """From 0 to 1; None while nobody knows how much there is to do."""
        if self.planned is None:
            return None
        whole = sum(_WEIGHTS.get(phase, 0) for phase in self.planned.phases)
        done = sum(_WEIGHTS.get(phase, 0) * self._of(phase) for phase in self.planned.phases)
        return done / whole if whole else None

    def _of(self, phase: str) -> float:
        assert self.planned is not None
        if phase in self.ended:
            return 1.0
        if phase == "verify":
            return min(1.0, len(self.verified) / max(1, self.planned.tables))
        return min(1.0, self.rows[phase] / max(1, self.planned.rows))


class RichProgress:
    """On a terminal: a bar with percent and time left, and under it a line per phase."""

    def __init__(self, console: Screen) -> None:
        plain = console.options.ascii_only
        self._all = Bars(
            TextColumn("  {task.description:<9}", style="bold"),
            BarColumn(bar_width=28, complete_style="cyan", finished_style="green"),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._phases = Bars(
            SpinnerColumn("line" if plain else "dots", finished_text="+" if plain else "✓"),
            TextColumn("{task.description:<9}", style="bold"),
            TextColumn("{task.fields[counted]:>16}"),
            TextColumn("{task.fields[rate]:>15}"),
            TextColumn("{task.fields[last]:<27.27}", style="dim"),
            console=console,
        )
        self._console = console
        self._live = Live(Group(self._all, self._phases), console=console, refresh_per_second=8)
        self._whole = self._all.add_task("all", total=None, left="")
        self._lines: dict[str, TaskID] = {}
        self._done = Done()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        self._done.see(event)
        match event:
            case PhaseStarted(phase):
                self._draw(phase)
            case TableStarted(phase, table) | TableAdvanced(phase, table):
                self._draw(phase, last=printable(table))
            case TableFinished(phase):
                self._draw(phase)
            case PhaseFinished(phase, rows, seconds):
                rate = _rate(rows, seconds)
                self._draw(phase, rate=rate, last=f"{seconds:.1f} s")
                self._phases.update(self._lines[phase], total=1, completed=1)
            case Note(message):
                self._console.print(Text(printable(message), style="yellow"))
        share = self._done.share
        if share is not None:
            left = "left" if share < 1 else ""
            self._all.update(self._whole, total=1.0, completed=share, left=left)

    def _draw(self, phase: str, *, rate: str = "", last: str = "") -> None:
        rows = self._done.rows[phase]
        counted = self._done.tables(phase) or (f"{rows:,} rows" if rows else "")
        if phase not in self._lines:
            self._lines[phase] = self._phases.add_task(
                phase, total=None, counted=counted, rate=rate, last=last
            )
        self._phases.update(self._lines[phase], counted=counted, rate=rate, last=last)
