"""The ledger's tables: what they are called, and that the archive keeps every cell as it was."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.strategies.cells import CELLS, BadText

from person_unify.database import Database
from person_unify.ledger import CATALOG, TABLES, Ledger
from person_unify.stages.extract import Extractor
from person_unify.stages.transform import archive_whole

SECTION_9 = {
    *("run", "patient_to_person", "child_to_person", "child_to_view", "patient_to_view"),
    *("consent_to_grant", "parent_link_to_view", "tag_to_tag", "collision_to_id", "lineage"),
    *("discrepancies", "normalisations", "person_notes", "checkpoints", "verification"),
}
FURTHER = {"artefacts", "source_schema", "questions", "decisions"}
"""What rollback and purge need to know besides."""


def _archived(source: Path, table: str) -> list[tuple[Any, ...]]:
    """The archive of a whole table: class and bytes of every cell."""
    ledger = source.with_name("ledger.db")
    outcome = archive_whole(Extractor(source).read(table))
    with Database(source.with_name("target.db")) as database:
        database.execute(f"ATTACH '{ledger}' AS {CATALOG}")
        written = Ledger(database)
        written.create()
        assert outcome.archive is not None
        written.archive(outcome.archive)
    with closing(sqlite3.connect(ledger)) as connection:
        connection.text_factory = bytes
        return connection.execute(f'SELECT * FROM "archive_{table}" ORDER BY rowid').fetchall()


def test_tables_are_those_of_the_contract_and_further_ones() -> None:
    assert set(TABLES) == SECTION_9 | FURTHER


@pytest.mark.parametrize("declared", ["TEXT", "DATETIME", "REAL", "INTEGER", ""])
def test_archive_keeps_class_and_bytes_of_every_cell(declared: str, tmp_path: Path) -> None:
    source = tmp_path / "old.db"
    with closing(sqlite3.connect(source)) as connection:
        connection.execute(f"CREATE TABLE t (id TEXT PRIMARY KEY, v {declared})")
        for position, cell in enumerate(c for listed in CELLS.values() for c in listed):
            bad = isinstance(cell, BadText)
            connection.execute(
                f"INSERT INTO t VALUES (?, {'CAST(? AS TEXT)' if bad else '?'})",
                [f"{position:04}", cell.raw if isinstance(cell, BadText) else cell],
            )
        connection.commit()
        connection.text_factory = bytes
        expected = connection.execute("SELECT id, v FROM t ORDER BY rowid").fetchall()

    found = _archived(source, "t")

    assert [row[:2] for row in found] == expected
    assert {(row[2], row[3]) for row in found} == {(b'["id", "v"]', b"unmapped_table")}


def test_archive_of_a_table_without_a_key_has_its_rowid(tmp_path: Path) -> None:
    source = tmp_path / "old.db"
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("CREATE TABLE t (_rowid TEXT, _archived TEXT, v)")
        connection.execute("INSERT INTO t (rowid, _rowid, _archived, v) VALUES (7, 'a', 'b', 1.5)")
        connection.commit()

    (row,) = _archived(source, "t")

    assert row[:4] == (7, b"a", b"b", 1.5)
    assert json.loads(row[4]) == ["_rowid", "_archived", "v"]
