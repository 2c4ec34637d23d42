"""Extract: whole source tables as Polars frames, every cell exact (contract section 1).

A table is read optimistically with the storage class its declared types promise.  Where a cell
breaks that promise, the columns concerned are read again in the mixed lane, which keeps each cell's
storage class and bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from person_unify.conversions import decode_utf8
from person_unify.database import Database, inspect, read_frame
from person_unify.errors import BatchTooLarge, DatabaseError, SourceError
from person_unify.frames import ROW, SourceFrame, held
from person_unify.schema import Table, quote
from person_unify.values import DTYPES, MIXED, NULL, TEXT, Lane

_ROWS_PER_PARTITION = 50_000
_EXPRESSIONS_PER_QUERY = 1_000
_SENTINELS = {"integer": "0", "text": "''"}
_MIXED_FIELDS = {
    "class": (
        "0",
        "CASE typeof({c}) WHEN 'integer' THEN 1 WHEN 'real' THEN 2 "
        "WHEN 'text' THEN 3 WHEN 'blob' THEN 4 ELSE 0 END",
    ),
    "integer": ("0", "CASE WHEN typeof({c}) = 'integer' THEN {c} END"),
    "real": ("0.0", "CASE WHEN typeof({c}) = 'real' THEN {c} END"),
    "bytes": ("x'00'", "CASE WHEN typeof({c}) IN ('text', 'blob') THEN CAST({c} AS BLOB) END"),
    "printed": ("''", "CASE WHEN typeof({c}) = 'real' THEN printf('%!.15g', {c}) END"),
}


class Extractor:
    """Reads tables of one snapshot; the snapshot must not be written while it is in use."""

    def __init__(self, snapshot: Path) -> None:
        """Look at the snapshot's schema.

        Raises :class:`SourceError` for an encoding but UTF-8, for a damaged schema, and for a table
        that is too wide for the archive.
        """
        self.snapshot = snapshot
        with Database(snapshot, settled=True) as database:
            encoding = database.value("PRAGMA encoding")
            if encoding != "UTF-8":
                raise SourceError(
                    f"the source is encoded in {encoding}: copy its tables into a UTF-8 "
                    "database first"
                )
            try:
                self.tables = inspect(database)
            except DatabaseError as error:
                raise SourceError(
                    f"the source's schema is damaged ({error}): restore it from a backup first"
                ) from error
            self._unordered = {
                name
                for (name,) in database.rows("SELECT name FROM pragma_table_list() WHERE wr = 1")
            }

    def has_rows(self, table: str) -> bool:
        """Whether a table of the file holds any row."""
        with Database(self.snapshot, settled=True) as database:
            return bool(database.value(f"SELECT EXISTS (SELECT 1 FROM {quote(table)})"))

    def read(self, name: str, columns: Sequence[str] | None = None) -> SourceFrame:
        """Read a table, or some of its columns, in source order."""
        table = self.tables[name]
        wanted = [c for c in table.column_names if columns is None or c in columns]
        lanes: dict[str, Lane] = {
            c.name: _promised(c.type) for c in table.columns if c.name in wanted
        }
        try:
            return SourceFrame(table, *self._frame(table, lanes))
        except DatabaseError:
            lanes = self._observed(table, lanes)
        try:
            return SourceFrame(table, *self._frame(table, lanes))
        except DatabaseError:
            # SQL cannot see text that is not UTF-8: read every text column by its bytes.
            return SourceFrame(table, *self._frame(table, lanes, by_bytes=True))

    def _observed(self, table: Table, lanes: dict[str, Lane]) -> dict[str, Lane]:
        single = {c: lane for c, lane in lanes.items() if lane != "mixed"}
        if not single:
            return lanes
        broken = dict(lanes)
        with Database(self.snapshot, settled=True) as database:
            for group in _groups(list(single)):
                odd = (f"typeof({quote(c)}) NOT IN ('{single[c]}', 'null')" for c in group)
                sums = ", ".join(f"coalesce(sum({mask}), 0)" for mask in odd)
                counts = database.rows(f"SELECT {sums} FROM {quote(table.name)}")[0]
                broken.update({c: "mixed" for c, n in zip(group, counts, strict=True) if n})
        return broken

    def _frame(
        self, table: Table, lanes: dict[str, Lane], by_bytes: bool = False
    ) -> tuple[pl.DataFrame, dict[str, Lane]]:
        # A mixed column takes five expressions, and SQLite allows 2,000 in one result.
        groups = list(_groups(list(lanes))) or [[]]
        frames, found = [], dict(lanes)
        for group in groups:
            frame = self._columns(table, {c: lanes[c] for c in group}, by_bytes)
            frame, seen = _shaped(frame, {c: lanes[c] for c in group})
            frames.append(frame.sort(ROW))
            found.update(seen)
        others = [series for frame in frames[1:] for series in frame.drop(ROW).get_columns()]
        return frames[0].hstack(others), found

    def _columns(self, table: Table, lanes: dict[str, Lane], by_bytes: bool) -> pl.DataFrame:
        literals, expressions = ["0"], [self._position(table)]
        for column, lane in lanes.items():
            if lane == "mixed":
                literals += [literal for literal, _ in _MIXED_FIELDS.values()]
                expressions += [
                    expression.format(c=quote(column)) for _, expression in _MIXED_FIELDS.values()
                ]
            elif lane == "text" and by_bytes:
                literals.append("x'00'")
                expressions.append(f"CAST({quote(column)} AS BLOB)")
            else:
                literals.append(_SENTINELS[lane])
                expressions.append(quote(column))
        return self._query(table, literals, expressions)

    def _query(self, table: Table, literals: list[str], expressions: list[str]) -> pl.DataFrame:
        aliases = [f"c{position}" for position in range(len(expressions))]
        listed = [f"{e} AS {a}" for e, a in zip(expressions, aliases, strict=True)]
        typed = [f"{e} AS {a}" for e, a in zip(literals, aliases, strict=True)]
        sentinel = f"SELECT {', '.join(typed)} LIMIT 0"
        parts = os.cpu_count() or 1
        while True:
            ranges = self._partitions(table, parts)
            queries = [
                f"SELECT {', '.join(listed)} FROM {quote(table.name)}{where}" for where in ranges
            ]
            try:
                return read_frame(self.snapshot, sentinel, queries, aliases)
            except BatchTooLarge:
                # Huge texts: read fewer rows at a time, down to single rows.
                if len(ranges) < parts:
                    raise
                parts *= 8

    def _position(self, table: Table) -> str:
        rowid = self.rowid(table)
        if rowid is not None:
            return rowid
        key = ", ".join(map(quote, table.primary_key or table.column_names))
        return f"row_number() OVER (ORDER BY {key})"

    def rowid(self, table: Table) -> str | None:
        """The name that reaches a table's rowid; None if it has none or columns hide them all."""
        if table.name in self._unordered:
            return None
        hidden = {column.lower() for column in table.column_names}
        return next((n for n in ("rowid", "_rowid_", "oid") if n not in hidden), None)

    def _partitions(self, table: Table, most: int) -> list[str]:
        """WHERE clauses over ranges of the rowid; small tables are read in one go."""
        rowid = self.rowid(table)
        if rowid is None:
            return [""]
        with Database(self.snapshot, settled=True) as database:
            first, last = database.rows(
                f"SELECT min({rowid}), max({rowid}) FROM {quote(table.name)}"
            )[0]
        if first is None:
            return [""]
        span = last - first + 1
        cores = os.cpu_count() or 1
        parts = min(most, span) if most > cores else max(1, min(cores, span // _ROWS_PER_PARTITION))
        step = -(-span // parts)
        return [
            f" WHERE {rowid} BETWEEN {start} AND {min(start + step - 1, last)}"
            for start in range(first, last + 1, step)
        ]


def _promised(declared: str) -> Lane:
    """The lane that a declared type promises, by SQLite's affinity rules."""
    if "INT" in declared:
        return "integer"
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if not declared or any(word in declared for word in ("BLOB", "REAL", "FLOA", "DOUB")):
        # Only SQLite prints a REAL as SQLite does, should the target want it as text.
        return "mixed"
    return "integer"


def _groups(columns: list[str]) -> Iterator[list[str]]:
    size = _EXPRESSIONS_PER_QUERY // len(_MIXED_FIELDS)
    for start in range(0, len(columns), size):
        yield columns[start : start + size]


def _shaped(frame: pl.DataFrame, lanes: dict[str, Lane]) -> tuple[pl.DataFrame, dict[str, Lane]]:
    """Give the result's positional columns their names, mixed ones their struct, bytes their text.

    Returns the lanes as they turned out: text that was read by its bytes is mixed where some cell
    is not UTF-8.
    """
    position = 1
    shaped = [frame.to_series(0).cast(pl.Int64).alias(ROW)]
    seen = dict(lanes)
    for column, lane in lanes.items():
        cells = frame.to_series(position)
        if lane == "mixed":
            width = len(_MIXED_FIELDS)
            fields = frame[:, position : position + width]
            fields.columns = list(_MIXED_FIELDS)
            stored = fields["bytes"].cast(pl.Binary)
            fields = fields.with_columns(decode_utf8(stored).alias("decoded"))
            shaped.append(fields.to_struct(held(column)).cast(MIXED))
            position += width
            continue
        position += 1
        if cells.dtype == pl.Binary:
            text = decode_utf8(cells)
            if text.null_count() > cells.null_count():
                seen[column] = "mixed"
                shaped.append(_mixed_text(cells, text).alias(held(column)))
                continue
            cells = text
        shaped.append(cells.cast(_PLAIN[lane]).alias(held(column)))
    return pl.DataFrame(shaped), seen


_PLAIN: dict[Lane, pl.DataType] = {
    "integer": DTYPES["INTEGER"],
    "text": DTYPES["TEXT"],
}


def _mixed_text(stored: pl.Series, decoded: pl.Series) -> pl.Series:
    """A mixed lane of cells that are all text or NULL, by their bytes."""
    fields = pl.DataFrame({"bytes": stored, "decoded": decoded}).select(
        pl.when(pl.col("bytes").is_not_null()).then(TEXT).otherwise(NULL).alias("class"),
        pl.lit(None, dtype=pl.Int64).alias("integer"),
        pl.lit(None, dtype=pl.Float64).alias("real"),
        "bytes",
        pl.lit(None, dtype=pl.String).alias("printed"),
        "decoded",
    )
    return fields.to_struct("mixed").cast(MIXED)
