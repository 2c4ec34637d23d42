"""Time person-unify and its peers in turn on the same databases, and compare.

    bench/compare.py                        100,000 persons, slow peers 5,000
    bench/compare.py --persons 300000 --slow 10000 --rounds 5

Every run is a whole process; peers and person-unify alternate within each round, so that a machine
that slows down slows all of them.  Compared are medians, as seconds where the work is the same and
as rows of the target per second where a peer runs at a smaller size or for the core tables only.
Prints what it measures, writes ``bench/results/compare-<date>-<machine>.json`` and the table of
``docs/PERFORMANCE.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter

from bench.peers.prisma_script import NoNodeError, prepare

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "build" / "bench"
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "PERFORMANCE.md"
BEGIN, END = "<!-- compare:begin -->", "<!-- compare:end -->"
SEED = 7
OURS = "person-unify"
FAST = (OURS, "sql-naive", "sql-tuned", "sql-unsafe", "limit")
SLOW = ("row-by-row", "sqlalchemy", "pandas")
PRISMA = ("prisma-many", "prisma-create")


@dataclass(frozen=True, slots=True)
class Run:
    """One process: wall-clock and CPU seconds, peak memory, and rows in the target it made."""

    name: str
    persons: int
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    target_rows: int


def main() -> int:
    """Run all rounds and keep the figures."""
    parser = argparse.ArgumentParser(description="Compare person-unify with its peers.")
    parser.add_argument("--persons", type=int, default=100_000, help="size for the fast ones")
    parser.add_argument("--slow", type=int, default=5_000, help="size for the slow ones")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    slow = [*SLOW]
    try:
        prepare()
        slow += PRISMA
    except NoNodeError as error:
        print(error)
    runs = []
    for number in range(arguments.rounds):
        for persons, names in ((arguments.persons, FAST), (arguments.slow, slow)):
            runs += round_of(persons, names)
            print(f"round {number + 1} of {arguments.rounds} at {persons:,} persons done")
    lines = table(runs)
    print("\n".join(lines))
    print(f"kept in {keep(runs).relative_to(ROOT)}")
    fill(lines)
    return 0


def round_of(persons: int, names: tuple[str, ...] | list[str]) -> list[Run]:
    """Every peer once on one database; our finished target is what ``limit`` copies."""
    old = sample(persons)
    runs = []
    with tempfile.TemporaryDirectory(dir=SAMPLES) as folder:
        finished = Path(folder, f"{OURS}.db")
        for name in names:
            new = Path(folder, f"{name}.db")
            runs.append(timed(name, persons, finished if name == "limit" else old, new))
            if name != OURS:
                new.unlink()
            print(f"  {name:<14} {runs[-1].seconds:>8.1f} s")
    return runs


def timed(name: str, persons: int, old: Path, new: Path) -> Run:
    """One process and what the operating system says it used."""
    command = [sys.executable, "-m", "bench.peers", name, str(old), str(new)]
    if name == OURS:
        command = [sys.executable, "-m", "person_unify", "migrate", str(old), str(new), "--quiet"]
        command += ["--backup-dir", str(new.parent)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    with tempfile.TemporaryFile() as output:
        started = perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{name} failed:\n{output.read()[-2000:].decode('utf-8', 'replace')}")
    return Run(
        name,
        persons,
        round(seconds, 3),
        round(usage.ru_utime + usage.ru_stime, 3),
        usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        rows_in(new),
    )


def rows_in(target: Path) -> int:
    """Rows of all tables."""
    with closing(sqlite3.connect(target)) as connection:
        names = [
            n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        return sum(connection.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0] for n in names)


def sample(persons: int) -> Path:
    """A database without faults, made once: no peer survives the others."""
    path = SAMPLES / f"clean-{persons}-seed{SEED}.db"
    if not path.exists():
        SAMPLES.mkdir(parents=True, exist_ok=True)
        making = path.with_suffix(".making.db")
        making.unlink(missing_ok=True)
        command = [sys.executable, "-m", "person_unify", "sample", str(making)]
        command += ["--persons", str(persons), "--seed", str(SEED), "--faults", "0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run(command, check=True, env=environment, capture_output=True)
        making.rename(path)
    return path


def table(runs: list[Run]) -> list[str]:
    """One row per contender: medians, and how it compares with ours."""
    ours = [run for run in runs if run.name == OURS]
    rate = median(run.target_rows / run.seconds for run in ours)
    lines = [
        "| | persons | rows written | seconds | rows/s | peak memory | person-unify is |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in dict.fromkeys(run.name for run in runs):
        mine = [run for run in runs if run.name == name]
        theirs = median(run.target_rows / run.seconds for run in mine)
        ratio = rate / theirs
        said = f"{ratio:.1f}x as fast" if ratio >= 1 else f"{1 / ratio:.1f}x slower"
        lines.append(
            f"| {name} | {mine[0].persons:,} | {mine[0].target_rows:,} "
            f"| {median(run.seconds for run in mine):.1f} | {theirs:,.0f} "
            f"| {median(run.peak_rss_bytes for run in mine) / 1e6:,.0f} MB "
            f"| {'' if name == OURS else said} |"
        )
    return lines


def keep(runs: list[Run]) -> Path:
    """Write every single run with what decides it; returns the file."""
    now = datetime.now(UTC)
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    record = {
        "date": f"{now:%Y-%m-%d}",
        "system": system,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load_average": round(os.getloadavg()[0], 2),
        "seed": SEED,
        "runs": [asdict(run) for run in runs],
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    machine = re.sub(r"[^a-z0-9]+", "-", system.lower()).strip("-")
    path = RESULTS / f"compare-{now:%Y-%m-%d}-{machine}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def fill(lines: list[str]) -> None:
    """Put the table into the page that explains it."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
