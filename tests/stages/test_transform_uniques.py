"""Rows under a UNIQUE: the result of inserting one by one, for any mix of constraints."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from person_unify.frames.model import ROW
from person_unify.stages.transform.state import TableState
from person_unify.stages.transform.uniques import losers

UNIQUES = (("a",), ("b", "c"), ("c",))
CELL = st.sampled_from([None, "x", "y", "z", "w", "v"])


def _one_by_one(rows: list[tuple[str | None, ...]]) -> dict[int, tuple[int, int]]:
    """Row -> the row that holds its key, and the first constraint violated."""
    names = ("a", "b", "c")
    taken: dict[tuple[int, tuple[str | None, ...]], int] = {}
    lost = {}
    for row, cells in enumerate(rows):
        keys = [
            (position, tuple(cells[names.index(c)] for c in unique))
            for position, unique in enumerate(UNIQUES)
        ]
        keys = [key for key in keys if None not in key[1]]
        beaten = next((key for key in keys if key in taken), None)
        if beaten:
            lost[row] = (taken[beaten], beaten[0])
        else:
            taken.update(dict.fromkeys(keys, row))
    return lost


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=12))
def test_losers_are_those_of_inserting_one_by_one(rows: list[tuple[str | None, ...]]) -> None:
    schema = dict.fromkeys(("a", "b", "c"), pl.String)
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_row_index(ROW)

    found = losers(frame.with_columns(pl.col(ROW).cast(pl.Int64)), UNIQUES)

    assert {row: (keeper, position) for row, keeper, position in found.rows()} == _one_by_one(rows)


@pytest.mark.parametrize("height", [0, 1])
def test_few_rows_lose_nothing(height: int) -> None:
    frame = pl.DataFrame({ROW: list(range(height)), "a": ["x"] * height})

    assert losers(frame, [("a",)]).height == 0


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=12), st.integers(1, 5))
def test_parts_lose_the_rows_that_the_whole_loses(
    rows: list[tuple[str | None, ...]], size: int
) -> None:
    schema = dict.fromkeys(("a", "b", "c"), pl.String)
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_row_index(ROW)
    frame = frame.with_columns(pl.col(ROW).cast(pl.Int64))
    parts, lost = TableState(), []

    for part in frame.iter_slices(size):
        lost.append(losers(parts.with_rivals(part, UNIQUES), UNIQUES))
        parts.taken.append(part.join(lost[-1], on=ROW, how="anti"))

    found = [row for frame in lost for row in frame.rows()]
    assert {row: (keeper, position) for row, keeper, position in found} == _one_by_one(rows)
