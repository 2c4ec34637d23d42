"""No cell of a CSV file or spreadsheet can run, however it is opened, and each comes back."""

from __future__ import annotations

import csv
import io
import re

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from person_unify.escaping.tables import as_csv, from_csv, in_csv, in_spreadsheet, seen

HOSTILE = st.text(
    st.sampled_from("=+-@'\";|,\t\r\n a1\x0b\x00\u00a0\u200b\uff0b\u00e9"), max_size=8
)
CELLS = st.lists(st.none() | HOSTILE, min_size=1, max_size=6)


def rows_of(content: bytes, delimiter: str = ",") -> list[list[str]]:
    """As a spreadsheet opens it where this is the separator of lists."""
    text = content.decode("utf-8-sig").replace("\x00", "")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def formulas(cells: list[str]) -> list[str]:
    return [c for c in cells if re.match("[\\s\u200b\x00]*[=+\\-@\uff0b]", c)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@settings(deadline=None)
@given(heading=HOSTILE.filter(bool), cells=CELLS)
@example(heading="x;=1", cells=['x;"=1"', "a;", "=1", "\t\t=1"])
def test_no_cell_is_a_formula_whatever_separates_lists(
    delimiter: str, heading: str, cells: list[str | None]
) -> None:
    frame = pl.DataFrame(
        {"id": "p", heading: cells, "n": -5}, schema_overrides={heading: pl.String}
    )

    found = [cell for row in rows_of(as_csv(frame), delimiter) for cell in row]

    # A number of ours may be negative, and stands alone or before the texts of its own row.
    assert [cell for cell in formulas(found) if not cell.startswith("-5")] == []


@settings(deadline=None)
@given(CELLS)
def test_every_cell_comes_back(cells: list[str | None]) -> None:
    frame = pl.DataFrame({"cell": cells}, schema={"cell": pl.String})

    put = in_csv(frame)["cell"].to_list()

    assert [None if cell is None else from_csv(cell) for cell in put] == cells


@settings(deadline=None)
@given(CELLS)
def test_an_apostrophe_taken_off_gives_a_cell_of_a_spreadsheet_back(
    cells: list[str | None],
) -> None:
    put = in_spreadsheet(pl.DataFrame({"cell": cells}, schema={"cell": pl.String}))[
        "cell"
    ].to_list()

    assert [None if cell is None else cell.removeprefix("'") for cell in put] == cells
    assert formulas([cell for cell in put if cell]) == []


def test_numbers_stay_numbers_and_null_is_no_empty_text() -> None:
    frame = pl.DataFrame({"n": [-1, None], "t": ["", None]})

    assert as_csv(frame) == b'\xef\xbb\xbf"n","t"\n-1,""\n,\n'


def test_what_people_read_shows_what_cannot_be_seen() -> None:
    frame = pl.DataFrame({"name": ["A\u202eB\u200b\n", None], "n": [1, 2]})

    assert seen(frame).rows() == [("A\\u202eB\\u200b\\n", 1), (None, 2)]
