"""The tables of a finished file, read exactly: whole where they are small, else in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from person_unify.errors import TargetError
from person_unify.files.closing import Closing
from person_unify.files.database import Database
from person_unify.frames.lanes import LaneReader
from person_unify.frames.odd import ODD, ROW, Lane, Rows, concat
from person_unify.frames.ranges import Range, rowid_of, scanned
from person_unify.mappings.known import known_tables
from person_unify.schema import Catalogue, Table, folded
from person_unify.stages.rebuild.columns import Column

CELLS_AT_ONCE = 3_000_000
"""Cells of a table that are worked on at once, if the caller does not say."""

_TERMS = 400
_LISTED = 20_000
"""Rows that one query names by their rowids, where they do not lie together."""

_SPREAD = 4
"""Up to so many rowids per row, rows are read as one range of rowids."""


class Reads(Protocol):
    """What reads the cells of one table, in lanes by column."""

    @property
    def lanes(self) -> Mapping[str, Lane]:
        """Column -> lane."""

    def read(self, columns: Sequence[str], part: Range | None, also: str = "") -> Rows:
        """Some columns of the rows in a range, under a further condition."""


@dataclass(slots=True)
class Store:
    """One table; rows are named by ``@row``."""

    reader: Reads
    table: Table
    span: Range | None
    rows_at_once: int
    _whole: Rows | None = None

    @property
    def small(self) -> bool:
        """Whether all rows may be in memory together with what is made of them."""
        return self.span is None or self.span.last - self.span.first < self.rows_at_once

    @property
    def empty(self) -> bool:
        """Whether the table is known to have no row."""
        return self.span is not None and self.span.last < self.span.first

    def scan(self, columns: Sequence[str]) -> tuple[pl.DataFrame, dict[str, Column]]:
        """Every row: a frame with ``@row``, in order, and some cells."""
        cells = self._all() if self.small else self.reader.read(columns, self.span)
        return self._beside(cells.frame.select(ROW), ROW, cells, columns, "")

    def rows(
        self, frame: pl.DataFrame, by: str, columns: Sequence[str], prefix: str
    ) -> tuple[pl.DataFrame, dict[str, Column]]:
        """The frame with some cells beside it, of the rows that its column ``by`` names.

        The new columns of the frame begin with ``prefix``; where ``by`` is NULL, the cells are.
        """
        cells = self._all() if self.small else self._named(frame[by], columns)
        return self._beside(frame, by, cells, columns, prefix)

    def _all(self) -> Rows:
        if self._whole is None:
            self._whole = self.reader.read(self.table.column_names, self.span)
        return self._whole

    def _beside(
        self, frame: pl.DataFrame, by: str, cells: Rows, columns: Sequence[str], prefix: str
    ) -> tuple[pl.DataFrame, dict[str, Column]]:
        read = self.table.column_names if self.small else tuple(columns)
        names = {column: f"{prefix}c{read.index(column)}" for column in columns}
        place = f"{prefix}{ODD}"
        main = cells.frame.select(
            pl.col(ROW).alias(by),
            pl.col(ODD).alias(place),
            *(pl.col(n.removeprefix(prefix)).alias(n) for n in names.values()),
        )
        if frame[by].equals(main[by]):
            frame = frame.hstack(main.drop(by))
        else:
            frame = frame.join(main, on=by, how="left", maintain_order="left")
        lanes = self.reader.lanes
        return frame, {
            column: Column.read(lanes[column], name, cells, column, place)
            for column, name in names.items()
        }

    def _named(self, wanted: pl.Series, columns: Sequence[str]) -> Rows:
        assert self.span is not None
        found = wanted.drop_nulls()
        if not len(found):
            return self.reader.read(columns, None, "0")
        first, last = int(found.min()), int(found.max())  # type: ignore[arg-type]
        rowid = self.span.rowid
        if last - first < _SPREAD * len(found):
            return self.reader.read(columns, Range(rowid, first, last))
        lists = (found[start : start + _LISTED] for start in range(0, len(found), _LISTED))
        return concat(
            self.reader.read(columns, None, f"{rowid} IN ({', '.join(map(str, rows))})")
            for rows in lists
        )


class File(Closing):
    """A database file and its catalogue, asked once."""

    def __init__(
        self,
        path: Path,
        catalogue: Callable[[Database], Catalogue[Table]] = known_tables,
        *,
        settled: bool = True,
        cells_at_once: int = CELLS_AT_ONCE,
    ) -> None:
        """Look at the schema and at where the rowids lie; raises :class:`DatabaseError`.

        catalogue: gives the tables by the names that mappings use.  settled: nobody writes the file
        any more.  cells_at_once: what of a table may be in memory.
        """
        self.path = path
        self.settled = settled
        self.cells_at_once = cells_at_once
        self._database = Database(path, read_only=True, settled=settled)
        try:
            self.tables = catalogue(self._database)
            listed = self._database.rows("SELECT name FROM pragma_table_list() WHERE wr = 1")
            without = {folded(name) for (name,) in listed}
            self._rowids = {
                name: rowid_of(table, folded(table.name) in without)
                for name, table in self.tables.items()
            }
            self._spans = Catalogue(_spans(self._database, self.tables, self._rowids))
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def store(
        self, name: str, lanes: Mapping[str, Lane] | None = None, known: Table | None = None
    ) -> Store:
        """A table of the file, its columns in the lanes given, else in those of their types.

        known: a table whose names its columns go by.  Raises :class:`TargetError` where there is no
        table of that name.
        """
        table = self.tables.get(name)
        if table is None:
            raise TargetError(f"{self.path.name} has no table {name}: it has been changed")
        table = table if known is None else table.known_as(known)
        span = self._spans[name]
        rowid = None if span is None else span.rowid
        reader = LaneReader.of(
            self.path, table, rowid, self._database, settled=self.settled, lanes=lanes
        )
        at_once = max(1, self.cells_at_once // max(1, len(table.columns)))
        return Store(reader, table, span, at_once)


def _spans(
    database: Database, tables: Mapping[str, Table], rowids: Mapping[str, str | None]
) -> dict[str, Range | None]:
    """Where the rowids of each table lie; None for one without a rowid in reach."""
    spans: dict[str, Range | None] = dict.fromkeys(tables)
    names = [name for name, rowid in rowids.items() if rowid is not None]
    for start in range(0, len(names), _TERMS):
        group = names[start : start + _TERMS]
        asked = " UNION ALL ".join(
            f"SELECT {start + n}, coalesce(min({rowids[name]}), 0), "
            f"coalesce(max({rowids[name]}), -1) FROM {scanned(name)}"
            for n, name in enumerate(group)
        )
        for position, first, last in database.rows(asked):
            name = names[position]
            spans[name] = Range(rowids[name] or "", first, last)
    return spans
