"""Reads what a run wrote: target and ledger, cell by cell with storage classes (section 9)."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from person_unify.schema import UNIFIED, quote

from .desk import NAMES
from .source import Key
from .values import Cell

MAP_COLUMNS = {
    "tag_to_tag": ("patient_id", "tag"),
    "collision_to_id": ("source_table", "old_id"),
}
DISCREPANCY_COLUMNS = (
    *("kind", "severity", "source_table", "source_id", "related_id", "person_id", "field"),
    *("child_value", "patient_value", "chosen_value", "message"),
)


@dataclass
class ArchivedRow:
    """One row of an archive table: its cells, the columns it archives, and why."""

    cells: dict[str, Cell]
    columns: tuple[str, ...]
    reason: str


@dataclass
class Produced:
    """Target rows and ledger contents of one run, as stored."""

    tables: dict[str, list[dict[str, Cell]]] = field(default_factory=dict)
    maps: dict[str, dict[Any, list[str]]] = field(default_factory=dict)
    discrepancies: list[dict[str, str | None]] = field(default_factory=list)
    normalisations: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    person_notes: list[tuple[str, str]] = field(default_factory=list)
    archive: dict[str, dict[Key, list[ArchivedRow]]] = field(default_factory=dict)
    questions: list[dict[str, str | None]] = field(default_factory=list)
    decisions: dict[tuple[str | None, ...], str] = field(default_factory=dict)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.text_factory = bytes
    return connection


def _cells(connection: sqlite3.Connection, table: str) -> list[dict[str, Cell]]:
    info = connection.execute(f"PRAGMA table_info({quote(table)})").fetchall()
    columns = [row[1].decode() for row in info]
    listed = ", ".join(f"typeof({quote(c)}), {quote(c)}" for c in columns)
    return [
        {c: Cell(row[2 * i].decode(), row[2 * i + 1]) for i, c in enumerate(columns)}
        for row in connection.execute(f"SELECT {listed} FROM {quote(table)}")
    ]


def _names(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [row[0].decode() for row in rows]


def plain(cell: Cell) -> Any:
    """The cell as a Python value: text decoded, everything else as stored."""
    return cell.raw.decode() if cell.kind == "text" and isinstance(cell.raw, bytes) else cell.raw


def read_produced(
    target: Path, ledger: Path, maps: tuple[str, ...], key_columns: dict[str, tuple[str, ...]]
) -> Produced:
    """Reads both files of a run."""
    produced = Produced()
    connection = _open(target)
    try:
        for table in set(_names(connection)) & set(UNIFIED):
            produced.tables[table] = _cells(connection, table)
    finally:
        connection.close()
    connection = _open(ledger)
    try:
        _read_ledger(connection, produced, maps, key_columns)
    finally:
        connection.close()
    return produced


def _read_ledger(
    connection: sqlite3.Connection,
    produced: Produced,
    maps: tuple[str, ...],
    key_columns: dict[str, tuple[str, ...]],
) -> None:
    for name in maps:
        entries: dict[Any, list[str]] = {}
        for row in _cells(connection, name):
            key = tuple(plain(row[c]) for c in MAP_COLUMNS.get(name, ("old_id",)))
            entries.setdefault(key if len(key) > 1 else key[0], []).append(plain(row["new_id"]))
        produced.maps[name] = entries
    for row in _cells(connection, "discrepancies"):
        produced.discrepancies.append({c: plain(row[c]) for c in DISCREPANCY_COLUMNS})
    for row in _cells(connection, "normalisations"):
        spot = (plain(row["source_table"]), plain(row["source_column"]), plain(row["rule"]))
        produced.normalisations[spot] += plain(row["cells"])
    for row in _cells(connection, "person_notes"):
        produced.person_notes.append((plain(row["person_id"]), plain(row["note"])))
    for row in _cells(connection, "questions"):
        produced.questions.append({c: plain(row[c]) for c in (*NAMES, "options", "evidence")})
    for row in _cells(connection, "decisions"):
        produced.decisions[tuple(plain(row[c]) for c in NAMES)] = plain(row["outcome"])
    for name in _names(connection):
        if name.startswith("archive_"):
            source = name.removeprefix("archive_")
            rows = _cells(connection, name)
            produced.archive[source] = _archive(rows, key_columns.get(source, ()))


def _archive(rows: list[dict[str, Cell]], keys: tuple[str, ...]) -> dict[Key, list[ArchivedRow]]:
    archive: dict[Key, list[ArchivedRow]] = {}
    for row in rows:
        key = tuple(row.get(column, Cell("missing", None)) for column in keys)
        listed = tuple(json.loads(plain(row["_archived"])))
        archive.setdefault(key, []).append(ArchivedRow(row, listed, plain(row["_reason"])))
    return archive
