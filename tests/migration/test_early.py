"""What can fail before the work does so; what Prisma will ask for is said in the next steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.migration.support import SMALL, change, make_target, migrated, old_database
from typer.testing import CliRunner

from person_unify.cli.app import app
from person_unify.errors import StrictStop
from person_unify.options import CheckOptions, MigrateOptions
from person_unify.page.advice import next_steps
from person_unify.pipeline import check, migrate
from person_unify.progress import Event, PhaseStarted
from person_unify.report import Report

FAULTY = {**SMALL, "patient_contacts": [{"id": "lost", "patient_id": "nobody"}]}
HISTORY = (
    "CREATE TABLE _prisma_migrations (id TEXT PRIMARY KEY NOT NULL, checksum TEXT NOT NULL, "
    "finished_at DATETIME, migration_name TEXT NOT NULL, rolled_back_at DATETIME)",
    "INSERT INTO _prisma_migrations VALUES ('1', 'a', 1700000000000, '20240101_unified', NULL)",
)
FAILED = "INSERT INTO _prisma_migrations VALUES ('2', 'b', NULL, '20250202 views', NULL)"
UNDONE = "INSERT INTO _prisma_migrations VALUES ('3', 'c', NULL, '20250303_undone', 1700000000000)"


def test_strict_is_judged_before_the_verification(tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", FAULTY)
    events: list[Event] = []

    with pytest.raises(StrictStop):
        migrate(MigrateOptions(source, tmp_path / "new.db", strict=True), events.append)

    begun = [event.phase for event in events if isinstance(event, PhaseStarted)]
    assert "load" in begun
    assert "verify" not in begun


@pytest.mark.parametrize("obstacle", ["there", "no directory", "a link"])
@pytest.mark.parametrize("command", ["check", "verify"])
def test_a_page_that_cannot_be_written_is_said_before_the_work(
    command: str, obstacle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / ("gone/p.html" if obstacle == "no directory" else "p.html")
    if obstacle == "there":
        page.write_text("mine")
    elif obstacle == "a link":
        page.symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(f"person_unify.pipeline.{command}", lambda *_: pytest.fail("it worked"))

    words = [command, "old.db", *(["new.db"] if command == "verify" else []), "--html", str(page)]
    done = CliRunner().invoke(app, words)

    assert done.exit_code == (1 if obstacle == "no directory" else 2)
    assert "p.html" in done.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_verify_writes_its_page(tmp_path: Path) -> None:
    done = migrated(tmp_path)
    page = tmp_path / "p.html"

    ended = CliRunner().invoke(
        app, ["verify", str(tmp_path / "old.db"), str(done.target), "--html", str(page), "-q"]
    )

    assert ended.exit_code == 0, ended.stderr
    assert "Verified" in page.read_text("utf-8")
    assert page.stat().st_mode & 0o777 == 0o600


def _commands(report: Report) -> str:
    return "\n".join(command for step in next_steps(report) for command in step.commands)


def test_a_target_that_prisma_does_not_know_needs_a_baseline(tmp_path: Path) -> None:
    assert "migrate resolve --applied" in _commands(migrated(tmp_path).report)


def test_a_target_with_prismas_history_needs_none(tmp_path: Path) -> None:
    change(make_target(tmp_path / "new.db"), *HISTORY, UNDONE)

    assert "migrate resolve" not in _commands(migrated(tmp_path).report)


def test_a_failed_migration_of_the_target_is_named(tmp_path: Path) -> None:
    target = make_target(tmp_path / "new.db")
    change(target, *HISTORY, FAILED, UNDONE)
    source = old_database(tmp_path / "old.db", SMALL)

    for report in (check(CheckOptions(source, target)), migrate(MigrateOptions(source, target))):
        assert "migrate resolve --rolled-back '20250202 views'" in _commands(report)
        assert "undone" not in _commands(report)


def test_a_failed_verification_ends_with_its_verdict(tmp_path: Path) -> None:
    done = migrated(tmp_path)
    change(done.target, "UPDATE persons SET last_name = 'Another'")

    ended = CliRunner().invoke(
        app, ["verify", str(tmp_path / "old.db"), str(done.target), "--quiet"]
    )

    *_, command, verdict = ended.stdout.splitlines()
    assert ended.exit_code == 4
    assert verdict.startswith("NOT VERIFIED: ")
    assert "cells_match" in verdict
    assert f"person-unify diff {tmp_path / 'old.db'} {done.target}" in command
    assert "\nverified" not in ended.stdout
