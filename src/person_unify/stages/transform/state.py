"""What the parts of a table hand on: to the parts after them, and to the tables that follow.

A large table is transformed part after part.  Everything that a row's fate may depend on beyond
its own part is kept here: which values under a UNIQUE are taken, how often old ids were met, and
the ids that other tables will look up, which the registry gets when the table is complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from person_unify.frames.model import ROW
from person_unify.frames.registry import Registry

EXAMPLES = 5


@dataclass(slots=True)
class Met:
    """Rows that hold an old id in some column: how many, and the ids of the first few."""

    rows: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, keys: pl.Series) -> None:
        """Count further rows, by their keys."""
        self.rows += keys.len()
        self.examples += map(str, keys.head(EXAMPLES - len(self.examples)))


@dataclass(slots=True)
class TableState:
    """The parts of one table so far.

    number: of the part at hand, from 1.  last: whether no other follows.
    taken: frames of ``@row``, ``@kept`` (the row's key) and the columns under a UNIQUE.
    loaded, ids: as :class:`Registry` keeps them, part by part.
    met: source column -> rows that hold an old id there.  early: an implausible instant.
    """

    number: int = 0
    last: bool = True
    taken: list[pl.DataFrame] = field(default_factory=list)
    loaded: list[pl.DataFrame] = field(default_factory=list)
    ids: list[pl.Series] = field(default_factory=list)
    met: dict[str, Met] = field(default_factory=dict)
    early: Counter[str] = field(default_factory=Counter)

    def begin(self, last: bool) -> None:
        """The next part begins."""
        self.number += 1
        self.last = last

    @property
    def label(self) -> str:
        """What tells the fresh ids of this part from those of the others."""
        return "" if self.number == 1 else f" {self.number}"

    def with_rivals(self, rows: pl.DataFrame, uniques: Sequence[Sequence[str]]) -> pl.DataFrame:
        """``rows`` in order, after the earlier rows that share a key with one of them."""
        rivals = [
            frame.join(rows.select(unique), on=list(unique), how="semi")
            for unique in uniques
            for frame in self.taken
        ]
        return pl.concat([*rivals, rows]).unique(ROW).sort(ROW) if rivals else rows

    def register(self, registry: Registry, table: str) -> None:
        """Hand the ids of a complete table to the registry."""
        if self.loaded:
            registry.loaded[table] = pl.concat(self.loaded)
        if self.ids:
            registry.all_ids[table] = pl.concat(self.ids)
