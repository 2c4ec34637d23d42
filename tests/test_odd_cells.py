"""Cells of every storage class, in columns of every type, come through each step exactly."""

from __future__ import annotations

import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args
from unittest.mock import patch

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import values as reference
from tests.reference.values import Cell
from tests.strategies.cells import BadText
from tests.strategies.examples import drawn
from tests.strategies.strangers import CELLS, TYPES

from person_unify.files.database import Database
from person_unify.frames import lanes
from person_unify.frames.ledger import CATALOG, Ledger
from person_unify.frames.model import SourceFrame
from person_unify.frames.odd import FIELDS, INTEGER, ODD, Rows, concat, odd_field, only
from person_unify.frames.values import Type, converted
from person_unify.mappings.bind import Plan
from person_unify.mappings.known import readable_tables
from person_unify.stages.extract import Extractor
from person_unify.stages.rebuild import File, Rebuilder, write
from person_unify.stages.transform import archive_whole, known_by_row

KEYS = (
    ")",
    ", PRIMARY KEY ({0}))",
    ", PRIMARY KEY ({1}, {0}))",
    ", PRIMARY KEY ({1})) WITHOUT ROWID",
)


@dataclass(frozen=True)
class Drawn:
    """A table, its rows, and how it is read: few rows by ADBC, in parts of ``rows``.

    hidden: columns bear every name of the rowid.
    """

    types: Sequence[str]
    hidden: bool
    key: str
    cells: Sequence[Sequence[Any]]
    few: int
    rows: int | None

    @property
    def ddl(self) -> str:
        """CREATE TABLE."""
        columns = map(" ".join, zip(self.names, self.types, strict=True))
        return f"CREATE TABLE t ({', '.join(columns)}{self.key.format(*self.names)}"

    @property
    def names(self) -> list[str]:
        """The columns."""
        own = [f"c{n}" for n, _ in enumerate(self.types)]
        return ["rowid", "_rowid_", "oid", *own[3:]] if self.hidden else own


@st.composite
def tables(draw: st.DrawFn) -> Drawn:
    """Tables of some columns, of which a few rows hold cells of any class."""
    types = draw(st.lists(st.sampled_from(TYPES), min_size=2, max_size=5))
    usual = st.sampled_from(draw(st.lists(CELLS, min_size=1, max_size=2)))
    row = st.lists(st.one_of(usual, CELLS), min_size=len(types), max_size=len(types))
    return Drawn(
        types,
        len(types) > 2 and draw(st.booleans()),
        draw(st.sampled_from(KEYS)),
        draw(st.lists(row, max_size=12)),
        draw(st.sampled_from([0, 1_000])),
        draw(st.sampled_from([None, 4])),
    )


def _made(path: Path, table: Drawn) -> list[tuple[Cell, ...]]:
    """Make the file, without the rows that SQLite refuses; says what it made of the others."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(table.ddl)
        for cells in table.cells:
            marks = ", ".join("CAST(? AS TEXT)" if isinstance(c, BadText) else "?" for c in cells)
            bound = [c.raw if isinstance(c, BadText) else c for c in cells]
            with suppress(sqlite3.IntegrityError):
                connection.execute(f"INSERT INTO t VALUES ({marks})", bound)
        connection.commit()
    return _stored(path, "t", table.names)


def _stored(path: Path, table: str, columns: Sequence[str]) -> list[tuple[Cell, ...]]:
    """Every cell of a table in its order, REALs by their bits: -0.0 is not 0.0."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        listed = ", ".join(f'typeof("{name}"), "{name}"' for name in columns)
        return [
            tuple(
                Cell(kind.decode(), struct.pack("d", raw) if kind == b"real" else raw)
                for kind, raw in zip(row[::2], row[1::2], strict=True)
            )
            for row in connection.execute(f'SELECT {listed} FROM "{table}"')
        ]


def _read(source: SourceFrame) -> Iterator[tuple[Cell, ...]]:
    """The cells that a frame and its odd cells stand for."""
    names = source.table.column_names
    kinds = ("null", "integer", "real", "text", "blob")
    for row in source.frame.iter_rows(named=True):
        apart = {} if row[ODD] is None else source.odd.row(row[ODD], named=True)
        cells = []
        for name in names:
            cell = row[name]
            stored = apart.get(odd_field(name, "class"))
            if stored is None:
                kind = "null" if cell is None else str(source.lane(name))
                cells.append(Cell(kind, cell.encode() if isinstance(cell, str) else cell))
                continue
            assert cell is None
            kind = kinds[stored]
            held = kind if kind in ("integer", "real") else "bytes"
            raw = apart[odd_field(name, held)]
            cells.append(Cell(kind, struct.pack("d", raw) if kind == "real" else raw))
        yield tuple(cells)


def _check_conversions(source: SourceFrame, expected: Sequence[Sequence[Cell]]) -> None:
    """Every column as every type, against the reference's reading of one cell."""
    types: tuple[Type, ...] = get_args(Type)
    reads = [(c, source.lane(c), type_) for c in source.table.column_names for type_ in types]
    frame, found = converted(source.frame, source.odd, reads)
    values = frame.select(cells.value.alias(str(n)) for n, cells in enumerate(found))
    never = pl.repeat(value=False, n=pl.len())
    masks = [never if cells.unreadable is None else cells.unreadable for cells in found]
    bad = frame.select(mask.alias(str(n)) for n, mask in enumerate(masks))
    for position, (column, _, type_) in enumerate(reads):
        number = source.table.column_names.index(column)
        read = [reference.read(_plain(row[number]), type_) for row in expected]
        assert values[:, position].to_list() == [reading.value for reading in read]
        assert bad[:, position].to_list() == [reading.state == "unreadable" for reading in read]


def _plain(cell: Cell) -> Cell:
    if cell.kind != "real":
        return cell
    assert isinstance(cell.raw, bytes)
    return Cell("real", struct.unpack("d", cell.raw)[0])


def _rebuilt(directory: Path, ddl: str) -> Path:
    """The table again, from the ledger alone."""
    path = directory / "rebuilt.db"
    with ExitStack() as stack:
        database = stack.enter_context(Database(path))
        database.execute(ddl)
        source = stack.enter_context(File(directory / "old.db", readable_tables))
        files = [stack.enter_context(File(directory / f"{n}.db")) for n in ("target", "ledger")]
        plan = cast("Plan", SimpleNamespace(bound=()))
        rebuilder = Rebuilder(files[0], files[1], plan, source.tables)
        write(database, rebuilder.table("t"), 0, rows_at_once=5)
    return path


@drawn(25, shrink=True)
@given(tables())
def test_odd_cells_are_read_converted_archived_and_rebuilt_exactly(table: Drawn) -> None:
    with tempfile.TemporaryDirectory() as folder, patch.object(lanes, "_FEW", table.few):
        directory = Path(folder)
        expected = _made(directory / "old.db", table)
        extractor = Extractor(directory / "old.db")
        with Database(directory / "target.db") as database:
            database.attach(directory / "ledger.db", CATALOG)
            ledger = Ledger(database)
            read: list[tuple[Cell, ...]] = []
            for part, _ in extractor.parts("t", table.rows):
                source = known_by_row(part) if extractor.has_null_key("t") else part
                here = list(_read(source))
                _check_conversions(source, here)
                read += here
                if archive := archive_whole(source).archive:
                    ledger.archive(archive)
        assert Counter(read) == Counter(expected)
        assert table.hidden or read == expected
        if expected:
            assert _stored(directory / "ledger.db", "archive_t", table.names) == read
            rebuilt = _stored(_rebuilt(directory, table.ddl), "t", table.names)
            assert Counter(rebuilt) == Counter(expected)


def _numbers(**columns: list[int | None]) -> Rows:
    """Rows whose cells are odd integers, where there are any."""
    height = len(next(iter(columns.values())))
    fields = {
        odd_field(name, part): pl.Series(
            [
                None if cell is None else {"class": INTEGER, "integer": cell}.get(part)
                for cell in cells
            ],
            dtype=type_,
        )
        for name, cells in columns.items()
        for part, type_ in FIELDS.items()
    }
    return Rows(
        pl.DataFrame({ODD: pl.Series(range(height), dtype=pl.UInt32)}), pl.DataFrame(fields)
    )


def _cells(rows: Rows, *columns: str) -> list[tuple[int | None, ...]]:
    found = (
        rows.either(name, pl.lit(None, pl.Int64), pl.col(odd_field(name, "integer"))).alias(name)
        for name in columns
    )
    return rows.frame.select(ODD, *found).drop(ODD).rows()


def test_only_the_odd_cells_that_are_asked_for_stay() -> None:
    rows = _numbers(a=[1, 2, None, 4], b=[5, None, 7, None], c=[8, 9, None, None])

    found = only(rows, {"a": pl.Series([True, False, True, False]), "b": None})

    nothing = (None, None, None)
    assert _cells(found, "a", "b", "c") == [(1, 5, None), nothing, (None, 7, None), nothing]
    assert found.frame[ODD].to_list() == [0, None, 1, None]
    assert found.odd.height == 2
    assert not found.has_odd("c")
    for nothing_asked in ({}, {"gone": None}, {"a": pl.Series([False] * 4)}):
        left = only(rows, nothing_asked)
        assert left.frame[ODD].null_count() == 4
        assert left.odd.is_empty()


def test_rows_below_each_other_keep_their_odd_cells() -> None:
    parts = [_numbers(a=[1]), Rows(pl.DataFrame({ODD: pl.Series([None], dtype=pl.UInt32)}))]

    found = concat([*parts, _numbers(b=[2, None], a=[None, 3])])

    assert _cells(found, "a", "b") == [(1, None), (None, None), (None, 2), (3, None)]
