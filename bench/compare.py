"""Time person-unify and its peers in turn on the same databases, and compare.

    python -m bench.compare                                 100,000 persons, slow peers 5,000
    python -m bench.compare --persons 300000 --slow 10000 --rounds 5
    python -m bench.compare --only sql-tuned limit --persons 100000

Every run is a whole process.  Within a round all of them take turns, and each round begins with
another one, so that a machine that slows down slows all; compared are rows of the target per second
within a round.  person-unify runs at both sizes.  ``--keep`` puts the runs where the pages look.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.measuring import (
    OURS,
    ROOT,
    SAMPLES,
    Record,
    Run,
    finished,
    keepable,
    migrated,
    require_room,
    sample,
    timed,
    warn_if_busy,
)

LIMIT = "limit"
FAST = ("sql-naive", "sql-tuned", "sql-unsafe", LIMIT)
SLOW = ("row-by-row", "sqlalchemy", "pandas")
PRISMA = ("prisma-many", "prisma-create")
PEERS = {
    "sql-naive": "INSERT ... SELECT with joins, into the target with its indexes",
    "sql-tuned": "the same by an expert: sorted by key, indexes last, cache, exclusive lock",
    "sql-unsafe": "sql-tuned without journal and without syncing",
    LIMIT: "VACUUM INTO of the finished target",
    "row-by-row": "slow: Python's sqlite3, a row at a time",
    "sqlalchemy": "slow: ORM objects and bulk inserts",
    "pandas": "slow: read_sql, merge, to_sql; core tables",
    "prisma-many": "slow: Prisma's createMany in batches of 1000; core tables",
    "prisma-create": "slow: Prisma, one create at a time; core tables",
}


def main() -> int:
    """Run all rounds and keep the figures."""
    arguments = parsed()
    wanted = set(arguments.only or PEERS)
    if wanted & set(PRISMA) and not prisma_is_ready():
        wanted -= set(PRISMA)
    record = Record("compare", vars(arguments))
    warn_if_busy()
    sizes = (
        (arguments.persons, arguments.rounds, FAST),
        (arguments.slow, arguments.slow_rounds or arguments.rounds, (*SLOW, *PRISMA)),
    )
    path = None
    for persons, rounds, names in sizes:
        peers = [name for name in names if name in wanted]
        for number in range(1, rounds + 1) if peers else ():
            print(f"round {number} of {rounds} at {persons:,} persons", flush=True)
            record.add(*round_of(persons, number, peers))
            path = record.keep()
    if path is None:
        print("nothing was measured: no peer is left")
        return 2
    print(f"written to {path.relative_to(ROOT)}")
    return 0


def parsed() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare",
        description="Compare person-unify with its peers.",
        epilog="\n".join(("peers:", *(f"  {name:<15}{is_}" for name, is_ in PEERS.items()))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--persons", type=int, default=100_000, help="size for the fast peers (default: 100000)"
    )
    parser.add_argument(
        "--slow", type=int, default=5_000, help="size for the slow peers (default: 5000)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument(
        "--slow-rounds", type=int, help="rounds of the slow peers (default: as of the fast)"
    )
    parser.add_argument(
        "--only", nargs="+", choices=PEERS, metavar="PEER", help="these peers (default: all)"
    )
    return keepable(parser).parse_args()


def prisma_is_ready() -> bool:
    """Install Prisma and generate its clients, in a process of its own; says why it cannot."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.peers.prisma_script"], cwd=ROOT, check=False, text=True
    )
    return done.returncode == 0


def round_of(persons: int, number: int, peers: Sequence[str]) -> list[Run]:
    """Everyone once on one database without faults: no peer survives the others."""
    source = sample(persons, faults=False)
    require_room(source, 4)
    runs = []
    with tempfile.TemporaryDirectory(dir=SAMPLES) as folder:
        for name in in_turn(peers, number):
            if name == OURS:
                runs.append(migrated(source, persons, number, Path(folder)))
            else:
                runs.append(peer(name, source, persons, number, Path(folder)))
            print(f"  {name:<14} {runs[-1].seconds:>8.1f} s", flush=True)
    return runs


def in_turn(peers: Sequence[str], number: int) -> list[str]:
    """The order of a round; ``limit`` copies our finished target, so it comes last."""
    names = [OURS, *(name for name in peers if name != LIMIT)]
    first = (number - 1) % len(names)
    return [*names[first:], *names[:first], *(name for name in peers if name == LIMIT)]


def peer(name: str, source: Path, persons: int, number: int, folder: Path) -> Run:
    """One peer in a process; its target is removed."""
    target = folder / f"{name}.db"
    read = folder / f"{OURS}.db" if name == LIMIT else source
    process = timed("-m", "bench.peers", name, str(read), str(target))
    run = finished(name, persons, number, process, source, target)
    target.unlink()
    return run


if __name__ == "__main__":
    raise SystemExit(main())
