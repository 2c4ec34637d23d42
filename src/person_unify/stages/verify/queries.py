"""What the verifier's reader asks of a table: expressions over its columns, and their cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from person_unify.schema import Table, quote
from person_unify.stages.verify.cells import Cells, Lane, decoded, has_nul, invalid_texts
from person_unify.stages.verify.held import Range

LITERALS = {"text": "''", "integer": "0", "real": "0.0", "blob": "x''"}

FLAGS = 60
"""Columns that one number flags."""

_SPLIT = 50_000
"""Rows from which on two connections share a range."""


@dataclass(frozen=True, slots=True)
class Query:
    """Expressions over some columns of a table."""

    table: Table
    columns: list[str]
    place: tuple[str, str]
    lanes: Mapping[str, Lane]
    types: Mapping[str, str]

    @property
    def origin(self) -> str:
        """What stands behind FROM."""
        return self.place[0]

    @property
    def row(self) -> str:
        """The expression of the row's number."""
        return self.place[1]

    def lane(self, column: str) -> Lane:
        """The lane that a column is read in."""
        return self.lanes[column]

    def is_odd(self, column: str) -> str:
        """Whether a cell has another class than its lane's; BLOBs sort behind every text."""
        cell, lane = quote(column), self.lane(column)
        type_ = self.types.get(column, "").upper()
        affine = any(word in type_ for word in ("CHAR", "CLOB", "TEXT")) and "INT" not in type_
        if lane == "text" and affine:
            # A column that was redeclared may hold numbers, which sort before every text.
            return f"(+{cell} COLLATE BINARY < '' OR {cell} COLLATE BINARY >= x'')"
        return f"typeof({cell}) NOT IN ('{lane}', 'null')"

    def plain(self) -> list[tuple[str, str]]:
        """Cells as they are, each expression with its type."""
        return [(self.row, "integer"), *((quote(c), self.lane(c)) for c in self.columns)]

    def guarded(self, *, by_bytes: bool) -> list[tuple[str, str]]:
        """Cells of their lane alone, and flags of the others; texts as bytes if that is asked."""
        asked = [(self.row, "integer")]
        for column in self.columns:
            cell, lane = quote(column), self.lane(column)
            as_bytes = by_bytes and lane == "text"
            value = f"CAST({cell} AS BLOB)" if as_bytes else cell
            own = f"CASE WHEN typeof({cell}) = '{lane}' THEN {value} END"
            asked.append((own, "blob" if as_bytes else lane))
        for start in range(0, len(self.columns), FLAGS):
            group = self.columns[start : start + FLAGS]
            flags = (f"coalesce({self.is_odd(c)}, 0) << {n}" for n, c in enumerate(group))
            asked.append((" | ".join(f"({flag})" for flag in flags), "integer"))
        return asked

    def cells(
        self, frame: pl.DataFrame, odd: dict[str, pl.DataFrame], without_nul: bool = False
    ) -> Cells:
        """The columns by their names, and odd cells by their positions."""
        columns: dict[str, pl.Series] = {}
        rows, placed = frame.get_column("c0"), dict(odd)
        for number, name in enumerate(self.columns, 1):
            column = frame.get_column(f"c{number}")
            if without_nul and column.dtype == pl.String and has_nul(column).any():
                column = column.cast(pl.Binary)
            if column.dtype == pl.Binary:
                text = decoded(column, without_nul)
                if text.null_count() > column.null_count():
                    broken = (text.is_null() & column.is_not_null()).arg_true().cast(pl.UInt32)
                    invalid = invalid_texts(broken, column.gather(broken))
                    known = placed.get(name)
                    both = invalid if known is None else pl.concat([known, invalid])
                    placed[name] = both.sort("at")
                column = text
            columns[name] = column
        return Cells(rows, columns, placed, without_nul)


def where(row: str, ranges: Sequence[Range] | None, condition: str | None = None) -> str:
    """The WHERE clause for the rows of some ranges, under a condition."""
    parts = [] if condition is None else [f"({condition})"]
    if ranges is not None:
        listed = " OR ".join(f"{row} BETWEEN {first} AND {last}" for first, last in ranges)
        parts.append(f"({listed or '0'})")
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def halves(ranges: Sequence[Range] | None) -> Iterator[Range]:
    """Ranges that two connections can share."""
    for first, last in ranges or ():
        if last - first < _SPLIT or len(ranges or ()) > 1:
            yield first, last
        else:
            middle = (first + last) // 2
            yield first, middle
            yield middle + 1, last
