"""Rows of a table by their rowids: ranges, and what reaches them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from person_unify.schema import Table, folded, quote

_ROWS_PER_PARTITION = 50_000


@dataclass(frozen=True, slots=True)
class Range:
    """Rows whose rowid, under the name that reaches it, lies from ``first`` to ``last``."""

    rowid: str
    first: int
    last: int

    @property
    def where(self) -> str:
        """The WHERE clause."""
        return f" WHERE {self.rowid} BETWEEN {self.first} AND {self.last}"

    def cut(self, step: int) -> list[Range]:
        """Ranges of ``step`` rowids in order, the last one of what is left."""
        starts = range(self.first, self.last + 1, step)
        return [Range(self.rowid, s, min(s + step - 1, self.last)) for s in starts]


def scanned(table: str) -> str:
    """A table as SQL that is read row by row: an index may need a collation that is not here."""
    return f"{quote(table)} NOT INDEXED"


def rowid_of(table: Table, without_rowid: bool = False) -> str | None:
    """The name that reaches a table's rowid; None if it has none or columns hide them all."""
    return None if without_rowid else reaching_rowid(table.column_names)


def reaching_rowid(columns: Iterable[str]) -> str | None:
    """The first name of the rowid that no column hides."""
    taken = set(map(folded, columns))
    return next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)


def partitions(part: Range | None, most: int, also: str) -> Iterator[str]:
    """WHERE clauses over a range of the rowid; a small one is read in one go."""
    if part is None:
        yield f" WHERE {also}" if also else ""
        return
    span = max(1, part.last - part.first + 1)
    cores = os.cpu_count() or 1
    parts = min(most, span) if most > cores else max(1, min(most, span // _ROWS_PER_PARTITION))
    for piece in part.cut(-(-span // parts)) or [part]:
        yield f"{piece.where} AND {also}" if also else piece.where
