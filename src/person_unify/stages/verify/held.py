"""Rows that the verifier holds in memory, and the ranges of rowids in which they lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import polars as pl

from person_unify.files.database import Database
from person_unify.schema import Table, quote
from person_unify.stages.verify.cells import Cells, Lane

Range: TypeAlias = tuple[int, int]
"""The first and the last rowid of some rows."""

EVERY: Range = (-(2**63), 2**63 - 1)
"""All rows."""


@dataclass(frozen=True)
class Held:
    """Rows in memory, in the lanes that were asked for: all of a table, or those of some spans."""

    cells: Cells
    lanes: Mapping[str, Lane]
    spans: Sequence[Range] = ()

    @cached_property
    def bytes(self) -> int:
        """What the cells take."""
        return sum(int(column.estimated_size()) for column in self.cells.columns.values())

    def has(self, columns: Iterable[str], lanes: Mapping[str, Lane]) -> bool:
        """Whether these columns are here, in these lanes."""
        there = self.cells.columns
        return all(c in there and self.lanes[c] == lanes[c] for c in columns)


def covers(spans: Sequence[Range], wanted: Iterable[Range]) -> bool:
    """Whether each wanted span lies in one of some spans."""
    return all(
        any(first <= start and stop <= last for first, last in spans) for start, stop in wanted
    )


def spans_of(row: pl.Series, most: int = 40) -> list[Range]:
    """Up to ``most`` ranges that hold all rowids and leave out the widest gaps."""
    if not row.len():
        return []
    ordered = row.sort()
    gaps = ordered.diff()
    wide = gaps.arg_sort(descending=True, nulls_last=True).head(most - 1).sort()
    wide = wide.filter(gaps.gather(wide) > 10_000)
    starts = [ordered[0], *ordered.gather(wide)]
    ends = [*(ordered[int(n) - 1] for n in wide), ordered[-1]]
    return list(zip(starts, ends, strict=True))


def ranges_of(
    database: Database, table: Table, rowid: str, rows: int, least: int, size: int
) -> list[Range] | None:
    """Ranges of about ``size`` bytes and ``least`` rows or more; None where one holds all rows.

    rowid: the name that reaches it.  rows: how many there are.
    """
    name, columns = quote(table.name), table.column_names
    lengths = " + ".join(f"coalesce(octet_length({quote(c)}), 0)" for c in columns[:400])
    sample = f"SELECT * FROM {name} ORDER BY {rowid} LIMIT 32"
    later = f"SELECT * FROM {name} ORDER BY {rowid} DESC LIMIT 32"
    text, first, last = database.rows(
        f"SELECT (SELECT avg({lengths}) FROM (SELECT * FROM ({sample}) "
        f"UNION ALL SELECT * FROM ({later}))), min({rowid}), max({rowid}) FROM {name}"
    )[0]
    step = max(least, size // int(text + 24 * len(columns)))
    if rows <= step:
        return None
    if last - first + 1 <= 4 * rows:
        step = step * (last - first + 1) // rows
        return [(s, min(s + step - 1, last)) for s in range(first, last + 1, step)]
    starts = [
        int(start)
        for (start,) in database.rows(
            f"SELECT r FROM (SELECT {rowid} AS r, row_number() OVER (ORDER BY {rowid}) AS n "
            f"FROM {name}) WHERE n % {step} = 1 ORDER BY 1"
        )
    ]
    ends = [*(start - 1 for start in starts[1:]), int(last)]
    return list(zip(starts, ends, strict=True))
