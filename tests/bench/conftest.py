"""Results as a bench would keep them, made up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bench.figures import NO_ODD, ONE_ODD, PARTS, TUNED
from bench.measuring import OURS, Record, Run

RUN = Run(
    name=OURS,
    persons=1_000,
    round=1,
    seconds=4.0,
    cpu_seconds=6.0,
    peak_rss_bytes=300 * 2**20,
    target_rows=24_000,
    rows_per_second=6_000.0,
    source_bytes=10_000_000,
    target_bytes=11_000_000,
    source_rows=25_000,
    ledger_bytes=3_000_000,
    phases={"extract": 1.0, "load": 1.5, "verify": 1.0},
)
BEGUN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MARKS = (
    "compare goals scale phases odd floor bench picture:ratios picture:size picture:phases".split()
)


def run(name: str = OURS, persons: int = 1_000, number: int = 1, seconds: float = 4.0) -> Run:
    """A run of somebody; the rows written grow with the persons."""
    rows = persons * 24
    made = replace(RUN, name=name, persons=persons, round=number, seconds=seconds)
    made = replace(made, target_rows=rows, rows_per_second=rows / seconds)
    return made if name == OURS else replace(made, phases={}, source_rows=None, ledger_bytes=None)


def record(kind: str, *runs: Run, days: int = 0) -> Record:
    """A result begun on a day of its own."""
    made = Record(kind, {}, started=BEGUN + timedelta(days), before=(0.25, 0.5, 0.75))
    made.add(*runs)
    return made


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One result of each kind."""
    directory = tmp_path / "results"
    fast = [run(n, 1_000, r, s + r) for r in (1, 2, 3) for n, s in ((OURS, 4.0), ("limit", 1.0))]
    fast += [run("sql-tuned", 1_000, r, 2 * (4.0 + r)) for r in (1, 2, 3)]
    slow = [run(OURS, 100), run("prisma-many", 100, seconds=40.0)]
    record("compare", *fast, *slow).keep(directory)
    record("scale", run(), run(persons=2_000, seconds=8.0)).keep(directory)
    odd = replace(run(), name=ONE_ODD, cpu_seconds=7.5)
    record("odd", replace(run(), name=NO_ODD), odd).keep(directory)
    parts = [replace(run(name), seconds=1.5, cpu_seconds=0.5) for name in (TUNED, *PARTS.values())]
    record("floor", run(), *parts).keep(directory)
    return directory


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with a place for everything."""
    path = tmp_path / "PAGE.md"
    places = (f"## {mark}\n\n<!-- {mark}:begin -->\n<!-- {mark}:end -->\n" for mark in MARKS)
    path.write_text("# Page\n\n" + "\n".join(places), encoding="utf-8")
    return path
