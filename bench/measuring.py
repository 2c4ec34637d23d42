"""What every measurement shares: samples, timed processes, kept results, the marks in the pages.

A result is a JSON file, in ``bench/results/`` where it was to be kept: when and on what machine,
under which load, with which versions, and every single run.  ``runs`` are migrations by
person-unify, ``peers`` the runs of what it is compared with.

This module and what imports it to measure stay free of large libraries: a process inherits the
peak memory of the one that started it, so a large harness would be what it measures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "person_unify"
SAMPLES = ROOT / "build" / "bench"
RESULTS = ROOT / "bench" / "results"
CASUAL = SAMPLES / "results"
"""Where runs go that were not asked to be kept: no page or notebook shows them."""
SEED = 7
OURS = "person-unify"
LIBRARIES = (
    "polars",
    "connectorx",
    "adbc-driver-sqlite",
    "adbc-driver-postgresql",
    "psycopg",
    "pyarrow",
    "numpy",
    "pandas",
    "sqlalchemy",
)


@dataclass(frozen=True, slots=True)
class Process:
    """One process: wall-clock and CPU seconds, and the peak memory of its largest process."""

    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """One migration, by whomever, as a whole process.

    rows_per_second counts rows of the target.  What only our own runs have is None or empty
    otherwise: the rows of the source as the report counts them, the ledger's size, and the
    seconds of work per phase.
    """

    name: str
    persons: int
    round: int
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    target_rows: int
    rows_per_second: float
    source_bytes: int
    target_bytes: int
    source_rows: int | None = None
    ledger_bytes: int | None = None
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Record:
    """One result under way, written again after every round, so that an interrupt loses little.

    It is kept in :data:`RESULTS` where the options say ``keep``, else in :data:`CASUAL`.
    """

    kind: str
    options: Mapping[str, Any]
    runs: list[Run] = field(default_factory=list)
    peers: list[Run] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    before: tuple[float, ...] = field(default_factory=os.getloadavg)

    def add(self, *runs: Run) -> None:
        """Our runs to ours, others to the peers."""
        self.runs += [run for run in runs if run.name == OURS]
        self.peers += [run for run in runs if run.name != OURS]

    def keep(self, directory: Path | None = None) -> Path:
        """Write ``<kind>-<date>-<time>-<machine>.json``; returns the file."""
        directory = directory or (RESULTS if self.options.get("keep") else CASUAL)
        stated = system()
        record = {
            "kind": self.kind,
            "date": f"{self.started:%Y-%m-%d}",
            "started": f"{self.started:%Y-%m-%dT%H:%M:%SZ}",
            "finished": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "system": stated,
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "load_average": {"before": _rounded(self.before), "after": _rounded(os.getloadavg())},
            "versions": versions(),
            "seed": SEED,
            "options": dict(self.options),
            **self.more,
            **{name: [asdict(run) for run in getattr(self, name)] for name in ("runs", "peers")},
        }
        directory.mkdir(parents=True, exist_ok=True)
        machine = re.sub(r"[^a-z0-9]+", "-", stated.lower()).strip("-")
        path = directory / f"{self.kind}-{self.started:%Y-%m-%d-%H%M%S}-{machine}.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        return path


def keepable(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Give a script ``--keep``."""
    where = RESULTS.relative_to(ROOT)
    parser.add_argument("--keep", action="store_true", help=f"keep it in {where}/, for the pages")
    return parser


def _rounded(loads: Sequence[float]) -> list[float]:
    return [round(load, 2) for load in loads]


def kept(kind: str, directory: Path = RESULTS) -> list[dict[str, Any]]:
    """The results of one kind, the newest last."""
    found = []
    for path in directory.glob("*.json"):
        with suppress(ValueError):
            record = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(record, dict) and record.get("kind") == kind:
                found.append(record)
    return sorted(found, key=lambda record: str(record["started"]))


def runs_of(record: Mapping[str, Any]) -> Iterator[Run]:
    """Every run of a result, ours first."""
    for raw in (*record["runs"], *record["peers"]):
        yield Run(**raw)


def migrated(source: Path, persons: int, number: int, folder: Path, *options: str) -> Run:
    """Migrate into ``folder/person-unify.db``; times the process and reads its report."""
    target = folder / f"{OURS}.db"
    command = ["-m", "person_unify", "migrate", str(source), str(target), "--quiet"]
    process = timed(*command, "--backup-dir", str(folder), *options)
    report = json.loads((folder / "person-unify.report.json").read_text(encoding="utf-8"))
    return replace(
        finished(OURS, persons, number, process, source, target),
        source_rows=sum(table["source_rows"] for table in report["tables"]),
        ledger_bytes=(folder / f"{OURS}.ledger.db").stat().st_size,
        phases={phase["phase"]: round(phase["seconds"], 3) for phase in report["phases"]},
    )


def migration(source: Path, persons: int, number: int, *options: str) -> Run:
    """One migration, whose files are removed."""
    with tempfile.TemporaryDirectory(dir=SAMPLES) as folder:
        return migrated(source, persons, number, Path(folder), *options)


def finished(
    name: str, persons: int, number: int, process: Process, source: Path, target: Path
) -> Run:
    """A run as its process and the files tell it, whoever made the target."""
    sizes = source.stat().st_size, target.stat().st_size
    return described((name, persons, number), process, rows_in(target), sizes)


def described(
    which: tuple[str, int, int], process: Process, rows: int = 0, sizes: tuple[int, int] = (0, 0)
) -> Run:
    """A process as a run.  which: name, persons and round.  sizes: bytes of source and target."""
    name, persons, number = which
    return Run(
        name=name,
        persons=persons,
        round=number,
        **asdict(process),
        target_rows=rows,
        rows_per_second=round(rows / process.seconds, 1),
        source_bytes=sizes[0],
        target_bytes=sizes[1],
    )


def timed(*arguments: str) -> Process:
    """Run Python with these arguments; what it prints shows only if it fails."""
    # What an earlier process left for the disk to do is not this one's work.
    os.sync()
    with tempfile.TemporaryFile() as output:
        started = perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        # Waiting by hand gives the usage of this one child, not of all children so far.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            said = output.read()[-2000:].decode("utf-8", "replace")
            raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}:\n{said}")
    return Process(
        round(seconds, 3),
        round(usage.ru_utime + usage.ru_stime, 3),
        peak_bytes(usage),
    )


def peak_bytes(usage: resource.struct_rusage) -> int:
    """Peak memory of a process; its unit is the system's."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def sample(persons: int, *, faults: bool = True) -> Path:
    """A synthetic old database, made once and again when the generator changes."""
    made_by = hashlib.sha256()
    for path in sorted([*PACKAGE.glob("sample/*.py"), *PACKAGE.glob("schema/*.py")]):
        made_by.update(path.read_bytes())
    kind = "faulty" if faults else "clean"
    path = SAMPLES / f"{kind}-{persons}-seed{SEED}-{made_by.hexdigest()[:8]}.db"
    if not path.exists():
        SAMPLES.mkdir(parents=True, exist_ok=True)
        making = path.with_suffix(".making.db")
        making.unlink(missing_ok=True)
        options = ["--persons", str(persons), "--seed", str(SEED)]
        options += [] if faults else ["--faults", "0"]
        timed("-m", "person_unify", "sample", str(making), *options)
        making.rename(path)
    return path


def require_room(source: Path, times: int) -> None:
    """Stop where the disk has no room for ``times`` the source beside it.

    A migration needs the copy of the source, target, ledger and temporary files: 3 times at most.
    """
    free, needed = shutil.disk_usage(SAMPLES).free, times * source.stat().st_size
    if free < needed:
        raise SystemExit(
            f"{SAMPLES.relative_to(ROOT)} has {free / 1e9:.1f} GB free, and this size needs "
            f"{needed / 1e9:.1f} GB: make room, or measure a smaller size"
        )


def rows_in(target: Path) -> int:
    """Rows of all tables."""
    with closing(sqlite3.connect(target)) as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return sum(connection.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0] for n in names)


def fill(page: Path, mark: str, lines: Sequence[str]) -> None:
    """Put lines between ``<!-- mark:begin -->`` and ``<!-- mark:end -->`` of a page.

    Raises :class:`ValueError` where the page lacks a mark.
    """
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
    if text.count(begin) != 1 or end not in text.partition(begin)[2]:
        raise ValueError(f"{page.name} has no place for {mark}: {begin} and {end}")
    head, _, rest = text.partition(begin)
    tail = rest.partition(end)[2]
    page.write_text("\n".join((head + begin, *lines, end + tail)), encoding="utf-8")


def warn_if_busy() -> None:
    """Say so where other programs use the machine: ratios of a round bear it, seconds do not."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores / 4:
        print(f"note: load average is {load:.1f} on {cores} cores, so trust ratios, not seconds")


def system() -> str:
    """The machine in words that name nobody: ``Linux x86_64, 2 cores``."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    """Versions of the tool, with the commit where Git tells, of Python, SQLite and libraries."""
    stated = re.search(r'__version__ = "([^"]+)"', (PACKAGE / "__init__.py").read_text("utf-8"))
    found = {
        OURS: stated[1] if stated else "unknown",
        "commit": _commit(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _commit() -> str:
    """The last commit of the package, with ``-changed`` where its files differ from it."""
    last, differing = _git("log", "-1", "--format=%h"), _git("status", "--porcelain")
    if not last or differing is None:
        return "unknown"
    return f"{last}-changed" if differing else last


def _git(*arguments: str) -> str | None:
    """What Git says about the package; None where it says nothing."""
    try:
        said = subprocess.run(
            ["git", *arguments, "--", str(PACKAGE)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.strip()
