"""Reading a table exactly: every column once, in its lane, and odd cells apart (:mod:`odd`).

Odd cells come by a query that returns only the rows that have any, so a column with one odd cell in
a million costs one row more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from person_unify.errors import BatchTooLarge, DatabaseError
from person_unify.files.database import Database, read_frame
from person_unify.frames.conversions import decode_utf8
from person_unify.frames.odd import (
    CODES,
    DTYPES,
    FIELDS,
    ODD,
    ROW,
    TEXT,
    Lane,
    Rows,
    has_odd,
    odd_field,
    odd_fields,
    pointed,
    promised,
)
from person_unify.frames.ranges import Range, partitions, scanned
from person_unify.schema import Table, quote

_SENTINELS = {"integer": "0", "text": "''"}
_READ = {
    "integer": ("0", "CASE WHEN typeof({c}) = 'integer' THEN {c} END"),
    "real": ("0.0", "CASE WHEN typeof({c}) = 'real' THEN {c} END"),
    "bytes": ("x'00'", "CASE WHEN typeof({c}) IN ({bytes}) THEN CAST({c} AS BLOB) END"),
    "printed": ("''", "CASE WHEN typeof({c}) = 'real' THEN printf('%!.15g', {c}) END"),
}
"""The fields that SQL gives, beside the class: a literal of the type, and the expression."""

_COLUMNS_AT_ONCE = 300
"""SQLite allows 2,000 expressions in one result, and an odd column takes five."""

_FEW = 1_000
"""Up to so many rowids a table is small, and odd cells are few."""


@dataclass(slots=True)
class LaneReader:
    """Reads one table of a file that nobody writes meanwhile.

    lanes: column -> lane.  rowid: the name that reaches its rowid; None where it has none.
    order: the columns that order it then.  database: the file opened by ADBC, which reads the few
    rows of a small table in a fiftieth of the time that connectorx takes to connect, and everything
    where the file is not ``settled``, for that has one library at a time.  troubled: whether the
    rows that were read last had odd cells.  without_nul: text with a NUL character is odd, and as
    little decoded as text that is not UTF-8.
    """

    path: Path
    table: str
    lanes: Mapping[str, Lane]
    rowid: str | None
    order: Sequence[str] = ()
    database: Database | None = None
    settled: bool = True
    troubled: bool = False
    without_nul: bool = False

    @classmethod
    def of(
        cls,
        path: Path,
        table: Table,
        rowid: str | None,
        database: Database | None,
        *,
        settled: bool = True,
        lanes: Mapping[str, Lane] | None = None,
    ) -> LaneReader:
        """Reads a table in the lanes that its types promise, but for columns of ``lanes``."""
        promises = {column.name: promised(column.type) for column in table.columns}
        promises |= {c: lane for c, lane in (lanes or {}).items() if c in promises}
        order = table.primary_key or table.column_names
        return cls(path, table.name, promises, rowid, order, database, settled)

    def read(self, columns: Sequence[str], part: Range | None, also: str = "") -> Rows:
        """Some columns by position (``c0``, ``c1``, …) after ``@row``, in its order, and ``@odd``.

        part: rows in a range of rowids, else all.  also: a further condition.  Raises
        :class:`DatabaseError`.
        """
        if part is not None and part.last < part.first:
            types = {f"c{n}": DTYPES[self.lanes[c]] for n, c in enumerate(columns)}
            schema = {ROW: pl.Int64(), ODD: pl.UInt32(), **types}
            return Rows(pl.DataFrame(schema=schema), pl.DataFrame())
        groups = [
            columns[start : start + _COLUMNS_AT_ONCE]
            for start in range(0, len(columns), _COLUMNS_AT_ONCE)
        ]
        found = [self._group(group, part, also) for group in groups or [()]]
        if self.without_nul:
            every = zip(groups or [()], found, strict=True)
            found = [self._nul_apart(group, frame, odd) for group, (frame, odd) in every]
        first, *others = (frame for frame, _ in found)
        series = first.get_columns() + [s for frame in others for s in frame.get_columns()[1:]]
        names = [ROW, *(f"c{position}" for position in range(len(columns)))]
        frame = pl.DataFrame([s.alias(name) for s, name in zip(series, names, strict=True)])
        return pointed(frame, [odd for _, odds in found for odd in odds])

    def _group(
        self, columns: Sequence[str], part: Range | None, also: str
    ) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
        """Read as promised; where that fails, see which columns break it, and read around them."""
        if not self._alone(part) and not self.troubled:
            try:
                return self._lanes(columns, part, also), []
            except BatchTooLarge:
                raise
            except DatabaseError:
                pass  # for what reason, the next queries tell
        odd = self._odd(columns, part, also)
        # SQL cannot see text that is not UTF-8, and where some cells are odd, it is likely.
        frame = self._lanes(columns, part, also, odd)
        frame, odds = self._decoded(columns, frame, odd)
        self.troubled = bool(odds)
        return frame, odds

    def _lanes(
        self,
        columns: Sequence[str],
        part: Range | None,
        also: str,
        odd: pl.DataFrame | None = None,
    ) -> pl.DataFrame:
        """The columns as promised; around the ``odd`` cells, if given, and texts by their bytes."""
        literals, expressions = ["0"], [self._position()]
        for column in columns:
            lane, cell = self.lanes[column], quote(column)
            as_bytes = lane == "text" and odd is not None
            literals.append("x'00'" if as_bytes else _SENTINELS[lane])
            if as_bytes:
                cell = f"CAST({cell} AS BLOB)"
            elif odd is not None and has_odd(odd, column):
                cell = f"CASE WHEN typeof({cell}) = '{lane}' THEN {cell} END"
            expressions.append(cell)
        frame = self._query(literals, expressions, part, also)
        types = [pl.Int64(), *(DTYPES[self.lanes[column]] for column in columns)]
        return pl.DataFrame(
            [
                series if series.dtype == pl.Binary else series.cast(type_)
                for series, type_ in zip(frame, types, strict=True)
            ]
        ).sort(frame.columns[0])

    def _odd(self, columns: Sequence[str], part: Range | None, also: str) -> pl.DataFrame:
        """The odd cells of the columns that have any, by ``@row``, from the rows that have any."""
        if not columns:
            return pl.DataFrame()
        classes = self._classes(columns, part, also)
        broken = [c for c in columns if not classes[odd_field(c, "class")].is_null().all()]
        if not broken:
            return pl.DataFrame()
        classes = classes.select(ROW, *odd_fields(broken, ("class",)))
        literals, expressions = ["0"], [self._position()]
        for column in broken:
            lane = self.lanes[column]
            # No integer is odd in the lane of integers, and no text in that of texts.
            stored = "'blob'" if lane == "text" else "'text', 'blob'"
            literals += [literal for literal, _ in _READ.values()]
            expressions += [
                "NULL" if name == lane else expression.format(c=quote(column), bytes=stored)
                for name, (_, expression) in _READ.items()
            ]
        few = classes.height <= _FEW
        if few and self.rowid is not None:
            wanted = f"{self.rowid} IN ({', '.join(map(str, classes[ROW]))})"
        else:
            wanted = self._any_odd(broken, also)
        rows = self._query(literals, expressions, part, wanted, few=few)
        types = pl.Schema({ROW: pl.Int64(), **odd_fields(broken, _READ)})
        rows.columns = types.names()
        rows = rows.cast(types).sort(ROW)
        decoded = (
            decode_utf8(rows[odd_field(c, "bytes")]).alias(odd_field(c, "decoded")) for c in broken
        )
        return classes.hstack(rows.drop(ROW).with_columns(decoded))

    def _classes(self, columns: Sequence[str], part: Range | None, also: str) -> pl.DataFrame:
        """``@row`` and the classes of odd cells, of the rows that have any, in order."""
        literals, expressions = ["0"], [self._position()]
        for column in columns:
            named = CODES.items()
            codes = " ".join(f"WHEN '{n}' THEN {c}" for n, c in named if n != self.lanes[column])
            literals.append("0")
            expressions.append(f"CASE typeof({quote(column)}) {codes} END")
        rows = self._query(literals, expressions, part, self._any_odd(columns, also), few=True)
        types = pl.Schema({ROW: pl.Int64(), **odd_fields(columns, ("class",))})
        rows.columns = types.names()
        return rows.cast(types).sort(ROW)

    def _any_odd(self, columns: Sequence[str], also: str) -> str:
        wanted = " OR ".join(
            f"typeof({quote(c)}) NOT IN ('{self.lanes[c]}', 'null')" for c in columns
        )
        return f"({also}) AND ({wanted})" if also else f"({wanted})"

    def _decoded(
        self, columns: Sequence[str], frame: pl.DataFrame, odd: pl.DataFrame
    ) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
        """Texts of their bytes, NULL where ``odd`` has the cell; no UTF-8 is odd as well."""
        series, odds = frame.get_columns(), [odd] if odd.height else []
        for position, column in enumerate(columns, 1):
            stored = series[position]
            if stored.dtype != pl.Binary:
                continue
            if has_odd(odd, column):
                there = odd[ROW].filter(odd[odd_field(column, "class")].is_not_null())
                kept = pl.repeat(value=True, n=stored.len(), eager=True)
                kept = kept.scatter(series[0].search_sorted(there), values=False)
                stored = pl.select(pl.when(kept).then(stored)).to_series()
            series[position] = text = decode_utf8(stored)
            if text.null_count() == stored.null_count():
                continue
            bad = stored.is_not_null() & text.is_null()
            odds.append(_undecoded(column, series[0], stored, bad))
        return pl.DataFrame(series), odds

    def _nul_apart(
        self, columns: Sequence[str], frame: pl.DataFrame, odd: list[pl.DataFrame]
    ) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
        """Texts with a NUL character become odd cells, and what is odd is not decoded with one."""
        series = frame.get_columns()
        for position, column in enumerate(columns, 1):
            text = series[position]
            if text.dtype == pl.String and (bad := _has_nul(text)).any():
                odd.append(_undecoded(column, series[0], text.cast(pl.Binary), bad))
                series[position] = text.set(bad, None)
        fields = [odd_field(column, "decoded") for column in columns]
        read = [
            part.with_columns(
                part[name].set(_has_nul(part[name]), None)
                for name in fields
                if name in part.columns
            )
            for part in odd
        ]
        return pl.DataFrame(series), read

    def _alone(self, part: Range | None) -> bool:
        """Whether ADBC reads these rows, over the one connection there is."""
        if self.database is None or not self.settled:
            return self.database is not None
        return part is not None and part.last - part.first < _FEW

    def _position(self) -> str:
        return self.rowid or quote(_free(self.lanes))

    def _rows(self) -> str:
        """What is selected from: a table without a rowid gets the rank of its rows beside it."""
        if self.rowid is not None:
            return scanned(self.table)
        over = f"ORDER BY {', '.join(map(quote, self.order))}" if self.order else ""
        rank = f"row_number() OVER ({over}) AS {quote(_free(self.lanes))}"
        return f"(SELECT {rank}, * FROM {scanned(self.table)})"

    def _query(
        self,
        literals: list[str],
        expressions: list[str],
        part: Range | None,
        also: str,
        *,
        few: bool = False,
    ) -> pl.DataFrame:
        aliases = [f"c{position}" for position in range(len(expressions))]
        listed = [f"{e} AS {a}" for e, a in zip(expressions, aliases, strict=True)]
        typed = [f"{e} AS {a}" for e, a in zip(literals, aliases, strict=True)]
        select = f"SELECT {', '.join(listed)} FROM {self._rows()}"
        if self.database is not None and (few or self._alone(part)):
            (where,) = partitions(part, 1, also)
            every = self.database.frame(f"SELECT {', '.join(typed)} UNION ALL {select}{where}")
            return every.slice(1)
        sentinel = f"SELECT {', '.join(typed)} LIMIT 0"
        parts = os.cpu_count() or 1
        while True:
            ranges = list(partitions(part, parts, also))
            try:
                return read_frame(
                    self.path,
                    sentinel,
                    [select + where for where in ranges],
                    aliases,
                    settled=self.settled,
                )
            except BatchTooLarge:
                # Huge texts: read fewer rows at a time, down to single rows.
                if len(ranges) < parts:
                    raise
                parts *= 8


def _has_nul(texts: pl.Series) -> pl.Series:
    return texts.str.contains("\0", literal=True).fill_null(value=False)


def _undecoded(column: str, rows: pl.Series, stored: pl.Series, bad: pl.Series) -> pl.DataFrame:
    """Texts by their bytes alone, as odd cells of a column, where ``bad``."""
    cells = pl.DataFrame([rows.alias(ROW), stored.alias("bytes")]).filter(bad)
    known = {"class": pl.lit(TEXT, pl.Int64()), "bytes": pl.col("bytes")}
    fields = (
        known.get(name, pl.lit(None, type_)).alias(odd_field(column, name))
        for name, type_ in FIELDS.items()
    )
    return cells.select(ROW, *fields)


def _free(taken: Mapping[str, Lane]) -> str:
    """A name for the rank of a row that no column has."""
    lower = {name.lower() for name in taken}
    name = ROW
    while name in lower:
        name += "_"
    return name
