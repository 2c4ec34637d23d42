"""Hand-written old databases for named scenarios: say what matters, the rest is filled in."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from person_unify.schema import OLD, Column, Table, create_index, create_table, quote

NOON = 1_700_000_000_000
"""2023-11-14T22:13:20Z, the instant of every required instant that a row does not state."""

Row = Mapping[str, Any]
DEFAULTS: dict[tuple[str, str], Any] = {
    ("patients", "first_name"): "Asha",
    ("patients", "last_name"): "Rao",
    ("patients", "date_of_birth"): 1_400_000_000_000,
    ("patients", "gender"): "female",
    ("children", "first_name"): "Asha",
    ("children", "last_name"): "Rao",
    ("children", "date_of_birth"): 1_400_000_000_000,
    ("children", "gender"): "female",
}


def write(path: Path, *, strict: bool = False, **tables: Sequence[Row]) -> Path:
    """Writes a database with all tables of the old schema and the given rows.

    A required column that a row leaves out takes a valid value: its default, a fixed instant, 0, or
    a text made of the table, the column and the row's position; ``id`` is ``<table>-<position>``.
    Columns that the schema does not know are added to the table; tables that it does not know are
    made of their first row's columns.  Constraints other than the primary key need ``strict``.
    """
    connection = sqlite3.connect(path)
    try:
        for name, table in OLD.items():
            for statement in _statements(table, tables.get(name, ()), strict):
                connection.execute(statement)
        for name, rows in tables.items():
            if name not in OLD and rows:
                listed = ", ".join(map(quote, rows[0]))
                connection.execute(f"CREATE TABLE {quote(name)} ({listed})")
            for position, row in enumerate(rows, start=1):
                _insert(connection, name, filled(name, row, position))
        connection.commit()
    finally:
        connection.close()
    return path


def filled(name: str, row: Row, position: int) -> dict[str, Any]:
    """The row with every required column that it does not state."""
    full = dict(row)
    table = OLD.get(name)
    for column in table.columns if table else ():
        stated = column.name in full
        if not stated and (column.not_null or (name, column.name) in DEFAULTS):
            full[column.name] = _valid(name, column, position)
    return full


def _valid(name: str, column: Column, position: int) -> Any:
    if (name, column.name) in DEFAULTS:
        return DEFAULTS[name, column.name]
    if column.key_position:
        return f"{name}-{position}"
    if column.type == "DATETIME":
        return NOON
    if column.default is not None:
        text = column.default
        if text.startswith("'"):
            return text[1:-1]
        return {"true": 1, "false": 0}.get(text) if text in ("true", "false") else int(text)
    return f"{name} {column.name} {position}" if column.type == "TEXT" else 0


def _statements(table: Table, rows: Sequence[Row], strict: bool) -> list[str]:
    known = set(table.column_names)
    extra = list(dict.fromkeys(c for row in rows for c in row if c not in known))
    statements = [create_table(table)] if strict else [loose_table(table)]
    statements += [f"ALTER TABLE {quote(table.name)} ADD COLUMN {quote(c)}" for c in extra]
    return statements + (create_index(table) if strict else [])


def loose_table(table: Table) -> str:
    """The table with its declared types and its primary key, and no other constraint."""
    lines = [f"{quote(c.name)} {c.type}" for c in table.columns]
    lines.append(f"PRIMARY KEY ({', '.join(map(quote, table.primary_key))})")
    return f"CREATE TABLE {quote(table.name)} ({', '.join(lines)})"


def _insert(connection: sqlite3.Connection, name: str, row: Row) -> None:
    columns = ", ".join(map(quote, row))
    marks = ", ".join("?" for _ in row)
    connection.execute(
        f"INSERT INTO {quote(name)} ({columns}) VALUES ({marks})", list(row.values())
    )
