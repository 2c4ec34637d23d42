"""Tables keyed otherwise than usual, ids that stand twice, columns that two tables share."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.migration.support import SMALL, Migrated, change, old_database, query
from tests.migration.test_against_reference import _differences
from tests.strategies.examples import drawn

from person_unify.errors import SourceError
from person_unify.pipeline import MigrateOptions, migrate, verify
from person_unify.schema import OLD, quote

Rows = Sequence[Mapping[str, Any]]


def keyed(path: Path, table: str, key: Sequence[str], rows: Rows, **others: Rows) -> Path:
    """A small old database with one table that declares another key, or none, and these rows."""
    source = old_database(path, {**SMALL, **others})
    columns = dict.fromkeys(OLD[table].column_names) | dict.fromkeys(c for row in rows for c in row)
    types = {c: (known.type if (known := OLD[table].column(c)) else "TEXT") for c in columns}
    lines = [f"{quote(name)} {type_}" for name, type_ in types.items()]
    lines += [f"PRIMARY KEY ({', '.join(map(quote, key))})"] if key else []
    change(source, f"DROP TABLE {table}", f"CREATE TABLE {table} ({', '.join(lines)})")
    for row in rows:
        cells = ", ".join("NULL" if c is None else repr(c) for c in row.values())
        change(source, f"INSERT INTO {table} ({', '.join(map(quote, row))}) VALUES ({cells})")
    return source


def proven(source: Path) -> Migrated:
    """Migrate, and hold the result against the reference and the verification."""
    target = source.with_name("new.db")
    report = migrate(MigrateOptions(source, target))
    assert not _differences(source, report, target)
    assert not verify(source, target).failed_checks
    return Migrated(source, target, source.with_name("new.ledger.db"), report)


USERS = [{"id": f"u{n}", "email": f"u{n}@example.org"} for n in (1, 2)]
PARENT = {"id": "r1", "user_id": "u2"}
LINK = {"id": "l1", "parent_id": "r1", "patient_id": "p1", "is_primary": 1}
CONSENT = {"id": "g1", "token": "t1", "parent_id": "r1", "patient_id": "p1", "status": "revoked"}
CONTACT = {"id": "k1", "patient_id": "p1", "first_name": "A"}
PLAN = {"id": "x", "patient_id": "p1", "academic_year": "2024"}
KEYED: dict[str, tuple[str, Sequence[str], Rows]] = {
    "users by e-mail": ("users", ("email",), USERS),
    "parents by user": ("parents", ("user_id",), [PARENT]),
    "tags with an id": (
        "patient_tags",
        ("id",),
        [
            {"id": f"t{n}", "patient_id": p, "tag": t}
            for n, (p, t) in enumerate([("p1", "a"), ("p1", "a"), ("c1", "a"), ("p1", "b")])
        ],
    ),
    "preferences with an id": ("user_preferences", ("id",), [{"id": "f1", "user_id": "u1"}]),
    "contacts by patient and id": (
        "patient_contacts",
        ("patient_id", "id"),
        [CONTACT, CONTACT | {"patient_id": "c1"}, CONTACT | {"patient_id": "gone"}],
    ),
    "contacts with a number": (
        "patient_contacts",
        ("n",),
        [CONTACT | {"n": 7}, CONTACT | {"id": "k2", "n": 3}],
    ),
    "plans by year": ("ieps", ("academic_year",), [PLAN]),
    "tokens": ("refresh_tokens", ("token",), [{"id": "o1", "token": "t", "user_id": "u1"}]),
    "consents by token": ("consent_grants", ("token",), [CONSENT]),
    "links by parent and patient": ("parent_children", ("parent_id", "patient_id"), [LINK]),
    "patients by number": (
        "patients",
        ("udid_number",),
        [{"id": "p1", "clinician_id": "u1", "udid_number": "n1", "gender": "male"}],
    ),
}


@pytest.mark.parametrize("what", KEYED)
def test_a_table_that_is_keyed_otherwise_is_migrated(what: str, tmp_path: Path) -> None:
    table, key, rows = KEYED[what]
    done = proven(keyed(tmp_path / "old.db", table, key, rows))

    assert done.mapped("patient_to_person") == {"p1"}
    assert len(done.rows("SELECT id FROM access_grants")) == 1
    assert len(done.rows("SELECT id FROM clinician_patient_views")) == 1
    if table == "consent_grants":
        assert done.rows("SELECT status FROM access_grants") == [{"status": "revoked"}]
    if table == "patient_tags":
        assert sorted(r["tag"] for r in done.rows("SELECT tag FROM tags")) == ["a", "b"]


def test_a_declared_key_that_is_null_is_refused_before_the_first_write(tmp_path: Path) -> None:
    source = keyed(tmp_path / "old.db", "users", ("email",), [{"id": "u1", "email": None}])

    with pytest.raises(SourceError, match="users has 1 rows whose primary key email is NULL"):
        migrate(MigrateOptions(source, tmp_path / "new.db"))


@pytest.mark.parametrize("patients", [("gone", "p1"), ("p1", "gone"), ("p1", "p1"), ("p1", "c1")])
def test_an_id_that_stands_twice_without_a_key_is_an_orphan_or_a_double(
    patients: tuple[str, str], tmp_path: Path
) -> None:
    rows = [{"id": "1", "patient_id": patient, "first_name": "A"} for patient in patients]
    done = proven(keyed(tmp_path / "old.db", "patient_contacts", (), rows))

    assert [row["id"] for row in done.rows("SELECT id FROM contacts")] == ["1"]
    kind = "orphaned_record" if "gone" in patients else "duplicate_key"
    assert [row["source_id"] for row in done.logged(kind)] == ["1"]


@pytest.mark.parametrize("users", [("gone", "u2"), ("u2", "gone"), ("u2", "u2")])
def test_a_parent_that_stands_twice_without_a_key(users: tuple[str, str], tmp_path: Path) -> None:
    rows = [{"id": "r1", "user_id": user} for user in users]
    done = proven(keyed(tmp_path / "old.db", "parents", (), rows))

    assert done.rows("SELECT id, user_id FROM parents") == [{"id": "r1", "user_id": "u2"}]
    assert len(done.rows("SELECT id FROM parent_child_views")) == 1


def test_a_tag_that_stands_twice_without_a_key_is_merged(tmp_path: Path) -> None:
    rows = [{"patient_id": "p1", "tag": "speech", "created_at": at} for at in (5, 7)]
    done = proven(keyed(tmp_path / "old.db", "patient_tags", (), rows))

    assert len(done.logged("merged_tag")) == 1
    assert len(query(done.ledger, "SELECT * FROM tag_to_tag")) == 1


def test_a_plan_that_stands_twice_and_shares_its_id_with_another_kind_of_plan(
    tmp_path: Path,
) -> None:
    peps = [{"id": "x", "patient_id": "p1", "parent_id": "r1", "plan_name": n} for n in "ab"]
    done = proven(keyed(tmp_path / "old.db", "peps", (), peps, ieps=[PLAN]))

    assert len(done.rows("SELECT id FROM education_plans")) == 2
    assert len(done.logged("duplicate_key", "x")) == len(done.logged("id_collision", "x")) == 1


def test_a_table_by_convention_without_a_key_is_logged_by_the_targets(tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    times = dict.fromkeys(("created_at", "updated_at", "enrolled_at"), 1_600_000_000_000)
    view = {"id": "v1", "patient_id": "p1", "school_id": "s1", "primary_teacher_id": "gone"}
    for table, row in {
        "schools": {"id": "s1", "name": "x", "school_type": "x"},
        "school_student_views": view,
    }.items():
        cells = row | times
        change(
            source,
            f"CREATE TABLE {table} ({', '.join(f'{name} TEXT' for name in cells)})",
            f"INSERT INTO {table} VALUES ({', '.join(map(repr, cells.values()))})",
        )

    done = proven(source)

    assert done.logged("dangling_reference", "v1")


@drawn(12)
@given(
    column=st.sampled_from(["nickname", "parent_notes"]),
    case=st.sampled_from([str.lower, str.upper, str.title]),
    child=st.booleans(),
    link=st.booleans(),
)
def test_an_unknown_column_that_children_and_links_share_is_the_childrens(
    column: str, case: Any, child: bool, link: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = tmp_path_factory.mktemp("shared") / "old.db"
    own = {case(column): "of the child"}
    children = [{**SMALL["children"][0], **own}] if child else []
    links = [{**LINK, column: "of the link"}] if link else []
    old_database(source, {**SMALL, "children": children, "parent_children": links})
    if not child:
        change(source, f"ALTER TABLE children ADD COLUMN {case(column)} TEXT")
    if not link:
        change(source, f"ALTER TABLE parent_children ADD COLUMN {column} TEXT")

    done = proven(source)

    views = done.rows(f"SELECT {column} AS said FROM parent_child_views")
    assert [view["said"] for view in views] == ["of the child" if child else None] * (child or link)
    if link:
        assert [row[column] for row in done.archived("parent_children")] == ["of the link"]


@pytest.mark.parametrize("links", [[], [LINK]], ids=["no link", "a link"])
def test_a_column_that_only_links_have(links: Rows, tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", {**SMALL, "parent_children": links})
    change(
        source,
        "ALTER TABLE parent_children ADD COLUMN nickname TEXT",
        "UPDATE parent_children SET nickname = 'of the link'",
    )

    done = proven(source)

    views = done.rows("SELECT nickname FROM parent_child_views")
    assert [view["nickname"] for view in views] == ["of the link" if links else None]


def _redeclared(path: Path, table: str, old: str, new: str) -> None:
    """Say another type of a column than the one its cells were stored under."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = ?", (old, new, table)
        )
        connection.commit()


@pytest.mark.parametrize("cell", [42, 2.5])
def test_numbers_under_a_column_that_was_redeclared_as_text(cell: float, tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    for column in ("phone", "emergency_contact"):
        _redeclared(source, "parents", f'"{column}" TEXT', f'"{column}" BLOB')
    change(source, f"UPDATE parents SET phone = {cell}, emergency_contact = {cell}")
    for column in ("phone", "emergency_contact"):
        _redeclared(source, "parents", f'"{column}" BLOB', f'"{column}" TEXT')

    done = proven(source)

    (row,) = done.archived("parents")
    assert (row["phone"], row["emergency_contact"]) == (cell, cell)
