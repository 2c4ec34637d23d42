"""Frames as CSV files and spreadsheets in which no cell can run as a formula.

What is meant for people (a review) is :func:`seen` first; an export holds every cell exactly.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import IO

import polars as pl

from person_unify.escaping.text import printable

# The last four are the full-width forms of = + - @, which some spreadsheets take for them.
_SIGN = "[=+\\-@\uff1d\uff0b\uff0d\uff20]"
# What is passed over before a sign: controls and blanks that separate no cells, what has no width.
_SKIPPED = (
    "\\x00-\\x08\\x0b\\x0c\\x0e-\\x20\\x7f-\\xa0\\xad\u1680\u2000-\u200f\u2028\u2029\u202f\u205f"
    "\u2060\u3000\ufeff"
)
_LEADING = rf"[{_SKIPPED}\t\r\n]*{_SIGN}|[\t\r\n']"
"""What may be a formula; and an apostrophe, so that it is always right to take one off again."""
_BEHIND = rf"[{_SKIPPED}\"]*{_SIGN}|'"
"""The same behind what a spreadsheet may take for the end of a cell, whatever is quoted."""
_SEPARATOR = r"[;|\t\r\n]"


def in_spreadsheet(frame: pl.DataFrame) -> pl.DataFrame:
    """Every text (and heading) that might be a formula, behind an apostrophe.

    Whoever reads it back takes one leading apostrophe off and has the cell as it was.

    >>> in_spreadsheet(pl.DataFrame({"a": ["=1+1", "-2", "x", "'", "", None]}))["a"].to_list()
    ["'=1+1", "'-2", 'x', "''", '', None]
    """
    return _defused(frame, [(f"^({_LEADING})", "'${1}")])


def in_csv(frame: pl.DataFrame) -> pl.DataFrame:
    """As in a spreadsheet, and behind each separator, for files are opened with the wrong one too.

    >>> in_csv(pl.DataFrame({"a": ["x;=1+1", "it's; 'x"]}))["a"].to_list()
    ["x;'=1+1", "it's; 'x"]
    """
    behind = (f"({_SEPARATOR})({_BEHIND})", "${1}'${2}")
    return _defused(frame, [behind, (f"^({_LEADING})", "'${1}")])


def from_csv(cell: str) -> str:
    r"""The text that :func:`in_csv` was given; an apostrophe that it did not put there stays.

    >>> from_csv("'=1;'=2"), from_csv("x;''y"), from_csv("'tis")
    ('=1;=2', "x;'y", "'tis")
    """
    whole = re.sub(rf"^'(?={_LEADING})", "", cell)
    return re.sub(rf"({_SEPARATOR})'(?={_BEHIND})", r"\1", whole)


def _defused(frame: pl.DataFrame, steps: list[tuple[str, str]]) -> pl.DataFrame:
    text, names = pl.col(pl.String), pl.Series(frame.columns, dtype=pl.String)
    for pattern, harmless in steps:
        text = text.str.replace_all(pattern, harmless)
        names = names.str.replace_all(pattern, harmless)
    safe = frame.with_columns(text)
    safe.columns = names.to_list()
    return safe


def write_csv(frame: pl.DataFrame, file: IO[bytes]) -> None:
    """UTF-8 with a byte order mark, comma, texts quoted: a bare empty field is NULL.

    Every CSV file of ours is written here.
    """
    # A quoted empty field is an empty text.
    in_csv(frame).write_csv(file, include_bom=True, quote_style="non_numeric")


def as_csv(frame: pl.DataFrame) -> bytes:
    """The bytes of :func:`write_csv`."""
    buffer = BytesIO()
    write_csv(frame, buffer)
    return buffer.getvalue()


def seen(frame: pl.DataFrame) -> pl.DataFrame:
    """A small frame for people: in every text, what cannot be seen is spelled out."""
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    return frame.with_columns(
        pl.Series(
            name,
            [None if cell is None else printable(cell) for cell in frame[name]],
            dtype=pl.String,
        )
        for name in texts
    )
