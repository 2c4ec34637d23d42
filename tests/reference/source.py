"""The old database as it is: tables, columns and rows with storage classes (contract section 2)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from person_unify.schema import OLD, UNIFIED, quote

from .values import Cell, text_of

SHORT_NAMES = {
    "patient_contacts": "contacts",
    "patient_documents": "documents",
    "patient_tags": "tags",
    "parent_screenings": "screenings",
    "consultation_sessions": "sessions",
    "pep_activities": "activities",
}
ARCHIVED_WHOLE = frozenset(
    {
        "appointment_history",
        "appointment_participants",
        "appointment_reminders",
        "session_templates",
        "patient_activity_log",
    }
)

ANYWHERE = ("id", "person_id", "patient_id", "child_id", "created_at")
"""Columns that mean something in whatever table they stand."""

OF_TARGETS = {column for table in UNIFIED.values() for column in table.column_names}
"""Columns that an unknown column of a source may be carried into."""

Key = tuple[Cell, ...]


class Refused(Exception):
    """The database breaks a precondition of contract section 2."""


@dataclass
class SourceRow:
    """One row: its archive key (primary key or rowid) and its cells by column."""

    key: Key
    cells: dict[str, Cell]

    def text(self, column: str) -> str:
        """The text of a primary key column (checked before anything is read)."""
        found = text_of(self.cells[column])
        assert found is not None
        return found


@dataclass
class SourceTable:
    """A table of the file, rows in source order; ``usual`` is its name in the old schema.

    Known columns go by the name that the schemas give them; ``written`` says how the file has it.
    """

    name: str
    usual: str
    columns: tuple[str, ...]
    key_columns: tuple[str, ...]
    written: dict[str, str]
    rows: list[SourceRow] = field(default_factory=list)


@dataclass
class Source:
    """The tables that mappings know, by usual name, and all others, by name in lower case."""

    known: dict[str, SourceTable]
    unknown: dict[str, SourceTable]

    def rows(self, usual: str) -> list[SourceRow]:
        """Rows of a table that mappings know; none where the table is missing."""
        return self.known[usual].rows if usual in self.known else []


def read_source(path: Path) -> Source:
    """Reads every table of the file and tells the known from the unknown."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.text_factory = bytes
    try:
        if connection.execute("PRAGMA encoding").fetchone()[0] != b"UTF-8":
            raise Refused("encoding")
        listing = connection.execute("PRAGMA main.table_list").fetchall()
        tables = {}
        views = []
        for _, raw_name, kind, _, without_rowid, _ in listing:
            name = raw_name.decode()
            if kind == b"view":
                views += _view(connection, name)
            if kind in (b"table", b"shadow") and not name.startswith("sqlite_"):
                tables[name] = _read_table(connection, name, bool(without_rowid))
    finally:
        connection.close()
    return _classify(tables, views)


def _view(connection: sqlite3.Connection, name: str) -> list[set[str]]:
    """The columns of a view that shows rows or might, in lower case."""
    try:
        info = connection.execute(f"PRAGMA main.table_info({quote(name)})").fetchall()
    except sqlite3.OperationalError:
        return []
    try:
        shows = connection.execute(f"SELECT 1 FROM main.{quote(name)}").fetchone() is not None
    except sqlite3.OperationalError:
        shows = True
    return [{low(row[1].decode()) for row in info}] if shows else []


def _read_table(connection: sqlite3.Connection, name: str, without_rowid: bool) -> SourceTable:
    info = connection.execute(f"PRAGMA main.table_info({quote(name)})").fetchall()
    as_known = _names_known_in(name)
    names = [row[1].decode() for row in info]
    written = {as_known.get(low(column), column): column for column in names}
    columns = tuple(written)
    keyed = sorted((row[5], column) for row, column in zip(info, columns, strict=True) if row[5])
    key_columns = tuple(column for _, column in keyed)
    taken = set(map(low, columns))
    rowid = next((n for n in ("rowid", "_rowid_", "oid") if n not in taken), None)
    if without_rowid or rowid is None:
        order, rowid_expression = ", ".join(map(quote, key_columns)), "NULL"
    else:
        order, rowid_expression = rowid, rowid
    listed = "".join(f", typeof({quote(c)}), {quote(c)}" for c in columns)
    table = SourceTable(name, name, columns, key_columns or ("_rowid",), written)
    statement = f"SELECT {rowid_expression}{listed} FROM main.{quote(name)} ORDER BY {order}"
    for row in connection.execute(statement):
        cells = {
            column: Cell(row[1 + 2 * i].decode(), row[2 + 2 * i])
            for i, column in enumerate(columns)
        }
        key = tuple(cells[c] for c in key_columns) or (Cell("integer", row[0]),)
        table.rows.append(SourceRow(key, cells))
    return table


def low(name: str) -> str:
    """The name as SQLite compares it."""
    return "".join(c.lower() if c.isascii() else c for c in name)


def _names_known_in(table: str) -> dict[str, str]:
    """The names that the schemas give columns of a table of that name, by how SQLite has them."""
    usual = {short: name for name, short in SHORT_NAMES.items()}.get(low(table), low(table))
    known = [*ANYWHERE, *OF_TARGETS]
    known += OLD[usual].column_names if usual in OLD else ()
    return {low(column): column for column in known}


def _classify(found: dict[str, SourceTable], views: list[set[str]]) -> Source:
    tables = {low(name): table for name, table in found.items()}
    if "patients" not in tables and "children" not in tables:
        raise Refused("not an old-schema database")
    known = {}
    for usual in OLD:
        if usual in ARCHIVED_WHOLE:
            continue
        name = _name_in_file(tables, usual)
        if name in tables:
            known[usual] = tables.pop(name)
            known[usual].usual = usual
    source = Source(known, tables)
    _check_absent(source, views)
    for usual, table in known.items():
        _check_keys(usual, table)
        _check_uniques(usual, table)
    for usual in ("patients", "children", "parent_children", "consent_grants"):
        ids = [row.text("id") for row in source.rows(usual)]
        if len(set(ids)) != len(ids):
            raise Refused(f"repeated primary key in {usual}")
    return source


def _name_in_file(tables: dict[str, SourceTable], usual: str) -> str:
    short = SHORT_NAMES.get(usual, usual)
    if short == usual or short not in tables:
        return usual
    needed = {*OLD[usual].primary_key, "pep_id" if short == "activities" else "patient_id"}
    if not needed <= set(tables[short].columns):
        return usual
    if usual not in tables:
        return short
    if tables[usual].rows and tables[short].rows:
        raise Refused(f"both {usual} and {short} hold rows")
    return short if tables[short].rows else usual


def _check_absent(source: Source, views: list[set[str]]) -> None:
    """Rows of a table that is not there, in another table or view."""
    others = [set(map(low, t.columns)) for t in source.unknown.values() if t.rows]
    for name, table in OLD.items():
        needed = {c.name for c in table.columns if c.not_null and c.default is None}
        needed = set(map(low, needed | set(table.primary_key)))
        absent = name not in ARCHIVED_WHOLE and name not in source.known
        if absent and any(needed <= columns for columns in [*others, *views]):
            raise Refused(f"rows of {name} stand elsewhere")


def _check_keys(usual: str, table: SourceTable) -> None:
    for column in OLD[usual].primary_key:
        if column not in table.columns:
            raise Refused(f"{usual} has no {column}")
        for row in table.rows:
            cell = row.cells[column]
            if cell.kind != "text" or text_of(cell) is None:
                raise Refused(f"{usual}.{column} holds a key that is no text")
    if any(cell.kind == "null" for row in table.rows for cell in row.key):
        raise Refused(f"{usual} has a key that is NULL")


def _check_uniques(usual: str, table: SourceTable) -> None:
    """A UNIQUE of required columns cannot be filled when the file lacks one of them."""
    target = UNIFIED.get(usual)
    if target is None or not table.rows:
        return
    for unique in target.uniques:
        declared = [target.column(name) for name in unique]
        if all(column is not None and column.not_null for column in declared):
            for name in unique:
                if name not in table.columns:
                    raise Refused(f"{usual} has no {name}")
