"""What a run takes however few rows there are, and what ``check`` takes beside ``migrate``.

    python -m bench.smallest

Importing the libraries, ``--help``, and a developer's own database: two rows of every table of a
sample.  Then ``check`` and ``migrate`` of a sample with faults.  All take turns within a round.
``--keep`` puts the runs where the pages look.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from bench.figures import CHECK, HELP, IMPORTS
from bench.measuring import (
    ROOT,
    SAMPLES,
    Record,
    Run,
    described,
    keepable,
    migration,
    rows_in,
    sample,
    timed,
    warn_if_busy,
)
from bench.scale import show

_LIBRARIES = "import polars, pyarrow, connectorx, adbc_driver_sqlite.dbapi, rich, typer"


def main() -> int:
    """Measure every round, and keep the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.smallest", description="Time the least that a run takes."
    )
    parser.add_argument("--persons", type=int, default=10_000, help="of the sample for check")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (default: 5)")
    arguments = keepable(parser).parse_args()
    record = Record("smallest", vars(arguments))
    warn_if_busy()
    large = sample(arguments.persons)
    with tempfile.TemporaryDirectory(dir=SAMPLES) as folder:
        small = few_rows(Path(folder) / "small.db")
        for number in range(1, arguments.rounds + 1):
            record.add(
                alone(IMPORTS, number, "-c", _LIBRARIES),
                alone(HELP, number, "-m", "person_unify", "--help"),
                shown(small, 0, number),
                checked(large, arguments.persons, number),
                shown(large, arguments.persons, number),
            )
            record.keep()
    print(f"written to {record.keep().relative_to(ROOT)}")
    return 0


def few_rows(path: Path) -> Path:
    """Two rows of every table of a sample."""
    shutil.copy(sample(2, faults=False), path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in tables.fetchall():
            few = f'SELECT rowid FROM "{name}" ORDER BY rowid LIMIT 2'
            connection.execute(f'DELETE FROM "{name}" WHERE rowid NOT IN ({few})')
        connection.execute("VACUUM")
    return path


def alone(name: str, number: int, *arguments: str) -> Run:
    """A process that moves no rows."""
    return told(described((name, 0, number), timed(*arguments)))


def checked(source: Path, persons: int, number: int) -> Run:
    """``check`` of a sample, whose rows count as those of a migration would."""
    process = timed("-m", "person_unify", "check", str(source), "--quiet")
    sizes = source.stat().st_size, 0
    return told(described((CHECK, persons, number), process, rows_in(source), sizes))


def told(run: Run) -> Run:
    """A run that has no phases, printed."""
    print(f"{run.name:<10} {run.seconds:>8.2f} s  CPU {run.cpu_seconds:>6.2f} s", flush=True)
    return run


def shown(source: Path, persons: int, number: int) -> Run:
    """One migration, printed."""
    run = migration(source, persons, number)
    show(run)
    return run


if __name__ == "__main__":
    raise SystemExit(main())
