"""Two old databases held against each other row by row, by other means than the tool's own."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.reference.values import Cell, read

from person_unify.schema import OLD, UNIFIED, quote

Row = tuple[Any, ...]
INSTANTS = {
    column.name
    for schema in (OLD, UNIFIED)
    for table in schema.values()
    for column in table.columns
    if column.type == "DATETIME"
}


def differences(left: Path, right: Path) -> list[str]:
    """Tables and rows that one file has and the other has not, as sentences; no virtual tables.

    In columns named as instants are, one counts by its value where it says that to the millisecond.
    """
    mine, theirs = _tables(left), _tables(right)
    found = [f"table {name} is in one only" for name in sorted(mine.keys() ^ theirs.keys())]
    for name in sorted(mine.keys() & theirs.keys()):
        if mine[name] != theirs[name]:
            found.append(f"the definition of {name} differs")
            continue
        lost, more = _rows(left, name), _rows(right, name)
        found += [f"{name}: lost {row}" for row in (lost - more).elements()]
        found += [f"{name}: more {row}" for row in (more - lost).elements()]
    return found


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.text_factory = bytes
    return connection


def _tables(path: Path) -> dict[str, str]:
    with closing(_open(path)) as connection:
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%'"
        )
        return {name.decode(): sql.decode() for name, sql in rows}


def _rows(path: Path, table: str) -> Counter[Row]:
    with closing(_open(path)) as connection:
        info = connection.execute(f"PRAGMA table_xinfo({quote(table)})").fetchall()
        columns = [row[1].decode() for row in info if row[6] != 1]
        cells = ", ".join(f"typeof({quote(c)}), {quote(c)}" for c in columns)
        return Counter(
            tuple(
                _cell(Cell(row[2 * place].decode(), row[2 * place + 1]), column)
                for place, column in enumerate(columns)
            )
            for row in connection.execute(f"SELECT {cells} FROM {quote(table)}")
        )


def _cell(cell: Cell, column: str) -> Any:
    """The instant that the cell says exactly, else the cell with its class."""
    instant = read(cell, "DATETIME")
    if column.lower() in INSTANTS and instant.state == "ok" and instant.exact:
        return instant.value
    return (cell.kind, cell.raw)
