"""The ledger: the second SQLite file beside the target, with everything the target has no home for.

Contract section 9 names its tables.  Archive columns have no declared type, so SQLite stores every
cell in the class it came with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import polars as pl

from person_unify.files.database import Database
from person_unify.frames.inserting import insert
from person_unify.frames.model import DECISION, DISCREPANCY, QUESTION, ROW, Archive, escaped
from person_unify.frames.ranges import reaching_rowid
from person_unify.mappings import ID_MAPS, MAP_KEYS, TAGS
from person_unify.schema import quote

CATALOG = "ledger"
"""The name under which the ledger is attached to the target's connection."""

TABLES: Mapping[str, Mapping[str, str]] = {
    "run": {
        "id": "TEXT NOT NULL PRIMARY KEY",
        "tool_version": "TEXT NOT NULL",
        "started": "INTEGER NOT NULL",
        "finished": "INTEGER",
        "source": "TEXT NOT NULL",
        "target": "TEXT NOT NULL",
        "source_sha256": "TEXT NOT NULL",
        "options": "TEXT NOT NULL",
        "outcome": "TEXT",
    },
    "artefacts": {
        "kind": "TEXT NOT NULL",
        "path": "TEXT NOT NULL",
        "sha256": "TEXT",
        "bytes": "INTEGER",
    },
    **{
        name: {
            # A tag is text that may be missing, not an id.
            **dict.fromkeys(key, "TEXT" if name == TAGS else "TEXT NOT NULL"),
            "new_id": "TEXT NOT NULL",
        }
        for name, key in MAP_KEYS.items()
    },
    "discrepancies": {
        name: "TEXT NOT NULL" if name in ("kind", "severity", "source_table", "message") else "TEXT"
        for name in DISCREPANCY
    },
    "questions": {
        name: "TEXT" if name in ("related_id", "field") else "TEXT NOT NULL" for name in QUESTION
    },
    "decisions": {
        **{
            name: "TEXT"
            if name in ("related_id", "field", "link_to", "reviewer", "note")
            else "TEXT NOT NULL"
            for name in DECISION
        },
        "outcome": "TEXT NOT NULL",
    },
    "normalisations": {
        "source_table": "TEXT NOT NULL",
        "source_column": "TEXT NOT NULL",
        "rule": "TEXT NOT NULL",
        "cells": "INTEGER NOT NULL",
    },
    "person_notes": {"person_id": "TEXT NOT NULL", "note": "TEXT NOT NULL"},
    "lineage": {
        "source_table": "TEXT NOT NULL",
        "source_column": "TEXT NOT NULL",
        "disposition": "TEXT NOT NULL",
        "target_table": "TEXT",
        "target_column": "TEXT",
        "rule": "TEXT NOT NULL",
    },
    "source_schema": {
        "type": "TEXT NOT NULL",
        "name": "TEXT NOT NULL",
        "table_name": "TEXT NOT NULL",
        "sql": "TEXT NOT NULL",
        "rows": "INTEGER",
    },
    "report": {"json": "TEXT NOT NULL"},
    "deliveries": {
        "xid": "TEXT NOT NULL",
        "address": "TEXT NOT NULL",
        "server": "TEXT NOT NULL",
        "schema": "TEXT NOT NULL",
        "started": "INTEGER NOT NULL",
        "finished": "INTEGER",
        "tables": "TEXT NOT NULL",
        "outcome": "TEXT NOT NULL",
    },
    "checkpoints": {
        "phase": "TEXT NOT NULL",
        "source_table": "TEXT",
        "started": "INTEGER NOT NULL",
        "finished": "INTEGER NOT NULL",
        "rows": "INTEGER NOT NULL",
        "errors": "TEXT",
    },
    "verification": {
        "check": "TEXT NOT NULL",
        "source_table": "TEXT",
        "expected": "",
        "actual": "",
        "passed": "INTEGER",
        "outcome": "TEXT NOT NULL",
        "detail": "TEXT NOT NULL",
    },
}
"""Table -> column -> declaration.  Instants (``started``, ``finished``) are ms since the epoch."""

_INDEXES = {
    **dict.fromkeys(ID_MAPS.values(), ("old_id",)),
    "discrepancies": ("source_table", "source_id"),
}


class Ledger:
    """Writes the ledger through the target's connection, where it is attached as ``ledger``."""

    def __init__(self, database: Database) -> None:
        """Use the database's connection; the file must be attached and empty."""
        self._database = database
        self._archives: dict[str, Archive] = {}

    def create(self) -> None:
        """Create every table of section 9 but the archives, which come with their rows."""
        for table, columns in TABLES.items():
            declared = ", ".join(
                f"{quote(name)} {type_}".rstrip() for name, type_ in columns.items()
            )
            self._database.execute(f"CREATE TABLE {CATALOG}.{quote(table)} ({declared})")

    def append(self, table: str, frame: pl.DataFrame) -> None:
        """Append rows to one of the ledger's tables."""
        self._database.ingest(table, frame, catalog=CATALOG)

    def append_rows(self, table: str, rows: Iterable[Mapping[str, object]]) -> None:
        """Append a few rows given as plain values."""
        frame = pl.DataFrame(
            list(rows), schema=dict.fromkeys(TABLES[table], pl.String), strict=False
        )
        for name, declared in TABLES[table].items():
            if declared.startswith("INTEGER"):
                frame = frame.with_columns(pl.col(name).cast(pl.Int64))
        self.append(table, frame)

    def index(self) -> None:
        """Create the indexes that readers of a finished ledger need."""
        for table, columns in _INDEXES.items():
            listed = ", ".join(map(quote, columns))
            self._database.execute(
                f"CREATE INDEX {CATALOG}.{quote(f'{table}_idx')} ON {quote(table)} ({listed})"
            )
        for archive in self._archives.values():
            name = _archive_name(archive)
            listed = ", ".join(map(quote, archive.key)) or quote(_column_names(archive)[ROW])
            # No table of the ledger begins like that, so no source table can take the name.
            index = quote(f"key_of_{name}")
            self._database.execute(f"CREATE INDEX {CATALOG}.{index} ON {quote(name)} ({listed})")

    def archive(self, archive: Archive) -> None:
        """Write the archive of one source table, or of the next part of it (section 9).

        Every cell keeps its storage class.
        """
        before, frame = self._archives.get(archive.table), archive.frame
        columns = _both(before, archive)
        whole = replace(archive, columns=columns, frame=frame.clear(), odd=pl.DataFrame())
        names = _column_names(whole)
        if before is None:
            self._create(whole, names)
        elif before.columns != whole.columns:
            self._widen(before, whole, names)
        self._archives[archive.table] = whole
        given = {name: column for name, column in names.items() if name in frame.columns}
        rowid = reaching_rowid(names.values())
        insert(self._database, CATALOG, _archive_name(archive), archive, given, rowid)

    def _create(self, archive: Archive, names: Mapping[str, str]) -> None:
        listed = ", ".join(map(quote, names.values()))
        name = quote(_archive_name(archive))
        self._database.execute(f"CREATE TABLE {CATALOG}.{name} ({listed})")

    def _widen(self, before: Archive, whole: Archive, names: Mapping[str, str]) -> None:
        """Make room for columns that only a later part archives, in their places."""
        old = {n: c for n, c in _column_names(before).items() if n in names}
        name, aside = quote(_archive_name(whole)), quote(f"narrow_{_archive_name(whole)}")
        self._database.execute(f"ALTER TABLE {CATALOG}.{name} RENAME TO {aside}")
        self._create(whole, names)
        into = ", ".join(quote(names[n]) for n in old)
        self._database.execute(
            f"INSERT INTO {CATALOG}.{name} ({into}) SELECT {', '.join(map(quote, old.values()))} "
            f"FROM {CATALOG}.{aside} ORDER BY rowid"
        )
        self._database.execute(f"DROP TABLE {CATALOG}.{aside}")


def _archive_name(archive: Archive) -> str:
    return f"archive_{archive.table}"


def _both(before: Archive | None, archive: Archive) -> tuple[str, ...]:
    """The columns that either archives, in the order of the source."""
    listed = {*(before.columns if before else ()), *archive.columns}
    return tuple(column for column in archive.beside_key if column in listed)


def _column_names(archive: Archive) -> dict[str, str]:
    """Frame column -> archive column: the source's names, and ours with underscores until free."""
    taken = {name.lower() for name in (*archive.key, *archive.columns)}
    ours = {ROW: "_rowid", "@archived": "_archived", "@reason": "_reason"}
    for internal in ours:
        while ours[internal] in taken:
            ours[internal] = f"_{ours[internal]}"
    names = {escaped(name): name for name in archive.key} or {ROW: ours[ROW]}
    names |= {escaped(name): name for name in archive.columns}
    return names | {internal: ours[internal] for internal in ("@archived", "@reason")}
