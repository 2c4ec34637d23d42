from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from person_unify.cli.app import app
from person_unify.schema import OLD, UNIFIED, Schema, ddl

runner = CliRunner()


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        return {name for (name,) in connection.execute(query)}


@pytest.mark.parametrize(("option", "schema"), [("--old", OLD), ("--unified", UNIFIED)])
def test_printed_schema_is_a_script_that_runs(option: str, schema: Schema) -> None:
    result = runner.invoke(app, ["schema", option])

    assert result.exit_code == 0
    assert result.stdout == ddl(schema)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(result.stdout)


@pytest.mark.parametrize(("option", "schema"), [("--old", OLD), ("--unified", UNIFIED)])
def test_into_creates_the_database(tmp_path: Path, option: str, schema: Schema) -> None:
    path = tmp_path / "leer und neu.db"
    result = runner.invoke(app, ["schema", option, "--into", str(path)])

    assert result.exit_code == 0
    assert tables(path) == set(schema)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_into_leaves_an_existing_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    path.write_bytes(b"precious")
    result = runner.invoke(app, ["schema", "--unified", "--into", str(path)])

    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert path.read_bytes() == b"precious"
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.db"]


def test_into_a_missing_directory_names_it(tmp_path: Path) -> None:
    result = runner.invoke(app, ["schema", "--old", "--into", str(tmp_path / "no" / "new.db")])

    assert result.exit_code == 1
    assert str(tmp_path / "no") in result.stderr
