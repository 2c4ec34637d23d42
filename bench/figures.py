"""What kept results say: medians of repeated runs, ratios within rounds, and the goals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.measuring import OURS, Run, runs_of

CORE_ONLY = ("pandas", "prisma-many", "prisma-create")
"""Peers that move the core tables only, so that only their rows per second compare."""

NO_ODD, ONE_ODD = "no odd cell", "one odd cell"
NO_FAULTS, FAULTS = "no faults", "2% faults"
"""What :mod:`bench.odd` runs, by pairs."""

BASE, COMPARED, GROWN = 100_000, 300_000, 2_000_000
"""Sizes in persons at which the goals are set."""

AIMS = (
    ("sql-tuned", 1.0, "no slower than sql-tuned"),
    ("sql-unsafe", 1 / 1.3, "at most 1.3x the time of sql-unsafe"),
    ("sql-naive", 2.5, "2.5x as fast as sql-naive"),
    ("sqlalchemy", 10.0, "10x the rows/s of sqlalchemy"),
    ("prisma-many", 60.0, "60x the rows/s of prisma-many"),
    ("prisma-create", 100.0, "100x the rows/s of prisma-create"),
)
"""Peer, the least ratio of rows per second, and the same in words."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All runs of one contender at one size in one result."""

    name: str
    persons: int
    runs: tuple[Run, ...]
    record: Mapping[str, Any]

    def median(self, figure: str) -> float:
        """The median of one figure of the runs."""
        return float(median(getattr(run, figure) for run in self.runs))

    def phases(self) -> dict[str, float]:
        """Median seconds of work per phase, in the order of the run."""
        return {
            phase: median(run.phases.get(phase, 0.0) for run in self.runs)
            for phase in self.runs[0].phases
        }


@dataclass(frozen=True, slots=True)
class Goal:
    """What is aimed at, at which size in persons, and what was measured, in words."""

    aim: str
    persons: int
    measured: str
    met: str


def groups(record: Mapping[str, Any]) -> list[Measured]:
    """The runs of a result by contender and size, in the order of their first run."""
    found: dict[tuple[str, int], list[Run]] = {}
    for run in runs_of(record):
        found.setdefault((run.name, run.persons), []).append(run)
    return [Measured(*key, tuple(runs), record) for key, runs in found.items()]


def newest(records: Iterable[Mapping[str, Any]]) -> list[Measured]:
    """For each contender and size the newest measurement, sizes ascending; records in order."""
    found: dict[tuple[str, int], Measured] = {}
    for record in records:
        for measured in groups(record):
            found[measured.name, measured.persons] = measured
    return sorted(found.values(), key=lambda measured: measured.persons)


def ours(record: Mapping[str, Any], persons: int) -> Measured:
    """Our runs at one size of a result; raises :class:`LookupError` where there are none."""
    for measured in groups(record):
        if (measured.name, measured.persons) == (OURS, persons):
            return measured
    raise LookupError(f"no run of {OURS} at {persons} persons is kept")


def ratios(measured: Measured) -> list[float]:
    """How many times our rows per second a contender's are divided into, round by round.

    2.0 says that person-unify wrote twice as many rows per second in that round.
    """
    mine = {run.round: run for run in ours(measured.record, measured.persons).runs}
    return [
        mine[run.round].rows_per_second / run.rows_per_second
        for run in measured.runs
        if run.round in mine
    ]


def large(measured: Measured) -> tuple[int, float] | None:
    """The ratio of rows per second to ours at a larger size of the same result, and that size."""
    mine = [m for m in groups(measured.record) if m.name == OURS and m.persons > measured.persons]
    if not mine:
        return None
    best = max(mine, key=lambda m: m.persons)
    return best.persons, best.median("rows_per_second") / measured.median("rows_per_second")


def goals(compared: Sequence[Measured], scaled: Sequence[Measured]) -> Iterator[Goal]:
    """The goals that the measurements can answer; the largest size of each contender counts."""
    largest = {measured.name: measured for measured in compared}
    for name, least, aim in AIMS:
        if name in largest:
            yield _speed(largest[name], least, aim)
    if "limit" in largest:
        yield _loading(largest["limit"])
    yield from _growth(scaled, max(scaled, key=lambda one: one.persons, default=None))


def _speed(measured: Measured, least: float, aim: str) -> Goal:
    """A ratio of rows per second; a peer of a smaller size meets our rate at our largest size."""
    size, rate = large(measured) or (measured.persons, median(ratios(measured)))
    where = f"{spoken(rate)} at {size:,} persons"
    if size > measured.persons:
        where += f", {measured.name} at {measured.persons:,}"
    return Goal(aim, COMPARED, where, _met(rate >= least, size, COMPARED))


def _loading(limit: Measured) -> Goal:
    mine = {run.round: run for run in ours(limit.record, limit.persons).runs}
    share = median(mine[run.round].phases["load"] / run.seconds for run in limit.runs)
    said = f"{share:.1f}x at {limit.persons:,} persons"
    met = _met(share <= 3, limit.persons, COMPARED)
    return Goal("the load phase takes at most 3x the time of limit", COMPARED, said, met)


def _growth(scaled: Sequence[Measured], largest: Measured | None) -> Iterator[Goal]:
    sizes = {measured.persons: measured for measured in scaled}
    if not sizes:
        return
    base, top = sizes.get(BASE), sizes[max(sizes)]
    if base is not None and top.persons > BASE:
        share = top.median("rows_per_second") / base.median("rows_per_second")
        aim = f"rows/s at least 85% of those at {BASE:,} persons"
        said = f"{share:.0%} at {top.persons:,} persons"
        yield Goal(aim, GROWN, said, _met(share >= 0.85, top.persons, GROWN))
    for measured, mebibytes, persons in ((base, 600, BASE), (largest, 2048, GROWN)):
        if measured is not None:
            peak = measured.median("peak_rss_bytes") / 2**20
            said = f"{peak:,.0f} MiB at {measured.persons:,} persons"
            met = _met(peak < mebibytes, measured.persons, persons)
            yield Goal(f"peak memory under {mebibytes:,} MiB", persons, said, met)


def _met(reached: bool, measured: int, aimed: int) -> str:
    """A smaller size than the goal's proves nothing about it, one way or the other."""
    if measured < aimed:
        return "so far" if reached else "not at this size"
    return "yes" if reached else "no"


def spoken(ratio: float) -> str:
    """``2.5x as fast`` or ``1.3x slower``."""
    return f"{ratio:,.1f}x as fast" if ratio >= 1 else f"{1 / ratio:,.1f}x slower"
