"""Time ``person-unify migrate`` on synthetic databases, each run in a process of its own.

    bench/migrate.py 10000 100000      these sizes, in persons
    bench/migrate.py --quick           10,000 persons

Prints what it measures and writes it to ``bench/results/<date>-<machine>.json``.  Samples are kept
under ``build/bench/`` and made again when the generator's options or the tool's version change.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import DataclassInstance

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "build" / "bench"
RESULTS = ROOT / "bench" / "results"
SIZES = (10_000, 100_000, 300_000)
SEED = 7
LIBRARIES = ("polars", "connectorx", "adbc-driver-sqlite", "pyarrow", "numpy")


@dataclass(frozen=True, slots=True)
class Measured:
    """One migration: counts, wall-clock seconds of the whole process, and its peak memory in bytes.

    phases: wall-clock seconds per phase, as the report of the run states them.
    """

    persons: int
    source_rows: int
    source_bytes: int
    target_bytes: int
    ledger_bytes: int
    seconds: float
    cpu_seconds: float
    rows_per_second: float
    peak_rss_bytes: int
    phases: dict[str, float]


def main() -> int:
    """Measure every size that was asked for, and keep the figures."""
    parser = argparse.ArgumentParser(description="Time migrate on synthetic databases.")
    parser.add_argument("persons", nargs="*", type=int, help="sizes (default: 10k, 100k, 300k)")
    parser.add_argument("--quick", action="store_true", help="10,000 persons only")
    arguments = parser.parse_args()
    sizes = arguments.persons or (SIZES[:1] if arguments.quick else SIZES)
    runs = []
    for persons in sizes:
        runs.append(measure(persons))
        show(runs[-1])
    path = keep(runs)
    print(f"kept in {path.relative_to(ROOT)}")
    return 0


def measure(persons: int, *options: str) -> Measured:
    """Migrate one sample into a directory that is removed afterwards."""
    source = sample(persons)
    SAMPLES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SAMPLES) as directory:
        target = Path(directory, "new.db")
        command = ("migrate", str(source), str(target), "--quiet", "--backup-dir", directory)
        seconds, usage = timed(*command, *options)
        report = json.loads(target.with_name("migration-report.json").read_text("utf-8"))
        ledger = target.with_name("new.ledger.db")
        rows = sum(table["source_rows"] for table in report["tables"])
        return Measured(
            persons=persons,
            source_rows=rows,
            source_bytes=source.stat().st_size,
            target_bytes=target.stat().st_size,
            ledger_bytes=ledger.stat().st_size,
            seconds=round(seconds, 3),
            cpu_seconds=round(usage.ru_utime + usage.ru_stime, 3),
            rows_per_second=round(rows / seconds, 1),
            peak_rss_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            phases={phase["phase"]: round(phase["seconds"], 3) for phase in report["phases"]},
        )


def sample(persons: int) -> Path:
    """The synthetic old database of that size, made once."""
    path = SAMPLES / f"{tool_version()}-{persons}-seed{SEED}.db"
    if not path.exists():
        SAMPLES.mkdir(parents=True, exist_ok=True)
        making = path.with_suffix(".making.db")
        making.unlink(missing_ok=True)
        timed("sample", str(making), "--persons", str(persons), "--seed", str(SEED))
        making.rename(path)
    return path


def timed(*arguments: str) -> tuple[float, Any]:
    """Wall-clock seconds and resource usage of one command; its output shows only if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with tempfile.TemporaryFile() as output:
        started = perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "person_unify", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        # Waiting by hand gives the usage of this one child, not of all children so far.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            said = output.read().decode("utf-8", "replace")
            raise SystemExit(f"{arguments[0]} ended with {process.returncode}:\n{said}")
    return seconds, usage


def show(run: Measured) -> None:
    """One run as a few lines."""
    print(
        f"{run.persons:>9,} persons  {run.source_rows:>11,} rows  {run.seconds:>8.1f} s  "
        f"{run.rows_per_second:>9,.0f} rows/s  peak {run.peak_rss_bytes / 1e6:>7,.0f} MB  "
        f"source {run.source_bytes / 1e6:,.0f} MB, target {run.target_bytes / 1e6:,.0f} MB, "
        f"ledger {run.ledger_bytes / 1e6:,.0f} MB"
    )
    print("           " + "  ".join(f"{name} {spent:.1f} s" for name, spent in run.phases.items()))


def keep(runs: Sequence[DataclassInstance], prefix: str = "") -> Path:
    """Write the figures with everything that decides them; returns the file."""
    now = datetime.now(UTC)
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    record = {
        "date": f"{now:%Y-%m-%d}",
        "system": system,
        "python": platform.python_version(),
        "versions": {"person-unify": tool_version(), **{n: installed(n) for n in LIBRARIES}},
        "memory_bytes": memory(),
        "load_average": round(os.getloadavg()[0], 2),
        "seed": SEED,
        "runs": [asdict(run) for run in runs],
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    machine = re.sub(r"[^a-z0-9]+", "-", system.lower()).strip("-")
    path = RESULTS / f"{prefix}{now:%Y-%m-%d}-{machine}.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def memory() -> int:
    """Physical memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def tool_version() -> str:
    """The version that the sources state."""
    text = (ROOT / "src" / "person_unify" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    return found[1] if found else "unknown"


def installed(name: str) -> str:
    """The installed version of a library."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
