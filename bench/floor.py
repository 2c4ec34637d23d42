"""What a run's parts take at least: the drivers alone, with nothing transformed or compared.

    python -m bench.floor                       100,000 persons, without faults
    python -m bench.floor --persons 10000 --rounds 3 --keep

One finished migration is taken apart.  Each part is a process of its own, which moves the rows that
the migration moved through the drivers that it uses, and does nothing to them.  Parts that answer
for another way of doing the same stand beside them.  ``--keep`` puts the runs where the pages look.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.compare import peer
from bench.figures import PARTS, TUNED
from bench.measuring import (
    ROOT,
    SAMPLES,
    Process,
    Record,
    Run,
    described,
    keepable,
    migrated,
    require_room,
    sample,
    warn_if_busy,
)


def main() -> int:
    """Measure every part in every round, and keep the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.floor", description="Time what the drivers alone take."
    )
    parser.add_argument("--persons", type=int, default=100_000, help="of the sample")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each part (default: 1)")
    arguments = keepable(parser).parse_args()
    record = Record("floor", vars(arguments))
    warn_if_busy()
    source = sample(arguments.persons, faults=False)
    require_room(source, 6)
    for number in range(1, arguments.rounds + 1):
        with tempfile.TemporaryDirectory(dir=SAMPLES) as folder:
            ours = migrated(source, arguments.persons, number, Path(folder))
            tuned = peer(TUNED, source, arguments.persons, number, Path(folder))
            record.add(shown(ours), shown(tuned))
            target = Path(folder) / "person-unify.db"
            files = (source, target, target.with_name("person-unify.ledger.db"))
            for part, name in PARTS.items():
                process = apart(part, files)
                record.add(shown(described((name, arguments.persons, number), process)))
        record.keep()
    print(f"written to {record.keep().relative_to(ROOT)}")
    return 0


def apart(part: str, files: tuple[Path, ...]) -> Process:
    """One part in a process, which says what the part took without its start."""
    command = [sys.executable, "-m", "bench.floor_parts", part, *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    if done.returncode:
        raise SystemExit(f"{part} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Process(**json.loads(done.stdout))


def shown(run: Run) -> Run:
    """A run, printed."""
    print(f"{run.name:<40} {run.seconds:>7.2f} s  CPU {run.cpu_seconds:>7.2f} s", flush=True)
    return run


if __name__ == "__main__":
    raise SystemExit(main())
