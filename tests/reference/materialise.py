"""Writes a reference result as the files that a faultless run would leave."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from person_unify.frames.ledger import TABLES
from person_unify.schema import UNIFIED, create_statements, quote

from . import ReferenceResult
from .desk import NAMES
from .ledger import DISCREPANCY_COLUMNS, MAP_COLUMNS
from .record import Mention, New
from .values import Cell


def materialise(
    result: ReferenceResult, target: Path, ledger: Path, started: int | None = None
) -> None:
    """Writes target and ledger, with a random UUID for each symbol.

    What the run would say of itself is left empty, but for when it ``started``, if that is given.
    """
    ids: dict[New, str] = {}

    def stored(value: Any) -> Any:
        if isinstance(value, New):
            return ids.setdefault(value, str(uuid.uuid4()))
        return " and ".join(value.ids) if isinstance(value, Mention) else value

    connection = sqlite3.connect(target)
    connection.execute("PRAGMA synchronous = OFF")
    for statement in create_statements(UNIFIED):
        connection.execute(statement)
    for name, rows in result.tables.items():
        for row in rows:
            _insert(connection, name, {c: stored(v) for c, v in row.items()})
    connection.commit()
    violations = connection.execute("PRAGMA foreign_key_check").fetchall()
    connection.close()
    assert violations == []
    connection = sqlite3.connect(ledger)
    _write_books(connection, result, stored)
    for table, kept in result.archive.items():
        _write_archive(connection, table, result.key_columns[table], kept)
    if started is not None:
        connection.execute("INSERT INTO run (started) VALUES (?)", (started,))
    connection.commit()
    connection.close()


def _write_books(
    connection: sqlite3.Connection,
    result: ReferenceResult,
    stored: Callable[[Any], Any],
) -> None:
    for name in ("run", "lineage", "checkpoints", "verification"):
        _table(connection, name, tuple(TABLES[name]), [])
    for name, entries in result.maps.items():
        keys = MAP_COLUMNS.get(name, ("old_id",))
        rows = [
            (*(old if isinstance(old, tuple) else (old,)), stored(new))
            for old, new in entries.items()
        ]
        _table(connection, name, (*keys, "new_id"), rows)
    discrepancies = [
        tuple(
            stored(row.get(column, f"rows: {row.get('count')}")) for column in DISCREPANCY_COLUMNS
        )
        for row in result.discrepancies
    ]
    _table(connection, "discrepancies", DISCREPANCY_COLUMNS, discrepancies)
    counted = [(*spot, cells) for spot, cells in result.normalisations.items()]
    columns = ("source_table", "source_column", "rule", "cells")
    _table(connection, "normalisations", columns, counted)
    asked = (*NAMES, "options", "evidence")
    questions = [tuple(row[name] for name in asked) for row in result.questions]
    _table(connection, "questions", asked, questions)
    said = (*NAMES, "decision", "link_to", "evidence", "outcome")
    decided = [tuple(row[name] for name in said) for row in result.decided.values()]
    _table(connection, "decisions", said, decided)
    notes = [(stored(person), note) for person, note in result.person_notes.items()]
    _table(connection, "person_notes", ("person_id", "note"), notes)


def _table(
    connection: sqlite3.Connection,
    name: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    connection.execute(f"CREATE TABLE {quote(name)} ({', '.join(map(quote, columns))})")
    for row in rows:
        _insert(connection, name, dict(zip(columns, row, strict=True)))


def _insert(connection: sqlite3.Connection, name: str, row: dict[str, Any]) -> None:
    marks = ["CAST(? AS TEXT)" if _is_text(value) else "?" for value in row.values()]
    values = [value.raw if isinstance(value, Cell) else value for value in row.values()]
    connection.execute(
        f"INSERT INTO {quote(name)} ({', '.join(map(quote, row))}) VALUES ({', '.join(marks)})",
        values,
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, Cell) and value.kind == "text"


def _write_archive(
    connection: sqlite3.Connection, table: str, keys: tuple[str, ...], kept: dict[Any, Any]
) -> None:
    found = {column for cells, _ in kept.values() for column in cells}
    columns = (*keys, *sorted(found - set(keys)), "_archived", "_reason")
    name = f"archive_{table}"
    connection.execute(f"CREATE TABLE {quote(name)} ({', '.join(map(quote, columns))})")
    for key, (cells, reason) in kept.items():
        row = dict(cells) | dict(zip(keys, key, strict=True))
        _insert(connection, name, row | {"_archived": json.dumps(list(cells)), "_reason": reason})
