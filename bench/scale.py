"""Time ``person-unify migrate`` by size: seconds, memory and phases.

    python -m bench.scale 10000 100000 300000              these sizes, in persons
    python -m bench.scale 100000 --faults both             and once more without faults
    python -m bench.scale 100000 --memory 512M             told how much memory to take

The samples have faults, as real databases do, unless others are asked for.  Every run is a process
of its own; prints what it measures; ``--keep`` puts the runs where the pages look.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from bench.figures import FAULTS, MEMORY, NO_FAULTS
from bench.measuring import (
    OURS,
    ROOT,
    Record,
    Run,
    keepable,
    migration,
    require_room,
    sample,
    warn_if_busy,
)

SIZES = (10_000, 100_000)
_FAULTS = {"with": (True,), "without": (False,), "both": (True, False)}


def main() -> int:
    """Measure every size that was asked for, and keep the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale", description="Time migrate by size."
    )
    parser.add_argument("persons", nargs="*", type=int, help="sizes (default: 10000 100000)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each size (default: 1)")
    parser.add_argument("--faults", choices=_FAULTS, default="with", help="default: with")
    parser.add_argument(MEMORY, help="as for migrate (default: what it takes by itself)")
    arguments = keepable(parser).parse_args()
    if arguments.memory and arguments.faults != "with":
        parser.error("--memory is measured on samples with faults only")
    told = (MEMORY, arguments.memory) if arguments.memory else ()
    record = Record("scale", vars(arguments))
    warn_if_busy()
    for number in range(1, arguments.rounds + 1):
        for persons in arguments.persons or SIZES:
            for faults in _FAULTS[arguments.faults]:
                source = sample(persons, faults=faults)
                require_room(source, 3)
                run = migration(source, persons, number, *told)
                record.add(replace(run, name=" ".join(told) or (OURS if faults else NO_FAULTS)))
                print(f"{FAULTS if faults else NO_FAULTS}:")
                show(run)
                record.keep()
    print(f"written to {record.keep().relative_to(ROOT)}")
    return 0


def show(run: Run) -> None:
    """One run as a few lines."""
    print(
        f"{run.persons:>9,} persons  {run.source_rows:>11,} rows  {run.seconds:>8.1f} s  "
        f"{run.rows_per_second:>9,.0f} rows/s  CPU {run.cpu_seconds:>8.1f} s  "
        f"peak {run.peak_rss_bytes / 2**20:>6,.0f} MiB"
    )
    phases = "  ".join(f"{name} {spent:.1f} s" for name, spent in run.phases.items())
    print(f"{'':>9} {phases}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
