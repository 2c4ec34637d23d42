"""Evidence is per target: report, page and checkpoints carry its name and are never replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.migration.support import SMALL, old_database

from person_unify.errors import StrictStop, TargetError
from person_unify.options import MigrateOptions
from person_unify.pipeline import migrate
from person_unify.run.directory import FACTS, RunDirectory

FAULTY = {**SMALL, "patient_contacts": [{"id": "lost", "patient_id": "nobody"}]}


def test_targets_of_one_directory_keep_their_evidence(tmp_path: Path) -> None:
    for name in ("north", "south"):
        source = old_database(tmp_path / f"{name}.db", SMALL)
        migrate(MigrateOptions(source, tmp_path / f"{name}-v2.db"))

    for name in ("north", "south"):
        report = json.loads((tmp_path / f"{name}-v2.report.json").read_text())
        assert Path(report["target"]["path"]).name == f"{name}-v2.db"
        assert f"{name}-v2.db" in (tmp_path / f"{name}-v2.report.html").read_text()
        assert (tmp_path / f"{name}-v2.checkpoints.json").exists()


@pytest.mark.parametrize("ending", ["report.json", "report.html", "checkpoints.json"])
def test_evidence_that_is_there_is_not_replaced(tmp_path: Path, ending: str) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    there = tmp_path / f"new.{ending}"
    there.write_text("of an earlier run")

    migrate(MigrateOptions(source, tmp_path / "new.db"))

    (kept,) = tmp_path.glob(f"new.{ending}.earlier-*")
    assert kept.read_text() == "of an earlier run"
    assert there.read_text() != "of an earlier run"


def test_run_that_publishes_nothing_leaves_all_evidence(tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", FAULTY)
    migrate(MigrateOptions(source, tmp_path / "new.db"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(StrictStop):
        migrate(MigrateOptions(source, tmp_path / "second.db", strict=True))

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


SHARING = [("new.db", "new.sqlite"), ("new.sqlite", "new.db"), ("new.v2", "new"), ("new", "new.v2")]


@pytest.mark.parametrize(("first", "second"), SHARING)
def test_target_that_would_share_the_names_of_reports_is_refused(
    first: str, second: str, tmp_path: Path
) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    migrate(MigrateOptions(source, tmp_path / first))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(TargetError, match="whose name differs before its suffix"):
        migrate(MigrateOptions(source, tmp_path / second))

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("stopped", [False, True], ids=["under way", "stopped"])
@pytest.mark.parametrize(("first", "second"), SHARING)
def test_unfinished_run_has_the_names_of_its_reports_to_itself(
    first: str, second: str, stopped: bool, tmp_path: Path
) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    directory = RunDirectory.claim(tmp_path / first)
    if stopped:
        (directory.path / FACTS).write_text("{}")
        directory.leave()

    with pytest.raises(TargetError, match=f"a run into {tmp_path / first} is unfinished"):
        migrate(MigrateOptions(source, tmp_path / second))

    assert {path.name for path in tmp_path.iterdir()} == {"old.db", directory.path.name}
    if not stopped:
        directory.leave()


def test_runs_of_other_names_and_what_is_no_ledger_are_no_obstacle(tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    held = [RunDirectory.claim(tmp_path / name) for name in ("new.v2.db", "new-2.db", "anew.db")]
    (tmp_path / "new.ledger.txt").write_text("notes")
    RunDirectory.claim(tmp_path / "new").leave()

    assert migrate(MigrateOptions(source, tmp_path / "new.db")).outcome == "published"

    for directory in held:
        directory.leave()
