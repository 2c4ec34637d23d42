"""What was read back is compared row by row, each found by its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from person_unify.files.database import Database, inspect
from person_unify.postgres.mirror import differences


def test_rows_are_found_by_their_key_and_by_no_other_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[str] = []
    for name in ("expected.db", "found.db"):
        with Database(tmp_path / name) as database:
            database.execute(
                "CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, gender TEXT, other TEXT)"
            )
            database.execute("CREATE UNIQUE INDEX by_other ON t (other)")
            database.execute("INSERT INTO t VALUES ('a', 'f', NULL), ('b', 'f', 'x')")
    with Database(tmp_path / "found.db", read_only=True) as database:
        table = inspect(database)["t"]
    rows = Database.rows

    def explained(database: Database, query: str) -> list[tuple[Any, ...]]:
        if "mirror" in query:
            plans.extend(str(row[-1]) for row in rows(database, f"EXPLAIN QUERY PLAN {query}"))
        return rows(database, query)

    monkeypatch.setattr(Database, "rows", explained)
    columns = {"t": (table.primary_key, table.column_names)}
    assert list(differences(tmp_path / "expected.db", tmp_path / "found.db", columns)) == []

    assert [plan for plan in plans if plan.startswith("SEARCH")] == [
        "SEARCH b USING INDEX sqlite_autoindex_t_1 (id=?)"
    ]
