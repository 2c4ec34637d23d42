"""Extract: whole source tables as Polars frames, every cell exact (contract section 1).

Large tables come in parts, by ranges of the rowid.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from person_unify.errors import DatabaseError, FeatureMissing, SourceError
from person_unify.files.database import Database
from person_unify.frames.lanes import LaneReader
from person_unify.frames.model import SourceFrame
from person_unify.frames.odd import ODD, ROW, escaped
from person_unify.frames.ranges import Range, rowid_of, scanned
from person_unify.mappings.known import readable_tables
from person_unify.schema import Catalogue, Column, Table, literal, quote

_LOOKED_AT = 64
"""Rows by which the bytes of a table's rows are estimated."""

_SPARSE = 4
"""Up to so many rowids per row, ranges of the rowid are cut without looking which are taken."""

_SUMS_AT_ONCE = 200


class Extractor:
    """Reads tables of one snapshot; the snapshot must not be written while it is in use."""

    def __init__(self, snapshot: Path, *, lasting: bool = True, without_nul: bool = False) -> None:
        """Look at the snapshot's schema.

        lasting: keep one connection for every question, and for the rows of small tables, until
        nobody has the extractor any more; else the file is let go of each time.  without_nul: text
        with a NUL character is unreadable, as text that is not UTF-8 is.  Raises
        :class:`SourceError` for an encoding but UTF-8, for a damaged schema, and for a table that
        this SQLite cannot read.
        """
        self.snapshot = snapshot
        self.without_nul = without_nul
        self._counted: dict[str, int] = {}
        self._readers: dict[str, LaneReader] = {}
        self._lasting = Database(snapshot, settled=True) if lasting else None
        if self._lasting is not None:
            weakref.finalize(self, self._lasting.close)
        with self._open() as database:
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
            listed = "SELECT name FROM pragma_table_list() WHERE wr = 1"
            self._unordered = {name for (name,) in database.rows(listed)}
            for name in self._unordered & set(self.tables):
                _require_readable(database, name)

    @contextmanager
    def _open(self) -> Iterator[Database]:
        if self._lasting is not None:
            yield self._lasting
            return
        with Database(self.snapshot, settled=True) as database:
            yield database

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._open() as database:
            return database.rows(query)

    def _value(self, query: str) -> Any:
        return self._rows(query)[0][0]

    def views(self) -> Catalogue[Table]:
        """The views of the file and their columns, but for those that this SQLite cannot read."""
        found = {}
        for (name,) in self._rows("SELECT name FROM sqlite_master WHERE type = 'view'"):
            with suppress(DatabaseError):
                columns = self._rows(f"SELECT name FROM pragma_table_info({literal(name)})")
                found[name] = Table(name, tuple(Column(column, "") for (column,) in columns))
        return Catalogue(found)

    def has_rows(self, table: str) -> bool:
        """Whether a table of the file holds any row."""
        return bool(self._value(f"SELECT EXISTS (SELECT 1 FROM {scanned(table)})"))

    def count(self, table: str) -> int:
        """Rows of a table of the file, counted once."""
        if table not in self._counted:
            try:
                rows = self._value(f"SELECT count(*) FROM {quote(table)}")
            except FeatureMissing:  # SQLite counts by the smallest index, which may need one
                rows = self._value(f"SELECT count(*) FROM {scanned(table)}")
            self._counted[table] = int(rows)
        return self._counted[table]

    def text_bytes(self, name: str) -> int:
        """Bytes of a row's cells as text, as an average of a few rows from both ends."""
        table = self.tables[name]
        total = 0
        for order in ("ASC", "DESC"):
            by = f"ORDER BY {rowid} {order}" if (rowid := self.rowid(table)) else ""
            for start in range(0, len(table.columns), _SUMS_AT_ONCE):
                group = table.column_names[start : start + _SUMS_AT_ONCE]
                cells = (f"length(CAST({quote(c)} AS BLOB)) AS c{n}" for n, c in enumerate(group))
                few = f"SELECT {', '.join(cells)} FROM {scanned(name)} {by}"
                sums = (f"coalesce(sum(c{n}), 0)" for n in range(len(group)))
                query = f"SELECT {', '.join(sums)} FROM ({few} LIMIT {_LOOKED_AT // 2})"
                total += sum(self._rows(query)[0])
        return total // max(1, min(_LOOKED_AT, 2 * self.count(name)))

    def has_null_key(self, name: str) -> bool:
        """Whether some row has a NULL in its declared primary key, which SQLite allows."""
        key = self.tables[name].primary_key
        missing = " OR ".join(f"{quote(column)} IS NULL" for column in key)
        if not missing:
            return False
        query = f"SELECT EXISTS (SELECT 1 FROM {scanned(name)} WHERE {missing})"
        return bool(self._value(query))

    def with_nul(self, name: str, column: str) -> list[int]:
        """The numbers of the rows of which a text column holds a NUL character."""
        if self.tables[name].column(column) is None:
            return []
        number = self.rowid(self.tables[name]) or "row_number() OVER ()"
        found = self._rows(
            f"SELECT {number} FROM {scanned(name)} WHERE typeof({quote(column)}) = 'text' "
            f"AND instr(CAST({quote(column)} AS BLOB), x'00') > 0"
        )
        return [int(row) for (row,) in found]

    def read(self, name: str, columns: Sequence[str] | None = None) -> SourceFrame:
        """Read a table, or some of its columns, in source order."""
        table = self.tables[name]
        return self._read(table, columns, self._whole(table))

    def parts(self, name: str, rows: int | None) -> Iterator[tuple[SourceFrame, bool]]:
        """Read a table in parts of at most ``rows`` rows, each with whether it is the last one.

        None reads it whole.  The parts are in source order, and one at least.  A table without a
        rowid that SQL can reach comes in one.
        """
        table = self.tables[name]
        ranges = [self._whole(table)] if rows is None else self._ranges(table, rows)
        for number, part in enumerate(ranges, 1):
            source = self._read(table, None, part)
            yield source, number == len(ranges)
            del source  # one part at a time: the next one is read with this one gone

    def _read(self, table: Table, columns: Sequence[str] | None, part: Range | None) -> SourceFrame:
        names = [c for c in table.column_names if columns is None or c in columns]
        reader = self._reader(table)
        rows = reader.read(names, part)
        rows.frame.columns = [ROW, ODD, *map(escaped, names)]
        lanes = {name: reader.lanes[name] for name in names}
        return SourceFrame(rows.frame, rows.odd, table=table, lanes=lanes)

    def _reader(self, table: Table) -> LaneReader:
        """What reads a table, and remembers which of its columns hold odd cells."""
        if table.name not in self._readers:
            reader = LaneReader.of(self.snapshot, table, self.rowid(table), self._lasting)
            reader.without_nul = self.without_nul
            self._readers[table.name] = reader
        return self._readers[table.name]

    def rowid(self, table: Table) -> str | None:
        """The name that reaches a table's rowid; None if it has none or columns hide them all."""
        return rowid_of(table, table.name in self._unordered)

    def _whole(self, table: Table) -> Range | None:
        """The range of a table's rowids; None where it has no rowid within reach."""
        rowid = self.rowid(table)
        if rowid is None:
            return None
        ends = f"SELECT min({rowid}), max({rowid}) FROM {scanned(table.name)}"
        first, last = self._rows(ends)[0]
        return Range(rowid, 0, -1) if first is None else Range(rowid, first, last)

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
        with self._open() as database:
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
