"""``python -m bench.floor_parts PART SOURCE TARGET LEDGER``: one part of :mod:`bench.floor`.

Prints seconds, CPU seconds of all threads, and peak memory as JSON.  The libraries are loaded
before the clock runs, and what a part needs from files is read beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_sqlite.dbapi as adbc
import polars as pl

from bench.figures import PARTS
from person_unify.files.database import read_frame
from person_unify.schema import quote
from person_unify.stages.verify.cells import lane_of
from person_unify.stages.verify.queries import LITERALS

_BATCH_ROWS = {"adbc.sqlite.query.batch_rows": "16384"}


class Clock:
    """Seconds and CPU seconds of what ran while it was on."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0

    @contextmanager
    def on(self) -> Iterator[None]:
        """Let it run."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.floor_parts", description="One part of bench.floor."
    )
    parser.add_argument("part", choices=PARTS)
    for file in ("source", "target", "ledger"):
        parser.add_argument(file, type=Path, help="of a finished migration")
    asked = parser.parse_args()
    clock = Clock()
    with tempfile.TemporaryDirectory(dir=asked.target.parent) as folder:
        new = Path(folder) / "part.db"
        _DOING[asked.part](clock, asked.source, asked.target, asked.ledger, new)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
    figures = {"seconds": clock.seconds, "cpu_seconds": clock.cpu, "peak_rss_bytes": peak}
    print(json.dumps(figures))


def copy(clock: Clock, source: Path, _target: Path, _ledger: Path, new: Path) -> None:
    """The copy that a run works on, and its digest."""
    with clock.on(), closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(new)) as made:
        old.backup(made)
        with new.open("rb") as file:
            hashlib.file_digest(file, "sha256")


def check(clock: Clock, source: Path, target: Path, ledger: Path, _new: Path) -> None:
    """The pages and rows of all three files."""
    with clock.on():
        for path in (source, target, ledger):
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA cache_size = -65536")
                connection.execute("PRAGMA quick_check").fetchall()


def read(clock: Clock, source: Path, _target: Path, _ledger: Path, _new: Path) -> None:
    """Every cell of the source through ADBC, batch by batch."""
    with clock.on(), closing(adbc.connect(str(source))) as connection:
        for table in tables(source):
            for _ in batches(connection, table, columns(source, table)):
                pass


def read_back(clock: Clock, _source: Path, target: Path, ledger: Path, _new: Path) -> None:
    """Every cell of target and ledger through connectorx, table by table."""
    with clock.on():
        for path in (target, ledger):
            for table in tables(path):
                names = columns(path, table)
                cells = ", ".join(cell(name, kind) for name, kind in names.items())
                sentinel = f"SELECT {literals(names)} LIMIT 0"
                read_frame(path, sentinel, [f"SELECT {cells} FROM {quote(table)}"], list(names))


def write_target(clock: Clock, _source: Path, target: Path, _ledger: Path, new: Path) -> None:
    """The target's rows through ADBC, in the order in which they lie there, then the indexes."""
    written(clock, target, new)


def write_ledger(clock: Clock, _source: Path, _target: Path, ledger: Path, new: Path) -> None:
    """The ledger's rows, likewise."""
    written(clock, ledger, new)


def write_by_id(clock: Clock, _source: Path, target: Path, _ledger: Path, new: Path) -> None:
    """The target's rows sorted by their first column, which is the key."""
    written(clock, target, new, order=True)


def copy_rows(clock: Clock, _source: Path, target: Path, _ledger: Path, new: Path) -> None:
    """The target's rows by ``INSERT … SELECT`` from the attached file, then the indexes."""
    made, after = definitions(target)
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.executescript(f"{settings()}; {made}")
        connection.execute("ATTACH ? AS finished", [str(target)])
        with clock.on():
            connection.execute("BEGIN")
            for table in tables(target):
                here, there = quote(table), f"finished.{quote(table)}"
                connection.execute(f"INSERT INTO main.{here} SELECT * FROM {there}")
            for statement in after:
                connection.execute(statement)
            connection.execute("COMMIT")


def join_texts(clock: Clock, _source: Path, target: Path, _ledger: Path, _new: Path) -> None:
    """Every reference to a person looked up among the persons, as text."""
    persons, references = ids(target)
    with clock.on():
        for frame in references:
            frame.join(persons, "id", how="left")


def join_bytes(clock: Clock, _source: Path, target: Path, _ledger: Path, _new: Path) -> None:
    """The same as 16 bytes, made of the text and turned back into it."""
    persons, references = ids(target)
    plain = pl.col("id").str.replace_all("-", "", literal=True).str.decode("hex", strict=False)
    with clock.on():
        persons = persons.with_columns(plain)
        for frame in references:
            joined = frame.with_columns(plain).join(persons, "id", how="left")
            joined.with_columns(pl.col("id").bin.encode("hex"))


def join_numbers(clock: Clock, _source: Path, target: Path, _ledger: Path, _new: Path) -> None:
    """The same by numbers, as a later lookup would find them: without making them of the text."""
    persons, references = ids(target)
    numbered = [frame.join(persons, "id", how="left").select("number") for frame in references]
    numbers = persons.select("number", back="number")
    with clock.on():
        for frame in numbered:
            frame.join(numbers, "number", how="left")


_DOING: Mapping[str, Callable[[Clock, Path, Path, Path, Path], None]] = dict(
    zip(
        PARTS,
        (
            copy,
            read,
            write_target,
            write_ledger,
            check,
            read_back,
            write_by_id,
            copy_rows,
            join_texts,
            join_bytes,
            join_numbers,
        ),
        strict=True,
    )
)


def written(clock: Clock, finished: Path, new: Path, *, order: bool = False) -> None:
    """A file's tables made anew in one transaction without a journal; reading them is not timed."""
    made, after = definitions(finished)
    with closing(sqlite3.connect(new)) as empty:
        empty.executescript(f"PRAGMA page_size = 8192; {made}")
    with (
        closing(adbc.connect(str(finished))) as old,
        closing(adbc.connect(str(new), autocommit=True)) as connection,
        connection.cursor() as cursor,
    ):
        for setting in settings().split("; "):
            cursor.execute(setting)
            cursor.fetchall()
        with clock.on():
            cursor.execute("BEGIN")
        for table in tables(finished):
            for batch in batches(old, table, columns(finished, table), order=order):
                with clock.on():
                    cursor.adbc_ingest(table, batch, mode="append")
        with clock.on():
            for statement in (*after, "COMMIT"):
                cursor.execute(statement)
                cursor.fetchall()


def settings() -> str:
    """How the tool writes its staged files."""
    return (
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
        "PRAGMA cache_size = -32768"
    )


def definitions(path: Path) -> tuple[str, list[str]]:
    """What makes a file's tables, and what comes after their rows."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT type, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
    made = [sql for kind, sql in found if kind == "table"]
    return ";".join(made), [sql for kind, sql in found if kind == "index"]


def tables(path: Path) -> list[str]:
    """Names of a file's tables."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        return [name for (name,) in connection.execute(query)]


def columns(path: Path, table: str) -> dict[str, str]:
    """A table's columns, and the type that each declares."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT name, upper(type) FROM pragma_table_info(?)"
        return dict(connection.execute(query, [table]).fetchall())


def literals(names: Mapping[str, str]) -> str:
    """A cell of each column's type: it says which type that is to a driver that asks the rows."""
    return ", ".join(f"{LITERALS[lane_of(kind)]} AS {quote(name)}" for name, kind in names.items())


def cell(name: str, kind: str) -> str:
    """A column; one without a type, which may hold anything, as text."""
    return quote(name) if kind else f"CAST({quote(name)} AS TEXT)"


def batches(
    connection: adbc.Connection, table: str, names: Mapping[str, str], *, order: bool = False
) -> Iterator[Any]:
    """A table's rows through ADBC, as record batches of Arrow."""
    cells = ", ".join(cell(name, kind) for name, kind in names.items())
    by = " ORDER BY 1" if order else ""
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**_BATCH_ROWS)
        cursor.execute(
            f"SELECT {literals(names)} "
            f"UNION ALL SELECT * FROM (SELECT {cells} FROM {quote(table)}{by})"
        )
        first = 1  # the row of literals
        for batch in cursor.fetch_record_batch():
            yield batch.slice(first)
            first = 0


def ids(target: Path) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The persons with a number each, and every column that refers to them."""
    with closing(adbc.connect(str(target))) as connection:
        query = "SELECT '' AS id UNION ALL SELECT id FROM persons"
        persons = one_column(connection, query).with_row_index("number")
        references = [
            one_column(
                connection, f"SELECT '' AS id UNION ALL SELECT person_id FROM {quote(table)}"
            )
            for table in tables(target)
            if "person_id" in columns(target, table)
        ]
    return persons, references


def one_column(connection: adbc.Connection, query: str) -> pl.DataFrame:
    """A query's rows after the first, which only says the type."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        frame = pl.from_arrow(cursor.fetch_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame.slice(1)


if __name__ == "__main__":
    main()
