"""Fail when the migration got slower or larger, as a ratio to ``sql-tuned`` on the same machine.

    python -m bench.guard                a fresh short run against the kept ratios
    python -m bench.guard --keep         keep the ratios of a fresh run as the new measure

Both take turns on one database; compared is the median of the ratios of each round, which holds
where seconds do not.  Ends with 1 where a ratio is over 20% worse than the kept one of the same
size, and with 2 where none is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from statistics import median
from typing import Any

from bench.compare import round_of
from bench.measuring import OURS, ROOT, Record, Run, kept, warn_if_busy

PEER = "sql-tuned"
WORSE = 1.2
FIGURES = {"time": "seconds", "memory": "peak_rss_bytes"}


def main() -> int:
    """Run both in turn, then judge or keep."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.guard",
        description=f"Fail when time or memory, as ratios to {PEER}, got over 20% worse.",
    )
    parser.add_argument("--persons", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="make this run the new measure")
    arguments = parser.parse_args()
    reference = None if arguments.keep else newest_of(arguments.persons, kept("guard"))
    if reference is None and not arguments.keep:
        print(
            f"no ratio of {arguments.persons:,} persons is kept: python -m bench.guard --keep "
            f"--persons {arguments.persons}, on a version that is fast enough, keeps one"
        )
        return 2
    record = Record("guard", vars(arguments))
    warn_if_busy()
    for number in range(1, arguments.rounds + 1):
        print(f"round {number} of {arguments.rounds}", flush=True)
        record.add(*round_of(arguments.persons, number, [PEER]))
    fresh = ratios_of([*record.runs, *record.peers])
    record.more["ratios"] = fresh
    if reference is None:
        print(f"{said(fresh)}; kept in {record.keep().relative_to(ROOT)}")
        return 0
    verdict, worse = judged(fresh, reference)
    print(verdict)
    return int(worse)


def newest_of(persons: int, records: list[dict[str, Any]]) -> Mapping[str, float] | None:
    """The newest kept ratios of that size."""
    fitting = [record["ratios"] for record in records if record["options"]["persons"] == persons]
    return fitting[-1] if fitting else None


def ratios_of(runs: list[Run]) -> dict[str, float]:
    """The median over the rounds of ours divided by the peer's, for time and memory."""
    by_round: dict[int, dict[str, Run]] = {}
    for run in runs:
        by_round.setdefault(run.round, {})[run.name] = run
    return {
        name: round(
            median(getattr(r[OURS], figure) / getattr(r[PEER], figure) for r in by_round.values()),
            3,
        )
        for name, figure in FIGURES.items()
    }


def judged(fresh: Mapping[str, float], reference: Mapping[str, float]) -> tuple[str, bool]:
    """One sentence, and whether any ratio is over 20% worse."""
    worse = [name for name in FIGURES if fresh[name] > reference[name] * WORSE]
    changes = ", ".join(
        f"{name} is {fresh[name]:.2f}x {PEER}, kept were {reference[name]:.2f}x "
        f"({fresh[name] / reference[name] - 1:+.0%})"
        for name in (worse or FIGURES)
    )
    if worse:
        return f"person-unify got over 20% worse: {changes}", True
    return f"within 20% of the kept ratios: {changes}", False


def said(ratios: Mapping[str, float]) -> str:
    """Ratios in words."""
    return ", ".join(f"{name} {ratio:.2f}x {PEER}" for name, ratio in ratios.items())


if __name__ == "__main__":
    raise SystemExit(main())
