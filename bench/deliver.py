"""Time ``person-unify deliver`` into PostgreSQL beside psycopg's COPY and pgloader.

    python -m bench.deliver 10000                  these sizes, in persons
    python -m bench.deliver 10000 100000 --keep    and keep what was measured

The server is one of the tests' (``tests/postgres/server.py``), on this machine, with fsync off.
The samples are without faults, some of which no PostgreSQL can hold.  psycopg and pgloader (where
it is installed) load the same verified SQLite file into tables with their keys kept and compare
nothing; deliver reads every cell back.  After each delivery ``verify`` is run on it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.postgres.server import Database, Server, create, newest

from bench.measuring import (
    OURS,
    ROOT,
    SAMPLES,
    Process,
    Record,
    finished,
    keepable,
    require_room,
    sample,
    timed,
    warn_if_busy,
)

SIZES = (10_000,)


def main() -> int:
    """Measure every size that was asked for, and keep the figures."""
    parser = keepable(
        argparse.ArgumentParser(
            prog="python -m bench.deliver", description="Time deliver beside psycopg and pgloader."
        )
    )
    parser.add_argument("persons", nargs="*", type=int, help="sizes (default: 10000)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each size (default: 1)")
    arguments = parser.parse_args()
    record = Record("deliver", vars(arguments))
    warn_if_busy()
    server = create(newest())
    try:
        record.more["pgloader"] = pgloader_version()
        record.more["server"] = Database(server, "postgres").value(
            "SELECT current_setting('server_version')"
        )
        for persons in arguments.persons or SIZES:
            source = sample(persons, faults=False)
            require_room(source, 6)
            with tempfile.TemporaryDirectory(dir=SAMPLES) as folder:
                target = Path(folder) / "new.db"
                words = ("-m", "person_unify", "migrate", str(source), str(target), "-q")
                timed(*words, "--for", "postgresql", "--no-keep-backup")
                for number in range(1, arguments.rounds + 1):
                    measure(server, record, source, target, (persons, number))
            record.keep()
    finally:
        server.stop()
    print(f"written to {record.keep().relative_to(ROOT)}")
    return 0


def measure(
    server: Server, record: Record, source: Path, target: Path, size: tuple[int, int]
) -> None:
    """Deliver, verify and roll back; then the peers, each into a database of its own."""
    ledger = str(target.with_name("new.ledger.db"))
    with server.database("unified") as database:
        add(
            record,
            OURS,
            size,
            timed(*person_unify("deliver", str(target), database.url, "-q")),
            target,
        )
        verify = person_unify("verify", str(source), database.url, "--ledger", ledger, "-q")
        # That it returns says that it was verified.
        add(record, "verify", size, timed(*verify), target)
        timed(*person_unify("rollback", database.url, "--ledger", ledger))
    with server.database("unified") as database:
        copied = timed("-m", "bench.peers.psycopg_copy", str(target), database.url)
        add(record, "psycopg COPY", size, copied, target)
    if shutil.which("pgloader") is not None:
        with server.database("unified") as database:
            words = ("-m", "bench.peers.pgloader", str(target))
            loaded = timed(*words, str(server.directory), database.name)
            add(record, "pgloader", size, loaded, target)


def pgloader_version() -> str | None:
    """What pgloader calls itself, if it is installed."""
    if shutil.which("pgloader") is None:
        return None
    done = subprocess.run(["pgloader", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def person_unify(*words: str) -> tuple[str, ...]:
    """The command line of one of our commands."""
    return ("-m", "person_unify", *words)


def add(record: Record, name: str, size: tuple[int, int], process: Process, target: Path) -> None:
    """Keep and print one run."""
    run = finished(name, *size, process, target, target)
    record.add(run)
    print(
        f"{size[0]:>9,} persons  {name:<14} {run.target_rows:>11,} rows  {run.seconds:>8.1f} s  "
        f"CPU {run.cpu_seconds:>6.1f} s  peak {run.peak_rss_bytes / 2**20:>6,.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
