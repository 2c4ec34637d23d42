"""Extract: whole source tables as Polars frames, every cell exact (contract section 1).

A table is read optimistically with the storage class its declared types promise.  Where a cell
breaks that promise, the columns concerned are read again in the mixed lane, which keeps each cell's
storage class and bytes.  Large tables come in parts, by ranges of the rowid.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import polars as pl

from person_unify.conversions import decode_utf8
from person_unify.database import Database, read_frame
from person_unify.errors import BatchTooLarge, DatabaseError, FeatureMissing, SourceError
from person_unify.frames import ROW, SourceFrame, held
from person_unify.lanes import Range, scanned
from person_unify.mappings.known import readable_tables
from person_unify.schema import Catalogue, Column, Table, quote
from person_unify.values import DTYPES, MIXED, NULL, TEXT, Lane

_ROWS_PER_PARTITION = 50_000
_LOOKED_AT = 64
"""Rows by which the bytes of a table's rows are estimated."""

_SPARSE = 4
"""Up to so many rowids per row, ranges of the rowid are cut without looking which are taken."""

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
        self._counted: dict[str, int] = {}
        with Database(snapshot, settled=True) as database:
            encoding = database.value("PRAGMA encoding")
            if encoding != "UTF-8":
                raise SourceError(
                    f"the source is encoded in {encoding}: copy its tables into a UTF-8 "
                    "database first"
                )
            try:
                self.tables = readable_tables(database)
            except DatabaseError as error:
                raise SourceError(
                    f"the source's schema is damaged ({error}): restore it from a backup first"
                ) from error
            self._unordered = {
                name
                for (name,) in database.rows("SELECT name FROM pragma_table_list() WHERE wr = 1")
            }
            for name in self._unordered & set(self.tables):
                _require_readable(database, name)

    def views(self) -> Catalogue[Table]:
        """The views of the file and their columns, but for those that this SQLite cannot read."""
        found = {}
        with Database(self.snapshot, settled=True) as database:
            for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type = 'view'"):
                text = "'" + name.replace("'", "''") + "'"
                with suppress(DatabaseError):
                    columns = database.rows(f"SELECT name FROM pragma_table_info({text})")
                    found[name] = Table(name, tuple(Column(column, "") for (column,) in columns))
        return Catalogue(found)

    def has_rows(self, table: str) -> bool:
        """Whether a table of the file holds any row."""
        with Database(self.snapshot, settled=True) as database:
            return bool(database.value(f"SELECT EXISTS (SELECT 1 FROM {scanned(table)})"))

    def count(self, table: str) -> int:
        """Rows of a table of the file, counted once."""
        if table not in self._counted:
            with Database(self.snapshot, settled=True) as database:
                try:
                    rows = database.value(f"SELECT count(*) FROM {quote(table)}")
                except FeatureMissing:  # SQLite counts by the smallest index, which may need one
                    rows = database.value(f"SELECT count(*) FROM {scanned(table)}")
            self._counted[table] = int(rows)
        return self._counted[table]

    def text_bytes(self, name: str) -> int:
        """Bytes of a row's cells as text, as an average of a few rows from both ends."""
        table = self.tables[name]
        total = 0
        with Database(self.snapshot, settled=True) as database:
            for order in ("ASC", "DESC"):
                by = f"ORDER BY {rowid} {order}" if (rowid := self.rowid(table)) else ""
                for group in _groups(list(table.column_names)):
                    cells = (
                        f"length(CAST({quote(c)} AS BLOB)) AS c{n}" for n, c in enumerate(group)
                    )
                    few = f"SELECT {', '.join(cells)} FROM {scanned(name)} {by}"
                    sums = (f"coalesce(sum(c{n}), 0)" for n in range(len(group)))
                    query = f"SELECT {', '.join(sums)} FROM ({few} LIMIT {_LOOKED_AT // 2})"
                    total += sum(database.rows(query)[0])
        return total // max(1, min(_LOOKED_AT, 2 * self.count(name)))

    def has_null_key(self, name: str) -> bool:
        """Whether some row has a NULL in its declared primary key, which SQLite allows."""
        key = self.tables[name].primary_key
        missing = " OR ".join(f"{quote(column)} IS NULL" for column in key)
        if not missing:
            return False
        with Database(self.snapshot, settled=True) as database:
            query = f"SELECT EXISTS (SELECT 1 FROM {scanned(name)} WHERE {missing})"
            return bool(database.value(query))

    def read(self, name: str, columns: Sequence[str] | None = None) -> SourceFrame:
        """Read a table, or some of its columns, in source order."""
        table = self.tables[name]
        return self._read(table, self._lanes(table, columns), self._whole(table))

    def parts(self, name: str, rows: int | None) -> Iterator[tuple[SourceFrame, bool]]:
        """Read a table in parts of at most ``rows`` rows, each with whether it is the last one.

        None reads it whole.  The parts are in source order, and one at least.  A table without a
        rowid that SQL can reach comes in one.  A column whose lane was broken in one part stays
        mixed in the later ones.
        """
        table = self.tables[name]
        lanes = self._lanes(table, None)
        ranges = [self._whole(table)] if rows is None else self._ranges(table, rows)
        for number, part in enumerate(ranges, 1):
            source = self._read(table, lanes, part)
            lanes = source.lanes
            yield source, number == len(ranges)
            del source  # one part at a time: the next one is read with this one gone

    def _lanes(self, table: Table, columns: Sequence[str] | None) -> dict[str, Lane]:
        wanted = (c for c in table.columns if columns is None or c.name in columns)
        return {c.name: _promised(c.type) for c in wanted}

    def _read(self, table: Table, lanes: dict[str, Lane], part: Range | None) -> SourceFrame:
        try:
            return SourceFrame(table, *self._frame(table, lanes, part))
        except DatabaseError:
            lanes = self._observed(table, lanes, part)
        try:
            return SourceFrame(table, *self._frame(table, lanes, part))
        except DatabaseError:
            # SQL cannot see text that is not UTF-8: read every text column by its bytes.
            return SourceFrame(table, *self._frame(table, lanes, part, by_bytes=True))

    def _observed(
        self, table: Table, lanes: dict[str, Lane], part: Range | None
    ) -> dict[str, Lane]:
        single = {c: lane for c, lane in lanes.items() if lane != "mixed"}
        if not single:
            return lanes
        broken = dict(lanes)
        where = part.where if part else ""
        with Database(self.snapshot, settled=True) as database:
            for group in _groups(list(single)):
                odd = (f"typeof({quote(c)}) NOT IN ('{single[c]}', 'null')" for c in group)
                sums = ", ".join(f"coalesce(sum({mask}), 0)" for mask in odd)
                counts = database.rows(f"SELECT {sums} FROM {scanned(table.name)}{where}")[0]
                broken.update({c: "mixed" for c, n in zip(group, counts, strict=True) if n})
        return broken

    def _frame(
        self,
        table: Table,
        lanes: dict[str, Lane],
        part: Range | None,
        by_bytes: bool = False,
    ) -> tuple[pl.DataFrame, dict[str, Lane]]:
        # A mixed column takes five expressions, and SQLite allows 2,000 in one result.
        groups = list(_groups(list(lanes))) or [[]]
        frames, found = [], dict(lanes)
        for group in groups:
            frame = self._columns(table, {c: lanes[c] for c in group}, part, by_bytes)
            frame, seen = _shaped(frame, {c: lanes[c] for c in group})
            frames.append(frame.sort(ROW))
            found.update(seen)
        others = [series for frame in frames[1:] for series in frame.drop(ROW).get_columns()]
        return frames[0].hstack(others), found

    def _columns(
        self, table: Table, lanes: dict[str, Lane], part: Range | None, by_bytes: bool
    ) -> pl.DataFrame:
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
        return self._query(table, literals, expressions, part)

    def _query(
        self, table: Table, literals: list[str], expressions: list[str], part: Range | None
    ) -> pl.DataFrame:
        aliases = [f"c{position}" for position in range(len(expressions))]
        listed = [f"{e} AS {a}" for e, a in zip(expressions, aliases, strict=True)]
        typed = [f"{e} AS {a}" for e, a in zip(literals, aliases, strict=True)]
        sentinel = f"SELECT {', '.join(typed)} LIMIT 0"
        select = f"SELECT {', '.join(listed)} FROM {scanned(table.name)}"
        parts = os.cpu_count() or 1
        while True:
            ranges = _partitions(part, parts)
            try:
                return read_frame(
                    self.snapshot, sentinel, [select + where for where in ranges], aliases
                )
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
        return next((n for n in ("rowid", "_rowid_", "oid") if table.column(n) is None), None)

    def _whole(self, table: Table) -> Range | None:
        """The range of a table's rowids; None where it has no rows or no rowid within reach."""
        rowid = self.rowid(table)
        if rowid is None:
            return None
        with Database(self.snapshot, settled=True) as database:
            first, last = database.rows(
                f"SELECT min({rowid}), max({rowid}) FROM {scanned(table.name)}"
            )[0]
        return None if first is None else Range(rowid, first, last)

    def _ranges(self, table: Table, rows: int) -> list[Range | None]:
        """Ranges of at most ``rows`` rows in order, which leave no row out."""
        whole = self._whole(table)
        if whole is None:
            return [None]
        span = whole.last - whole.first + 1
        if span <= rows:
            return [whole]
        count = self.count(table.name)
        if count <= rows:
            return [whole]
        if span <= count * _SPARSE:
            return list(whole.cut(rows))
        with Database(self.snapshot, settled=True) as database:
            return list(_walked(database, table, whole, rows))


def _require_readable(database: Database, name: str) -> None:
    """Refuse a table without a rowid that cannot be read because SQLite cannot order its rows."""
    try:
        database.rows(f"SELECT count(*) FROM {scanned(name)}")
    except FeatureMissing as error:
        raise SourceError(
            f"{name} is a WITHOUT ROWID table that this SQLite cannot read ({error}): copy its "
            f"rows into an ordinary table without that collation first"
        ) from error


def _walked(database: Database, table: Table, whole: Range, rows: int) -> Iterator[Range]:
    """Ranges of ``rows`` rows each, found by looking where they end: few rowids are taken."""
    rowid, start, rows_of = whole.rowid, whole.first, scanned(table.name)
    while start <= whole.last:
        end, following = database.rows(
            f"SELECT p.last, (SELECT min({rowid}) FROM {rows_of} WHERE {rowid} > p.last) "
            f"FROM (SELECT max(n) AS last FROM (SELECT {rowid} AS n FROM {rows_of} "
            f"WHERE {rowid} >= {start} ORDER BY 1 LIMIT {rows})) AS p"
        )[0]
        yield Range(rowid, start, end)
        start = whole.last + 1 if following is None else following


def _partitions(part: Range | None, most: int) -> list[str]:
    """WHERE clauses over a range of the rowid; a small one is read in one go."""
    if part is None:
        return [""]
    span = part.last - part.first + 1
    cores = os.cpu_count() or 1
    parts = min(most, span) if most > cores else max(1, min(cores, span // _ROWS_PER_PARTITION))
    return [piece.where for piece in part.cut(-(-span // parts))]


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
