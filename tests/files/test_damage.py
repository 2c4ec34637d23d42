"""What a database may be full of without being damaged, and what this SQLite lacks (section 2)."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.migration.support import SMALL, migrated, old_database

from person_unify.errors import SourceError, VerificationFailed
from person_unify.files.damage import has_unreadable_pages
from person_unify.options import MigrateOptions
from person_unify.pipeline import migrate, verify
from person_unify.report import CheckResult
from person_unify.run.acceptance import require_sound
from person_unify.stages.extract import Extractor

VIOLATED = {
    "CHECK": "CREATE TABLE t (a, b CHECK (b > 0)); PRAGMA ignore_check_constraints = ON; "
    "INSERT INTO t VALUES (1, -1)",
    "NOT NULL": "CREATE TABLE t (a, b TEXT); INSERT INTO t VALUES (1, NULL); "
    "PRAGMA writable_schema = ON; "
    "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a, b TEXT NOT NULL)' WHERE name = 't'",
    "declared type": "CREATE TABLE t (a TEXT, b TEXT); INSERT INTO t VALUES ('x', 'y'); "
    "PRAGMA writable_schema = ON; "
    "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a INTEGER, b TEXT)' WHERE name = 't'",
    "STRICT type": "CREATE TABLE t (a TEXT, b TEXT); INSERT INTO t VALUES ('x', 'y'); "
    "PRAGMA writable_schema = ON; "
    "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a INT, b TEXT) STRICT' WHERE name = 't'",
}
LACKING = {
    "collation of a column": "CREATE TABLE t (a TEXT PRIMARY KEY, b TEXT COLLATE LOCALIZED)",
    "collation of a UNIQUE": "CREATE TABLE t (a TEXT, b TEXT COLLATE LOCALIZED UNIQUE)",
    "collation of a key": "CREATE TABLE t (a TEXT COLLATE LOCALIZED PRIMARY KEY, b TEXT)",
    "collation of an index": "CREATE TABLE t (a, b); CREATE INDEX i ON t (b COLLATE LOCALIZED)",
    "function of a CHECK": "CREATE TABLE t (a, b CHECK (secret(b)))",
    "function of an index": "CREATE TABLE t (a, b); CREATE INDEX i ON t (secret(a))",
    "function of a partial index": "CREATE TABLE t (a, b); CREATE INDEX i ON t (b) WHERE secret(a)",
    "stored column": "CREATE TABLE t (a, b, c GENERATED ALWAYS AS (secret(a)) STORED)",
    "virtual column": "CREATE TABLE t (a, b, c GENERATED ALWAYS AS (secret(a)) VIRTUAL)",
    "view": "CREATE TABLE t (a, b); CREATE VIEW v AS SELECT secret(a) FROM t",
}
WITHOUT_ROWID = "CREATE TABLE t (a TEXT COLLATE LOCALIZED PRIMARY KEY, b TEXT) WITHOUT ROWID"


def extend(path: Path, statements: str, rows: Iterable[tuple[str, str]] = ()) -> Path:
    """Run statements as an application would that has a collation and a function of its own."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_collation("LOCALIZED", lambda a, b: (a > b) - (a < b))
        connection.create_function("secret", 1, lambda x: x, deterministic=True)
        connection.executescript(statements)
        connection.executemany("INSERT INTO t (a, b) VALUES (?, ?)", rows)
    return path


@settings(max_examples=20, deadline=None)
@given(st.permutations(["a", "b", "c", "d"]), st.integers(1, 3))
def test_a_healthy_table_without_rowid_is_not_damaged(columns: list[str], keys: int) -> None:
    listed = ", ".join(f"{c} TEXT NOT NULL" for c in columns)
    key = ", ".join(sorted(columns)[:keys])
    with tempfile.TemporaryDirectory() as directory:
        path = extend(
            Path(directory) / "t.db",
            f"CREATE TABLE t ({listed}, PRIMARY KEY ({key})) WITHOUT ROWID; "
            "INSERT INTO t VALUES ('1', '2', '3', '4')",
        )

        assert not has_unreadable_pages(path)


@pytest.mark.parametrize("rule", VIOLATED)
def test_rows_that_break_their_tables_own_rules_are_rows_like_any_other(
    rule: str, tmp_path: Path
) -> None:
    done = migrated(tmp_path, SMALL, VIOLATED[rule].split("; "))

    assert len(done.archived("t")) == 1
    assert not verify(done.source, done.target).failed_checks


def test_content_that_hides_behind_more_content_is_no_damage_and_a_lost_page_is(
    tmp_path: Path,
) -> None:
    path = extend(tmp_path / "t.db", "PRAGMA page_size = 512; CREATE TABLE t (a, b)")
    extend(path, "", [(str(n), "x" * 100) for n in range(500)])
    extend(
        path,
        "PRAGMA writable_schema = ON; "
        "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a INT, b CHECK (b > 0))' WHERE name = 't'",
    )
    sound = has_unreadable_pages(path)
    content = bytearray(path.read_bytes())
    content[512 * 40 : 512 * 41] = bytes(512)
    path.write_bytes(content)

    assert not sound
    assert has_unreadable_pages(path)


@pytest.mark.parametrize("what", LACKING)
def test_rows_are_read_without_what_only_the_application_has(what: str, tmp_path: Path) -> None:
    path = extend(old_database(tmp_path / "old.db", SMALL), LACKING[what], [("x", "1"), ("z", "2")])

    extractor = Extractor(path)
    frame = extractor.read("t").frame

    assert not has_unreadable_pages(path)
    assert extractor.count("t") == 2
    assert extractor.has_rows("t")
    assert extractor.text_bytes("t") > 0
    assert frame.height == 2
    assert ("c" in frame.columns) is (what == "stored column")
    parts = [part.height for part, _ in extractor.parts("t", 1)]
    assert sum(parts) == 2


def test_a_table_that_cannot_be_read_without_it_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = extend(old_database(tmp_path / "old.db", SMALL), WITHOUT_ROWID, [("x", "y")])

    with pytest.raises(SourceError, match=r"t is a WITHOUT ROWID table .* LOCALIZED\): copy"):
        Extractor(path)


@pytest.mark.parametrize("statements", [VIOLATED["CHECK"], LACKING["function of a CHECK"]])
def test_a_failed_check_is_named_for_what_it_is(statements: str, tmp_path: Path) -> None:
    """Remarks on content of the source do not explain a failed check of the result."""
    source = extend(old_database(tmp_path / "old.db", SMALL), statements)
    report = migrate(MigrateOptions(source, tmp_path / "new.db"))
    failed = CheckResult("persons", None, 1, 2, "failed", "")

    with pytest.raises(VerificationFailed, match=r"1 of \d+ checks failed, .*: persons"):
        require_sound(replace(report, verification=(*report.verification, failed)))
