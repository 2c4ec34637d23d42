"""A table is the same however it is read: whole, in parts, some rows, or ahead of its turn."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from unittest.mock import patch

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal, assert_series_equal
from tests.strategies.examples import drawn

from person_unify.background import Beside
from person_unify.stages.verify import reader
from person_unify.stages.verify.cells import ODD, Cells
from person_unify.stages.verify.held import covers, spans_of
from person_unify.stages.verify.reader import File

COLUMNS = ("id", "number", "weight")
CELLS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
    st.binary(max_size=8),
)
ROWS = st.dictionaries(
    st.integers(-(2**40), 2**40) | st.integers(1, 200),
    st.tuples(CELLS, CELLS, CELLS) | st.tuples(st.just("a"), st.just(1), st.just(0.5)),
    min_size=1,
    max_size=40,
)


def made(path: Path, rows: dict[int, tuple[object, ...]]) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (id TEXT, number INTEGER, weight REAL)")
    listed = ((row, *cells) for row, cells in rows.items())
    connection.executemany("INSERT INTO t (rowid, id, number, weight) VALUES (?, ?, ?, ?)", listed)
    connection.commit()
    connection.close()


def require_alike(one: Cells, other: Cells) -> None:
    assert_series_equal(one.row, other.row, check_names=False)
    assert one.columns.keys() == other.columns.keys()
    for name in one.columns:
        assert_series_equal(one.columns[name], other.columns[name], check_names=False)
        odd = (cells.odd.get(name, pl.DataFrame(schema=ODD)) for cells in (one, other))
        assert_frame_equal(*odd)


@drawn(40)
@given(ROWS, st.data(), st.booleans(), st.booleans())
def test_some_rows_are_those_of_the_whole(
    rows: dict[int, tuple[object, ...]], data: st.DataObject, fast: bool, ahead: bool
) -> None:
    wanted = data.draw(st.lists(st.sampled_from(sorted(rows)), unique=True, min_size=1))
    columns = data.draw(st.lists(st.sampled_from(COLUMNS), unique=True, min_size=1))
    beside = Beside()
    with tempfile.TemporaryDirectory() as folder, patch.object(reader, "SMALL", 2):
        made(Path(folder) / "t.db", rows)
        file = File(
            Path(folder) / "t.db", settled=True, fast=fast, size=data.draw(st.integers(1, 4000))
        )
        whole = File(Path(folder) / "t.db", settled=True)
        try:
            table, row = file.tables["t"], pl.Series(wanted, dtype=pl.Int64)
            expected = whole.read(table, COLUMNS).at(row)
            if ahead:
                file.read_ahead(beside, table, columns)
                file.read_part_ahead(beside, table, row)
            for asked in (columns, COLUMNS, columns):
                require_alike(file.read_part(table, asked, row), expected.only(asked))
            few = row[: data.draw(st.integers(1, row.len()))]
            require_alike(
                file.read_part(table, columns, few),
                expected.at(row).take(pl.arange(0, few.len(), eager=True)).only(columns),
            )
            require_alike(file.read(table, columns), whole.read(table, columns))
        finally:
            beside.stop()
            file.close()
            whole.close()


@given(st.lists(st.integers(-(10**9), 10**9), unique=True, min_size=1))
def test_spans_hold_every_row(rows: list[int]) -> None:
    spans = spans_of(pl.Series(rows, dtype=pl.Int64))

    assert len(spans) <= 40
    assert all(any(first <= row <= last for first, last in spans) for row in rows)
    assert covers(spans, spans)
    assert not covers(spans[1:], spans)
