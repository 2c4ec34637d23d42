"""Reading a table exactly: every column once, in the lane it promises, and what breaks it apart.

SQLite types cells, a frame types columns.  A column is read in its *lane*, the storage class that
its declared type promises; an *odd* cell, one of another class, is NULL there and comes as a row of
its own, with its class and exact value, by a query that returns only such rows.  So a column with
one odd cell in a million costs one row more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from person_unify.conversions import decode_utf8
from person_unify.database import Database, read_frame
from person_unify.errors import BatchTooLarge, DatabaseError
from person_unify.schema import Table, quote

ROW = "@row"
"""Position of a row in source order: its rowid, or its rank by primary key."""

Lane = Literal["integer", "real", "text"]

NULL, INTEGER, REAL, TEXT, BLOB = range(5)
"""Codes of SQLite's storage classes."""

ODD = {
    "class": pl.Int64,
    "integer": pl.Int64,
    "real": pl.Float64,
    "bytes": pl.Binary,
    "printed": pl.String,
    "decoded": pl.String,
}
"""Columns of odd cells: the class, then the value in the field of that class (text and BLOB in
``bytes``); ``printed`` is a REAL as SQLite prints it, ``decoded`` bytes that are valid UTF-8."""

DTYPES: Mapping[Lane, pl.DataType] = {
    "integer": pl.Int64(),
    "real": pl.Float64(),
    "text": pl.String(),
}

_SENTINELS = {"integer": "0", "real": "0.0", "text": "''"}
_CODES = {"integer": INTEGER, "real": REAL, "text": TEXT, "blob": BLOB}
_ODD_FIELDS = {
    "integer": ("0", "CASE WHEN typeof({c}) = 'integer' THEN {c} END"),
    "real": ("0.0", "CASE WHEN typeof({c}) = 'real' THEN {c} END"),
    "bytes": ("x'00'", "CASE WHEN typeof({c}) IN ('text', 'blob') THEN CAST({c} AS BLOB) END"),
    "printed": ("''", "CASE WHEN typeof({c}) = 'real' THEN printf('%!.15g', {c}) END"),
}
_COLUMNS_AT_ONCE = 300
"""SQLite allows 2,000 expressions in one result, and an odd column takes five."""

_FEW = 1_000
"""Up to so many rowids a table is small."""

_ROWS_PER_PARTITION = 50_000
_CELL = pl.Schema({ROW: pl.Int64(), **{name: type_() for name, type_ in ODD.items()}})


def promised(declared: str) -> Lane:
    """The lane that a declared type promises, by SQLite's affinity rules."""
    if "INT" in declared:
        return "integer"
    if has_text_affinity(declared):
        return "text"
    if any(word in declared for word in ("REAL", "FLOA", "DOUB")):
        return "real"
    return "text" if not declared or "BLOB" in declared else "integer"


def has_text_affinity(declared: str) -> bool:
    """Whether a declared type turns numbers into text when they are stored."""
    return "INT" not in declared and any(word in declared for word in ("CHAR", "CLOB", "TEXT"))


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


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows of a table, sorted by ``@row``.

    frame: ``@row`` and one column per name asked for, by position (``c0``, ``c1``, …), odd cells
    NULL.  odd: column -> ``@row`` and the columns of :data:`ODD`; no entry where there are none.
    """

    frame: pl.DataFrame
    odd: Mapping[str, pl.DataFrame]


@dataclass(slots=True)
class LaneReader:
    """Reads one table of a file that nobody writes meanwhile.

    lanes: column -> lane.  rowid: the name that reaches its rowid; None where it has none.
    order: the columns that order it then.  affine: columns whose affinity leaves no class but the
    text lane's and BLOB, which is cheaper to see.  database: the file opened by ADBC, which reads
    the few rows of a small table in a fiftieth of the time that connectorx takes to connect, and
    everything where the file is not ``settled``, for that has one library at a time.
    """

    path: Path
    table: str
    lanes: Mapping[str, Lane]
    rowid: str | None
    order: Sequence[str] = ()
    database: Database | None = None
    settled: bool = True
    suspects: set[str] = field(default_factory=set)
    by_bytes: bool = False

    def read(self, columns: Sequence[str], part: Range | None, also: str = "") -> Cells:
        """The cells of some columns in a range of rowids; ``also``: a further condition.

        Raises :class:`DatabaseError`.
        """
        if part is not None and part.last < part.first:
            types = {f"c{n}": DTYPES[self.lanes[c]] for n, c in enumerate(columns)}
            return Cells(pl.DataFrame(schema={ROW: pl.Int64(), **types}), {})
        groups = [
            columns[start : start + _COLUMNS_AT_ONCE]
            for start in range(0, len(columns), _COLUMNS_AT_ONCE)
        ]
        found = [self._group(group, part, also) for group in groups or [()]]
        frames = [cells.frame for cells in found]
        names = [ROW, *(f"c{position}" for position in range(len(columns)))]
        others = [series for frame in frames[1:] for series in frame.get_columns()[1:]]
        frame = pl.DataFrame(
            [s.alias(n) for s, n in zip([*frames[0], *others], names, strict=True)]
        )
        return Cells(frame, {c: odd for cells in found for c, odd in cells.odd.items()})

    def _group(self, columns: Sequence[str], part: Range | None, also: str) -> Cells:
        """Read as promised; where that fails, see which columns break it, and read around them."""
        if self._alone(part):
            broken = self._broken(columns, part, also)
            odd = self._odd([c for c in columns if c in broken], part, also)
            return self._decoded(columns, self._lanes(columns, part, also, broken), odd)
        if not self.suspects.intersection(columns) and not self.by_bytes:
            try:
                return Cells(self._lanes(columns, part, also, frozenset()), {})
            except BatchTooLarge:
                raise
            except DatabaseError:
                pass
        broken = self._broken(columns, part, also)
        self.suspects |= broken
        odd = self._odd([c for c in columns if c in broken], part, also)
        if not self.by_bytes:
            try:
                return Cells(self._lanes(columns, part, also, broken), odd)
            except BatchTooLarge:
                raise
            except DatabaseError:
                # SQL cannot see text that is not UTF-8: read every text column by its bytes.
                self.by_bytes = True
        return self._decoded(columns, self._lanes(columns, part, also, broken), odd)

    def _lanes(
        self, columns: Sequence[str], part: Range | None, also: str, broken: frozenset[str]
    ) -> pl.DataFrame:
        literals, expressions = ["0"], [self._position()]
        for column in columns:
            lane, cell = self.lanes[column], quote(column)
            if lane == "text" and (self.by_bytes or self._alone(part)):
                literals.append("x'00'")
                expressions.append(
                    f"CASE WHEN typeof({cell}) = 'text' THEN CAST({cell} AS BLOB) END"
                )
                continue
            literals.append(_SENTINELS[lane])
            odd = column in broken
            expressions.append(
                f"CASE WHEN typeof({cell}) = '{lane}' THEN {cell} END" if odd else cell
            )
        frame = self._query(literals, expressions, part, also)
        types = [pl.Int64(), *(DTYPES[self.lanes[column]] for column in columns)]
        return pl.DataFrame(
            [
                series if series.dtype == pl.Binary else series.cast(type_)
                for series, type_ in zip(frame, types, strict=True)
            ]
        ).sort(frame.columns[0])

    def _broken(self, columns: Sequence[str], part: Range | None, also: str) -> frozenset[str]:
        """The columns in which some cell is of another class than their lane's."""
        sums = [f"coalesce(sum({self._is_odd(column)}), 0)" for column in columns]
        counts = self._query(["0"] * len(sums), sums, part, also).sum().row(0) if sums else ()
        return frozenset(c for c, n in zip(columns, counts, strict=True) if n)

    def _is_odd(self, column: str) -> str:
        return f"typeof({quote(column)}) NOT IN ('{self.lanes[column]}', 'null')"

    def _odd(
        self, columns: Sequence[str], part: Range | None, also: str
    ) -> dict[str, pl.DataFrame]:
        """The odd cells of some columns, from the rows that have any."""
        if not columns:
            return {}
        literals, expressions = ["0"], [self._position()]
        for column in columns:
            lane = self.lanes[column]
            classes = " ".join(f"WHEN '{n}' THEN {c}" for n, c in _CODES.items() if n != lane)
            literals += ["0", *(literal for literal, _ in _ODD_FIELDS.values())]
            expressions.append(f"CASE typeof({quote(column)}) {classes} ELSE 0 END")
            expressions += [e.format(c=quote(column)) for _, e in _ODD_FIELDS.values()]
        wanted = " OR ".join(map(self._is_odd, columns))
        both = f"({also}) AND ({wanted})" if also else f"({wanted})"
        rows = self._query(literals, expressions, part, both)
        width = 1 + len(_ODD_FIELDS)
        found = {}
        for position, column in enumerate(columns):
            start = 1 + position * width
            cells = rows[:, [0, *range(start, start + width)]]
            cells.columns = [ROW, "class", *_ODD_FIELDS]
            cells = cells.filter(pl.col("class") != NULL).sort(ROW)
            decoded = decode_utf8(cells["bytes"].cast(pl.Binary)).alias("decoded")
            found[column] = cells.with_columns(decoded).cast(_CELL)
        return {column: cells for column, cells in found.items() if cells.height}

    def _decoded(
        self, columns: Sequence[str], frame: pl.DataFrame, odd: dict[str, pl.DataFrame]
    ) -> Cells:
        """Texts of their bytes; those that are no UTF-8 become odd cells."""
        series = frame.get_columns()
        for position, column in enumerate(columns, 1):
            stored = series[position]
            if stored.dtype != pl.Binary:
                continue
            series[position] = text = decode_utf8(stored)
            if text.null_count() == stored.null_count():
                continue
            bad = pl.DataFrame({ROW: series[0], "bytes": stored}).filter(
                stored.is_not_null() & text.is_null()
            )
            cells = bad.select(
                ROW,
                *(
                    pl.lit(TEXT, pl.Int64).alias(name)
                    if name == "class"
                    else (pl.col(name) if name == "bytes" else pl.lit(None, type_()).alias(name))
                    for name, type_ in ODD.items()
                ),
            )
            known = odd.get(column)
            odd[column] = cells if known is None else pl.concat([known, cells]).sort(ROW)
        return Cells(pl.DataFrame(series), odd)

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
        self, literals: list[str], expressions: list[str], part: Range | None, also: str
    ) -> pl.DataFrame:
        aliases = [f"c{position}" for position in range(len(expressions))]
        listed = [f"{e} AS {a}" for e, a in zip(expressions, aliases, strict=True)]
        typed = [f"{e} AS {a}" for e, a in zip(literals, aliases, strict=True)]
        select = f"SELECT {', '.join(listed)} FROM {self._rows()}"
        if self.database is not None and self._alone(part):
            (where,) = _partitions(part, 1, also)
            every = self.database.frame(f"SELECT {', '.join(typed)} UNION ALL {select}{where}")
            return every.slice(1)
        sentinel = f"SELECT {', '.join(typed)} LIMIT 0"
        parts = os.cpu_count() or 1
        while True:
            ranges = list(_partitions(part, parts, also))
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


def scanned(table: str) -> str:
    """A table as SQL that is read row by row: an index may need a collation that is not here."""
    return f"{quote(table)} NOT INDEXED"


def rowid_of(table: Table, without_rowid: bool = False) -> str | None:
    """The name that reaches a table's rowid; None if it has none or columns hide them all."""
    if without_rowid:
        return None
    return next((n for n in ("rowid", "_rowid_", "oid") if table.column(n) is None), None)


def _free(taken: Mapping[str, Lane]) -> str:
    """A name for the rank of a row that no column has."""
    lower = {name.lower() for name in taken}
    name = ROW
    while name in lower:
        name += "_"
    return name


def _partitions(part: Range | None, most: int, also: str) -> Iterator[str]:
    """WHERE clauses over a range of the rowid; a small one is read in one go."""
    if part is None:
        yield f" WHERE {also}" if also else ""
        return
    span = max(1, part.last - part.first + 1)
    cores = os.cpu_count() or 1
    parts = min(most, span) if most > cores else max(1, min(most, span // _ROWS_PER_PARTITION))
    for piece in part.cut(-(-span // parts)) or [part]:
        yield f"{piece.where} AND {also}" if also else piece.where
