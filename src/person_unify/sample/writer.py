"""Writes a sample: tables chunk by chunk, then the faults, then the indexes, then the name.

The file is built in a private directory without a journal (a crash leaves rubbish there, nothing
else) and gets its name when it is complete.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote as percent_encode

import adbc_driver_sqlite.dbapi as sqlite
import numpy as np
import polars as pl
from adbc_driver_manager import Error as DriverError

from person_unify.errors import DatabaseError, UsageError
from person_unify.files import private_directory
from person_unify.files.new import rename_to_free
from person_unify.sample.clinic import Clinic
from person_unify.sample.columns import cells
from person_unify.sample.draw import Draw
from person_unify.sample.faults import plant
from person_unify.sample.faults_cells import CELLS
from person_unify.sample.faults_people import (
    DEFAULTED,
    DEMOGRAPHICS,
    GRANTS,
    LINKS,
    NO_CONSENT,
    VIEWS,
)
from person_unify.sample.faults_records import DRIFT, HUGE, RECORDS
from person_unify.sample.options import SampleOptions
from person_unify.sample.relaxed import relaxed
from person_unify.sample.rows import Chunk, Rows
from person_unify.schema import OLD, Schema, Table, create_index, create_table, quote

Progress = Callable[[str, int], None]

PERSONS_PER_CHUNK = 50_000
"""Even, so that no family is cut in two; part of what a seed means."""

FAULTS = (
    DEFAULTED,
    *DRIFT,
    *LINKS,
    *DEMOGRAPHICS,
    *VIEWS,
    *GRANTS,
    *RECORDS,
    *CELLS,
    *HUGE,
    NO_CONSENT,
)
"""In the order of planting: what needs whole rows comes before what breaks cells."""

_TYPES: dict[str, type[pl.DataType]] = {
    "TEXT": pl.String,
    "INTEGER": pl.Int64,
    "DATETIME": pl.Int64,
    "BOOLEAN": pl.Boolean,
    "REAL": pl.Float64,
}
_PRAGMAS = (
    "PRAGMA journal_mode = off",
    "PRAGMA synchronous = off",
    "PRAGMA locking_mode = exclusive",
    "PRAGMA cache_size = -262144",
)


def write_sample(
    path: Path, options: SampleOptions, progress: Progress | None = None
) -> dict[str, int]:
    """Write a synthetic old-schema database; returns the rows of each of its 55 tables.

    ``progress`` is called with (table, rows just written).  The same options give the same logical
    content.  Raises UsageError if ``path`` exists or its directory does not, DatabaseError if
    SQLite refuses (disk full, for one).
    """
    if os.path.lexists(path):
        raise UsageError(f"{path} exists already; name a new file")
    if not path.parent.is_dir():
        raise UsageError(f"the directory {path.parent} does not exist")
    with private_directory(path.parent) as working:
        try:
            rows = _build(working / "sample.db", options, progress or (lambda table, count: None))
            rename_to_free(working / "sample.db", path)
        except DriverError as error:
            raise DatabaseError(f"the sample could not be written to {path}") from error
        except FileExistsError:
            raise UsageError(f"{path} exists already; name a new file") from None
    return rows


def frames(options: SampleOptions, table: str) -> Iterator[pl.DataFrame]:
    """The rows of one table without faults, a frame per chunk of persons that has any."""
    clinic = Clinic(options.seed, options.persons)
    for index, start in enumerate(range(0, options.persons, PERSONS_PER_CHUNK)):
        stop = min(start + PERSONS_PER_CHUNK, options.persons)
        rows = Chunk(clinic, index, start, stop).rows(table)
        if rows.key.size:
            draw = Draw(options.seed, table, index, rows.key.size)
            yield _frame(OLD[table], rows, draw)


def _build(path: Path, options: SampleOptions, progress: Progress) -> dict[str, int]:
    schema = OLD if options.faults == 0 else relaxed(OLD)
    uri = "file:" + percent_encode(str(path.absolute()))
    with sqlite.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.execute("BEGIN")  # one for all: SQLite then writes most pages once
        for table in schema.values():
            cursor.execute(create_table(table))
        for name, frame in _ahead(options):
            cursor.adbc_ingest(name, frame.to_arrow(), mode="append")
            progress(name, frame.height)
        if options.faults:
            plant(cursor, options, FAULTS)
        for table in schema.values():
            for statement in create_index(table):
                cursor.execute(statement)
        cursor.execute("COMMIT")
        return _counts(cursor, schema)


def _ahead(options: SampleOptions) -> Iterator[tuple[str, pl.DataFrame]]:
    """Every frame of every table; the next one is made while the caller writes this one."""
    every = ((table, frame) for table in OLD for frame in frames(options, table))
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, every, None)
        while (ready := coming.result()) is not None:
            coming = maker.submit(next, every, None)
            yield ready


def _frame(table: Table, rows: Rows, draw: Draw) -> pl.DataFrame:
    """The columns in declared order and storage type."""
    series = []
    for column in table.columns:
        drawn = cells(table, column, rows, draw)
        if isinstance(drawn, np.ndarray):
            drawn = pl.Series(drawn)
        series.append(pl.lit(drawn).cast(_TYPES[column.type]).alias(column.name))
    return pl.select(pl.repeat(0, draw.size).alias("")).select(series)


def _counts(cursor: sqlite.Cursor, schema: Schema) -> dict[str, int]:
    counts = {}
    for table in schema:
        cursor.execute(f"SELECT count(*) FROM {quote(table)}")
        counts[table] = int(cursor.fetchall()[0][0])
    return counts
