"""What odd cells cost: databases with and without cells of another class than their column's.

    python -m bench.odd

One odd cell in a table of many rows, and the faults of a sample.  Every round runs all of them, so
that ratios are taken between runs that stood beside each other.  ``--keep`` puts the runs where the
pages look.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from bench.figures import FAULTS, NO_FAULTS, NO_ODD, ONE_ODD
from bench.measuring import ROOT, SAMPLES, Record, keepable, migration, sample, warn_if_busy
from bench.scale import show

_FEW = 100
"""Persons beside the many rows."""


def main() -> int:
    """Measure every database, and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.odd", description="Time odd cells.")
    parser.add_argument("--rows", type=int, default=200_000, help="of the table with one odd cell")
    parser.add_argument("--persons", type=int, default=10_000, help="of the sample with faults")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (default: 3)")
    arguments = keepable(parser).parse_args()
    record = Record("odd", vars(arguments))
    warn_if_busy()
    clean, faulty = sample(arguments.persons, faults=False), sample(arguments.persons)
    with tempfile.TemporaryDirectory(dir=SAMPLES) as folder:
        sources = {
            NO_ODD: (logged(Path(folder) / "none.db", arguments.rows, odd=False), _FEW),
            ONE_ODD: (logged(Path(folder) / "one.db", arguments.rows, odd=True), _FEW),
            NO_FAULTS: (clean, arguments.persons),
            FAULTS: (faulty, arguments.persons),
        }
        for number in range(1, arguments.rounds + 1):
            for name, (source, persons) in sources.items():
                run = migration(source, persons, number)
                record.add(replace(run, name=name))
                print(f"{name}:")
                show(run)
            record.keep()
    print(f"written to {record.keep().relative_to(ROOT)}")
    return 0


def logged(path: Path, rows: int, *, odd: bool) -> Path:
    """A database of few persons whose ``audit_logs`` has so many rows, one with an odd instant."""
    shutil.copy(sample(_FEW, faults=False), path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM audit_logs")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO audit_logs (id, action, details, created_at) "
            "SELECT printf('log-%08d', i), 'viewed', 'a page', 1700000000000 + i FROM n",
            [rows],
        )
        if odd:
            connection.execute(
                "UPDATE audit_logs SET created_at = '2023-11-14 22:13:20' WHERE id = 'log-00000007'"
            )
        connection.commit()
    return path


if __name__ == "__main__":
    raise SystemExit(main())
