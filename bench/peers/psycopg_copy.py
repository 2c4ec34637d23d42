"""The same rows by psycopg: sqlite3 reads them row by row, binary COPY takes them, keys are kept.

python -m bench.peers.psycopg_copy NEW_DB URL
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_TYPES = {
    "DATETIME": "timestamp",
    "BOOLEAN": "bool",
    "INTEGER": "int4",
    "INT4": "int4",
    "REAL": "float8",
}
_MAKE: dict[str, Callable[[Any], Any]] = {
    "DATETIME": lambda cell: _EPOCH + timedelta(milliseconds=cell),
    "BOOLEAN": bool,
}


def main() -> None:
    """Copy every table, in one transaction and without foreign keys' triggers."""
    path, url = sys.argv[1:]
    with closing(sqlite3.connect(path)) as source, psycopg.connect(url) as target:
        target.execute("SET session_replication_role = replica")
        for (table,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            copy(source, target, table)


def copy(source: sqlite3.Connection, target: psycopg.Connection[Any], table: str) -> None:
    """One table, row by row."""
    info = source.execute(f'SELECT name, type FROM pragma_table_info("{table}")').fetchall()
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _ in info)
    into = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(sql.Identifier(table), names)
    makers = [_MAKE.get(type_) for _, type_ in info]
    with target.cursor() as cursor, cursor.copy(into) as copying:
        copying.set_types([_TYPES.get(type_, "text") for _, type_ in info])
        for row in source.execute(f'SELECT * FROM "{table}"'):
            copying.write_row(
                [
                    cell if cell is None or make is None else make(cell)
                    for cell, make in zip(row, makers, strict=True)
                ]
            )


if __name__ == "__main__":
    main()
