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
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import adbc_driver_sqlite.dbapi as adbc
import polars as pl

from bench.figures import PARTS
from bench.measuring import Process, peak_bytes
from person_unify.files.database import Database, inspect, read_frame
from person_unify.schema import Column, Table, quote
from person_unify.stages.verify.cells import lane_of
from person_unify.stages.verify.queries import LITERALS

_BATCH_ROWS = {"adbc.sqlite.query.batch_rows": "16384"}
_SETTINGS = (
    "PRAGMA page_size = 8192",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -32768",
)
"""How the tool writes its staged files."""


@dataclass(frozen=True, slots=True)
class Files:
    """Those of a finished migration, and a new one."""

    source: Path
    target: Path
    ledger: Path
    new: Path


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
        files = Files(asked.source, asked.target, asked.ledger, Path(folder) / "part.db")
        _DOING[asked.part](clock, files)
    peak = peak_bytes(resource.getrusage(resource.RUSAGE_SELF))
    print(json.dumps(asdict(Process(clock.seconds, clock.cpu, peak))))


def copy(clock: Clock, files: Files) -> None:
    """The copy that a run works on, and its digest."""
    with (
        clock.on(),
        closing(sqlite3.connect(files.source)) as old,
        closing(sqlite3.connect(files.new)) as made,
    ):
        old.backup(made)
        with files.new.open("rb") as file:
            hashlib.file_digest(file, "sha256")


def check(clock: Clock, files: Files) -> None:
    """The pages and rows of all three files."""
    with clock.on():
        for path in (files.source, files.target, files.ledger):
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA cache_size = -65536")
                connection.execute("PRAGMA quick_check").fetchall()


def read(clock: Clock, files: Files) -> None:
    """Every cell of the source through ADBC, batch by batch."""
    found = tables(files.source)
    with clock.on(), closing(adbc.connect(str(files.source))) as connection:
        for table in found:
            for _ in batches(connection, table):
                pass


def read_back(clock: Clock, files: Files) -> None:
    """Every cell of target and ledger through connectorx, table by table."""
    for path in (files.target, files.ledger):
        found = tables(path)
        with clock.on():
            for table in found:
                sentinel = f"SELECT {literals(table)} LIMIT 0"
                read_frame(path, sentinel, [select(table)], table.column_names)


def write_target(clock: Clock, files: Files) -> None:
    """The target's rows through ADBC, in the order in which they lie there, then the indexes."""
    written(clock, files.target, files.new)


def write_ledger(clock: Clock, files: Files) -> None:
    """The ledger's rows, likewise."""
    written(clock, files.ledger, files.new)


def write_by_key(clock: Clock, files: Files) -> None:
    """The target's rows sorted by their first column, which is the key."""
    written(clock, files.target, files.new, order=" ORDER BY 1")


def copy_rows(clock: Clock, files: Files) -> None:
    """The target's rows by ``INSERT … SELECT`` from the attached file, then the indexes."""
    made, after = definitions(files.target)
    with closing(sqlite3.connect(files.new, isolation_level=None)) as connection:
        connection.executescript(";".join((*_SETTINGS, *made)))
        connection.execute("ATTACH ? AS finished", [str(files.target)])
        names = [quote(table.name) for table in tables(files.target)]
        with clock.on():
            connection.execute("BEGIN")
            for name in names:
                connection.execute(f"INSERT INTO main.{name} SELECT * FROM finished.{name}")
            for statement in (*after, "COMMIT"):
                connection.execute(statement)


def join_texts(clock: Clock, files: Files) -> None:
    """Every reference to a person looked up among the persons, as text."""
    persons, references = ids(files.target)
    with clock.on():
        for frame in references:
            frame.join(persons, "id", how="left")


def join_bytes(clock: Clock, files: Files) -> None:
    """The same as 16 bytes, made of the text and turned back into it."""
    persons, references = ids(files.target)
    plain = pl.col("id").str.replace_all("-", "", literal=True).str.decode("hex", strict=False)
    with clock.on():
        persons = persons.with_columns(plain)
        for frame in references:
            joined = frame.with_columns(plain).join(persons, "id", how="left")
            joined.with_columns(pl.col("id").bin.encode("hex"))


def join_numbers(clock: Clock, files: Files) -> None:
    """The same by numbers, as a later lookup would find them: without making them of the text."""
    persons, references = ids(files.target)
    numbered = [frame.join(persons, "id", how="left").select("number") for frame in references]
    numbers = persons.select("number", back="number")
    with clock.on():
        for frame in numbered:
            frame.join(numbers, "number", how="left")


_DOING: Mapping[str, Callable[[Clock, Files], None]] = {
    part.__name__: part
    for part in (
        *(copy, read, write_target, write_ledger, check, read_back, write_by_key, copy_rows),
        *(join_texts, join_bytes, join_numbers),
    )
}


def written(clock: Clock, finished: Path, new: Path, order: str = "") -> None:
    """A file's tables made anew in one transaction without a journal; reading them is not timed."""
    made, after = definitions(finished)
    with (
        closing(adbc.connect(str(finished))) as old,
        closing(adbc.connect(str(new), autocommit=True)) as connection,
        connection.cursor() as cursor,
    ):

        def run(*statements: str) -> None:
            for statement in statements:
                cursor.execute(statement)
                cursor.fetchall()  # ADBC steps lazily

        run(*_SETTINGS, *made)
        with clock.on():
            run("BEGIN")
        for table in tables(finished):
            for batch in batches(old, table, order):
                with clock.on():
                    cursor.adbc_ingest(table.name, batch, mode="append")
        with clock.on():
            run(*after, "COMMIT")


def definitions(path: Path) -> tuple[list[str], list[str]]:
    """What makes a file's tables, and what comes after their rows."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT type, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
    made = [sql for kind, sql in found if kind == "table"]
    return made, [sql for kind, sql in found if kind == "index"]


def tables(path: Path) -> list[Table]:
    """A file's tables."""
    with Database(path, read_only=True) as database:
        return list(inspect(database).values())


def literals(table: Table) -> str:
    """A cell of each column's type: it says which type that is to a driver that asks the rows."""
    return ", ".join(f"{LITERALS[lane_of(c.type)]} AS {quote(c.name)}" for c in table.columns)


def select(table: Table) -> str:
    """The query of a table's rows."""
    return f"SELECT {', '.join(map(cell, table.columns))} FROM {quote(table.name)}"


def cell(column: Column) -> str:
    """A column; one without a type, which may hold anything, as text."""
    return quote(column.name) if column.type else f"CAST({quote(column.name)} AS TEXT)"


def batches(connection: adbc.Connection, table: Table, order: str = "") -> Iterator[Any]:
    """A table's rows through ADBC, as record batches of Arrow."""
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**_BATCH_ROWS)
        rows = f"SELECT * FROM ({select(table)}{order})"
        cursor.execute(f"SELECT {literals(table)} UNION ALL {rows}")
        first = 1  # the row of literals
        for batch in cursor.fetch_record_batch():
            yield batch.slice(first)
            first = 0


def ids(target: Path) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The persons with a number each, and every column that refers to them."""
    with Database(target, read_only=True) as database:

        def column(name: str, table: str) -> pl.DataFrame:
            rows = f"SELECT '' AS id UNION ALL SELECT {name} FROM {quote(table)}"
            return database.frame(rows)[1:].rename({"c0": "id"})

        persons = column("id", "persons").with_row_index("number")
        referring = [t.name for t in inspect(database).values() if t.column("person_id")]
        return persons, [column("person_id", name) for name in referring]


if __name__ == "__main__":
    main()
