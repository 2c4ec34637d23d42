"""Two runs beside each other differ in what was decided or mended between them, and in no more."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
from tests.explore.conftest import Sample
from tests.migration.support import change

from person_unify.explore import COMPARED, Run, compare, open_check
from person_unify.frames.decisions import Decision, Decisions, write_decisions
from person_unify.pipeline import CheckOptions


def test_a_run_and_its_check_do_not_differ(run: Run, checked: Run) -> None:
    found = compare(run, checked)

    assert found.counts["before"].to_list() == found.counts["after"].to_list()
    assert (found.persons.height, found.discrepancies.height, found.decisions.height) == (0, 0, 0)


def test_frames_have_their_documented_columns(run: Run, checked: Run) -> None:
    found = compare(run, checked)

    for name, columns in COMPARED.items():
        assert getattr(found, name).schema == {
            column: kind for column, (kind, _) in columns.items()
        }


def test_a_decision_shows_as_what_it_changed(sample: Sample, run: Run, tmp_path: Path) -> None:
    asked = run.questions.filter(pl.col("options").str.contains("unlink")).row(0, named=True)
    revealed = open_check(sample.source, reveal=True).questions
    same = pl.all_horizontal(
        pl.col(c).eq_missing(pl.lit(asked[c])) for c in ("kind", "source_id", "field")
    )
    evidence = revealed.filter(same)["evidence"].item()
    key = {c: asked[c] for c in ("kind", "source_table", "source_id", "related_id", "field")}
    decision = Decision(**key, decision="unlink", reviewer="R", note=None, evidence=evidence)
    write_decisions(Decisions((decision,)), tmp_path / "decisions.toml")

    after = open_check(CheckOptions(sample.source, decisions=tmp_path / "decisions.toml"))
    found = compare(run, after)

    counts = {what: (before, now) for what, before, now in found.counts.iter_rows()}
    assert counts["persons"][1] == counts["persons"][0] + 1
    assert found.decisions.select("decision", "reviewer", "before", "after").rows() == [
        ("unlink", "R", None, "applied")
    ]
    child = found.persons.filter(pl.col("origin_id") == asked["source_id"])
    assert set(child["before"]) == {None}
    assert asked["source_id"] in found.discrepancies["source_id"].to_list()


def test_what_was_mended_in_the_old_database_is_gone(
    sample: Sample, checked: Run, tmp_path: Path
) -> None:
    broken = checked.discrepancies.filter(kind="orphaned_record", source_table="messages")
    source = Path(shutil.copy(sample.source, tmp_path / "old.db"))
    change(source, f"DELETE FROM messages WHERE id = '{broken['source_id'][0]}'")

    found = compare(checked, open_check(source))

    assert found.discrepancies.select("change", "kind", "source_id", "after").rows() == [
        ("gone", "orphaned_record", broken["source_id"][0], None)
    ]
    assert found.persons.height == 0
