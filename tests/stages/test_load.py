"""Load: one transaction over target and ledger, in new files or on the copy of one that exists."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from tests.migration.support import change, make_target, query
from tests.strategies.handmade import write

from person_unify.errors import TargetError
from person_unify.frames.model import Outcome
from person_unify.schema import UNIFIED
from person_unify.stages.load import Loader


def _loader(directory: Path, before: Path | None = None) -> Loader:
    snapshot = write(directory / "snapshot.db")
    return Loader(directory / "new.db", directory / "ledger.db", snapshot, before)


def _users() -> Outcome:
    columns = ("id", "email", "password_hash", "role", "status")
    rows = pl.DataFrame({**{c: ["x"] for c in columns}, "updated_at": [1]})
    return Outcome("users", 1, {"users": rows})


def test_what_the_target_begins_as_is_only_read(tmp_path: Path) -> None:
    before = make_target(tmp_path / "before.db")
    change(before, "CREATE TRIGGER watch AFTER INSERT ON users BEGIN SELECT 1; END")
    content = before.read_bytes()
    loader = _loader(tmp_path, before)
    loader.begin(UNIFIED.values())
    loader.load(_users())
    loader.commit()

    assert before.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "before.db",
        "ledger.db",
        "new.db",
        "snapshot.db",
    ]


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_commit_keeps_rows_triggers_and_journal_mode(mode: str, tmp_path: Path) -> None:
    before = make_target(tmp_path / "before.db")
    change(before, "CREATE TRIGGER watch AFTER INSERT ON users BEGIN SELECT RAISE(ABORT, ''); END")
    change(before, "PRAGMA user_version = 7", f"PRAGMA journal_mode = {mode}")
    loader = _loader(tmp_path, before)
    loader.begin(UNIFIED.values())
    loaded = loader.load(_users())
    loader.finish(UNIFIED.values())
    loader.commit()

    target = tmp_path / "new.db"
    assert loaded == 1
    assert query(target, "PRAGMA journal_mode") == [{"journal_mode": mode.lower()}]
    assert query(target, "SELECT id FROM users") == [{"id": "x"}]
    assert query(target, "SELECT name FROM sqlite_master WHERE type = 'trigger'")
    assert query(target, "PRAGMA user_version") == [{"user_version": 7}]


def test_unique_that_is_part_of_a_table_cannot_be_dropped(tmp_path: Path) -> None:
    before = tmp_path / "before.db"
    with closing(sqlite3.connect(before)) as connection:
        connection.execute("CREATE TABLE parent_child_views (id TEXT, person_id TEXT UNIQUE)")
    loader = _loader(tmp_path, before)
    loader.begin(())
    try:
        with pytest.raises(TargetError, match="part of the table's definition"):
            loader.drop_unique("parent_child_views", "person_id")
    finally:
        loader.close()
