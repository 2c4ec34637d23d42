"""Load: one transaction over target and ledger, in a file of our own or in somebody else's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from tests.migration.support import change, make_target, query
from tests.strategies.handmade import write

from person_unify.errors import TargetError
from person_unify.frames import Outcome
from person_unify.schema import UNIFIED
from person_unify.stages.load import Loader


def _loader(directory: Path, *, created: bool) -> Loader:
    snapshot = write(directory / "snapshot.db")
    return Loader(directory / "new.db", directory / "ledger.db", snapshot, created=created)


def _users() -> Outcome:
    columns = ("id", "email", "password_hash", "role", "status")
    rows = pl.DataFrame({**{c: ["x"] for c in columns}, "updated_at": [1]})
    return Outcome("users", 1, {"users": rows})


def test_closing_without_commit_leaves_an_existing_target_as_it_was(tmp_path: Path) -> None:
    target = make_target(tmp_path / "new.db")
    change(target, "CREATE TRIGGER watch AFTER INSERT ON users BEGIN SELECT 1; END")
    before = target.read_bytes()
    loader = _loader(tmp_path, created=False)
    loader.begin(UNIFIED.values())
    loader.load(_users())
    loader.close()

    assert target.read_bytes() == before
    assert not (tmp_path / "new.db-journal").exists()


def test_commit_keeps_rows_and_triggers(tmp_path: Path) -> None:
    target = make_target(tmp_path / "new.db")
    change(target, "CREATE TRIGGER watch AFTER INSERT ON users BEGIN SELECT RAISE(ABORT, ''); END")
    loader = _loader(tmp_path, created=False)
    loader.begin(UNIFIED.values())
    loaded = loader.load(_users())
    loader.finish(UNIFIED.values())
    loader.commit()
    loader.close()

    assert loaded == 1
    assert query(target, "SELECT id FROM users") == [{"id": "x"}]
    assert query(target, "SELECT name FROM sqlite_master WHERE type = 'trigger'")


def test_unique_that_is_part_of_a_table_cannot_be_dropped(tmp_path: Path) -> None:
    target = tmp_path / "new.db"
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("CREATE TABLE parent_child_views (id TEXT, person_id TEXT UNIQUE)")
    loader = _loader(tmp_path, created=False)
    loader.begin(())
    try:
        with pytest.raises(TargetError, match="part of the table's definition"):
            loader.drop_unique("parent_child_views", "person_id")
    finally:
        loader.close()
