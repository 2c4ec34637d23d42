"""Rows of a verified SQLite target as COPY takes them, each column in the type of its home.

Binary COPY reinterprets a column of another type of equal width without a word, so frames are cast
and their schema is asserted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from person_unify.errors import TargetError
from person_unify.frames.model import SourceFrame
from person_unify.frames.odd import NULL, REAL, ROW, escaped, odd_field
from person_unify.frames.values import INT4_FIRST, INT4_LAST
from person_unify.run.budget import Budget
from person_unify.schema import Table
from person_unify.stages.extract import Extractor

WIRE: dict[str, pl.DataType] = {
    "TEXT": pl.String(),
    "INT4": pl.Int32(),
    "INTEGER": pl.Int64(),
    "BOOLEAN": pl.Boolean(),
    "REAL": pl.Float64(),
    "DATETIME": pl.Datetime("ms"),
}
"""Type of a home's column -> what of Arrow becomes that type in binary COPY."""

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table go: name in the file -> name in its home, and the home."""

    table: str
    home: Table
    names: dict[str, str]


def frames(extractor: Extractor, columns: Columns, budget: Budget) -> Iterator[pl.DataFrame]:
    """The table's rows in parts of bounded size, columns by their names in the home.

    Raises :class:`TargetError` for a cell that the column of its home cannot hold.
    """
    rows = extractor.count(columns.table)
    if not rows:
        return
    width, texts = len(extractor.tables[columns.table].columns), extractor.text_bytes(columns.table)
    rows = budget.rows_at_once(rows, width, texts)
    wanted = {home: name for name, home in columns.names.items()}
    for source, _ in extractor.parts(columns.table, rows):
        made = {
            c.name: _cast(source, wanted[c.name], c.name, WIRE[c.type], columns)
            for c in columns.home.columns
            if c.name in wanted
        }
        expected = {c.name: WIRE[c.type] for c in columns.home.columns if c.name in wanted}
        frame = pl.DataFrame(list(made.values())).match_to_schema(expected)
        if frame.height:
            yield frame


def _cast(
    source: SourceFrame, name: str, home: str, wire: pl.DataType, columns: Columns
) -> pl.Series:
    cells = source.frame.get_column(escaped(name)).alias(home)
    strange = _odd(source, name, but=REAL if wire == pl.Float64() else NULL)
    if wire == pl.Float64():  # every REAL stands among the odd cells
        strange |= cells.is_not_null()
        cells = _reals(source, name).alias(home)
    _refuse(source, columns, home, strange, "of another storage class")
    if wire == pl.String():
        odd = cells.str.contains("\0", literal=True)
        _refuse(source, columns, home, odd, "with a NUL character, which PostgreSQL has not")
    elif wire == pl.Int32():
        odd = ~cells.is_between(INT4_FIRST, INT4_LAST)
        _refuse(source, columns, home, odd, "beyond PostgreSQL's integer")
    elif wire == pl.Boolean():
        _refuse(source, columns, home, ~cells.is_in([0, 1]), "that is neither 0 nor 1")
    return cells.cast(wire)


def _reals(source: SourceFrame, name: str) -> pl.Series:
    if not source.has_odd(name):
        return pl.repeat(None, source.height, dtype=pl.Float64, eager=True)
    return source.frame.select(source.apart(name, pl.col(odd_field(name, "real")))).to_series()


def _odd(source: SourceFrame, name: str, but: int = NULL) -> pl.Series:
    """Where a cell is of another class than its lane's, and not of the class ``but``."""
    if not source.has_odd(name):
        return pl.repeat(False, source.height, dtype=pl.Boolean, eager=True)
    found = source.apart(name, pl.col(odd_field(name, "class")) != but)
    return source.frame.select(found).to_series().fill_null(value=False)


def _refuse(source: SourceFrame, columns: Columns, column: str, odd: pl.Series, why: str) -> None:
    """Raise if some cell cannot be delivered; rows are named by their number, for ids are cells."""
    count = int(odd.sum() or 0)
    if count:
        numbers = source.frame.get_column(ROW).filter(odd.fill_null(value=False)).head(_NAMED)
        named = ", ".join(map(str, numbers)) + (", …" if count > _NAMED else "")
        raise TargetError(
            f"{columns.table}.{column} has {count:,} cells {why} (rows {named}), nothing was "
            "delivered: migrate with --for postgresql, which archives such cells and logs them"
        )
