"""The ledger's tables: what they are called, and that the archive keeps every cell as it was."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.strategies.cells import CELLS, BadText

from person_unify.files.database import Database
from person_unify.frames.ledger import CATALOG, TABLES, Ledger
from person_unify.frames.model import ROW, Archive
from person_unify.schema import Column, Table
from person_unify.stages.extract import Extractor
from person_unify.stages.transform import archive_whole

SECTION_9 = {
    *("run", "patient_to_person", "child_to_person", "child_to_view", "patient_to_view"),
    *("consent_to_grant", "parent_link_to_view", "tag_to_tag", "collision_to_id", "lineage"),
    *("discrepancies", "normalisations", "person_notes", "checkpoints", "verification"),
}
FURTHER = {"artefacts", "deliveries", "report", "source_schema", "questions", "decisions"}
"""What later commands need to know besides."""


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


def test_archive_in_parts_has_its_columns_in_the_order_of_the_source(tmp_path: Path) -> None:
    """Each part may archive other columns, also one that is called like one of the ledger's."""
    table = Table("t", tuple(Column(n, "TEXT", False) for n in ("a", "_reason", "b", "id")))
    columns = ("a", "_reason", "b")

    def part(names: tuple[str, ...], row: int) -> Archive:
        cells = {ROW: [row], **{n: [f"{n}{row}"] for n in names}}
        said = {"@archived": [json.dumps(names)], "@reason": ["not_carried"]}
        frame = pl.DataFrame({**cells, **said})
        return Archive(frame, table="t", key=(), columns=names, beside_key=table.column_names)

    with Database(tmp_path / "target.db") as database:
        database.attach(tmp_path / "ledger.db", CATALOG)
        written = Ledger(database)
        for row, names in enumerate((("b",), ("a",), ("_reason", "b"), columns)):
            written.archive(part(names, row))
        found = database.rows(f"SELECT * FROM {CATALOG}.archive_t ORDER BY rowid")
        named = [c for (c,) in database.rows("SELECT name FROM pragma_table_info('archive_t')")]
        tables = database.rows(f"SELECT name FROM {CATALOG}.sqlite_master WHERE type = 'table'")

    assert named == ["_rowid", "a", "_reason", "b", "_archived", "__reason"]
    assert [row[:4] for row in found] == [
        (0, None, None, "b0"),
        (1, "a1", None, None),
        (2, None, "_reason2", "b2"),
        (3, "a3", "_reason3", "b3"),
    ]
    assert [json.loads(row[4]) for row in found][1:3] == [["a"], ["_reason", "b"]]
    assert {row[5] for row in found} == {"not_carried"}
    assert tables == [("archive_t",)]
