"""The old tables written into a file, every cell in its storage class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import polars as pl

from person_unify.database import Database
from person_unify.lanes import BLOB, INTEGER, REAL, TEXT, has_text_affinity, rowid_of
from person_unify.schema import Table, quote
from person_unify.stages.rebuild.builder import Rebuilt
from person_unify.stages.rebuild.columns import Column

_STAGE = "rebuild_stage"
_ODD_COLUMNS = 400
"""An odd column travels as four, and SQLite allows a table 2,000."""

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


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def _stored_columns(database: Database, table: Table) -> list[str]:
    """The columns that an INSERT may name: not those that SQLite computes."""
    found = database.rows(
        f"SELECT name, hidden FROM pragma_table_xinfo({literal(table.name)}) ORDER BY cid"
    )
    return [table.known(column) for column, hidden in found if hidden not in _GENERATED]


def _insert(
    database: Database, table: str, frame: pl.DataFrame, cells: Mapping[str, Column]
) -> None:
    """Insert rows; those with an odd cell travel in parts and are put together by SQL."""
    loose = [cell.by_class().stored.is_not_null() for cell in cells.values() if cell.lane is None]
    odd = [c.odd.stored.is_not_null() for c in cells.values() if c.lane and c.odd is not None]
    flag = pl.any_horizontal([*odd, *loose]) if odd or loose else pl.lit(value=False)
    plain = frame.filter(~flag)
    named = {f"c{n}": cell for n, cell in enumerate(cells.values())}
    if plain.height:
        made = plain.select(_main(cell).alias(name) for name, cell in cells.items())
        database.ingest(table, made)
    rest = frame.filter(flag)
    if not rest.height:
        return
    parts: list[pl.Expr] = []
    expressions = []
    for name, cell in named.items():
        selected, expression = _parts(name, cell)
        parts += selected
        expressions.append(expression)
    others = [cell.by_class().bytes for cell in cells.values() if cell.odd is not None]
    ended = rest.select(pl.any_horizontal(b.bin.contains(b"\0") for b in others).any()).item()
    with _taking_any_text(database, table) if ended else nullcontext():
        _staged(database, table, rest.select(parts), list(cells), expressions)


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


def _staged(
    database: Database, table: str, rows: pl.DataFrame, columns: list[str], made: list[str]
) -> None:
    stages: list[str] = []
    for start in range(0, rows.width, 4 * _ODD_COLUMNS):
        part = rows[:, start : start + 4 * _ODD_COLUMNS]
        stages.append(stage := f"{_STAGE}_{len(stages)}")
        database.execute(f"CREATE TEMP TABLE {stage} ({', '.join(part.columns)})")
        database.ingest(stage, part, catalog="temp")
    first, *others = stages
    joined = "".join(f" JOIN temp.{stage} ON {stage}.rowid = {first}.rowid" for stage in others)
    database.execute(
        f"INSERT INTO {quote(table)} ({', '.join(map(quote, columns))}) "
        f"SELECT {', '.join(made)} FROM temp.{first}{joined} ORDER BY {first}.rowid"
    )
    for stage in stages:
        database.execute(f"DROP TABLE temp.{stage}")


def _main(cell: Column) -> pl.Expr:
    return cell.main.reinterpret(dtype=pl.Float64) if cell.lane == "real" else cell.main


def _parts(name: str, cell: Column) -> tuple[list[pl.Expr], str]:
    """A column as it travels, and the SQL that makes its cells of that again."""
    if cell.lane is not None and cell.odd is None:
        return [_main(cell).alias(name)], name
    held = cell.by_class()
    real = pl.when(held.stored == REAL).then(held.number).reinterpret(dtype=pl.Float64)
    selected = [
        held.stored.alias(f"{name}_k"),
        pl.when(held.stored == INTEGER).then(held.number).alias(f"{name}_i"),
        real.alias(f"{name}_r"),
        held.bytes.alias(f"{name}_b"),
    ]
    return selected, (
        f"CASE {name}_k WHEN {INTEGER} THEN {name}_i WHEN {REAL} THEN {name}_r "
        f"WHEN {TEXT} THEN CAST({name}_b AS TEXT) WHEN {BLOB} THEN {name}_b END"
    )
