"""Cells of any storage class in frames: SQLite types cells, a frame types columns.

A column stands in its *lane*, the storage class that its declared type promises.  An *odd* cell,
one of another class, is NULL there and stands in a small frame of its own, with its class and exact
value; ``@odd`` leads to it.  So what is made of odd cells is made where there are any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

ROW = "@row"
"""Position of a row in source order: its rowid, or its rank by primary key."""

ODD = "@odd"
"""Where a row's odd cells stand among those of all rows; NULL where it has none."""

Lane = Literal["integer", "text"]

DTYPES: Mapping[Lane, pl.DataType] = {"integer": pl.Int64(), "text": pl.String()}

NULL, INTEGER, REAL, TEXT, BLOB = range(5)
"""Codes of SQLite's storage classes."""

CODES = {"integer": INTEGER, "real": REAL, "text": TEXT, "blob": BLOB}
"""Storage class as ``typeof`` names it -> code."""

FIELDS: Mapping[str, pl.DataType] = {
    "class": pl.Int64(),
    "integer": pl.Int64(),
    "real": pl.Float64(),
    "bytes": pl.Binary(),
    "printed": pl.String(),
    "decoded": pl.String(),
}
"""What is known of an odd cell: its class, then the value in the field of that class (text and BLOB
in ``bytes``); ``printed`` is a REAL as SQLite prints it, ``decoded`` bytes that are valid UTF-8."""

STORED = ("class", "integer", "real", "bytes")
"""The fields that are the cell itself; the others follow from them."""


def promised(declared: str) -> Lane:
    """The lane that a declared type promises, by SQLite's affinity rules.

    Every REAL is odd: only SQLite prints one as SQLite does, should the target want it as text.
    """
    if "INT" in declared:
        return "integer"
    others = ("CHAR", "CLOB", "TEXT", "BLOB", "REAL", "FLOA", "DOUB")
    return "text" if not declared or any(word in declared for word in others) else "integer"


def has_text_affinity(declared: str) -> bool:
    """Whether a declared type turns numbers into text when they are stored."""
    return "INT" not in declared and any(word in declared for word in ("CHAR", "CLOB", "TEXT"))


def escaped(column: str) -> str:
    """The name under which a frame holds a source column.

    It is the column's own, unless it is empty or looks like one of ours (``@…``) or like a
    pattern, which Polars would expand.

    >>> escaped("first_name"), escaped("@row"), escaped("*"), escaped("^a.*$")
    ('first_name', '@column:@row', '@column:*', '@column:^a.*$')
    """
    pattern = column in ("", "*") or (column.startswith("^") and column.endswith("$"))
    return f"@column:{column}" if pattern or column.startswith("@") else column


def odd_field(column: str, name: str) -> str:
    """The column in which a frame of odd cells holds one of :data:`FIELDS` of a table's column."""
    return f"{ODD}:{column}:{name}"


def odd_fields(columns: Iterable[str], fields: Iterable[str] = FIELDS) -> dict[str, pl.DataType]:
    """Some fields of some columns, with their types."""
    return {odd_field(column, name): FIELDS[name] for column in columns for name in fields}


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table.

    frame: any columns, among them the table's in their lanes, odd cells NULL, and ``@odd``.  odd:
    the rows that ``@odd`` counts from 0, with columns by :func:`odd_field`, but of columns without
    an odd cell.
    """

    frame: pl.DataFrame
    odd: pl.DataFrame = field(default_factory=pl.DataFrame)

    def has_odd(self, column: str) -> bool:
        """Whether some cell of the column is odd."""
        return has_odd(self.odd, column)

    def apart(self, column: str, made: pl.Expr) -> pl.Expr:
        """What an expression makes of a column's odd cells; NULL for rows without one.

        It is made once, of the odd cells alone.
        """
        there = pl.col(odd_field(column, "class")).is_not_null()
        return beside(self.odd.select(pl.when(there).then(made).alias("made")).to_series())

    def either(self, column: str, plain: pl.Expr, odd: pl.Expr) -> pl.Expr:
        """``odd``, an expression over odd cells, where a row has one of the column, else ``plain``.

        ``odd`` must not give NULL.
        """
        return pl.coalesce(self.apart(column, odd), plain) if self.has_odd(column) else plain


def has_odd(odd: pl.DataFrame, column: str) -> bool:
    """Whether a frame of odd cells has some of a column."""
    return odd_field(column, "class") in odd.columns


def beside(made: pl.Series, place: str = ODD) -> pl.Expr:
    """What was made of each row of odd cells, for the rows whose ``place`` leads to it."""
    return pl.lit(made).gather(pl.col(place))


def concat(parts: Iterable[Rows]) -> Rows:
    """Rows below each other; a column that a part lacks is NULL in its rows."""
    frames, odds, before = [], [], 0
    for part in parts:
        frames.append(part.frame.with_columns(pl.col(ODD) + before))
        odds.append(part.odd)
        before += part.odd.height
    return Rows(pl.concat(frames, how="diagonal"), pl.concat(odds, how="diagonal"))


def places(height: int, at: pl.Series | None = None) -> pl.Series:
    """``@odd`` of so many rows: those at some positions have the odd cells, in that order."""
    place = pl.repeat(None, height, dtype=pl.UInt32, eager=True).alias(ODD)
    if at is None:
        return place
    return place.scatter(at, pl.int_range(at.len(), dtype=pl.UInt32, eager=True))


def only(rows: Rows, wanted: Mapping[str, pl.Series | None]) -> Rows:
    """The same rows with some of their odd cells.

    wanted: column -> the rows whose cells these are; None stands for all.
    """
    none = Rows(rows.frame.with_columns(places(rows.frame.height)))
    columns = [column for column in wanted if rows.has_odd(column)]
    if not columns:
        return none
    there = rows.frame[ODD].is_not_null()
    classes = rows.odd.select(odd_fields(columns, ("class",)).keys())[rows.frame[ODD].filter(there)]
    flags = {
        odd_field(c, "class"): f.filter(there) for c in columns if (f := wanted[c]) is not None
    }
    # A cell is there where its class is.
    classes = classes.with_columns(pl.when(f).then(pl.col(c)).alias(c) for c, f in flags.items())
    some = [column for column in columns if not _nothing(classes[odd_field(column, "class")])]
    if not some:
        return none
    left = classes.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    at = there.arg_true().filter(left)
    odd = rows.odd.select(odd_fields(some).keys())[rows.frame[ODD].gather(at)]
    odd = odd.with_columns(classes.filter(left).select(odd_fields(some, ("class",)).keys()))
    return Rows(rows.frame.with_columns(places(rows.frame.height, at)), odd)


def _nothing(classes: pl.Series) -> bool:
    return classes.null_count() == classes.len()


def respelt(rows: Rows, names: Mapping[str, str]) -> Rows:
    """The same rows with other names for columns of the table."""
    fields = {
        odd_field(name, part): odd_field(other, part)
        for name, other in names.items()
        for part in FIELDS
    }
    columns = {escaped(name): escaped(other) for name, other in names.items()}
    return Rows(rows.frame.rename(columns, strict=False), rows.odd.rename(fields, strict=False))


def pointed(frame: pl.DataFrame, odd: Iterable[pl.DataFrame]) -> Rows:
    """The rows of a frame with ``@odd`` beside ``@row``, and frames of their odd cells as one.

    frame: sorted by ``@row``, its first column.  odd: ``@row`` and columns by :func:`odd_field`, in
    which no row has two cells of a column.
    """
    parts = [part for part in odd if part.height]
    if not parts:
        return Rows(frame.insert_column(1, places(frame.height)))
    merged = pl.concat(parts, how="diagonal")
    if len(parts) > 1:
        merged = merged.group_by(ROW, maintain_order=True).agg(pl.all().drop_nulls().first())
    place = places(frame.height, frame[ROW].search_sorted(merged[ROW]))
    return Rows(frame.insert_column(1, place), merged.drop(ROW))
