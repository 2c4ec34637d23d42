"""Random cells for the columns of one table in one chunk."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import polars as pl

from person_unify.sample import vocab
from person_unify.sample.clinic import DAY
from person_unify.sample.identity import Flags, Ints

Cells = pl.Series | Ints | Flags | str | int | bool | None


class Draw:
    """Draws columns of ``size`` cells; its generator belongs to one (seed, table, chunk)."""

    def __init__(self, seed: int, table: str, chunk: int, size: int) -> None:
        name = int.from_bytes(blake2b(table.encode(), digest_size=8).digest(), "big")
        self._random = np.random.default_rng((seed, name, chunk))
        self.size = size

    def chance(self, odds: float) -> Flags:
        """True in about ``odds`` of the cells."""
        return self._random.random(self.size) < odds

    def integers(self, low: int, high: int) -> Ints:
        """Whole numbers, both ends included."""
        return self._random.integers(low, high, self.size, endpoint=True)

    def pick(self, pool: Sequence[str], odds: Sequence[float] | None = None) -> pl.Series:
        """Words of the pool, evenly or by their odds."""
        if odds is None:
            return take(pool, self.integers(0, len(pool) - 1))
        steps = np.cumsum(odds)[:-1]
        return take(pool, np.searchsorted(steps, self._random.random(self.size), side="right"))

    def maybe(self, cells: pl.Series | Ints | Flags, odds: float) -> pl.Series:
        """The cells in about ``odds`` of the rows, NULL in the others."""
        return where(self.chance(odds), cells, None)

    def after(self, instants: Ints, days: int) -> Ints:
        """Instants at most that many days later (earlier where ``days`` is negative), in ms."""
        shift: Ints = (self._random.random(self.size) * (days * DAY)).astype(np.int64)
        return instants + shift

    def day_after(self, instants: Ints, days: int) -> Ints:
        """Like :meth:`after`, at midnight UTC."""
        return self.after(instants, days) // DAY * DAY

    def prose(self, least: int = 1, most: int = 4) -> pl.Series:
        """Free text of ``least`` to ``most`` sentences, some 60 to 170 characters each."""
        pool = pl.Series(vocab.sentences())
        length = self.integers(least, most)
        parts = [
            where(length > part, pool.gather(self.integers(0, len(pool) - 1)), None)
            for part in range(most)
        ]
        return pl.select(pl.concat_str(parts, separator=" ", ignore_nulls=True)).to_series()

    def phrase(self) -> pl.Series:
        """One phrase of 30 to 130 characters."""
        return self.pick(vocab.phrases())

    def words(self, pool: Sequence[str], most: int = 3) -> pl.Series:
        """A JSON list of up to ``most`` words of the pool, as text."""
        offset, step = self.integers(0, len(pool) - 1), self.integers(1, len(pool) - 1)
        length = self.integers(0, most)
        quoted = [f'"{word}"' for word in pool]
        parts = [
            where(length > part, take(quoted, (offset + part * step) % len(pool)), None)
            for part in range(most)
        ]
        listed = pl.concat_str(parts, separator=", ", ignore_nulls=True)
        return pl.select(pl.format("[{}]", listed)).to_series()

    def phone(self) -> pl.Series:
        """Indian mobile numbers, as people type them."""
        head, tail = self.integers(70_000, 99_999), self.integers(10_000, 99_999)
        prefix, gap = self.pick(("+91 ", "0", "")), self.pick(("", "", "-"))
        return text("{}{}{}{}", prefix, head, gap, tail)

    def clock(self, first: int = 9, last: int = 17) -> pl.Series:
        """Times of day as ``HH:MM`` on the quarter of an hour."""
        hours = pl.Series(self.integers(first, last)).cast(pl.String).str.zfill(2)
        return text("{}:{}", hours, self.pick(("00", "15", "30", "45")))


def take(pool: Sequence[str], at: Ints) -> pl.Series:
    """The words of the pool at those places."""
    return pl.Series(pool).gather(at)


def where(chosen: Flags, then: Cells, otherwise: Cells) -> pl.Series:
    """Cell by cell one or the other; None stands for NULL."""
    choice = pl.when(pl.Series(chosen)).then(_literal(then)).otherwise(_literal(otherwise))
    return pl.select(choice).to_series()


def text(template: str, *cells: pl.Series | Ints) -> pl.Series:
    """The template with each ``{}`` replaced by the cell of that row; NULL if one is."""
    first, *rest = template.split("{}")
    parts = [pl.lit(first)]
    for cell, literal in zip(cells, rest, strict=True):
        parts += (_literal(cell), pl.lit(literal))
    return pl.select(pl.concat_str(parts)).to_series()


def _literal(cells: Cells) -> pl.Expr:
    return pl.lit(pl.Series(cells) if isinstance(cells, np.ndarray) else cells)
