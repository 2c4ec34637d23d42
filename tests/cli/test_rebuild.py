"""``rebuild`` as a person calls it: output, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.migration.support import change, migrated
from typer.testing import CliRunner

from person_unify.cli.app import app

runner = CliRunner()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a finished run in it."""
    migrated(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_rebuild_prints_tables_cells_and_verdict(place: Path) -> None:
    result = runner.invoke(app, ["rebuild", "new.db", "again.db", "--compare", "old.db", "--quiet"])

    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0].endswith("  rebuild")
    assert "every table equals old.db: 4 compared, 51 without a row" in lines
    assert lines[-1].startswith("rebuilt 55 tables (51 without a row), 5 rows, in ")
    assert all(len(line) <= 100 and line.isascii() for line in lines)
    cells = [line.split() for line in lines if line.startswith("  children ")]
    assert cells[0][1] == "1"
    assert (place / "again.db").is_file()


def test_rebuild_without_the_old_database_claims_no_comparison(place: Path) -> None:
    result = runner.invoke(app, ["rebuild", "new.db", "again.db", "--quiet"])

    assert result.exit_code == 0
    assert "every table equals" not in result.stdout
    assert (place / "again.db").is_file()


def test_rebuild_tells_its_progress_and_result_as_json(place: Path) -> None:
    result = runner.invoke(app, ["rebuild", "new.db", "again.db", "--compare", "old.db", "--json"])

    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert {event.get("phase") for event in events} >= {"rebuild", "compare"}
    assert events[-1]["event"] == "result"
    assert sum(table["rows"] for table in events[-1]["report"]["tables"]) == 5
    assert {c["outcome"] for c in events[-1]["report"]["comparison"]} == {
        "passed",
        "not_applicable",
    }
    assert (place / "again.db").is_file()


def test_a_difference_ends_with_4_and_says_where(place: Path) -> None:
    change(place / "old.db", "UPDATE users SET email = NULL WHERE id = 'u2'")

    result = runner.invoke(app, ["rebuild", "new.db", "again.db", "--compare", "old.db"])

    assert result.exit_code == 4
    assert "users: 1 rows differ (email 1); for example u2" in result.stderr
    assert not (place / "again.db").exists()


def test_a_file_in_the_way_ends_with_3(place: Path) -> None:
    result = runner.invoke(app, ["rebuild", "new.db", "old.db"])

    assert result.exit_code == 3
    assert "old.db exists already" in result.stderr


def test_migrate_proves_that_everything_comes_back(place: Path) -> None:
    result = runner.invoke(app, ["migrate", "old.db", "other.db", "--quiet", "--json"])

    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    checks = [c for c in events[-1]["report"]["verification"] if c["name"] == "rebuild"]
    assert {c["outcome"] for c in checks} == {"passed", "not_applicable"}
    assert (place / "other.db").is_file()
