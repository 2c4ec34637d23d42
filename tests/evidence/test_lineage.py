"""The lineage is complete and true: held against real migrations, cell by cell."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from tests.migration.support import SMALL, migrated, old_database
from tests.strategies import Description, build, old_databases
from tests.strategies.examples import drawn

from person_unify.errors import SchemaRefused, SourceError
from person_unify.evidence.finished import ArchiveTable, archives, finished_run
from person_unify.evidence.lineage import (
    built_in_lineage,
    recorded_lineage,
    without_line,
)
from person_unify.files.database import Database, inspect
from person_unify.mappings import ID_MAPS, MAPPINGS
from person_unify.mappings.bind import type_of
from person_unify.pipeline import CheckOptions, MigrateOptions, check, lineage_of_source, migrate
from person_unify.sample import SampleOptions, write_sample
from person_unify.schema import OLD, UNIFIED, Schema, quote


def test_every_column_of_the_old_schema_has_a_line() -> None:
    found = built_in_lineage()

    assert without_line(found, OLD) == []
    assert set(found["disposition"]) == {"carried", "mapped_id", "archived"}
    assert found.filter(pl.col("disposition") == "archived")["target_table"].null_count() > 0
    assert found.filter(pl.col("disposition") != "archived")["target_table"].null_count() == 0


def test_lines_name_columns_that_exist() -> None:
    for table, column, _, target, target_column, _ in built_in_lineage().iter_rows():
        assert OLD[table].column(column) is not None
        assert target is None or UNIFIED[target].column(target_column) is not None


@pytest.mark.parametrize("forgotten", ["journal_entries", "session_templates", "parents"])
def test_a_table_without_a_mapping_fails_before_a_row_is_read(
    forgotten: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    kept = tuple(mapping for mapping in MAPPINGS if mapping.source != forgotten)
    monkeypatch.setattr("person_unify.mappings.bind.MAPPINGS", kept)
    monkeypatch.delattr("person_unify.stages.extract.Extractor.read")

    for attempt in (
        lambda: migrate(MigrateOptions(source, tmp_path / "new.db")),
        lambda: check(CheckOptions(source)),
        lambda: lineage_of_source(source),
    ):
        with pytest.raises(SourceError, match=rf"no line in the lineage \({forgotten}\.\w+"):
            attempt()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.db"]


def test_unknown_columns_and_tables_have_lines_too(tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("ALTER TABLE patients ADD COLUMN \"odd | 'name'\" TEXT")
        connection.execute("CREATE TABLE strange (a, b)")

    found = lineage_of_source(source)

    rules = {(t, c): r for t, c, *_, r in found.iter_rows()}
    assert rules["patients", "odd | 'name'"] == "no counterpart"
    assert rules["strange", "b"] == "table that nothing knows"


def test_counts_say_what_became_of_the_cells(tmp_path: Path) -> None:
    tables = {
        **SMALL,
        "patients": [
            {"id": "p1", "clinician_id": "u1", "udid_number": "7"},
            {"id": "p2", "clinician_id": "u1", "udid_number": "7", "date_of_birth": "soon"},
        ],
    }
    run = migrated(tmp_path, tables)

    with finished_run(run.target) as database:
        rows = recorded_lineage(database).filter(pl.col("source_table") == "patients")
    counts = {row["source_column"]: row for row in rows.to_dicts()}

    assert {row["rows"] for row in counts.values()} == {2}
    udid, birth = counts["udid_number"], counts["date_of_birth"]
    assert (udid["carried"], udid["archived"], udid["discrepancies"]) == (1, 1, 1)
    assert (birth["carried"], birth["archived"], birth["unreadable"]) == (1, 1, 1)
    assert birth["normalised"] >= 1
    assert (counts["school_id"]["carried"], counts["school_id"]["archived"]) == (0, 2)


@drawn(12)
@given(old_databases())
def test_lineage_is_true_of_drawn_databases(description: Description) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory) / "old.db", Path(directory) / "new.db"
        build(description, source)
        try:
            migrate(MigrateOptions(source, target))
        except SchemaRefused:
            return
        assert not (found := list(untruths(source, target))), found


@pytest.mark.parametrize("faults", [0.0, 1.0])
def test_lineage_is_true_of_samples(faults: float, tmp_path: Path) -> None:
    source, target = tmp_path / "old.db", tmp_path / "new.db"
    write_sample(source, SampleOptions(persons=40, seed=3, faults=faults))
    migrate(MigrateOptions(source, target))

    assert list(untruths(source, target)) == []


def test_a_false_line_is_noticed(tmp_path: Path) -> None:
    run = migrated(tmp_path)
    with closing(sqlite3.connect(run.ledger)) as connection:
        connection.execute(
            "UPDATE lineage SET target_column = 'status' WHERE source_table = 'users' "
            "AND source_column = 'email'"
        )
        connection.execute(
            "UPDATE lineage SET disposition = 'archived', target_table = NULL WHERE "
            "source_table = 'users' AND source_column = 'role'"
        )
        connection.commit()

    assert {said.partition(":")[0] for said in untruths(run.source, run.target)} == {
        "users.email",
        "users.role",
    }


@dataclass(frozen=True)
class Files:
    """A finished run for plain SQL: source, target and ledger, and what they are made of."""

    connection: sqlite3.Connection
    tables: Schema
    target: Schema
    archives: Mapping[str, ArchiveTable]
    lines: pl.DataFrame

    def rows(self, statement: str, *parameters: Any) -> list[Any]:
        try:
            return self.connection.execute(statement, parameters).fetchall()
        except UnicodeEncodeError:
            return []  # a cell that is no UTF-8 names nothing


def untruths(source: Path, target: Path) -> Iterator[str]:
    """Every sentence of a recorded lineage that source, target and archive do not bear out."""
    with Database(source, read_only=True) as database:
        tables = inspect(database)
    with finished_run(target) as database:
        lines = recorded_lineage(database)
        unified, kept = inspect(database), archives(database)
    yield from (f"{column}: no line" for column in without_line(lines, tables))
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        for name, path in (("s", source), ("t", target), ("l", target.with_stem("new.ledger"))):
            connection.execute(f"ATTACH ? AS {name}", (str(path),))
        files = Files(connection, tables, unified, kept, lines)
        for name in lines["source_table"].unique(maintain_order=True):
            yield from _untruths_of(files, name)


def _untruths_of(files: Files, name: str) -> Iterator[str]:
    table, archive = files.tables[name], files.archives.get(name)
    archived: dict[Any, tuple[set[str], str]] = {}
    if archive is not None:
        key = ", ".join(map(quote, archive.key))
        for *values, listed, reason in files.rows(
            f"SELECT {key}, {archive.listed}, {archive.reason} FROM l.{quote(f'archive_{name}')}"
        ):
            archived[tuple(values)] = (set(json.loads(listed)), reason)
    hidden = {column.lower() for column in table.column_names}
    rowid = next((word for word in ("rowid", "_rowid_", "oid") if word not in hidden), "NULL")
    own = ", ".join(map(quote, table.primary_key)) or rowid
    listed = ", ".join(map(quote, table.column_names))
    rows = files.rows(f"SELECT {own}, {listed} FROM s.{quote(name)}")
    # Where the file declares another key or none, the id by which the target knows a row is kept.
    known = OLD.get(name) or UNIFIED.get(name)
    known_by = known.primary_key if known else ()
    beside = set(known_by) if known_by != table.primary_key else set()
    width = len(table.primary_key) or 1
    lines = files.lines.filter(pl.col("source_table") == name).to_dicts()
    for row in rows:
        cells = dict(zip(table.column_names, row[width:], strict=True))
        kept = archived.get(tuple(row[:width]), (set(), "loaded"))
        yield from _untruths_of_row(files, lines, cells, kept, beside)


def _untruths_of_row(
    files: Files,
    lines: list[dict[str, Any]],
    cells: Mapping[str, Any],
    kept: tuple[set[str], str],
    beside: set[str],
) -> Iterator[str]:
    """``kept``: the row's archived columns and the reason; ``beside``: those that name it there."""
    name, (listed, reason) = lines[0]["source_table"], kept
    for column, cell in cells.items():
        own = [line for line in lines if line["source_column"] == column]
        places = [line for line in own if line["target_table"] is not None]
        if len(places) < len(own) and column not in listed:
            yield f"{name}.{column}: said to be archived, and is not"
        elif len(places) == len(own):
            held = [_held(files, cells, cell, line) for line in places]
            if column not in listed and not any(held):
                yield f"{name}.{column}: said to be carried, and is neither carried nor archived"
            whole = reason != "not_carried" or name in ("children", "parent_children")
            if column in listed - beside and not whole and "exactly" in held:
                yield f"{name}.{column}: carried and yet archived"


def _held(files: Files, cells: Mapping[str, Any], cell: Any, line: Mapping[str, Any]) -> str:
    """``exactly`` or ``mapped`` where the target cell of a line holds the source cell, else ''."""
    found = _target_cell(files, cells, line)
    if found is None:
        return ""
    (here,) = found
    if line["disposition"] == "mapped_id" and line["rule"] == "person":
        people = {
            new
            for map_ in ("patient_to_person", "child_to_person")
            for (new,) in files.rows(f"SELECT new_id FROM l.{map_} WHERE old_id = ?", cell)
        }
        return "mapped" if here in people or cell is here is None else ""
    if type(here) is type(cell) and here == cell:
        return "exactly"
    if line["disposition"] == "mapped_id" or line["rule"].startswith("by name, fresh"):
        renamed = files.rows("SELECT new_id FROM l.collision_to_id WHERE old_id = ?", cell)
        return "mapped" if (here,) in renamed else ""
    column = files.target[line["target_table"]].column(line["target_column"])
    assert column is not None
    instant = type_of(column) == "DATETIME" and isinstance(cell, str | float)
    return "mapped" if instant and isinstance(here, int) else ""


def _target_cell(
    files: Files, cells: Mapping[str, Any], line: Mapping[str, Any]
) -> tuple[Any] | None:
    """The cell of the target row that the maps lead to; None where there is no such row."""
    name, target = line["source_table"], line["target_table"]
    map_ = ID_MAPS.get((name, target))
    key = files.target[target].primary_key[0]
    if map_ is not None:
        ids = files.rows(f"SELECT new_id FROM l.{map_} WHERE old_id = ?", cells["id"])
    elif target == "tags" and "tag" in cells:
        ids = files.rows(
            "SELECT new_id FROM l.tag_to_tag WHERE patient_id = ? AND tag = ?",
            *(cells["patient_id"], cells["tag"]),
        )
    else:
        ids = files.rows(
            "SELECT new_id FROM l.collision_to_id WHERE source_table = ? AND old_id = ?",
            *(name, cells[key]),
        ) or [(cells[key],)]
    if not ids:
        return None
    found = files.rows(
        f"SELECT {quote(line['target_column'])} FROM t.{quote(target)} WHERE {quote(key)} = ?",
        ids[0][0],
    )
    return found[0] if found else None
