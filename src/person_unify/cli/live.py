"""What a running command shows: a bar per phase, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import re
import sys
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from person_unify.cli.streams import Screen, printable, screen, write_event, write_line
from person_unify.progress import (
    Event,
    Note,
    PhaseFinished,
    PhaseStarted,
    Progress,
    TableAdvanced,
    TableFinished,
    TableStarted,
    silent,
)


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
    return f"{rows / seconds:,.0f} rows/s" if rows and seconds >= 0.01 else ""


class RowsColumn(ProgressColumn):
    """Rows, rows per second and seconds of a phase."""

    def render(self, task: Task) -> Text:
        """One fixed-width cell, so that the lines of all phases align."""
        rows, seconds = int(task.completed), task.elapsed or 0.0
        if "seconds" in task.fields:
            rows, seconds = task.fields["rows"], task.fields["seconds"]
        counted = f"{rows:,} rows" if rows else ""
        return Text(f"{counted:>16} {_rate(rows, seconds):>16} {seconds:>7.1f} s")


class RichProgress:
    """A line per phase on a terminal: spinner, table at work, bar, rows, rows/s, elapsed.

    How many rows there are is known once the extract phase is over; bars before it only pulse.
    """

    def __init__(self, console: Screen) -> None:
        plain = console.options.ascii_only
        self._bars = Bars(
            SpinnerColumn("line" if plain else "dots", finished_text="+" if plain else "✓"),
            TextColumn("{task.description:<9}", style="bold"),
            TextColumn("{task.fields[table]:<25.25}", style="dim"),
            BarColumn(bar_width=14, complete_style="cyan", finished_style="green"),
            RowsColumn(),
            console=console,
        )
        self._phases: dict[str, TaskID] = {}
        self._advanced: Counter[tuple[str, str]] = Counter()
        self._expected: int | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        match event:
            case PhaseStarted(phase):
                self._task(phase)
            case TableStarted(phase, table):
                self._bars.update(self._task(phase), table=printable(table))
            case TableAdvanced(phase, table, rows):
                self._advanced[phase, table] += rows
                self._bars.update(self._task(phase), table=printable(table), advance=rows)
            case TableFinished(phase, table, rows):
                seen = self._advanced.pop((phase, table), 0)
                self._bars.advance(self._task(phase), rows - seen)
            case PhaseFinished(phase, rows, seconds):
                end = max(rows, 1)
                self._bars.update(
                    self._task(phase),
                    total=end,
                    completed=end,
                    table="",
                    rows=rows,
                    seconds=seconds,
                )
                if phase == "extract":
                    self._expected = rows or None
            case Note(message):
                self._bars.console.print(Text(printable(message), style="yellow"))

    def _task(self, phase: str) -> TaskID:
        if phase not in self._phases:
            self._phases[phase] = self._bars.add_task(phase, total=self._expected, table="")
        return self._phases[phase]
