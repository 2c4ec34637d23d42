"""Evidence is per target: report, page and checkpoints carry its name and are never replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.migration.support import SMALL, old_database

from person_unify.errors import StrictStop
from person_unify.options import MigrateOptions
from person_unify.pipeline import migrate

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
