"""Names, ids and texts of an old database steer no terminal, page or document of any command."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.migration.support import SMALL, Migrated, change, migrated
from typer.testing import CliRunner

from person_unify.cli.app import app
from person_unify.schema import quote

EVIL = "e\x1b[2J\x1b]0;t\x07\r\u202e\u2066\u200b<b>|`*x*`\n# y"
"""Clears the screen, names the window, turns what follows round, and is markup besides."""
STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    rows = {
        **SMALL,
        "patients": [{"id": "p1", "clinician_id": "u1"}, {"id": EVIL, "clinician_id": EVIL}],
        "children": [{"id": EVIL, "parent_id": "r1", "linked_patient_id": EVIL}],
    }
    before = [
        f"CREATE TABLE {quote(EVIL)} ({quote(f'c {EVIL}')} TEXT)",
        f"INSERT INTO {quote(EVIL)} VALUES ('x')",
        f"ALTER TABLE users ADD COLUMN {quote(f'c {EVIL}')} TEXT DEFAULT 'x'",
        f"CREATE INDEX {quote(f'i {EVIL}')} ON users (email)",
    ]
    return migrated(tmp_path_factory.mktemp("hostile"), rows, before)


def calls(run: Migrated, place: Path) -> Iterator[tuple[int, Sequence[str | Path]]]:
    """Commands, and how they end."""
    yield 0, ["check", run.source, "--tables"]
    yield 0, ["check", run.source, "--json"]
    yield 0, ["verify", run.source, run.target, "--tables"]
    yield 0, ["diff", run.source, run.target]
    yield 0, ["rebuild", run.target, place / "rebuilt.db", "--compare", run.source]
    for form in ("text", "markdown", "mermaid"):
        yield 0, ["lineage", run.target, "--format", form]
    yield 0, ["lineage", "--source", run.source]
    yield 0, ["trace", run.target, "child", EVIL]
    yield 2, ["trace", run.target, EVIL, EVIL]
    yield 0, ["leftovers", run.target]
    yield 0, ["leftovers", run.target, "--kind", "orphaned_record"]
    yield 0, ["report", run.target, place / "page.html"]
    yield 2, ["diff", run.source, run.target, EVIL + "z"]
    yield 2, ["export", run.target, place / "out", "--format", "csv", "--table", EVIL]
    yield 0, ["export", run.target, place / "out", "--format", "csv"]
    yield 0, ["review", "export", run.target, place / "review.csv"]
    yield 0, ["status", run.target]


def told(words: Sequence[str | Path], code: int) -> str:
    """What a command says, which steers nothing."""
    result = CliRunner().invoke(app, list(map(str, words)))
    said = result.stdout + result.stderr
    assert result.exit_code == code, (words[0], result.stderr)
    assert STEERS.search(said) is None, (words[0], said)
    assert "\n# y" not in said, words[0]
    return said


def test_nothing_of_a_name_steers_what_shows_it(done: Migrated, tmp_path: Path) -> None:
    for code, words in calls(done, tmp_path):
        told(words, code)

    page = (tmp_path / "page.html").read_text("utf-8")
    assert STEERS.search(page) is None
    assert "<b>|" not in page
    assert "e\\x1b[2J" in page


@pytest.mark.parametrize("column", ["disposition", "rule", "source_column", "target_column"])
def test_nothing_that_somebody_wrote_into_a_ledger_does(
    column: str, done: Migrated, tmp_path: Path
) -> None:
    for path in (done.source, done.target, done.ledger):
        shutil.copy(path, tmp_path)
    evil = EVIL.replace("'", "''")
    change(
        tmp_path / done.ledger.name,
        f"UPDATE lineage SET {column} = {column} || '{evil}' WHERE source_table = 'users'",
        f"UPDATE discrepancies SET message = '{evil}', field = '{evil}'",
    )
    target = tmp_path / done.target.name

    for form in ("text", "markdown", "mermaid"):
        told(["lineage", target, "--format", form], 0)
    told(["trace", target, "child", EVIL], 0)
    told(["leftovers", target, "--kind", "orphaned_record"], 0)
    told(["report", target, tmp_path / "page.html"], 0)
    told(["verify", tmp_path / done.source.name, target, "--tables"], 4)
    assert STEERS.search((tmp_path / "page.html").read_text("utf-8")) is None
