"""Rows whose texts are too long for an index of a PostgreSQL target.

How much of a text the server can compress only it can tell: a check counts what may be too long, a
delivery has the server try.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice

import polars as pl

from person_unify.errors import ServerError, TargetError
from person_unify.files.database import Database
from person_unify.frames.model import Outcome
from person_unify.mappings.bind import Plan
from person_unify.postgres.rows import Columns, frames
from person_unify.postgres.server import Server
from person_unify.run.budget import Budget
from person_unify.schema import Table, literal, quote
from person_unify.stages.extract import Extractor

ENTRY_BYTES = 2_704
"""What an entry of PostgreSQL's indexes may have, once it is compressed."""

_LONG = 2_600
"""Fewer bytes of texts fit into an entry, whatever else stands in it."""

_NAMED = 5
_TRIAL = "person_unify_trial"
_NUMBER = "number of the row"


def require_entries(server: Server, extractor: Extractor, columns: Columns, budget: Budget) -> None:
    """Have the server try rows with long texts in a temporary table with the same indexes.

    Within a transaction.  Raises :class:`TargetError` with the numbers of rows that do not fit.
    """
    table = f"{quote(server.address.schema)}.{quote(columns.home.name)}"
    indexed = _indexed(server, table) & set(columns.names.values())
    texts = [c.name for c in columns.home.columns if c.type == "TEXT" and c.name in indexed]
    numbers = _long(extractor, columns, texts)
    if not numbers:
        return
    server.execute(f"CREATE TEMP TABLE {_TRIAL} (LIKE {table} INCLUDING ALL)")
    parts = _rows(extractor, columns, budget, texts, numbers)
    unfit = chain.from_iterable(_unfit(server, part) for part in parts)
    found = list(islice(unfit, _NAMED))
    if found:
        names = sorted({_name(server, table, index) for _, index in found})
        more = len(found) == _NAMED
        raise TargetError(
            f"{'at least ' if more else ''}{len(found)} rows of {columns.home.name} have a text "
            f"that index {', '.join(names)} cannot hold, for an entry may have {ENTRY_BYTES:,} "
            f"bytes (rows {', '.join(str(number) for number, _ in found)}), nothing was "
            "delivered: shorten it in the old database, or drop that index in the platform's schema"
        )
    server.execute(f"DROP TABLE pg_temp.{_TRIAL}")


def _indexed(server: Server, table: str) -> set[str]:
    """The columns that stand in some index of a table, also within expressions."""
    place = f"{literal(table)}::regclass"
    return {
        name
        for (name,) in server.rows(
            "SELECT DISTINCT a.attname::text FROM pg_index i JOIN pg_attribute a "
            "ON a.attrelid = i.indrelid AND (a.attnum = ANY (i.indkey::int2[]) OR EXISTS "
            "(SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass "
            "AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass "
            f"AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum)) WHERE i.indrelid = {place}"
        )
    }


def _long(extractor: Extractor, columns: Columns, texts: list[str]) -> list[int]:
    """The numbers of the rows with so long texts, in the file's order."""
    listed = [file for file, home in columns.names.items() if home in texts]
    rowid = extractor.rowid(extractor.tables[columns.table])
    if not listed or rowid is None:
        return []
    size = " + ".join(f"coalesce(length(CAST({quote(name)} AS BLOB)), 0)" for name in listed)
    with Database(extractor.snapshot, settled=True) as database:
        rows = database.rows(
            f"SELECT {rowid} FROM {quote(columns.table)} WHERE {size} > {_LONG} ORDER BY {rowid}"
        )
    return [int(number) for (number,) in rows]


def _rows(
    extractor: Extractor, columns: Columns, budget: Budget, texts: list[str], numbers: list[int]
) -> Iterator[pl.DataFrame]:
    """Those rows in parts, each with its number."""
    size = pl.sum_horizontal(pl.col(name).str.len_bytes().fill_null(0) for name in texts)
    done = 0
    for frame in frames(extractor, columns, budget):
        long = frame.filter(size > _LONG)
        here = numbers[done : done + long.height]
        done += long.height
        if here:
            yield long.with_columns(pl.Series(_NUMBER, here, dtype=pl.Int64))


def _unfit(server: Server, rows: pl.DataFrame) -> Iterator[tuple[int, str]]:
    """Number of each row that no entry can hold, and the trial's index that says so."""
    server.execute(f"SAVEPOINT {_TRIAL}")
    try:
        server.copy(_TRIAL, rows.drop(_NUMBER), "pg_temp")
    except ServerError as error:
        if error.code != "54000":
            raise
        server.execute(f"ROLLBACK TO SAVEPOINT {_TRIAL}")
        if rows.height == 1:
            yield rows.item(0, _NUMBER), error.constraint
            return
        half = rows.height // 2
        yield from _unfit(server, rows.head(half))
        yield from _unfit(server, rows.slice(half))


def _name(server: Server, table: str, trial: str) -> str:
    """The table's index with the entries of the trial's."""
    entries = (
        "ARRAY(SELECT pg_get_indexdef({0}.indexrelid, n, false) "
        "FROM generate_series(1, {0}.indnatts) AS n)"
    )
    return str(
        server.value(
            "SELECT min(x.relname::text) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid, "
            f"pg_index t JOIN pg_class y ON y.oid = t.indexrelid AND y.relname = {literal(trial)} "
            f"WHERE i.indrelid = {literal(table)}::regclass "
            f"AND t.indrelid = 'pg_temp.{_TRIAL}'::regclass "
            f"AND {entries.format('i')} = {entries.format('t')}"
        )
    )


@dataclass(slots=True)
class LongEntries:
    """Counts rows whose texts may be too long for an index of a PostgreSQL target."""

    tables: dict[str, Table] = field(default_factory=dict)
    rows: dict[tuple[str, tuple[str, ...]], int] = field(default_factory=dict)

    def see(self, found: object) -> None:
        """Hear of a check's plan, and look at the rows of its outcomes."""
        if isinstance(found, Plan):
            self.tables = {b.target.name: b.target for b in found.bound if b.target is not None}
        elif isinstance(found, Outcome):
            self._look(found.rows)

    def _look(self, rows: Mapping[str, pl.DataFrame]) -> None:
        for name in rows.keys() & self.tables.keys():
            table, frame = self.tables[name], rows[name]
            for columns in (table.primary_key, *table.uniques, *table.indexes):
                texts = [pl.col(c) for c in columns if frame.schema.get(c) == pl.String]
                if not texts:
                    continue
                size = pl.sum_horizontal(text.str.len_bytes().fill_null(0) for text in texts)
                count = frame.select((size > ENTRY_BYTES).sum()).item()
                if count:
                    key = (name, columns)
                    self.rows[key] = self.rows.get(key, 0) + int(count)

    def notes(self) -> Iterator[str]:
        """A sentence per index."""
        for (table, columns), rows in self.rows.items():
            yield (
                f"{rows:,} rows of {table} may be too long for PostgreSQL's index on "
                f"{', '.join(columns)}: an entry has {ENTRY_BYTES:,} bytes"
            )
