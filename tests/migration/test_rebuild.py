"""The old database comes back from target and ledger alone, whatever it held."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given
from tests.migration.likeness import differences
from tests.migration.support import SMALL, change, make_target, migrated, query
from tests.strategies import Description, build
from tests.strategies.examples import drawn
from tests.strategies.mutation import mutated_databases

from person_unify.errors import SchemaRefused, SourceError, TargetError, VerificationFailed
from person_unify.evidence.rebuilding import rebuild
from person_unify.pipeline import MigrateOptions, migrate
from person_unify.report import CheckResult, Report
from person_unify.run import migration
from person_unify.run.acceptance import run_checks
from person_unify.sample import SampleOptions, write_sample
from person_unify.schema import UNIFIED, Column, Table
from person_unify.stages.verify import Files


def proofs(report: Report) -> dict[str, str]:
    """Table -> outcome of its proof."""
    return {str(c.table): c.outcome for c in report.verification if c.name == "rebuild"}


def rebuilt(directory: Path) -> Path:
    """The database that a finished run in the directory leads back to, compared by both means."""
    path = directory / "rebuilt.db"
    rebuild(directory / "new.db", path, directory / "old.db")
    assert differences(directory / "old.db", path) == []
    return path


@drawn(12)
@given(mutated_databases())
def test_drawn_databases_with_unknown_tables_and_columns(description: Description) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source = build(description, Path(directory) / "old.db")
        kept = Path(tempfile.gettempdir()) / "person-unify-unproved.db"
        shutil.copy(source, kept)
        try:
            report = migrate(MigrateOptions(source, Path(directory) / "new.db"))
        except SchemaRefused:
            event("refused")
            return
        assert set(proofs(report).values()) <= {"passed", "not_applicable"}
        event("rebuilt")
        rebuilt(Path(directory))
        kept.unlink()


@pytest.mark.parametrize(("persons", "faults"), [(40, 0.0), (30, 1.0)])
def test_samples(persons: int, faults: float, tmp_path: Path) -> None:
    source, target = tmp_path / "old.db", tmp_path / "new.db"
    write_sample(source, SampleOptions(persons=persons, seed=5, faults=faults))

    report = migrate(MigrateOptions(source, target))
    found = rebuild(target, tmp_path / "rebuilt.db", source)

    assert differences(source, tmp_path / "rebuilt.db") == []
    assert "failed" not in proofs(report).values()
    assert found.rows == sum(table.source_rows for table in report.tables)
    assert found.compared > 40
    assert all(table.rows == table.expected for table in found.tables)
    assert query(
        tmp_path / "new.ledger.db", "SELECT 1 FROM verification WHERE \"check\" = 'rebuild'"
    )


def test_proof_in_a_target_of_prisma(tmp_path: Path) -> None:
    make_target(tmp_path / "new.db")

    found = migrated(tmp_path, SMALL)

    assert proofs(found.report)["patients"] == "passed"
    assert proofs(found.report)["ieps"] == "not_applicable"
    assert "rebuilt" not in str(os.listdir(tmp_path))
    rebuilt(tmp_path)


SIBLINGS = {
    **SMALL,
    "patients": [{"id": "p1", "clinician_id": "u1"}, {"id": "p2", "clinician_id": "u1"}],
    "children": [
        {"id": "c1", "parent_id": "r1", "linked_patient_id": "p1"},
        {"id": "c2", "parent_id": "r1", "linked_patient_id": "p1"},
        {"id": "c3", "parent_id": "r1", "linked_patient_id": "p2"},
        {"id": "c4", "parent_id": "r1"},
    ],
}
SCHOOLS = (
    "CREATE TABLE schools (id TEXT PRIMARY KEY, name TEXT, school_type TEXT, created_at DATETIME, "
    "updated_at DATETIME)",
    *(f"INSERT INTO schools VALUES ('s{n}', 'North', 'public', 1, 1)" for n in range(6)),
)


def _pupils(pupils: Sequence[str], key: str) -> list[str]:
    """A conventional table whose rows name children or patients; ``key`` is its primary key."""
    columns = [c for c in UNIFIED["school_student_views"].columns if c.name != "person_id"]
    listed = ", ".join(f"{c.name} {c.type}" for c in columns)
    named = [c.name for c in columns if c.not_null and c.name not in ("id", "school_id")]
    statements = [f"CREATE TABLE school_student_views (child_id TEXT, {listed}{key})"]
    for position, child in enumerate(pupils):
        given = {
            "child_id": child,
            "id": f"v{position}",
            "school_id": f"s{position}",
            **dict.fromkeys(named, 1),
        }
        cells = ", ".join(f"'{v}'" if isinstance(v, str) else str(v) for v in given.values())
        statements.append(f"INSERT INTO school_student_views ({', '.join(given)}) VALUES ({cells})")
    return statements


@pytest.mark.parametrize("key", [", PRIMARY KEY (id)", ", PRIMARY KEY (child_id)", ""])
@pytest.mark.parametrize(
    ("pupils", "ambiguous"), [(("c1", "c3", "c4"), {"c1"}), (("p1", "p2", "c4"), {"p1", "p2"})]
)
def test_a_child_is_told_from_its_siblings_and_its_patient(
    key: str, pupils: Sequence[str], ambiguous: set[str], tmp_path: Path
) -> None:
    found = migrated(tmp_path, SIBLINGS, [*SCHOOLS, *_pupils(pupils, key)])

    rebuilt(tmp_path)
    assert len(found.rows("SELECT 1 FROM school_student_views")) == len(pupils)
    listed = found.archived("school_student_views", "_archived LIKE '%\"child_id\"%'")
    assert {row["child_id"] for row in listed} == ambiguous


def _without_key(table: str) -> list[str]:
    """The table again, with the same columns and rows and no primary key."""
    return [
        f"ALTER TABLE {table} RENAME TO keyed",
        f"CREATE TABLE {table} AS SELECT * FROM keyed",
        "DROP TABLE keyed",
    ]


@pytest.mark.parametrize(
    "table",
    [
        "patients",
        "children",
        "parent_children",
        "consent_grants",
        "journal_entries",
        "patient_tags",
    ],
)
def test_tables_that_lost_their_key(table: str, tmp_path: Path) -> None:
    rows = {
        **SIBLINGS,
        "parent_children": [{"patient_id": p, "parent_id": "r1"} for p in ("p1", "c3", "gone")],
        "consent_grants": [{"patient_id": p, "parent_id": "r1", "token": p} for p in ("p1", "c4")],
        "journal_entries": [{"patient_id": p, "title": b"\xff"} for p in ("p1", "c1", "gone")],
        "patient_tags": [{"patient_id": p, "tag": t} for p in ("p1", "c1", "c4") for t in "ab"],
    }

    migrated(tmp_path, rows, _without_key(table))

    rebuilt(tmp_path)


def test_rows_that_share_an_id_come_back(tmp_path: Path) -> None:
    rows = {**SIBLINGS, "journal_entries": [{"patient_id": p} for p in ("p1", "c1", "c4")]}
    same = "UPDATE journal_entries SET id = 'j'"

    migrated(tmp_path, rows, [*_without_key("journal_entries"), same])

    rebuilt(tmp_path)


@pytest.mark.parametrize("table", ["patients", "children", "parent_children", "consent_grants"])
def test_repeated_ids_of_what_gets_a_new_id_are_refused(table: str, tmp_path: Path) -> None:
    rows = {
        **SIBLINGS,
        "parent_children": [{"patient_id": p, "parent_id": "r1"} for p in ("p1", "p2")],
        "consent_grants": [{"patient_id": p, "parent_id": "r1", "token": p} for p in ("p1", "c3")],
    }
    same = f"UPDATE {table} SET id = 'same'"

    with pytest.raises(SourceError, match=f"{table} has . repeated ids"):
        migrated(tmp_path, rows, [*_without_key(table), same])


def test_what_else_a_database_holds_comes_back(tmp_path: Path) -> None:
    statements = [
        'CREATE TABLE "od d" (a INTEGER PRIMARY KEY, b TEXT COLLATE NOCASE UNIQUE, c AS (a + 1))',
        "INSERT INTO \"od d\" (a, b) VALUES (-9223372036854775808, 'x'), (7, x'78')",
        'CREATE INDEX by_b ON "od d" (b) WHERE a > 0',
        'CREATE VIEW odd AS SELECT a FROM "od d"',
        'CREATE TRIGGER watch AFTER DELETE ON "od d" BEGIN DELETE FROM users; END',
        "CREATE VIRTUAL TABLE words USING fts5(text)",
        "INSERT INTO words VALUES ('one'), ('two')",
        "ALTER TABLE users ADD COLUMN extra DEFAULT 'no'",
        "ALTER TABLE patients RENAME COLUMN deleted_at TO removed",
    ]

    migrated(tmp_path, SMALL, statements)

    found = rebuild(tmp_path / "new.db", tmp_path / "rebuilt.db", tmp_path / "old.db")
    assert found.not_created == ("virtual table words",)
    listed = (
        "SELECT type, name, tbl_name, sql FROM sqlite_master "
        "WHERE sql NOT LIKE 'CREATE VIRTUAL%' AND type <> 'table' ORDER BY name"
    )
    before = query(tmp_path / "old.db", listed)
    assert query(tmp_path / "rebuilt.db", listed) == before
    assert {row["name"] for row in before} >= {"by_b", "odd", "watch"}
    assert query(tmp_path / "rebuilt.db", 'SELECT a, c FROM "od d" WHERE a = 7') == [
        {"a": 7, "c": 8}
    ]


@pytest.mark.parametrize("declared", ["TEXT", "REAL", ""])
def test_instants_come_back_by_value_in_columns_of_any_type(declared: str, tmp_path: Path) -> None:
    # Prisma declares DATETIME; a column that another tool made may have any type.
    statements = [
        f"ALTER TABLE patients ADD COLUMN discharged_at {declared}",
        "UPDATE patients SET discharged_at = CASE id WHEN 'p1' THEN '2023-11-14 22:13:20' "
        "WHEN 'p2' THEN 1700000000000 END",
    ]

    migrated(tmp_path, SIBLINGS, statements)

    rebuilt(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of one finished run, to be copied."""
    directory = tmp_path_factory.mktemp("finished")
    migrated(directory)
    return directory


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Path:
    """A directory with the files of a finished run."""
    return Path(shutil.copytree(finished, tmp_path / "place"))


def test_the_file_is_its_owners_and_nothing_is_replaced(place: Path) -> None:
    path = rebuilt(place)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(place.glob(".*rebuilding*"))
    with pytest.raises(TargetError, match="exists already"):
        rebuild(place / "new.db", path)
    with pytest.raises(TargetError, match="needs the target and its ledger"):
        rebuild(place / "old.db", place / "other.db")


def test_target_and_ledger_stay_as_they_are(place: Path) -> None:
    before = [(place / name).read_bytes() for name in ("new.db", "new.ledger.db", "old.db")]

    rebuilt(place)

    after = [(place / name).read_bytes() for name in ("new.db", "new.ledger.db", "old.db")]
    assert after == before


def test_a_ledger_that_does_not_keep_the_old_schema_is_refused(place: Path) -> None:
    change(place / "new.ledger.db", "DROP TABLE source_schema")

    with pytest.raises(TargetError, match="does not keep the old schema"):
        rebuild(place / "new.db", place / "rebuilt.db")


DAMAGE: Sequence[tuple[str, str, str]] = (
    ("new.db", "UPDATE users SET email = 'x' WHERE id = 'u1'", "users: 1 rows differ .email 1.*u1"),
    ("new.db", "UPDATE persons SET last_name = x'00'", "patients: 1 rows differ .last_name 1"),
    ("new.db", "DELETE FROM parents", "parents: 1 rows missing"),
    ("new.ledger.db", "DELETE FROM archive_children", "children: 1 rows differ"),
    ("new.ledger.db", "UPDATE archive_children SET id = 'c2'", "children: 1 rows too many"),
    ("new.ledger.db", "UPDATE archive_children SET gender = x'00'", "children: 1 .*gender 1"),
    ("new.ledger.db", "DELETE FROM patient_to_person", "patients: 1 rows missing"),
    ("old.db", "UPDATE users SET email = CAST(email AS BLOB)", "users: 2 rows differ .email 2"),
    ("old.db", "CREATE TABLE more (a)", "more: the table or its columns"),
    ("old.db", "ALTER TABLE users ADD COLUMN b", "users: the table or its columns"),
)


@pytest.mark.parametrize(("file", "statement", "said"), DAMAGE)
def test_damage_is_found_and_nothing_published(
    file: str, statement: str, said: str, place: Path
) -> None:
    change(place / file, statement)

    with pytest.raises(VerificationFailed, match=said):
        rebuild(place / "new.db", place / "rebuilt.db", place / "old.db")
    assert not (place / "rebuilt.db").exists()


def test_lost_rows_are_found_without_the_old_database(place: Path) -> None:
    change(place / "new.db", "DELETE FROM users WHERE id = 'u1'")

    with pytest.raises(VerificationFailed, match="users 1 of 2"):
        rebuild(place / "new.db", place / "rebuilt.db")
    assert not (place / "rebuilt.db").exists()


@pytest.mark.parametrize(
    ("statement", "said", "in_place"),
    [
        ("UPDATE users SET email = 'x' WHERE id = 'u1'", r"rebuild \(users\)", True),
        ("UPDATE ledger.archive_children SET gender = x'00'", r"rebuild \(children\)", False),
        ("DELETE FROM ledger.source_schema WHERE name = 'ieps'", r"rebuild \(sqlite_m", False),
        ("DROP TABLE ledger.source_schema", "rebuild", False),
        ("DROP TABLE ledger.patient_to_person", r"rebuild \(patients\)", True),
    ],
)
def test_a_failing_proof_publishes_nothing(
    statement: str, said: str, in_place: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(files: Files, *others: Any) -> list[CheckResult]:
        damaged_file = files.ledger if "ledger." in statement else files.target
        change(damaged_file, statement.replace("ledger.", ""))
        return run_checks(files, *others)

    monkeypatch.setattr(migration, "run_checks", damaged)
    if in_place:
        make_target(tmp_path / "new.db")

    with pytest.raises(VerificationFailed, match=said):
        migrated(tmp_path)
    assert not (tmp_path / "new.ledger.db").exists()
    assert (tmp_path / "new.db").exists() is in_place
    if in_place:
        assert query(tmp_path / "new.db", "SELECT 1 FROM users") == []


def test_a_new_conventional_table_of_a_target_comes_back(tmp_path: Path) -> None:
    clubs = Table("clubs", (Column("id", "TEXT", True, None, 1), Column("title", "TEXT")))
    make_target(tmp_path / "new.db", [*UNIFIED.values(), clubs])
    statements = [
        "CREATE TABLE clubs (id TEXT PRIMARY KEY, title TEXT, motto)",
        "INSERT INTO clubs VALUES ('1', 5, 2.5), ('2', x'ff', NULL)",
    ]

    found = migrated(tmp_path, SMALL, statements)

    assert len(found.rows("SELECT * FROM clubs")) == 2
    rebuilt(tmp_path)


def test_an_odd_number_survives(tmp_path: Path) -> None:
    statements = [
        "ALTER TABLE users ADD COLUMN n REAL",
        "UPDATE users SET n = 9e999 WHERE id = 'u1'",
    ]
    migrated(tmp_path, SMALL, statements)

    path = rebuilt(tmp_path)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT n FROM users ORDER BY id").fetchall() == [
            (float("inf"),),
            (None,),
        ]
