"""The old tables written into a file, every cell in its storage class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import polars as pl

from person_unify.files.database import Database
from person_unify.frames.inserting import insert
from person_unify.frames.odd import INTEGER, ODD, REAL, Rows, has_text_affinity, odd_field
from person_unify.frames.ranges import rowid_of
from person_unify.schema import Table, literal, quote
from person_unify.stages.rebuild.builder import Rebuilt
from person_unify.stages.rebuild.columns import NOTHING, Column, Odd

_GENERATED = (2, 3)


@dataclass(frozen=True, slots=True)
class RebuiltTable:
    """One table: rows made, rows that the old one had, and where its cells came from."""

    name: str
    rows: int
    expected: int
    from_target: int
    from_archive: int


def write(database: Database, rebuilt: Rebuilt, expected: int, rows_at_once: int) -> RebuiltTable:
    """Write one table into the empty one of that name; raises :class:`DatabaseError`."""
    table = rebuilt.table
    columns = _stored_columns(database, table)
    rowids = rebuilt.rowids()
    rows = rebuilt.rows.with_columns(rowids)
    rowid = rowid_of(table)
    # Rows that SQLite is to number come last, so that they take nobody's rowid.
    numbered = rows.filter(pl.col("rowid").is_not_null()) if rowid else rows.clear()
    others = rows.filter(pl.col("rowid").is_null()) if rowid else rows
    for group, name in ((numbered, rowid), (others, None)):
        for start in range(0, group.height, rows_at_once):
            part = group.slice(start, rows_at_once)
            frame, cells = rebuilt.cells(part, columns)
            given = {c: cells[c] for c in columns}
            if name is not None:
                given[name] = Column("integer", pl.col("rowid"))
            _insert(database, table.name, frame, given)
    archived = rebuilt.archive.cells(table) if rebuilt.archive is not None else 0
    made = int(database.value(f"SELECT count(*) FROM {quote(table.name)}"))
    return RebuiltTable(table.name, made, expected, made * len(table.columns) - archived, archived)


def _stored_columns(database: Database, table: Table) -> list[str]:
    """The columns that an INSERT may name: not those that SQLite computes."""
    found = database.rows(
        f"SELECT name, hidden FROM pragma_table_xinfo({literal(table.name)}) ORDER BY cid"
    )
    return [table.known(column) for column, hidden in found if hidden not in _GENERATED]


def _insert(
    database: Database, table: str, frame: pl.DataFrame, cells: Mapping[str, Column]
) -> None:
    """Insert rows with the cells that stand in a frame."""
    lanes = {name: cell for name, cell in cells.items() if cell.lane is not None}
    apart = {name: cell.by_class() for name, cell in cells.items() if cell.odd is not None}
    own = {name: cell.odd or NOTHING for name, cell in lanes.items()}
    there = [(own.get(name, cell)).stored.is_not_null() for name, cell in apart.items()]
    flag = pl.any_horizontal(there) if there else pl.lit(value=False)
    place = pl.when(flag).then(flag.cum_sum() - 1).cast(pl.UInt32)
    main = frame.select(
        place.alias(ODD), *(cell.main.alias(f"c{n}") for n, cell in enumerate(cells.values()))
    )
    fields = {
        odd_field(name, field): part
        for name, cell in apart.items()
        for field, part in _fields(own.get(name, cell)).items()
    }
    odd = frame.filter(flag).select(part.alias(name) for name, part in fields.items())
    names = {f"c{n}": name for n, name in enumerate(cells)}
    texts = [pl.col(odd_field(name, "bytes")).bin.contains(b"\0") for name in apart]
    ended = bool(texts) and odd.select(pl.any_horizontal(texts).any()).item()
    with _taking_any_text(database, table) if ended else nullcontext():
        insert(database, "main", table, Rows(main, odd), names)


def _fields(cell: Odd) -> dict[str, pl.Expr]:
    real = pl.when(cell.stored == REAL).then(cell.number).reinterpret(dtype=pl.Float64)
    integer = pl.when(cell.stored == INTEGER).then(cell.number)
    return {"class": cell.stored, "integer": integer, "real": real, "bytes": cell.bytes}


@contextmanager
def _taking_any_text(database: Database, table: str) -> Iterator[None]:
    """Have the table keep every text as it is.

    Newer releases of SQLite store ``'5'`` and a NUL as the number 5 where a column is declared as
    numbers.  So the declared types are taken out of the definition meanwhile.
    """
    name = literal(table)
    sql = str(database.value(f"SELECT sql FROM sqlite_master WHERE name = {name}"))
    shape = _shape(database, table)
    declared = database.rows(f"SELECT name, type FROM pragma_table_xinfo({name}) WHERE pk = 0")
    try:
        _define(database, name, without_types(sql, declared))
        if _shape(database, table) != shape:
            _define(database, name, sql)
        yield
    finally:
        _define(database, name, sql)


def without_types(sql: str, declared: Iterable[tuple[str, str]]) -> str:
    """A CREATE TABLE without the types of some columns, but those that mean text.

    >>> without_types('CREATE TABLE t (id TEXT PRIMARY KEY, "a b" INT NOT NULL)', [("a b", "INT")])
    'CREATE TABLE t (id TEXT PRIMARY KEY, "a b"  NOT NULL)'
    """
    for name, type_ in declared:
        if not type_ or has_text_affinity(type_.upper()):
            continue
        spelled = "|".join(
            re.escape(form)
            for form in (quote(name), f"`{name.replace('`', '``')}`", f"[{name}]", name)
        )
        words = r"\s+".join(map(re.escape, type_.split()))
        sql = re.sub(rf"([(,]\s*(?:{spelled})\s+){words}", r"\1", sql, count=1)
    return sql


def _define(database: Database, name: str, sql: str) -> None:
    database.execute("PRAGMA writable_schema = ON")
    database.execute(f"UPDATE sqlite_master SET sql = {literal(sql)} WHERE name = {name}")
    database.execute("PRAGMA writable_schema = RESET")


def _shape(database: Database, table: str) -> list[tuple[Any, ...]]:
    """What must not change with the types: the columns, and the indexes that SQLite made itself."""
    name = literal(table)
    return [
        *database.rows(f'SELECT name, "notnull", pk, hidden FROM pragma_table_xinfo({name})'),
        *database.rows(f"SELECT name, origin, 0, 0 FROM pragma_index_list({name}) ORDER BY name"),
    ]
