"""Absent tables whose rows stand elsewhere, and tables that only share a short name (section 2)."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.migration.support import SMALL, change, migrated, old_database
from tests.reference import Refused, migrate_reference
from tests.strategies.examples import drawn
from tests.strategies.handmade import filled

from person_unify.errors import SourceError
from person_unify.mappings import MAPPINGS, SHORT_NAMES
from person_unify.run.preflight import planned
from person_unify.schema import OLD, UNIFIED, quote
from person_unify.stages.extract import Extractor

LOADED = sorted({m.source for m in MAPPINGS if m.target is not None})
MOVES = {
    "an interrupted rebuild": "CREATE TABLE {other} AS SELECT * FROM {usual}; DROP TABLE {usual}",
    "renamed": "ALTER TABLE {usual} RENAME TO {other}",
    "a view in its place": "ALTER TABLE {usual} RENAME TO {other}; "
    "CREATE VIEW {usual} AS SELECT * FROM {other}",
    "only a view": "ALTER TABLE {usual} RENAME TO {other}; ALTER TABLE {other} RENAME COLUMN "
    "{key} TO aside; CREATE VIEW shown AS SELECT *, aside AS {key} FROM {other}",
}
"""How a table may have come away, in SQL."""


def small(path: Path, *tables: str) -> Path:
    """A small old database with one row more in each of the tables."""
    rows = {name: list(found) for name, found in SMALL.items()}
    for name in tables:
        rows.setdefault(name, []).append(filled(name, {}, 9))
    return old_database(path, rows)


@drawn(30)
@given(
    usual=st.sampled_from(LOADED),
    move=st.sampled_from(sorted(MOVES)),
    other=st.sampled_from(["new_{}", "{}_old", "{}_backup", "Model", "_{}"]),
)
def test_a_table_that_was_moved_away_is_refused_and_both_are_named(
    usual: str, move: str, other: str
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source = small(Path(directory) / "old.db", usual)
        other = other.format(usual)
        names = {"usual": quote(usual), "other": quote(other), "key": OLD[usual].primary_key[0]}
        with closing(sqlite3.connect(source, isolation_level=None)) as connection:
            connection.execute("PRAGMA legacy_alter_table = ON")
            for statement in MOVES[move].format(**names).split("; "):
                connection.execute(statement)

        with pytest.raises(SourceError, match=re.escape(f"no table {usual},")) as refused:
            planned(Extractor(source), UNIFIED)

        named = "view shown" if move == "only a view" else f"table {other}"
        assert named in str(refused.value)
        assert "usual name" in str(refused.value)
        with pytest.raises(Refused):
            migrate_reference(source, run_time_ms=0)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM new_audit_logs",
        "ALTER TABLE new_audit_logs RENAME COLUMN action TO verb",
        "CREATE TABLE audit_logs (id TEXT PRIMARY KEY, action TEXT)",
    ],
)
def test_no_rows_other_columns_or_an_empty_table_of_the_name_are_no_obstacle(
    statement: str, tmp_path: Path
) -> None:
    source = small(tmp_path / "old.db", "audit_logs")
    change(source, "ALTER TABLE audit_logs RENAME TO new_audit_logs", statement)

    plan = planned(Extractor(source), UNIFIED)

    assert "new_audit_logs" in [table.name for table in plan.unmapped]


@pytest.mark.parametrize(
    ("id_", "refused"), [("json_extract(id, '$.id')", True), ("secret(id)", False)]
)
def test_a_view_that_fails_may_show_the_rows_and_one_of_no_known_columns_is_ignored(
    id_: str, refused: bool, tmp_path: Path
) -> None:
    source = small(tmp_path / "old.db")
    change(
        source,
        "ALTER TABLE parents RENAME TO guardians",
        "ALTER TABLE guardians RENAME COLUMN user_id TO who",
        f"CREATE VIEW shown AS SELECT {id_} AS id, who AS user_id, updated_at FROM guardians",
    )

    with (
        pytest.raises(SourceError, match=r"no table parents, .* view shown")
        if refused
        else nullcontext()
    ):
        planned(Extractor(source), UNIFIED)


STRANGERS = {
    "contacts": "(id TEXT PRIMARY KEY, name TEXT, message TEXT)",
    "documents": "(id TEXT PRIMARY KEY, body TEXT)",
    "tags": "(id TEXT PRIMARY KEY, name TEXT)",
    "screenings": "(film TEXT PRIMARY KEY, patient_id TEXT)",
    "sessions": "(sid TEXT PRIMARY KEY, expired INTEGER, sess TEXT)",
    "activities": "(id TEXT PRIMARY KEY, patient_id TEXT, verb TEXT)",
}


@drawn(12)
@given(
    short=st.sampled_from(sorted(STRANGERS)),
    beside=st.sampled_from(["rows", "no rows", "no table"]),
    case=st.sampled_from([str.lower, str.upper, str.title]),
)
def test_a_table_that_only_shares_a_short_name_is_a_stranger(
    short: str, beside: str, case: object
) -> None:
    usual = next(name for name, other in SHORT_NAMES.items() if other == short)
    assert callable(case)
    name = case(short)
    with tempfile.TemporaryDirectory() as directory:
        source = small(Path(directory) / "old.db", *([usual] if beside == "rows" else []))
        change(
            source,
            f"CREATE TABLE {name} {STRANGERS[short]}",
            f"INSERT INTO {name} DEFAULT VALUES",
            *([f"DROP TABLE {usual}"] if beside == "no table" else []),
        )

        plan = planned(Extractor(source), UNIFIED)

        assert [table.name for table in plan.unmapped] == [name]
        assert plan.source_names.get(usual) == (None if beside == "no table" else usual)


def test_login_sessions_are_archived_beside_the_consultations(tmp_path: Path) -> None:
    statement = "CREATE TABLE sessions (sid TEXT PRIMARY KEY, expired INTEGER, sess TEXT)"

    done = migrated(tmp_path, SMALL, [statement, "INSERT INTO sessions VALUES ('a', 1, '{}')"])

    assert [row["sid"] for row in done.archived("sessions")] == ["a"]
    assert not done.rows("SELECT * FROM consultation_sessions")
