"""Cells of one column, exact: what fits its lane, and beside it what does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import NamedTuple

import polars as pl

from person_unify.frames.odd import DTYPES, INTEGER, TEXT, Lane, Rows, beside, odd_field

_CODES: dict[Lane, int] = {"integer": INTEGER, "text": TEXT}


class Odd(NamedTuple):
    """Cells of other classes: class, number (integers, and REALs by their bits), and bytes."""

    stored: pl.Expr
    number: pl.Expr
    bytes: pl.Expr


NOTHING = Odd(
    pl.lit(None, dtype=pl.Int64), pl.lit(None, dtype=pl.Int64), pl.lit(None, dtype=pl.Binary)
)


@dataclass(frozen=True, slots=True)
class Column:
    """One cell per row of a frame, as expressions over it.

    main: the cells of the lane's class.  odd: the others, NULL where there is none; None where no
    row has any.  Without a lane every cell is among the odd ones.
    """

    lane: Lane | None
    main: pl.Expr
    odd: Odd | None = None

    @classmethod
    def empty(cls, lane: Lane) -> Column:
        """NULL in every row."""
        return cls(lane, pl.lit(None, dtype=DTYPES[lane]))

    @classmethod
    def read(cls, lane: Lane, name: str, rows: Rows, column: str, place: str) -> Column:
        """A column of the rows that a frame holds under ``name``, their ``@odd`` as ``place``."""
        if not rows.has_odd(column):
            return cls(lane, pl.col(name))
        stored, integer, real, held = (
            rows.odd[odd_field(column, part)] for part in ("class", "integer", "real", "bytes")
        )
        # A REAL is known by its bits, so that -0.0 is not 0.0.
        number = integer.zip_with(integer.is_not_null(), real.reinterpret(dtype=pl.Int64))
        return cls(lane, pl.col(name), Odd(*(beside(s, place) for s in (stored, number, held))))

    def present(self) -> pl.Expr:
        """Whether the cell is not NULL."""
        there = self.main.is_not_null()
        return there if self.odd is None else there | self.odd.stored.is_not_null()

    def pick(self, mask: pl.Expr, other: Column) -> Column:
        """These cells where ``mask`` holds, the other's elsewhere."""
        if self.lane == other.lane:
            main = pl.when(mask).then(self.main).otherwise(other.main)
            if self.odd is None and other.odd is None:
                return Column(self.lane, main)
            mine, theirs = self.odd or NOTHING, other.odd or NOTHING
        else:
            main, mine, theirs = pl.lit(None, dtype=pl.String), self.by_class(), other.by_class()
        pairs = zip(mine, theirs, strict=True)
        odd = Odd(*(pl.when(mask).then(left).otherwise(right) for left, right in pairs))
        return Column(self.lane if self.lane == other.lane else None, main, odd)

    def same(self, other: Column) -> pl.Expr:
        """Whether the cells are equal, storage class and every byte."""
        if self.lane != other.lane or self.lane is None:
            return _equal(self.by_class(), other.by_class())
        same = self.main.eq_missing(other.main)
        if self.odd is None and other.odd is None:
            return same
        return same & _equal(self.odd or NOTHING, other.odd or NOTHING)

    def by_class(self) -> Odd:
        """Every cell by class, number and bytes, as if it were odd."""
        odd = self.odd or NOTHING
        if self.lane is None:
            return odd
        there = self.main.is_not_null()
        stored = pl.when(there).then(_CODES[self.lane]).otherwise(odd.stored)
        if self.lane == "text":
            held = pl.when(there).then(self.main.cast(pl.Binary)).otherwise(odd.bytes)
            return Odd(stored, odd.number, held)
        return Odd(stored, pl.when(there).then(self.main).otherwise(odd.number), odd.bytes)


def _equal(left: Odd, right: Odd) -> pl.Expr:
    return reduce(and_, (mine.eq_missing(theirs) for mine, theirs in zip(left, right, strict=True)))


def pairs(
    left: tuple[pl.DataFrame, Sequence[Column]], right: tuple[pl.DataFrame, Sequence[Column]]
) -> pl.DataFrame:
    """Places ``left`` and ``right`` of rows whose cells are the same; NULL equals NULL."""
    sides = [left[1], right[1]]
    plain = [
        mine.lane == theirs.lane and mine.odd is None and theirs.odd is None
        for mine, theirs in zip(*sides, strict=True)
    ]
    frames = []
    for name, (frame, columns) in (("left", left), ("right", right)):
        keys = [
            part.alias(f"k{position}_{n}")
            for position, column in enumerate(columns)
            for n, part in enumerate((column.main,) if plain[position] else column.by_class())
        ]
        place = pl.int_range(pl.len(), dtype=pl.Int64).alias(name)
        frames.append(frame.select(place, *keys))
    found = frames[0].join(
        frames[1],
        on=frames[0].columns[1:],
        how="inner",
        nulls_equal=True,
        maintain_order="left_right",
    )
    return found.select("left", "right")
