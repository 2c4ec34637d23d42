"""Names of tables and columns are compared as SQLite compares them (contract section 2)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.migration.likeness import differences
from tests.migration.support import SMALL, change, make_target, old_database, query
from tests.migration.test_against_reference import _differences

from person_unify.evidence.diff import diff
from person_unify.evidence.rebuilding import rebuild
from person_unify.evidence.trace import trace
from person_unify.explore import open_check, open_run
from person_unify.explore.export import export_ledger
from person_unify.linkage.people import read_people
from person_unify.pipeline import MigrateOptions, lineage_of_source, migrate, verify
from person_unify.sample import SampleOptions, write_sample
from person_unify.schema import UNIFIED, quote

Case = Callable[[str], str]


def respell(path: Path, case: Case) -> Path:
    """Give every table and column of a database its name in another case."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA legacy_alter_table = ON")
        connection.execute("BEGIN")
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in tables.fetchall():
            alter = f"ALTER TABLE {quote(name)} RENAME"
            for _, column, *_ in connection.execute(f"PRAGMA table_info({quote(name)})").fetchall():
                if case(column) != column:
                    connection.execute(f"{alter} COLUMN {quote(column)} TO aside")
                    connection.execute(f"{alter} COLUMN aside TO {quote(case(column))}")
            connection.execute(f"{alter} TO aside")
            connection.execute(f"ALTER TABLE aside RENAME TO {quote(case(name))}")
        connection.execute("COMMIT")
    return path


@pytest.mark.parametrize("case", [str.upper, str.title])
def test_a_source_in_another_case_is_migrated_like_any_other(case: Case, tmp_path: Path) -> None:
    source, target = tmp_path / "old.db", tmp_path / "new.db"
    write_sample(source, SampleOptions(persons=15, seed=5, faults=1.0))
    respell(source, case)

    report = migrate(MigrateOptions(source, target))

    assert not _differences(source, report, target)
    assert not verify(source, target).failed_checks
    rebuild(target, tmp_path / "again.db", source)
    assert not differences(source, tmp_path / "again.db")


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_tables_that_go_by_convention_refer_to_each_other_in_any_case(
    case: Case, tmp_path: Path
) -> None:
    source, target = old_database(tmp_path / "old.db", SMALL), tmp_path / "new.db"
    for table, row in {
        "schools": {"id": "s1", "name": "x", "school_type": "x"},
        "school_student_views": {"id": "v1", "patient_id": "p1", "school_id": "s1"},
    }.items():
        cells = row | dict.fromkeys(("created_at", "updated_at", "enrolled_at"), 1_600_000_000_000)
        change(
            source,
            f"CREATE TABLE {table} ({', '.join(cells)}, PRIMARY KEY (id))",
            f"INSERT INTO {table} VALUES ({', '.join(map(repr, cells.values()))})",
        )
    respell(source, case)

    report = migrate(MigrateOptions(source, target))

    assert not _differences(source, report, target)
    assert query(target, "SELECT school_id FROM school_student_views") == [{"school_id": "s1"}]
    rebuild(target, tmp_path / "again.db", source)
    assert not differences(source, tmp_path / "again.db")


def test_a_target_in_another_case_is_filled_like_any_other(tmp_path: Path) -> None:
    source = write_sample_of(tmp_path / "old.db")
    target = respell(make_target(tmp_path / "new.db", UNIFIED.values()), str.upper)

    report = migrate(MigrateOptions(source, target))

    assert not verify(source, target).failed_checks
    (there,) = query(target, "SELECT count(*) AS n FROM persons")
    assert there["n"] == report.equations[1].left > 0


def write_sample_of(path: Path) -> Path:
    """A sample with a fault of every kind."""
    write_sample(path, SampleOptions(persons=15, seed=6, faults=1.0))
    return path


def test_ledger_and_reports_name_tables_and_columns_as_the_file_writes_them(tmp_path: Path) -> None:
    source, target = respell(write_sample_of(tmp_path / "old.db"), str.title), tmp_path / "new.db"
    migrate(MigrateOptions(source, target))
    ledger = tmp_path / "new.ledger.db"
    for table, column in (
        ("lineage", "source_column"),
        ("normalisations", "source_column"),
        ("discrepancies", "field"),
    ):
        found = query(ledger, f"SELECT DISTINCT source_table, {column} AS name FROM {table}")
        assert found
        for name in (row["name"] for row in found if row["name"]):
            # The column is of another table than the person's origin, so it has the usual name.
            assert name == name.title() or name == "is_primary"
        assert {row["source_table"] for row in found} >= {"Patients", "Children"}

    archived = query(
        ledger,
        "SELECT DISTINCT j.value AS name FROM archive_Children AS a, json_each(_archived) AS j",
    )
    assert {row["name"] for row in archived} >= {"Linked_Patient_Id", "First_Name"}
    assert all(row["name"] == row["name"].title() for row in archived)
    columns = query(ledger, "SELECT name FROM pragma_table_info('archive_Children')")
    own = {"_archived", "_reason"}
    assert all(row["name"] == row["name"].title() for row in columns if row["name"] not in own)


def test_what_a_finished_run_is_asked_takes_names_in_any_case(tmp_path: Path) -> None:
    source, target = respell(write_sample_of(tmp_path / "old.db"), str.upper), tmp_path / "new.db"
    migrate(MigrateOptions(source, target))
    ledger = tmp_path / "new.ledger.db"
    (child,) = query(ledger, "SELECT old_id FROM child_to_person LIMIT 1")

    assert not diff(source, target, "Children").total
    assert not diff(source, target, "children", "Parent_Id").total
    (found,) = trace(target, "child", child["old_id"])
    assert found.record.table == "CHILDREN"
    assert found.ways
    assert trace(target, "Persons", found.ways[0].record.key[0])
    exported = export_ledger(ledger, tmp_path / "out", "csv", ["Archive_children"])
    assert exported.tables == 1


def test_findings_in_a_notebook_do_not_depend_on_case(tmp_path: Path) -> None:
    plain = write_sample_of(tmp_path / "plain.db")
    other = respell(write_sample_of(tmp_path / "other.db"), str.upper)
    checked = [open_check(path, archives=True) for path in (plain, other)]
    migrate(MigrateOptions(other, tmp_path / "new.db"))
    run = open_run(tmp_path / "new.ledger.db")

    assert checked[0].completeness.equals(checked[1].completeness)
    assert checked[0].completeness.equals(run.completeness)
    assert checked[0].birth_dates.height == run.birth_dates.height
    assert read_people(plain).drop("table").equals(read_people(other).drop("table"))
    assert lineage_of_source(other).height == lineage_of_source(plain).height
