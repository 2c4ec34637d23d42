"""The verifier's cells: columns of a table in their lanes, cells of another class apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import polars as pl

Lane = Literal["text", "integer", "real"]

DTYPES: dict[str, pl.DataType] = {
    "text": pl.String(),
    "integer": pl.Int64(),
    "real": pl.Float64(),
    "blob": pl.Binary(),
}
LANES: dict[pl.DataType, Lane] = {DTYPES[lane]: lane for lane in get_args(Lane)}
"""The lane of a column by its type."""

STORED = {1: "integer", 2: "real", 3: "text", 4: "blob"}
"""Codes of SQLite's storage classes."""

ODD = {
    "at": pl.UInt32,
    "class": pl.Int64,
    "integer": pl.Int64,
    "real": pl.Float64,
    "bytes": pl.Binary,
}
"""Columns of odd cells: the row's position, the class by :data:`STORED`, and the value."""

_FEW = 500


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows of one table in source order: their rowids (or ranks), and columns by name.

    columns: lane values, null where the cell is NULL or odd.  odd: frames of :data:`ODD`, only of
    columns that have odd cells here.  without_nul: text with a NUL character is among these.
    """

    row: pl.Series
    columns: dict[str, pl.Series]
    odd: dict[str, pl.DataFrame] = field(default_factory=dict)
    without_nul: bool = False

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.row.len()

    def take(self, at: pl.Series) -> Cells:
        """The rows at some positions, each position once at most."""
        if at.len() == self.height and at.is_sorted():
            return self
        columns = {name: column.gather(at) for name, column in self.columns.items()}
        moved = pl.DataFrame({"at": at.cast(pl.UInt32), "to": pl.arange(0, at.len(), eager=True)})
        odd = {}
        for name, frame in self.odd.items():
            found = frame.join(moved, on="at").sort("to")
            if found.height:
                odd[name] = found.with_columns(at=pl.col("to").cast(pl.UInt32)).select(*ODD)
        return Cells(self.row.gather(at), columns, odd, self.without_nul)

    def at(self, row: pl.Series) -> Cells:
        """The rows of some rowids that are here (each once), in the order given."""
        if self.height == row.len() and bool((self.row == row).all()):
            return self
        return self.take(self.row.search_sorted(row).cast(pl.UInt32))

    def owned(self) -> Cells:
        """The same rows in memory of their own, see :func:`owned`."""
        columns = {name: _owned(column) for name, column in self.columns.items()}
        odd = {name: owned(cells) for name, cells in self.odd.items()}
        return Cells(self.row, columns, odd, self.without_nul)

    def beside(self, other: Cells) -> Cells:
        """The same rows with the columns of another reading as well."""
        columns, odd = self.columns | other.columns, self.odd | other.odd
        return Cells(self.row, columns, odd, self.without_nul)

    def only(self, columns: Sequence[str]) -> Cells:
        """The same rows with some of their columns."""
        odd = {name: frame for name, frame in self.odd.items() if name in columns}
        kept = {name: self.columns[name] for name in columns}
        return Cells(self.row, kept, odd, self.without_nul)

    def is_null(self, column: str) -> pl.Series:
        """Whether the cell is NULL."""
        missing = ~present(self.columns[column])
        odd = self.odd.get(column)
        return missing if odd is None else missing & ~mark(odd["at"], self.height)


def owned(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows in memory of their own, for what outlives the table that it comes from.

    Texts otherwise point into those of all rows that were read with them, of every column.
    """
    return pl.DataFrame(map(_owned, frame))


def _owned(values: pl.Series) -> pl.Series:
    return pl.Series(values.name, values.to_arrow())


def mark(at: pl.Series, height: int) -> pl.Series:
    """True at some positions."""
    marks = np.zeros(height, dtype=np.bool_)
    marks[at.to_numpy()] = True
    return pl.Series(marks)


def alike(value: str | float | None, height: int, dtype: pl.DataType | None = None) -> pl.Series:
    """The same value in every row."""
    return pl.Series([value], dtype=dtype).new_from_index(0, height)


def present(values: pl.Series) -> pl.Series:
    """Where a column has a value; most columns have one everywhere, or nowhere."""
    if values.null_count() in (0, values.len()):
        return alike(values.null_count() == 0, values.len())
    return values.is_not_null()


def equal(one: pl.Series, other: pl.Series) -> pl.Series:
    """Where two columns are equal; NULL equals NULL."""
    if one.null_count() or other.null_count():
        return one.eq_missing(other)
    return one == other


def lane_of(declared: str) -> Lane:
    """The lane of a column by its declared type, as SQLite derives the affinity from it."""
    declared = declared.upper()
    if "INT" in declared:
        return "integer"
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if any(word in declared for word in ("REAL", "FLOA", "DOUB", "NUM", "DEC")):
        return "real"
    return "integer" if any(word in declared for word in ("DATE", "TIME", "BOOL")) else "text"


def has_nul(texts: pl.Series) -> pl.Series:
    """Which texts have a NUL character."""
    return texts.str.contains("\0", literal=True).fill_null(value=False)


def invalid_texts(at: pl.Series, cells: pl.Series) -> pl.DataFrame:
    """Texts that are not UTF-8, as odd cells."""
    kinds = {"class": 3, "integer": None, "real": None}
    frame = pl.DataFrame({"at": at, "bytes": cells})
    return frame.with_columns(
        pl.lit(value, ODD[name]).alias(name) for name, value in kinds.items()
    ).select(*ODD)


def decoded(cells: pl.Series, without_nul: bool = False) -> pl.Series:
    r"""Bytes as text, null where they are not UTF-8, or hold a NUL that is not to be.

    >>> decoded(pl.Series([b"ok", b"\xff", None])).to_list()
    ['ok', None, None]
    >>> decoded(pl.Series([b"ok", b"\0"]), without_nul=True).to_list()
    ['ok', None]
    """
    if without_nul:
        texts = decoded(cells)
        return texts.set(has_nul(texts), None)
    try:
        return cells.cast(pl.String)
    except pl.exceptions.ComputeError:
        # Polars refuses a column for one bad cell: look for it in ever smaller parts.
        if cells.len() <= _FEW:
            return pl.Series(cells.name, list(map(_text, cells.to_list())), dtype=pl.String)
        step = (cells.len() + 15) // 16
        parts = [decoded(cells[n : n + step]) for n in range(0, cells.len(), step)]
        return pl.concat(parts)


def _text(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
