"""Targets with rules of their own: NOCASE, CHECK, partial and expression indexes (section 2)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.migration.support import SMALL, change, make_target, old_database, query
from tests.migration.test_against_reference import _differences

from person_unify.errors import TargetError
from person_unify.files.database import Database
from person_unify.files.target_rules import demands
from person_unify.frames.collations import collated
from person_unify.pipeline import CheckOptions, MigrateOptions, check, migrate, verify

USERS = [{"id": n, "email": f"{n}@example.org"} for n in ("u1", "u2", "u3")]
CHECKED = (
    "PRAGMA writable_schema = ON",
    "UPDATE sqlite_master SET sql = replace(sql, '\"role\" TEXT NOT NULL', "
    "'\"role\" TEXT NOT NULL CONSTRAINT known_role CHECK /* roles */ (role IN (''(a)'', ''b)''))')"
    " WHERE name = 'users'",
)
RULES = {
    "users_email_lower": ["CREATE UNIQUE INDEX users_email_lower ON users (lower(email) DESC)"],
    "one_active": ["CREATE UNIQUE INDEX one_active ON users(role) WHERE deleted_at IS NULL"],
    "odd": [
        "CREATE UNIQUE INDEX odd ON users (role, (substr(email, 1, 1)) /* , */ COLLATE NOCASE)"
    ],
    "known_role": list(CHECKED),
}
"""Rules that two of three users of one role break, by name."""


def source_and_target(directory: Path, rule: list[str], **tables: Any) -> tuple[Path, Path]:
    """An old database, and a target of Prisma's schema with a rule more."""
    source = old_database(directory / "old.db", {**SMALL, "users": USERS, **tables})
    target = make_target(directory / "new.db")
    change(target, *rule)
    return source, target


@pytest.mark.parametrize("name", RULES)
def test_rows_that_break_a_rule_end_the_run_and_check_names_the_rule(
    name: str, tmp_path: Path
) -> None:
    users = [user | {"role": "x", "email": "E@x.org".swapcase()} for user in USERS]
    users[0]["email"], users[1]["email"] = "e@x.org", "E@x.org"
    source, target = source_and_target(tmp_path, RULES[name], users=users)
    before = target.read_bytes()

    checked = check(CheckOptions(source, target=target))
    with pytest.raises(TargetError, match=rf"\d rows? breaks? {name} of users.*Nothing was pub"):
        migrate(MigrateOptions(source, target))

    assert f"the target asks of users: {name}" in checked.drift
    assert target.read_bytes() == before
    assert not (tmp_path / "new.ledger.db").exists()


def test_rule_that_cannot_be_judged_on_a_row_is_named(tmp_path: Path) -> None:
    source, target = source_and_target(
        tmp_path, ["CREATE INDEX by_json ON users (json_extract(email, '$.a'))"], users=USERS
    )
    before = target.read_bytes()

    with pytest.raises(TargetError, match=r"by_json of users cannot be judged.*Nothing was pub"):
        migrate(MigrateOptions(source, target))

    assert target.read_bytes() == before
    assert not list(tmp_path.glob("new.ledger*"))


@pytest.mark.parametrize("name", RULES)
def test_rows_that_keep_a_rule_are_loaded_and_the_rule_stays(name: str, tmp_path: Path) -> None:
    role = "b)" if name == "known_role" else None
    users = [u | {"role": role or f"r{n}"} for n, u in enumerate(USERS)]
    source, target = source_and_target(tmp_path, RULES[name], users=users)
    asked = "SELECT sql FROM sqlite_master WHERE name IN ('users', ?)"
    before = query(target, asked, name)

    report = migrate(MigrateOptions(source, target))

    assert f"the target asks of users: {name}" in report.drift
    assert query(target, asked, name) == before
    assert query(target, "SELECT count(*) AS n FROM users") == [{"n": 3}]
    assert query(target, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    assert not verify(source, target).failed_checks


def test_every_broken_rule_is_named_with_its_count(tmp_path: Path) -> None:
    rules = [statement for rule in RULES.values() for statement in rule]
    source, target = source_and_target(
        tmp_path, rules, users=[user | {"role": "x"} for user in USERS]
    )

    with pytest.raises(TargetError) as refused:
        migrate(MigrateOptions(source, target))

    assert "2 rows break one_active of users" in str(refused.value)
    assert "2 rows break odd of users" in str(refused.value)
    assert "3 rows break known_role of users" in str(refused.value)
    assert "users_email_lower" not in str(refused.value)


def test_the_built_in_schema_asks_nothing_more_and_foreign_rows_are_not_judged(
    tmp_path: Path,
) -> None:
    target = make_target(tmp_path / "new.db")
    change(target, "CREATE TABLE other (x CHECK (x > 0))", "PRAGMA ignore_check_constraints = ON")
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("INSERT INTO other VALUES (-1)")
        connection.commit()

    with Database(target, read_only=True) as database:
        assert demands(database) == []


def test_rows_that_a_unique_without_case_takes_for_one_are_doubles(tmp_path: Path) -> None:
    nocase = ["DROP INDEX users_email_key"]
    nocase += ["CREATE UNIQUE INDEX users_email_key ON users (email COLLATE NOCASE)"]
    users = [
        {"id": "u1", "email": "MA@home.test"},
        {"id": "u2", "email": "ma@home.TEST"},
        {"id": "u3", "email": "mÄ@home.test"},
        {"id": "u4", "email": "mä@home.test"},
    ]
    source, target = source_and_target(tmp_path, nocase, users=users)

    report = migrate(MigrateOptions(source, target))

    assert not _differences(source, report, target)
    assert [row["id"] for row in query(target, "SELECT id FROM users")] == ["u1", "u3", "u4"]
    (lost,) = query(
        tmp_path / "new.ledger.db", "SELECT * FROM discrepancies WHERE kind = 'duplicate_key'"
    )
    assert (lost["source_id"], lost["related_id"], lost["field"]) == ("u2", "u1", "email")
    assert not verify(source, target).failed_checks


def test_numbers_that_the_target_takes_for_one_go_to_the_first_holder(tmp_path: Path) -> None:
    nocase = ["DROP INDEX persons_udid_number_key"]
    nocase += ["CREATE UNIQUE INDEX persons_udid_number_key ON persons(udid_number COLLATE NOCASE)"]
    patients = [
        {"id": "p1", "udid_number": "mh-1", "created_at": 1_600_000_000_002},
        {"id": "p2", "udid_number": "MH-1", "created_at": 1_600_000_000_001},
        {"id": "p3", "udid_number": "MH-2", "created_at": 1_600_000_000_003},
    ]
    source, target = source_and_target(tmp_path, nocase, patients=patients)

    migrate(MigrateOptions(source, target))

    numbers = query(target, "SELECT udid_number FROM persons ORDER BY udid_number")
    assert [row["udid_number"] for row in numbers] == [None, "MH-1", "MH-2"]
    logged = query(
        tmp_path / "new.ledger.db",
        "SELECT source_id, related_id FROM discrepancies WHERE kind = 'duplicate_udid'",
    )
    assert logged == [{"source_id": "p1", "related_id": "p2"}]
    assert not verify(source, target).failed_checks


@given(st.lists(st.text(st.sampled_from("aAbBzZäÄ \0İ"), max_size=4), min_size=2, max_size=2))
def test_collations_are_those_of_sqlite(texts: list[str]) -> None:
    frame = pl.DataFrame({"text": texts})
    with closing(sqlite3.connect(":memory:")) as connection:
        for name in ("NOCASE", "RTRIM"):
            left, right = frame.select(collated(pl.col("text"), name)).to_series()
            asked = f"SELECT CAST(? AS TEXT) = CAST(? AS TEXT) COLLATE {name}"
            (equal,) = connection.execute(asked, [t.encode() for t in texts]).fetchone()
            assert (left == right) == bool(equal), (texts, name)


def test_generated_columns_and_full_text_indexes_are_left_to_sqlite(tmp_path: Path) -> None:
    source, target = source_and_target(
        tmp_path,
        [
            "ALTER TABLE persons ADD COLUMN full_name TEXT GENERATED ALWAYS AS "
            "(first_name || ' ' || last_name) VIRTUAL",
            "ALTER TABLE users ADD COLUMN nickname TEXT AS (upper(email)) VIRTUAL",
            "CREATE VIRTUAL TABLE people USING fts5 (first_name, content='persons')",
            "CREATE VIRTUAL TABLE notes USING fts5 (body)",
            "INSERT INTO notes VALUES ('kept')",
            "CREATE TABLE other (x, y REAL)",
            "INSERT INTO other VALUES ('1', 'text')",
        ],
        users=[user | {"nickname": "n"} for user in USERS],
    )

    migrate(MigrateOptions(source, target))

    (person,) = query(target, "SELECT first_name, full_name FROM persons")
    assert person["full_name"] == f"{person['first_name']} Rao"
    assert {row["nickname"] for row in query(target, "SELECT nickname FROM users")} == {
        user["email"].upper() for user in USERS
    }
    assert query(target, "SELECT body FROM notes WHERE notes MATCH 'kept'") == [{"body": "kept"}]
    assert query(target, "SELECT x, y FROM other") == [{"x": "1", "y": "text"}]
    archived = query(tmp_path / "new.ledger.db", "SELECT nickname FROM archive_users")
    assert {row["nickname"] for row in archived} == {"n"}
    assert not verify(source, target).failed_checks
