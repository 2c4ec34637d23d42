"""Every record of a migration can be followed both ways, and no trace shows a cell."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from tests.migration.support import SMALL, Migrated, migrated, query
from tests.strategies import Description, build, old_databases
from tests.strategies.examples import drawn
from typer.testing import CliRunner

from person_unify.cli.app import app
from person_unify.cli.evidence.trace import show
from person_unify.errors import SchemaRefused, TargetError, UsageError
from person_unify.evidence.finished import finished_run
from person_unify.evidence.trace import Trace, trace
from person_unify.evidence.trace.books import Books, Record
from person_unify.evidence.trace.ways import new_records, old_records, origins, ways
from person_unify.files.database import Database, inspect
from person_unify.pipeline import MigrateOptions, migrate
from person_unify.sample import SampleOptions, write_sample
from person_unify.schema import quote

FAMILY: Mapping[str, Sequence[Mapping[str, Any]]] = {
    **SMALL,
    "children": [
        {"id": "c1", "parent_id": "r1", "linked_patient_id": "p1", "first_name": "Somebody Else"},
        {"id": "c2", "parent_id": "r1", "linked_patient_id": "nobody"},
    ],
    "patient_contacts": [
        {"id": "k1", "patient_id": "p1"},
        {"id": "k2", "patient_id": "gone", "first_name": "Never Shown"},
    ],
    "patient_tags": [
        {"patient_id": "p1", "tag": "speech"},
        {"patient_id": "p1", "tag": "motor"},
    ],
    "ieps": [{"id": "e1", "patient_id": "p1"}],
    "peps": [{"id": "e1", "patient_id": "p1", "parent_id": "r1"}],
    "session_templates": [{"id": "s1"}],
}
"""A linked and a standalone child, an orphan, tags, an id that two plans share, a whole archive."""


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    return migrated(tmp_path_factory.mktemp("family"), FAMILY)


def one(run: Migrated, kind: str, *key: str) -> Trace:
    (found,) = trace(run.target, kind, *key)
    return found


def places(found: Trace) -> list[tuple[str, str]]:
    return [(way.record.table, way.rule) for way in found.ways]


def test_a_patient_leads_to_its_person_and_view_and_names_the_child(family: Migrated) -> None:
    found = one(family, "patient", "p1")

    assert places(found) == [
        ("persons", "map patient_to_person"),
        ("clinician_patient_views", "map patient_to_view"),
    ]
    assert found.ways[0].record.key == (family.new_id("patient_to_person", "p1"),)
    assert [other.key for other in found.ways[0].others] == [("c1",)]
    assert ("demographic_mismatch", "first_name") in {(e.kind, e.field) for e in found.logged}
    assert {(e.table, e.rows) for e in found.related} >= {("contacts", 1), ("tags", 2)}


def test_a_person_leads_back_to_patient_and_child(family: Migrated) -> None:
    found = one(family, "person", family.new_id("patient_to_person", "p1"))

    assert [(w.record.table, w.record.key) for w in found.ways] == [
        ("patients", ("p1",)),
        ("children", ("c1",)),
    ]
    assert {entry.record.table for entry in found.archived} == {"patients", "children"}


def test_a_linked_child_says_who_speaks_for_it_and_which_grant_it_implies(
    family: Migrated,
) -> None:
    found = one(family, "child", "c1")

    assert ("access_grants", "implied by the link of this child") in places(found)
    why = {column: entry.why for entry in found.archived for column in entry.columns}
    assert why["first_name"] == "the patient's record speaks for the person"
    grant = one(family, "grant", found.ways[-1].record.key[0])
    assert [(w.record.table, w.record.key) for w in grant.ways] == [("children", ("c1",))]


def test_a_row_kept_out_says_why_and_leads_nowhere(family: Migrated) -> None:
    found = one(family, "contacts", "k2")

    assert found.record.table == "patient_contacts"
    assert (found.kept_out, found.ways) == ("orphaned_record", ())
    assert found.archived[0].whole
    assert [(e.kind, e.field) for e in found.logged] == [("orphaned_record", "patient_id")]


def test_ids_that_two_tables_share_are_told_apart(family: Migrated) -> None:
    iep, pep = trace(family.target, "any", "e1")

    assert (iep.record.table, places(iep)) == ("ieps", [("education_plans", "same key")])
    assert places(pep) == [("education_plans", "fresh id, map collision_to_id")]
    (fresh,) = pep.ways[0].record.key
    assert [w.record.table for w in one(family, "education_plans", fresh).ways] == ["peps"]
    assert [w.record.table for w in one(family, "education_plans", "e1").ways] == ["ieps"]


def test_the_first_part_of_a_key_is_enough_and_the_whole_is_exact(family: Migrated) -> None:
    assert {t.record.key for t in trace(family.target, "tag", "p1")} == {
        ("p1", "speech"),
        ("p1", "motor"),
    }
    tag = one(family, "patient_tags", "p1", "motor")
    assert places(tag) == [("tags", "map tag_to_tag")]
    assert one(family, "tag", *tag.ways[0].record.key).ways[0].record.key == ("p1", "motor")


def test_a_row_of_a_table_without_a_counterpart_is_found(family: Migrated) -> None:
    found = one(family, "session_templates", "s1")

    assert (found.kept_out, found.ways) == ("unmapped_table", ())


def test_rows_without_a_key_are_known_by_their_row_number(tmp_path: Path) -> None:
    run = migrated(
        tmp_path, SMALL, ["CREATE TABLE loose (a)", "INSERT INTO loose VALUES (1), ('Secret')"]
    )

    found = one(run, "loose", "2")

    assert (found.record.columns, found.kept_out) == (("_rowid",), "unmapped_table")


def test_an_altered_cell_is_explained_by_what_was_logged_or_counted(tmp_path: Path) -> None:
    run = migrated(
        tmp_path,
        {**SMALL, "patient_contacts": [{"id": "k1", "patient_id": "p1"}]},
        ["UPDATE patient_contacts SET is_primary_contact = 'TRUE', created_at = 'soon'"],
    )

    found = one(run, "patient_contacts", "k1")

    why = {column: entry.why for entry in found.archived for column in entry.columns}
    assert why["is_primary_contact"] == "not in the target's form (text_to_integer)"
    assert why["created_at"] == "unreadable_value"


def test_an_unknown_id_and_an_unknown_kind_are_wrong_usage(family: Migrated) -> None:
    with pytest.raises(UsageError, match="no record nobody in patients: give the id"):
        trace(family.target, "patient", "nobody")
    with pytest.raises(UsageError, match="no record nobody in any table"):
        trace(family.target, "any", "nobody")
    with pytest.raises(UsageError, match="clinic is neither patient, child"):
        trace(family.target, "clinic", "p1")
    with pytest.raises(UsageError, match="no record ' OR 1 in patients"):
        trace(family.target, "patient", "' OR 1")


def test_a_database_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="does not exist"):
        trace(tmp_path / "new.db", "patient", "p1")


def test_a_record_that_left_the_target_is_said_to_be_gone(tmp_path: Path) -> None:
    run = migrated(tmp_path)
    with closing(sqlite3.connect(run.target)) as connection:
        connection.execute("DELETE FROM clinician_patient_views")
        connection.commit()

    assert [way.there for way in one(run, "patient", "p1").ways] == [True, False]


def assert_every_record_leads_both_ways(source: Path, target: Path) -> None:
    """Old rows became something or were kept out, new rows came from something; it agrees."""
    with Database(source, read_only=True) as old_database, finished_run(target) as database:
        tables = inspect(old_database)

        @cache
        def rows(name: str, columns: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
            return frozenset(_keys(old_database, name, columns))

        books = Books.of(database, inspect(database))
        for name in books.sources:
            if books.key_of(name) != tables[name].primary_key:
                continue  # the file names the rows of this table otherwise
            for key in rows(name, tables[name].primary_key):
                (record,) = old_records(books, name, key)
                assert record.key == key
                _assert_leads_on(books, record)
        for name, table in books.target.items():
            for key in _keys(database, name, table.primary_key):
                (record,) = new_records(books, name, key)
                came = [way.record for way in origins(books, record)]
                assert came, record
                missing = [old for old in came if old.key not in rows(old.table, old.columns)]
                assert missing == []


def _keys(database: Database, table: str, key: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if key:
        listed = ", ".join(f"CAST({quote(column)} AS TEXT)" for column in key)
        yield from database.rows(f"SELECT {listed} FROM main.{quote(table)}")


def _assert_leads_on(books: Books, record: Record) -> None:
    found, kept_out = list(ways(books, record)), books.kept_out(record)
    homes = books.homes[record.table]
    core = books.usual(record.table) in ("patients", "children")  # a view may be missing
    assert all(way.there for way in found)
    if kept_out in (None, "merged_tag"):
        reached = {way.record.table for way in found if not way.only_names}
        assert reached == set(homes) or (core and "persons" in reached), record
    else:
        assert not found, record
    for way in found:
        assert record in [back.record for back in origins(books, way.record)]


def test_every_record_of_a_sample_leads_both_ways(tmp_path: Path) -> None:
    source, target = tmp_path / "old.db", tmp_path / "new.db"
    write_sample(source, SampleOptions(persons=12, seed=4, faults=1.0))
    migrate(MigrateOptions(source, target))

    assert_every_record_leads_both_ways(source, target)


@drawn(6)
@given(old_databases())
def test_every_record_of_drawn_databases_leads_both_ways(description: Description) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory) / "old.db", Path(directory) / "new.db"
        build(description, source)
        try:
            migrate(MigrateOptions(source, target))
        except SchemaRefused:
            return
        assert_every_record_leads_both_ways(source, target)


def test_no_tree_shows_a_cell_and_all_fit_the_page(tmp_path: Path) -> None:
    source, target = tmp_path / "old.db", tmp_path / "new.db"
    write_sample(source, SampleOptions(persons=8, seed=4, faults=0.5))
    migrate(MigrateOptions(source, target))
    said = io.StringIO()
    with redirect_stdout(said):
        for kind, table in (("patient", "patients"), ("child", "children")):
            for (key,) in (row.values() for row in query(source, f"SELECT id FROM {table}")):
                show(trace(target, kind, key))
    text = said.getvalue()
    with closing(sqlite3.connect(source)) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.row_factory = sqlite3.Row
        cells = {
            str(row[column])
            for table in ("patients", "children")
            for row in connection.execute(f"SELECT * FROM {table}")
            for column in row.keys()  # noqa: SIM118  a Row iterates over its cells
            if column not in ("id", "status", "gender") and not column.endswith("_id")
            if isinstance(row[column], str | int) and len(str(row[column])) > 3
        } - {"unknown"}  # the sample's birth date that is none, and our word for a missing gender

    assert len(cells) > 100
    shown = [cell for cell in cells if re.search(rf"(?<!\w){re.escape(cell)}(?!\w)", text)]
    assert shown == []
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100


def test_the_command_prints_a_tree_or_data(family: Migrated) -> None:
    runner = CliRunner()

    tree = runner.invoke(app, ["trace", str(family.target), "contacts", "k2"])
    data = runner.invoke(app, ["trace", str(family.target), "e1", "--json"])
    unknown = runner.invoke(app, ["trace", str(family.target), "nobody"])

    assert (tree.exit_code, data.exit_code, unknown.exit_code) == (0, 0, 2)
    assert tree.stdout.splitlines()[:4] == [
        "old record  patient_contacts k2",
        "+-- kept out of the target: orphaned_record",
        "+-- archived",
        "|   `-- orphaned_record: all 22 columns",
    ]
    assert "Never Shown" not in tree.stdout
    records = json.loads(data.stdout)["records"]
    assert [record["table"] for record in records] == ["ieps", "peps"]
    assert records[0]["ways"][0]["key"] == {"id": "e1"}
    assert unknown.stderr.startswith("person-unify: no record nobody in any table")
