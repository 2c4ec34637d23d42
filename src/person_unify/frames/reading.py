"""Reading one source table cell by cell, and remembering what became of every cell.

Contract section 1: every source cell ends carried, archived, or both.  A :class:`Reader` hands out
expressions for values and notes, per source column, where the cell is unreadable, where it is not
carried after all, and what was normalised.  Once the rows to load are settled, it turns these notes
into discrepancies and normalisation counts; what it notes as lost, the archive takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from typing import TypeVar

import polars as pl

from person_unify.frames.archive import Mask
from person_unify.frames.conversions import FIRST_INSTANT, LAST_INSTANT
from person_unify.frames.model import ROW, SourceFrame, discrepancies, escaped, of_column
from person_unify.frames.values import (
    INT4_FIRST,
    INT4_LAST,
    PLAIN,
    Cells,
    Lane,
    Type,
    cells,
    converted,
    literal,
)
from person_unify.schema import Column

LAST_IMPLAUSIBLE = 31 * 86_400_000 - 1
"""The last millisecond of January 1970: nothing of a clinic happened then (section 1)."""


Noted = TypeVar("Noted")


@dataclass(slots=True)
class Reader:
    """The notes on one source table.

    lost: per source column, one mask per target cell it feeds: the rows where that cell does not
    hold it.  A column without an entry is archived in every row.  early: per source column, the
    rows in which a target cell holds an implausible instant of it.
    """

    source: SourceFrame
    run_time: int
    created: str = "created_at"
    unreadable: dict[str, list[pl.Expr]] = field(default_factory=dict)
    lost: dict[str, list[Mask]] = field(default_factory=dict)
    counted: dict[tuple[str, str], list[pl.Expr]] = field(default_factory=dict)
    early: dict[str, list[pl.Expr]] = field(default_factory=dict)
    ready: dict[tuple[str, Type], Cells] = field(default_factory=dict)

    def prepare(self, reads: Iterable[tuple[str, Type]]) -> None:
        """Convert the columns that will be read, once; reading others converts each time."""
        convert: list[tuple[str, Lane, Type]] = []
        for column, type_ in dict.fromkeys(reads):
            lane = self.source.lane(column)
            odd = self.source.has_odd(column)
            if lane == "absent" or ((lane, type_) in PLAIN and not odd):
                continue
            if (
                not odd
                and lane == "integer"
                and _canonical(self.source.frame[escaped(column)], type_)
            ):
                self.ready[column, type_] = Cells(pl.col(escaped(column)))
            else:
                convert.append((column, lane, type_))
        frame, found = converted(self.source.frame, self.source.odd, convert)
        for (column, _, type_), cells_ in zip(convert, found, strict=True):
            self.ready[column, type_] = cells_
        self.source = replace(self.source, frame=frame)

    def value(self, column: str, type_: Type, where: Mask = None) -> pl.Expr:
        """The cell as a value that feeds a derived one; unreadable cells are noted ``where``."""
        return self._cells(column, type_, where).value

    def peek(self, column: str, type_: Type) -> Cells:
        """The cell without any note, for comparisons and order."""
        ready = self.ready.get((column, type_))
        return ready or cells(column, self.source.lane(column), type_, self.source.odd)

    def _cells(self, column: str, type_: Type, where: Mask) -> Cells:
        read = self.peek(column, type_)
        if read.unreadable is not None:
            self.unreadable.setdefault(column, []).append(_both(read.unreadable, where))
        return read

    def carry(
        self,
        column: str,
        type_: Type,
        *,
        result: pl.Expr | None = None,
        lost: Mask = None,
        also: Mask = None,
        where: Mask = None,
    ) -> pl.Expr:
        """The cell's value for a target cell that holds it, or ``result``, which may equal it.

        ``lost``: rows where the target cell does not hold it although it could be read.
        ``also``: rows where it is to be archived although the target cell holds it.
        ``where``: rows that are read at all; elsewhere the cell is lost.
        """
        read = self._cells(column, type_, where)
        gone = [] if lost is None else [lost]
        if where is not None:
            gone.append(~where)
        if result is not None:
            gone.append(read.value.ne_missing(result))
        masks = [mask for mask in (read.unreadable, read.altered, also) if mask is not None]
        self.lost.setdefault(column, []).append(reduce(or_, gone + masks) if gone + masks else None)
        held = ~reduce(or_, gone) if gone else None
        if type_ == "DATETIME":
            implausible = read.value.is_between(1, LAST_IMPLAUSIBLE)
            self.early.setdefault(column, []).append(_both(implausible, held))
        for rule, recast in read.recast:
            self.counted.setdefault((column, rule), []).append(_both(recast, held))
        return read.value if result is None else result

    def required(
        self,
        column: str,
        target: Column,
        type_: Type,
        *,
        otherwise: pl.Expr | None = None,
        where: Mask = None,
        counted: bool = True,
    ) -> pl.Expr:
        """The cell for a target column by name or renamed, with the defaults of section 1."""
        missing = self.peek(column, type_).value.is_null()
        if self.complete(column, type_):
            return self.carry(column, type_, where=where)
        if not target.not_null and otherwise is None:
            return self.carry(column, type_, where=where)
        value = self.carry(column, type_, lost=missing, where=where)
        if target.not_null and counted:
            self.count_missing(column, type_, where)
        others = [] if otherwise is None else [otherwise]
        return pl.coalesce(value, *others, self.default(column, target, type_))

    def count_missing(self, column: str, type_: Type, where: Mask = None) -> None:
        """Count the cells without a value as ``required_default``."""
        if not self.complete(column, type_):
            missing = _both(self.peek(column, type_).value.is_null(), where)
            self.counted.setdefault((column, "required_default"), []).append(missing)

    def stated(self, column: str) -> pl.Expr:
        """Whether the cell is not NULL, readable or not."""
        if self.source.lane(column) == "absent":
            return pl.repeat(value=False, n=pl.len())
        return self.source.either(column, pl.col(escaped(column)).is_not_null(), pl.lit(value=True))

    def complete(self, column: str, type_: Type) -> bool:
        """Whether no cell of the column can be without a value."""
        lane = self.source.lane(column)
        if lane == "absent" or self.source.frame[escaped(column)].null_count():
            return False
        read = self.ready.get((column, type_))
        return (lane, type_) in PLAIN or (read is not None and read.unreadable is None)

    def default(self, column: str, target: Column, type_: Type) -> pl.Expr:
        """What a required column takes without a value: an instant, its default, 0 or ``''``."""
        if type_ == "DATETIME":
            run_time = literal(self.run_time, "DATETIME")
            if column == self.created or self.source.lane(self.created) == "absent":
                return run_time
            return pl.coalesce(self.peek(self.created, "DATETIME").value, run_time)
        return literal(constant_filler(target, type_), type_)

    def settle(
        self, rows: pl.DataFrame, person: pl.Expr | None = None
    ) -> tuple[list[pl.DataFrame], list[tuple[str, str, int]]]:
        """Unreadable cells and normalisation counts of the rows that are represented."""
        counted = _totals(rows, self.counted)
        return self._unreadable(rows, person), [
            (column, rule, total) for (column, rule), total in counted.items() if total
        ]

    def implausible(self, rows: pl.DataFrame) -> dict[str, int]:
        """How many of the represented rows hold an instant of January 1970, by column."""
        return _totals(rows, self.early)

    def _unreadable(self, rows: pl.DataFrame, person: pl.Expr | None) -> list[pl.DataFrame]:
        """The unreadable cells, column by column, in one frame if there are any."""
        if not self.unreadable:
            return []
        index = {"@key": self.key_text(), **({} if person is None else {"@who": person})}
        flags = {f"@flag:{column}": reduce(or_, masks) for column, masks in self.unreadable.items()}
        cells = (
            rows.select(e.alias(name) for name, e in (index | flags).items())
            .unpivot(list(flags), index=list(index), variable_name="@column", value_name="@hit")
            .filter("@hit")
        )
        if not cells.height:
            return []
        column = pl.col("@column").str.strip_prefix("@flag:")
        return [
            discrepancies(
                cells,
                "unreadable_value",
                source_table=self.source.table.name,
                source_id=pl.col("@key"),
                person_id=None if person is None else pl.col("@who"),
                field=column,
            )
        ]

    def key_text(self) -> pl.Expr:
        """The row's first key column as text, for ``source_id``; the rowid where it has no key."""
        key = self.source.key
        if not key:
            return pl.col(ROW).cast(pl.String)
        return self.peek(key[0], "TEXT").value


def _totals(rows: pl.DataFrame, noted: Mapping[Noted, Sequence[pl.Expr]]) -> dict[Noted, int]:
    """In how many rows any of the masks holds that were noted for something."""
    if not noted:
        return {}
    counts = rows.select(
        reduce(or_, masks).sum().alias(str(position))
        for position, masks in enumerate(noted.values())
    )
    return {what: int(n or 0) for what, n in zip(noted, counts.row(0), strict=True)}


def implausible_log(table: str, counts: Mapping[str, int]) -> list[pl.DataFrame]:
    """One ``implausible_instant`` per column of a table with such instants (section 1)."""
    return [
        of_column(table, column, "implausible_instant", rows=str(rows))
        for column, rows in counts.items()
        if rows
    ]


def _canonical(column: pl.Series, type_: Type) -> bool:
    """Whether every integer of the column is already what the type asks for."""
    bounds = {
        "DATETIME": (FIRST_INSTANT, LAST_INSTANT),
        "BOOLEAN": (0, 1),
        "INT4": (INT4_FIRST, INT4_LAST),
    }.get(type_)
    if bounds is None:
        return False
    if column.null_count() == len(column):
        return True
    low, high = column.min(), column.max()
    assert isinstance(low, int)
    assert isinstance(high, int)
    return bounds[0] <= low and high <= bounds[1]


def _both(mask: pl.Expr, where: Mask) -> pl.Expr:
    return mask if where is None else mask & where


def constant_default(column: Column, type_: Type) -> str | int | None:
    """The constant of a column's DEFAULT; None for no default and for CURRENT_TIMESTAMP.

    >>> constant_default(Column("a", "TEXT", True, "'it''s'"), "TEXT")
    "it's"
    >>> constant_default(Column("b", "BOOLEAN", True, "true"), "BOOLEAN")
    1
    """
    default = column.default
    if default is None:
        return None
    if len(default) >= 2 and default[0] == default[-1] == "'":
        return default[1:-1].replace("''", "'")
    words = {"true": 1, "false": 0}
    if default.lower() in words:
        return words[default.lower()]
    try:
        return int(default)
    except ValueError:
        return None


def constant_filler(column: Column, type_: Type) -> str | int:
    """The constant that a required column takes without a value: its default, ``''`` or 0."""
    default = constant_default(column, type_)
    if default is not None:
        return default
    return "" if type_ == "TEXT" else 0
