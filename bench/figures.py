"""What kept results say: medians of repeated runs, ratios within rounds, and the goals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.compare import PRISMA, SLOW
from bench.measuring import OURS, Run, runs_of
from person_unify.run.budget import parse

CORE_ONLY = ("pandas", *PRISMA)
"""Peers that move the core tables only, so that only their rows per second compare."""

NO_ODD, ONE_ODD = "no odd cell", "one odd cell"
NO_FAULTS, FAULTS = "no faults", "2% faults"
"""What :mod:`bench.odd` runs, by pairs."""

MEMORY = "--memory"
"""Begins the name of a run that was told how much memory to take, as in ``--memory 512M``."""

IMPORTS, HELP, CHECK = "imports", "--help", "check"
"""What :mod:`bench.smallest` runs beside migrations; no persons stands for two rows a table."""

NEEDED = {
    "copy": "source: copied and hashed",
    "read": "source: read by ADBC",
    "write_target": "target: written by ADBC, then its indexes",
    "write_ledger": "ledger: written by ADBC, then its indexes",
    "check": "all three: quick_check",
    "read_back": "target and ledger: read by connectorx",
}
"""What :mod:`bench.floor` times of what no run of ours does without, whatever it computes."""

INSTEAD = {
    "write_by_key": "target: written sorted by key",
    "copy_rows": "target: rows copied within SQLite",
    "join_texts": "references to persons: joined as text",
    "join_bytes": "references to persons: joined as 16 bytes",
    "join_numbers": "references to persons: joined as numbers",
}
"""Other ways of doing a part, or parts of one."""

PARTS = NEEDED | INSTEAD
"""All that :mod:`bench.floor` times beside whole runs: functions of ``floor_parts``, in words."""

BASE, COMPARED, GROWN = 100_000, 300_000, 1_000_000
"""Sizes in persons at which the goals are set."""

TUNED = "sql-tuned"

AIMS = (
    (TUNED, 1 / 1.5, "at most 1.5x the time of sql-tuned"),
    ("sql-naive", 1.0, "faster than sql-naive"),
)
"""Peer at the large sizes, the least ratio of rows per second, and the same in words."""


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
    """What is aimed at, at which size, mostly in persons, and what was measured, in words."""

    aim: str
    at: str
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


def named(measured: Iterable[Measured], name: str) -> list[Measured]:
    """Those of one contender."""
    return [one for one in measured if one.name == name]


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


def floor(measured: Iterable[Measured]) -> dict[str, tuple[float, float]]:
    """Seconds and CPU seconds of whole runs, of each part of :data:`PARTS`, and of all it needs.

    measured: those of one size.
    """
    took = {one.name: (one.median("seconds"), one.median("cpu_seconds")) for one in measured}
    needed = [took[name] for name in (*NEEDED.values(), NEEDED["read"])]
    return {
        OURS: took[OURS],
        TUNED: took[TUNED],
        **{name: took[name] for name in NEEDED.values()},
        "**together, the source read twice**": (
            sum(seconds for seconds, _ in needed),
            sum(cpu for _, cpu in needed),
        ),
        **{f"instead: {name}": took[name] for name in INSTEAD.values()},
    }


def goals(
    compared: Sequence[Measured],
    scaled: Sequence[Measured],
    odd: Sequence[Measured] = (),
    smallest: Sequence[Measured] = (),
) -> Iterator[Goal]:
    """The goals that the measurements can answer."""
    for name, least, aim in AIMS:
        for measured in compared:
            if measured.name == name and measured.persons in (BASE, COMPARED):
                rate = median(ratios(measured))
                yield Goal(aim, f"{measured.persons:,}", spoken(rate), _answer(rate >= least))
    for name in (*SLOW, *PRISMA):  # at every size
        rates = {one.persons: median(ratios(one)) for one in compared if one.name == name}
        if rates:
            said = ", ".join(f"{spoken(r)} ({persons:,})" for persons, r in rates.items())
            met = _answer(min(rates.values()) >= 1)
            yield Goal(f"faster than {name}", "1,000 and more", said, met)
    by = {one.name: one for one in odd}
    if {NO_FAULTS, FAULTS} <= by.keys():
        faulty = by[FAULTS].median("cpu_seconds") / by[NO_FAULTS].median("cpu_seconds")
        aim = "2% faults at most 1.25x the time without"
        yield _at_most(aim, f"{by[FAULTS].persons:,}", faulty, 1.25)
    yield from _least({(one.name, one.persons): one for one in smallest})
    yield from _growth(_furthest(scaled))
    yield from _bounded(scaled)


def _least(found: Mapping[tuple[str, int], Measured]) -> Iterator[Goal]:
    """Of a few rows, of ``--help``, and of ``check`` beside ``migrate``."""
    few, imports = found.get((OURS, 0)), found.get((IMPORTS, 0))
    if few is not None and imports is not None:
        aim = "a developer's own database at most 2.5x the time of importing the libraries"
        ratio = few.median("cpu_seconds") / imports.median("cpu_seconds")
        yield _at_most(aim, f"{few.median('target_rows'):,.0f} rows", ratio, 2.5)
    for (name, persons), one in found.items():
        if name == HELP:
            seconds = one.median("cpu_seconds")
            yield Goal("--help under 0.3 s", "", f"{seconds:.2f} s", _answer(seconds < 0.3))
        elif name == CHECK and (OURS, persons) in found:
            ratio = one.median("cpu_seconds") / found[OURS, persons].median("cpu_seconds")
            yield _at_most("check at most 0.5x the time of migrate", f"{persons:,}", ratio, 0.5)


def _at_most(aim: str, at: str, ratio: float, most: float) -> Goal:
    """A ratio of CPU seconds, which a busy machine stretches less than those of the clock."""
    return Goal(aim, at, f"{ratio:.2f}x the CPU", _answer(ratio <= most))


def _furthest(scaled: Sequence[Measured]) -> list[Measured]:
    """The samples with faults, or those without, whichever were measured at the larger size."""
    kinds = (named(scaled, name) for name in (OURS, NO_FAULTS))
    return max(kinds, key=lambda kind: max((one.persons for one in kind), default=0))


def _growth(scaled: Sequence[Measured]) -> Iterator[Goal]:
    sizes = {measured.persons: measured for measured in scaled}
    if not sizes:
        return
    base, top = sizes.get(BASE), sizes[max(sizes)]
    kind = "" if top.name == OURS else f", {top.name}"
    if base is not None and top.persons > BASE:
        share = top.median("rows_per_second") / base.median("rows_per_second")
        aim = f"rows/s at least 85% of those at {BASE:,} persons"
        said = f"{share:.0%} at {top.persons:,} persons{kind}"
        yield Goal(aim, f"{GROWN:,}", said, _met(share >= 0.85, top.persons, GROWN))
    for measured, mebibytes, persons in ((base, 500, BASE), (top, 2048, GROWN)):
        if measured is not None:
            peak = measured.median("peak_rss_bytes") / 2**20
            said = f"{peak:,.0f} MiB at {measured.persons:,} persons{kind}"
            met = _met(peak <= mebibytes, measured.persons, persons)
            yield Goal(f"peak memory at most {mebibytes:,} MiB", f"{persons:,}", said, met)


def _bounded(scaled: Sequence[Measured]) -> Iterator[Goal]:
    """Of runs that were told how much memory to take."""
    for one in scaled:
        if one.name.startswith(MEMORY):
            size, peak = parse(one.name.split()[1]), one.median("peak_rss_bytes")
            said = f"{peak / 2**20:,.0f} MiB, {peak / size:.2f}x"
            aim = f"{one.name} held within 15%"
            yield Goal(aim, f"{one.persons:,}", said, _answer(peak <= 1.15 * size))


def _met(reached: bool, measured: int, aimed: int) -> str:
    """A smaller size than the goal's proves nothing about it, one way or the other."""
    if measured < aimed:
        return "so far" if reached else "not at this size"
    return _answer(reached)


def _answer(reached: bool) -> str:
    return "yes" if reached else "no"


def spoken(ratio: float) -> str:
    """``2.5x as fast`` or ``1.3x slower``."""
    return f"{ratio:,.1f}x as fast" if ratio >= 1 else f"{1 / ratio:,.1f}x slower"
