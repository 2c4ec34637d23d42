"""The verifier's own reader: tables of one file as typed columns, odd cells apart.

A column is read in the *lane* that its affinity promises (text, integer or real).  Cells of another
storage class, and text that is not UTF-8, come as rows of their own.  Every query begins with a row
of literals, which pins the drivers' types, and a column of flags says whether any cell is odd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from person_unify.background import Beside, Task
from person_unify.errors import BatchTooLarge, DatabaseError
from person_unify.files.database import Database, inspect, read_frame
from person_unify.schema import Catalogue, Table, quote
from person_unify.stages.verify.cells import DTYPES, ODD, STORED, Cells, Lane, lane_of
from person_unify.stages.verify.held import EVERY, Held, Range, covers, ranges_of, spans_of
from person_unify.stages.verify.queries import FLAGS, LITERALS, Query, halves, where

_COLUMNS_PER_QUERY = 400
SMALL = 2_000
"""Rows up to which ADBC reads a table: opening connectorx takes as long as reading as many."""

PART = 64 * 2**20
"""Bytes of a table that are in memory at once where nobody says how many."""

_LISTED = 5_000
"""Rows that one query names by their rowids."""

_PARTS_AT_ONCE = 4
"""Rows of so many parts are held as one: those of a part of another table, which may be wider."""


class File:
    """One database file: its tables, and their cells."""

    def __init__(
        self,
        path: Path,
        *,
        settled: bool,
        fast: bool = False,
        look: Callable[[Database], Catalogue[Table]] = inspect,
        size: int = PART,
        without_nul: bool = False,
    ) -> None:
        """Open the file and look at its tables (``look``).

        settled: nobody can write it.  fast: large tables are read by connectorx, which a file must
        be settled for.  size: bytes that the cells of one reading may take, and all that are held.
        without_nul: text with a NUL character is odd.  Raises :class:`DatabaseError`.
        """
        self.path = path
        self.size = size
        self.settled = settled
        self._fast = fast and settled
        self._without_nul = without_nul
        self.database = Database(path, read_only=True, settled=settled)
        try:
            if not settled:
                self.database.execute("BEGIN")  # one state of the file, whoever writes it meanwhile
            self.tables = look(self.database)
            self._without_rowid = {
                str(name)
                for (name,) in self.database.rows(
                    "SELECT name FROM pragma_table_list() WHERE schema = 'main' AND wr = 1"
                )
            }
            self.counts = self._counts()
        except BaseException:
            self.close()
            raise
        self.troubled: set[str] = set()
        """Tables that hold an odd cell, as far as they were read or are known to."""
        self._by_bytes: set[str] = set()
        self._ranges: dict[str, list[Range] | None] = {}
        self._held: dict[str, Held] = {}
        self._part: dict[str, Held] = {}
        self._coming: dict[str, Task[Held]] = {}
        self._next: dict[str, list[tuple[Sequence[Range], Task[Held]]]] = {}

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        names = list(self.tables)
        for start in range(0, len(names), 100):
            listed = ", ".join(
                f"(SELECT count(*) FROM {quote(name)} NOT INDEXED)"
                for name in names[start : start + 100]
            )
            found = self.database.rows(f"SELECT {listed}")[0]
            counts |= dict(zip(names[start : start + 100], map(int, found), strict=True))
        return counts

    def small(self, table: Table) -> bool:
        """Whether a table is so small that reading a part of it gains nothing."""
        return self.counts[table.name] <= SMALL

    def rowid(self, table: Table) -> str | None:
        """The name that reaches a table's rowid; None if it has none or columns hide it."""
        if table.name in self._without_rowid:
            return None
        return next((n for n in ("rowid", "_rowid_", "oid") if table.column(n) is None), None)

    def ranges(self, table: Table) -> list[Range] | None:
        """Ranges of rowids whose rows take about ``size`` bytes each; None for all at once."""
        if table.name not in self._ranges:
            rows, rowid = self.counts[table.name], self.rowid(table)
            parts = None
            if rowid is not None and rows > SMALL and table.columns:
                parts = ranges_of(self.database, table, rowid, rows, SMALL, self.size)
            self._ranges[table.name] = parts
        return self._ranges[table.name]

    def read(
        self,
        table: Table,
        columns: Iterable[str],
        ranges: Sequence[Range] | None = None,
        lanes: Mapping[str, Lane] | None = None,
        *,
        whole: bool = True,
    ) -> Cells:
        """Some columns of a table, of all its rows or of those in ranges of the rowid.

        All rows are held for whoever asks next, with all columns if they fit into one part and the
        ``whole`` table will be asked for.  lanes: of columns that are to be read in another lane
        than their declared type's.
        """
        wanted, chosen = list(columns), self._lanes(table, lanes)
        if ranges is not None:
            return self._read(table, wanted, ranges, chosen)
        held = self._held.pop(table.name, None)
        if whole and (coming := self._coming.pop(table.name, None)) is not None:
            held = coming.result()
        if held is None or not held.has(wanted, chosen):
            fits = self.small(table) or (whole and self.ranges(table) is None)
            every = table.column_names if fits else wanted
            held = Held(self._read(table, every, None, chosen), chosen)
        self._hold(table.name, held)
        return held.cells.only(wanted)

    def read_ahead(
        self,
        beside: Beside,
        table: Table,
        first: Sequence[str],
        lanes: Mapping[str, Lane] | None = None,
    ) -> None:
        """Have a table read beside for whoever asks for it next.

        Of one that does not fit into one part, only the ``first`` columns.
        """
        columns = table.column_names if self.ranges(table) is None else first
        if table.name in self._coming or self.small(table) or not columns:
            return
        chosen = self._lanes(table, lanes)
        held = self._held.get(table.name)
        if held is None or not held.has(columns, chosen):
            call = partial(self._all_of, table, None, chosen, columns)
            self._coming[table.name] = beside.call(call)

    def read_part(
        self,
        table: Table,
        columns: Sequence[str],
        row: pl.Series,
        lanes: Mapping[str, Lane] | None = None,
    ) -> Cells:
        """Columns of the rows of some rowids (each once), in the order in which they are given.

        A part of a table is held until another part is asked for, with all columns.
        """
        chosen, ranges = self._lanes(table, lanes), self.ranges(table)
        if ranges is None:
            return self.read(table, columns, None, lanes).at(row)
        spans = spans_of(row)
        if self._is_much(table, row):
            return self._read(table, columns, spans, chosen).at(row)
        part = self._part.get(table.name)
        if part is None or not (part.has(columns, chosen) and covers(part.spans, spans)):
            part = self._next_part(table, spans, chosen)
            self._part[table.name] = part
        return part.cells.only(columns).at(row)

    def read_part_ahead(
        self,
        beside: Beside,
        table: Table,
        row: pl.Series,
        lanes: Mapping[str, Lane] | None = None,
    ) -> None:
        """Have the part of a table read beside that will be asked for next."""
        if self.ranges(table) is None or self._is_much(table, row):
            return
        chosen, spans = self._lanes(table, lanes), spans_of(row)
        task = beside.call(partial(self._all_of, table, spans, chosen, table.column_names))
        self._next.setdefault(table.name, []).append((spans, task))

    def _next_part(self, table: Table, spans: Sequence[Range], lanes: Mapping[str, Lane]) -> Held:
        """All columns of some rows, which may have been read ahead."""
        coming = self._next.get(table.name, [])
        for number, (there, task) in enumerate(coming):
            if covers(there, spans):
                del coming[number]
                part = task.result()
                if part.lanes == lanes:
                    return part
                break
        return self._all_of(table, spans, lanes, table.column_names)

    def _all_of(
        self,
        table: Table,
        spans: Sequence[Range] | None,
        lanes: Mapping[str, Lane],
        columns: Sequence[str],
    ) -> Held:
        return Held(self._read(table, columns, spans, lanes), lanes, spans or ())

    def _is_much(self, table: Table, row: pl.Series) -> bool:
        ranges = self.ranges(table) or [EVERY]
        return row.len() > _PARTS_AT_ONCE * self.counts[table.name] / len(ranges)

    def _lanes(self, table: Table, lanes: Mapping[str, Lane] | None) -> dict[str, Lane]:
        chosen = lanes or {}
        return {c.name: chosen.get(c.name) or lane_of(c.type) for c in table.columns}

    def _hold(self, name: str, held: Held) -> None:
        self._held[name] = held
        while len(self._held) > 1 and sum(h.bytes for h in self._held.values()) > self.size:
            del self._held[next(iter(self._held))]

    def forget(self, name: str) -> None:
        """Let go of a table that nobody will ask for again."""
        self._held.pop(name, None)
        self._part.pop(name, None)
        self._next.pop(name, None)

    def held(self, table: Table) -> Cells | None:
        """What is held of all rows of a table."""
        held = self._held.get(table.name)
        return None if held is None else held.cells

    def parts(self, table: Table, columns: Sequence[str]) -> Iterator[Cells]:
        """Some columns of all rows, part by part; nothing of them is held."""
        ranges = self.ranges(table)
        for part in [None] if ranges is None else ([one] for one in ranges):
            yield self._read(table, columns, part, self._lanes(table, None))

    def by_index(
        self, table: Table, rowid: str, lanes: Mapping[str, Lane], index: str
    ) -> pl.DataFrame:
        """Some columns as an index has them (``INDEXED BY …``), in its order, behind rowids."""
        asked = [(rowid, "integer"), *((quote(name), lane) for name, lane in lanes.items())]
        return self._run(asked, [f"{quote(table.name)} {index}"])

    def _read(
        self,
        table: Table,
        wanted: Sequence[str],
        ranges: Sequence[Range] | None,
        lanes: Mapping[str, Lane],
    ) -> Cells:
        place, types = self._origin(table), {c.name: c.type for c in table.columns}
        found: Cells | None = None
        for start in range(0, max(1, len(wanted)), _COLUMNS_PER_QUERY):
            group = list(wanted[start : start + _COLUMNS_PER_QUERY])
            part = self._group(Query(table, group, place, lanes, types), ranges)
            found = part if found is None else found.beside(part)
        assert found is not None
        return found

    def _group(self, query: Query, ranges: Sequence[Range] | None) -> Cells:
        """The columns as they are where connectorx takes them, else cells of their lanes alone.

        In the second case a column of flags says which cells are missing, and those come apart.
        """
        name = query.table.name
        if self._by_connectorx(query) and name not in self.troubled:
            try:
                return query.cells(self._fetch(query, query.plain(), ranges), {}, self._without_nul)
            except BatchTooLarge:
                raise
            except DatabaseError:
                self.troubled.add(name)
        by_bytes = name in self._by_bytes  # which the other thread may add to meanwhile
        try:
            frame = self._fetch(query, query.guarded(by_bytes=by_bytes), ranges)
        except BatchTooLarge:
            raise
        except DatabaseError:
            if by_bytes:
                raise
            self._by_bytes.add(name)  # a text that is not UTF-8
            frame = self._fetch(query, query.guarded(by_bytes=True), ranges)
        width = 1 + len(query.columns)
        return query.cells(frame[:, :width], self._odd(query, frame, ranges), self._without_nul)

    def _origin(self, table: Table) -> tuple[str, str]:
        """FROM, and the expression of the row's number."""
        rowid = self.rowid(table)
        if rowid is not None:
            # No index: one may go by a collation or a function that this SQLite lacks.
            return f"{quote(table.name)} NOT INDEXED", rowid
        rank = "@rank"
        while table.column(rank) is not None:
            rank = f"@{rank}"
        name = quote(rank)
        order = ""
        if table.name not in self._without_rowid:
            listed = ", ".join(map(quote, table.primary_key or table.column_names))
            order = f"ORDER BY {listed}"
        return f"(SELECT row_number() OVER ({order}) AS {name}, * FROM {quote(table.name)})", name

    def _odd(
        self, query: Query, frame: pl.DataFrame, ranges: Sequence[Range] | None
    ) -> dict[str, pl.DataFrame]:
        """The odd cells of each column that has some; the flags behind the columns tell where."""
        found: dict[str, pl.DataFrame] = {}
        row = frame.get_column("c0")
        for number, flags in enumerate(frame.get_columns()[1 + len(query.columns) :]):
            bits = flags.to_numpy()
            at = np.flatnonzero(bits)
            if not at.size:
                continue
            self.troubled.add(query.table.name)
            bits = bits[at]
            every = int(np.bitwise_or.reduce(bits))
            columns = query.columns[number * FLAGS : (number + 1) * FLAGS]
            flawed = [(n, c) for n, c in enumerate(columns) if every >> n & 1]
            rows = self._cells_of(query, [c for _, c in flawed], row[at], ranges)
            for place, (n, column) in enumerate(flawed):
                own = np.flatnonzero(bits >> n & 1)
                cells = pl.DataFrame(rows[1 + 4 * place : 5 + 4 * place])[own]
                cells.columns = list(ODD)[1:]
                cells.insert_column(0, pl.Series("at", at[own], dtype=pl.UInt32))
                found[column] = cells
        return found

    def _cells_of(
        self, query: Query, columns: list[str], row: pl.Series, ranges: Sequence[Range] | None
    ) -> list[pl.Series]:
        """Row, and per column the class and the value by class, of some rows in their order."""
        asked = [(query.row, "integer")]
        for cell in map(quote, columns):
            kind = f"typeof({cell})"
            codes = " ".join(f"WHEN '{name}' THEN {code}" for code, name in STORED.items())
            asked += [
                (f"CASE {kind} {codes} ELSE 0 END", "integer"),
                (f"CASE WHEN {kind} = 'integer' THEN {cell} END", "integer"),
                (f"CASE WHEN {kind} = 'real' THEN {cell} END", "real"),
                (f"CASE WHEN {kind} IN ('text', 'blob') THEN CAST({cell} AS BLOB) END", "blob"),
            ]
        if row.len() <= _LISTED:
            condition = f"{query.row} IN ({', '.join(map(str, row.to_list()))})"
        else:
            condition = " OR ".join(map(query.is_odd, columns))
        frame = self._run(asked, [f"{query.origin}{where(query.row, ranges, condition)}"])
        frame = frame if frame["c0"].is_sorted() else frame.sort("c0")
        return frame.get_columns()

    def _fetch(
        self,
        query: Query,
        asked: list[tuple[str, str]],
        ranges: Sequence[Range] | None,
    ) -> pl.DataFrame:
        """One frame with columns c0, c1 …, by c0."""
        sources = [f"{query.origin}{where(query.row, [part])}" for part in halves(ranges)]
        frame = self._run(asked, sources or [query.origin], self._by_connectorx(query))
        return frame if frame["c0"].is_sorted() else frame.sort("c0")

    def _by_connectorx(self, query: Query) -> bool:
        return self._fast and self.counts[query.table.name] > SMALL

    def _run(
        self, asked: Sequence[tuple[str, str]], sources: Sequence[str], fast: bool = False
    ) -> pl.DataFrame:
        listed = ", ".join(expression for expression, _ in asked)
        literals = ", ".join(f"{LITERALS[type_]} AS c{n}" for n, (_, type_) in enumerate(asked))
        names = [f"c{n}" for n in range(len(asked))]
        queries = [f"SELECT {listed} FROM {source}" for source in sources]
        if fast:
            frame = read_frame(self.path, f"SELECT {literals} LIMIT 0", queries, names)
        else:
            frame = self.database.frame(" UNION ALL ".join([f"SELECT {literals}", *queries]))[1:]
            frame.columns = names
        if frame.dtypes != [DTYPES[type_] for _, type_ in asked]:
            raise DatabaseError("a cell is of another class")
        return frame
