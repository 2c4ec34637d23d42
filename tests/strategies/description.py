"""An old database as plain data, and the file that it describes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.strategies.cells import BadText

from person_unify.schema import OLD, create_index, create_table, quote


@dataclass
class TableDescription:
    """A table of the file: declared columns, primary key and rows.

    ``usual`` is set where the table is created by the old schema's own DDL, constraints included.
    """

    name: str
    columns: dict[str, str]
    key: tuple[str, ...] = ()
    rows: list[dict[str, Any]] = field(default_factory=list)
    without_rowid: bool = False
    strict_as: str | None = None

    def __repr__(self) -> str:
        lines = [f"{self.name} {'strict ' if self.strict_as else ''}({', '.join(self.columns)})"]
        for row in self.rows:
            stated = {c: v for c, v in row.items() if c in self.columns and v is not None}
            lines.append(f"        {stated}")
        return "\n".join(lines) + "\n"


@dataclass
class Description:
    """All tables of the file, and statements that no migration may look at (views, triggers).

    spelling: names of tables and columns -> how the file writes them, in another case.
    """

    tables: list[TableDescription]
    bystanders: tuple[str, ...] = ()
    spelling: Mapping[str, str] = field(default_factory=dict)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows described for a table, none where there is no such table."""
        return next((table.rows for table in self.tables if table.name == name), [])


def build(description: Description, path: Path) -> Path:
    """Writes the described database; rows that a declared constraint forbids are left out."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for table in description.tables:
            for statement in _statements(table):
                connection.execute(statement)
            for row in table.rows:
                _insert(connection, table, row)
        for statement in _respelt(description):
            connection.execute(statement)
        for statement in description.bystanders:
            connection.execute(statement)
        connection.execute("COMMIT")
    finally:
        connection.close()
    return path


def _respelt(description: Description) -> Iterator[str]:
    """Gives tables and columns their names in another case, which SQLite only does in two steps."""
    yield "PRAGMA legacy_alter_table = ON"
    for table in description.tables:
        alter = f"ALTER TABLE {quote(table.name)} RENAME"
        for name in table.columns:
            if name in description.spelling:
                yield f"{alter} COLUMN {quote(name)} TO aside"
                yield f"{alter} COLUMN aside TO {quote(description.spelling[name])}"
        if table.name in description.spelling:
            yield f"{alter} TO aside"
            yield f"ALTER TABLE aside RENAME TO {quote(description.spelling[table.name])}"


def _statements(table: TableDescription) -> list[str]:
    if table.strict_as is not None:
        known = OLD[table.strict_as]
        create = create_table(known).replace(quote(known.name), quote(table.name), 1)
        extra = [c for c in table.columns if known.column(c) is None]
        alter = f"ALTER TABLE {quote(table.name)} ADD COLUMN"
        added = [f"{alter} {quote(c)} {table.columns[c]}" for c in extra]
        indexes = create_index(known) if table.name == known.name else []
        return [create, *added, *indexes]
    lines = [f"{quote(name)} {kind}" for name, kind in table.columns.items()]
    if table.key:
        lines.append(f"PRIMARY KEY ({', '.join(map(quote, table.key))})")
    tail = " WITHOUT ROWID" if table.without_rowid else ""
    return [f"CREATE TABLE {quote(table.name)} ({', '.join(lines)}){tail}"]


def _insert(
    connection: sqlite3.Connection, table: TableDescription, row: Mapping[str, Any]
) -> None:
    cells = {column: value for column, value in row.items() if column in table.columns}
    marks, values = [], []
    for value in cells.values():
        bad = isinstance(value, BadText)
        marks.append("CAST(? AS TEXT)" if bad else "?")
        values.append(value.raw if isinstance(value, BadText) else value)
    connection.execute(
        f"INSERT OR IGNORE INTO {quote(table.name)} ({', '.join(map(quote, cells))}) "
        f"VALUES ({', '.join(marks)})",
        values,
    )
