"""Where the time of one migration goes: CPU against wall clock per phase, and the heaviest SQL.

    python -m bench.profile OLD_DB
    python -m bench.profile OLD_DB --statements 40 --functions 20

Migrates into a directory that is removed afterwards.  Statements are shown with their literals
masked, so that nothing of the data can appear.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import re
import resource
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np

from bench.measuring import warn_if_busy
from person_unify.files.database import Database
from person_unify.pipeline import MigrateOptions, migrate
from person_unify.run.clock import Clock

TICK = 0.005
SHOWN = 110
_HANDING_ON = (".database", ".stages.verify.reader")
_TABLE = re.compile(r'\b((?:main|source|ledger|temp)\.(?:"[^"]+"|\w+))')
_LITERAL = re.compile(r"x?'(?:[^']|'')*'|\b\d{3,}(?:\.\d+)?\b", re.IGNORECASE)


@dataclass(slots=True)
class Spent:
    """Wall-clock and CPU seconds, and how often."""

    wall: float = 0.0
    cpu: float = 0.0
    times: int = 0

    def add(self, wall: float, cpu: float) -> None:
        """Once more."""
        self.wall += wall
        self.cpu += cpu
        self.times += 1

    def merge(self, other: Spent) -> None:
        """All that another counted."""
        self.wall += other.wall
        self.cpu += other.cpu
        self.times += other.times


@dataclass(slots=True)
class Sampler:
    """CPU seconds of the process and its ended children, at any moment that has passed."""

    moments: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Take samples in a thread of its own."""
        thread = threading.Thread(target=self._watch, daemon=True)
        self._look()
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def since(self, moment: float) -> float:
        """CPU seconds from a moment until now; between two samples they are taken as even."""
        now, used, taken = perf_counter(), cpu_seconds(), len(self.moments)
        moments, readings = [*self.moments[:taken], now], [*self.used[:taken], used]
        return used - float(np.interp(moment, moments, readings))

    def _watch(self) -> None:
        while not self._done.wait(TICK):
            self._look()

    def _look(self) -> None:
        used = cpu_seconds()
        self.used.append(used)
        self.moments.append(perf_counter())


@dataclass(slots=True)
class Profile:
    """What was spent by phase, and by statement with the place that ran it."""

    phases: dict[str, Spent] = field(default_factory=dict)
    statements: dict[tuple[str, str], Spent] = field(default_factory=dict)
    sampler: Sampler = field(default_factory=Sampler)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time whatever the clock adds up and the database runs."""
        with ExitStack() as stack:
            for name in ("execute", "rows"):
                timed = self._timed(getattr(Database, name))
                stack.enter_context(patch.object(Database, name, timed))
            stack.enter_context(patch.object(Clock, "add", self._counted(Clock.add)))
            stack.enter_context(self.sampler.running())
            yield

    def _timed(self, run: Callable[[Database, str], Any]) -> Callable[[Database, str], Any]:
        @wraps(run)
        def timed(database: Database, statement: str) -> Any:
            started, used = perf_counter(), cpu_seconds()
            try:
                return run(database, statement)
            finally:
                spent = self.statements.setdefault((place(), masked(statement)), Spent())
                spent.add(perf_counter() - started, cpu_seconds() - used)

        return timed

    def _counted(self, add: Callable[..., None]) -> Callable[..., None]:
        @wraps(add)
        def counted(clock: Clock, phase: str, rows: int, seconds: float) -> None:
            spent = self.phases.setdefault(phase, Spent())
            spent.add(seconds, self.sampler.since(perf_counter() - seconds))
            add(clock, phase, rows, seconds)

        return counted


def main() -> int:
    """Migrate once and print both tables."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.profile", description="Where the time of one migration goes."
    )
    parser.add_argument("old_db", type=Path)
    parser.add_argument("--statements", type=int, default=25, help="how many to show")
    parser.add_argument("--functions", type=int, default=0, help="Python functions to show")
    arguments = parser.parse_args()
    warn_if_busy()
    profile, functions = Profile(), cProfile.Profile()
    started, used = perf_counter(), cpu_seconds()
    with tempfile.TemporaryDirectory(dir=arguments.old_db.parent) as folder, profile.watching():
        options = MigrateOptions(arguments.old_db, Path(folder, "new.db"), backup_dir=Path(folder))
        if arguments.functions:
            functions.runcall(migrate, options)
        else:
            migrate(options)
        whole = Spent(perf_counter() - started, cpu_seconds() - used, 1)
    print(
        "\n".join(
            [*phase_lines(profile, whole), "", *statement_lines(profile, arguments.statements)]
        )
    )
    if arguments.functions:
        print()
        pstats.Stats(functions).sort_stats("tottime").print_stats(arguments.functions)
    return 0


def phase_lines(profile: Profile, whole: Spent) -> list[str]:
    """Seconds per phase; more CPU than wall clock says that cores worked side by side."""
    lines = [f"{'phase':<12}{'wall s':>10}{'CPU s':>10}{'CPU/wall':>10}{'share':>8}"]
    for name, spent in (*profile.phases.items(), ("whole run", whole)):
        busy = spent.cpu / spent.wall if spent.wall else 0.0
        share = spent.wall / whole.wall
        lines.append(f"{name:<12}{spent.wall:>10.2f}{spent.cpu:>10.2f}{busy:>10.2f}{share:>8.0%}")
    return lines


def statement_lines(profile: Profile, most: int) -> list[str]:
    """The statements that took longest, and where each comes from."""
    ranked = sorted(profile.statements.items(), key=lambda item: -item[1].wall)
    total = sum(spent.wall for spent in profile.statements.values())
    places: dict[str, Spent] = {}
    for (where, _), spent in ranked:
        places.setdefault(where, Spent()).merge(spent)
    lines = [f"{'wall s':>8}{'CPU s':>8}{'times':>7}  SQL that was run from"]
    for where, spent in sorted(places.items(), key=lambda item: -item[1].wall)[:most]:
        lines.append(f"{spent.wall:>8.2f}{spent.cpu:>8.2f}{spent.times:>7}  {where}")
    lines += [
        "",
        f"{len(ranked)} different statements, {total:.2f} s in all; the heaviest:",
        f"{'wall s':>8}{'CPU s':>8}{'times':>7}  from: tables: statement",
    ]
    for (where, statement), spent in ranked[:most]:
        text = statement if len(statement) <= SHOWN else f"{statement[:SHOWN]}..."
        tables = " ".join(dict.fromkeys(_TABLE.findall(statement)))
        head = f"{spent.wall:>8.2f}{spent.cpu:>8.2f}{spent.times:>7}"
        lines.append(f"{head}  {where}: {tables[:SHOWN]}: {text}")
    return lines


def place() -> str:
    """The function of the package that wanted a statement, without what only hands it on."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        module = str(frame.f_globals.get("__name__", ""))
        named = not frame.f_code.co_name.startswith("<")
        if module.startswith("person_unify.") and named and not module.endswith(_HANDING_ON):
            break
        frame = frame.f_back
    module = str(frame.f_globals.get("__name__", "")).removeprefix("person_unify.")
    return f"{module}.{frame.f_code.co_name}"


def masked(statement: str) -> str:
    """One line without any literal."""
    return " ".join(_LITERAL.sub("?", statement).split())


def cpu_seconds() -> float:
    """CPU seconds of all threads, and of children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


if __name__ == "__main__":
    raise SystemExit(main())
