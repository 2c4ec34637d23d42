"""A table of every cell there is, and the way back from a cell's text and class."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.strategies.cells import CELLS, BadText


def strange(declared: str) -> list[str]:
    """Statements that make a table of every cell there is."""
    statements = [f"CREATE TABLE strange (id TEXT PRIMARY KEY, v {declared})"]
    for position, cell in enumerate(cell for listed in CELLS.values() for cell in listed):
        literal = f"CAST(x'{cell.raw.hex()}' AS TEXT)" if isinstance(cell, BadText) else _sql(cell)
        statements.append(f"INSERT INTO strange VALUES ('{position:04}', {literal})")
    return statements


def _sql(cell: Any) -> str:
    if cell is None:
        return "NULL"
    if isinstance(cell, bytes):
        return f"x'{cell.hex()}'"
    if isinstance(cell, str):
        return f"CAST(x'{cell.encode().hex()}' AS TEXT)"
    return {"inf": "9e999", "-inf": "-9e999"}.get(repr(cell), repr(cell))


def stored(path: Path, statement: str) -> list[tuple[str, Any]]:
    """Class and value of every cell; text as bytes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        column = statement.split()[1]
        found = connection.execute(statement.replace(column, f"typeof({column}), {column}", 1))
        return [(kind.decode(), value) for kind, value in found]


def again(text: str | None, class_: str) -> tuple[str, Any]:
    """The cell that a text and its class stand for."""
    if class_ == "null":
        return class_, None
    assert text is not None
    makers: dict[str, Any] = {
        "integer": int,
        "real": float,
        "text": str.encode,
        "blob": bytes.fromhex,
        "text_not_utf8": bytes.fromhex,
    }
    return "text" if class_ == "text_not_utf8" else class_, makers[class_](text)
