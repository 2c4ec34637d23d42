"""Every frame has its documented columns, says what the files say, and shows nobody's data."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from polars.testing import assert_frame_equal
from tests.explore.conftest import Sample
from tests.explore.strange import again, stored, strange
from tests.migration.support import SMALL, change, migrated, query
from tests.strategies import Description, build, old_databases
from tests.strategies.examples import drawn

from person_unify.errors import SchemaRefused, TargetError, UsageError
from person_unify.explore import DIFFERENCES, FRAMES, TRACE, Run, open_check, open_run
from person_unify.explore.columns import HIDDEN, IDENTITY, VALUES, schema_of
from person_unify.frames.decisions import Decision, Decisions, write_decisions
from person_unify.frames.model import QUESTION_KEY
from person_unify.pipeline import CheckOptions, MigrateOptions, check, migrate

FRESH = {"person_id", "new_id", "message", "id"}
"""Columns with ids that every run makes anew."""

PERSONAL = {
    "patients": ("first_name", "last_name", "middle_name", "address_line1", "udid_number"),
    "children": ("first_name", "last_name", "medical_history", "current_concerns"),
    "users": ("email", "password_hash"),
    "patient_contacts": ("first_name", "phone", "email"),
    "journal_entries": ("title", "content"),
}


def frames(run: Run) -> Iterator[tuple[str, pl.DataFrame]]:
    """Every frame of a run, archives included."""
    for name in FRAMES:
        yield name, getattr(run, name)
    for table in run.archived_tables:
        yield f"archive({table})", run.archive(table)


def digests(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
    }


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_has_its_documented_columns(
    name: str, run: Run, revealed: Run, checked: Run
) -> None:
    for opened in (run, revealed, checked):
        assert getattr(opened, name).schema == schema_of(name, reveal=opened.reveal)


@pytest.mark.parametrize("name", sorted(set(FRAMES) - {"verification", "timings", "runs"}))
def test_a_check_finds_what_the_run_finds(name: str, run: Run, checked: Run) -> None:
    _same(getattr(run, name), getattr(checked, name))


def test_a_check_archives_what_the_run_archives(run: Run, checked: Run) -> None:
    assert sorted(run.archived_tables) == sorted(checked.archived_tables)
    for table in run.archived_tables:
        assert_frame_equal(run.archive(table), checked.archive(table), check_row_order=False)


@drawn(4)
@given(old_databases())
def test_run_and_check_agree_on_drawn_databases(description: Description) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory) / "old.db", Path(directory) / "new.db"
        build(description, source)
        try:
            migrate(MigrateOptions(source, target))
        except SchemaRefused:
            with pytest.raises(SchemaRefused):
                open_check(source)
            return
        run, checked = open_run(target), open_check(source, archives=True)
        for name in set(FRAMES) - {"verification", "timings", "runs"}:
            _same(getattr(run, name), getattr(checked, name))
        for table in run.archived_tables:
            assert_frame_equal(run.archive(table), checked.archive(table), check_row_order=False)


def _same(one: pl.DataFrame, other: pl.DataFrame) -> None:
    dropped = [column for column in one.columns if column in FRESH]
    if "kind" in one.columns:  # a collision's related id is fresh too
        masked = pl.when(pl.col("kind") != "id_collision").then("related_id")
        one, other = one.with_columns(masked), other.with_columns(masked)
    assert_frame_equal(one.drop(dropped), other.drop(dropped), check_row_order=False)


def test_nothing_personal_shows_unless_revealed(sample: Sample, run: Run, checked: Run) -> None:
    cells: set[str] = set()
    for table, columns in PERSONAL.items():
        for column in columns:
            statement = f"SELECT DISTINCT CAST({column} AS BLOB) AS cell FROM {table}"
            found = (row["cell"] for row in query(sample.source, statement))
            cells |= {cell.decode("utf-8", "replace") for cell in found if cell}
    # A cell that is also the word for something is no leak.
    cells = {cell for cell in cells if len(cell) > 3}
    assert len(cells) > 300

    for opened in (run, checked):
        for name, frame in frames(opened):
            for series in frame.select(pl.col(pl.String)).get_columns():
                assert not cells & set(series.to_list()), f"{name}.{series.name}"


def test_values_are_covered_where_there_are_some(run: Run, revealed: Run) -> None:
    for name in VALUES:
        shown, covered = revealed.discrepancies[name], run.discrepancies[name]
        assert covered.drop_nulls().unique().to_list() == [HIDDEN]
        assert (shown.is_null() == covered.is_null()).all()
        assert HIDDEN not in shown
    assert run.maps["tag"].drop_nulls().unique().to_list() == [HIDDEN]
    assert revealed.maps["tag"].n_unique() > 3
    assert not set(IDENTITY) & {*run.discrepancies.columns, *run.persons.columns}


def test_a_related_cell_that_looks_like_no_id_is_covered(tmp_path: Path) -> None:
    contacts = [{"id": "k1", "patient_id": "Asha Rao, 12 Hill Road"}]
    done = migrated(tmp_path, {**SMALL, "patient_contacts": contacts})

    def related(run: Run) -> list[Any]:
        return run.discrepancies.filter(source_id="k1")["related_id"].to_list()

    assert related(open_run(done.ledger)) == [HIDDEN]
    assert related(open_run(done.ledger, reveal=True)) == ["Asha Rao, 12 Hill Road"]


def test_revealed_persons_carry_their_names(sample: Sample, revealed: Run) -> None:
    named = query(sample.target, "SELECT id, first_name, last_name FROM persons ORDER BY id")
    shown = revealed.persons.sort("person_id").select(
        pl.col("person_id").alias("id"), "first_name", "last_name"
    )

    assert shown.to_dicts() == named


def test_persons_count_what_hangs_on_them(sample: Sample, run: Run) -> None:
    counted = {
        "parents": "parent_child_views",
        "clinicians": "clinician_patient_views",
        "grants": "access_grants",
    }
    for column, table in counted.items():
        rows = query(
            sample.target,
            f"SELECT p.id, (SELECT count(*) FROM {table} WHERE person_id = p.id) AS n "
            "FROM persons AS p",
        )
        assert dict(run.persons.select("person_id", column).iter_rows()) == {
            row["id"]: row["n"] for row in rows
        }
    children = query(sample.source, "SELECT count(*) AS n FROM children")[0]["n"]
    assert run.persons["children"].sum() == children
    assert run.persons["discrepancies"].sum() == run.discrepancies["person_id"].count()


def test_tables_account_for_every_old_row(sample: Sample, run: Run) -> None:
    for table, rows, loaded, archived in run.tables.select(
        "source_table", "rows", "loaded", "archived"
    ).iter_rows():
        assert rows == query(sample.source, f"SELECT count(*) AS n FROM {table}")[0]["n"], table
        assert rows == loaded + archived, table
    assert run.flow["rows"].sum() == run.tables["rows"].sum()


def test_tables_are_those_of_the_report(sample: Sample, run: Run) -> None:
    report = check(CheckOptions(sample.source))
    stated = {(t.source, t.source_rows, t.loaded) for t in report.tables}

    assert set(run.tables.select("source_table", "rows", "loaded").iter_rows()) == stated


@pytest.mark.parametrize("declared", ["TEXT", "DATETIME", "REAL", ""])
def test_an_archived_cell_can_be_made_again_from_text_and_class(
    declared: str, tmp_path: Path
) -> None:
    done = migrated(tmp_path, SMALL, strange(declared))
    cells = stored(done.source, "SELECT v FROM strange ORDER BY id")

    shown = open_run(done.ledger, reveal=True).archive("strange").sort("id")
    covered = open_run(done.ledger).archive("strange")

    assert [again(text, class_) for text, class_ in shown.select("v", "v_class").iter_rows()] == (
        cells
    )
    assert covered.columns == ["id", "v_class", "_archived", "_reason"]


def test_a_cell_that_its_row_does_not_archive_has_no_class(revealed: Run) -> None:
    archive = revealed.archive("users")
    listed = archive["_archived"].str.json_decode(pl.List(pl.String))

    for column in ("email", "created_at"):
        kept = listed.list.contains(pl.lit(column))
        assert (archive[f"{column}_class"].is_not_null() == kept).all()


def test_an_unknown_archive_is_refused_with_those_there_are(run: Run, sample: Sample) -> None:
    with pytest.raises(UsageError, match="archived is: users, "):
        run.archive("persons")
    with pytest.raises(UsageError, match="no archive of ieps"):
        open_check(sample.source).archive("ieps")


def test_a_run_opens_by_its_target_too(sample: Sample, run: Run) -> None:
    assert_frame_equal(open_run(sample.target).persons, run.persons)
    assert repr(open_run(str(sample.target))) == f"<{sample.ledger}, values covered>"
    assert "personal data" in repr(open_run(sample.ledger, reveal=True))


def test_a_moved_target_is_asked_for(sample: Sample, tmp_path: Path, run: Run) -> None:
    moved, ledger = tmp_path / "moved.db", tmp_path / "new.ledger.db"
    shutil.copy(sample.target, moved)
    shutil.copy(sample.ledger, ledger)

    assert_frame_equal(open_run(ledger).discrepancies, run.discrepancies)
    with pytest.raises(TargetError, match="target="):
        _ = open_run(ledger).persons
    assert_frame_equal(open_run(ledger, target=moved).persons, run.persons)


def test_what_is_no_run_is_refused(sample: Sample, tmp_path: Path) -> None:
    unfinished = tmp_path / "new.ledger.db"
    shutil.copy(sample.ledger, unfinished)
    change(unfinished, "DELETE FROM run")

    with pytest.raises(TargetError, match="does not exist"):
        open_run(tmp_path / "none.db")
    with pytest.raises(TargetError, match="no ledger"):
        open_run(sample.source)
    with pytest.raises(TargetError, match="no finished run"):
        open_run(unfinished)
    assert not (tmp_path / "none.db").exists()


def test_looking_writes_nothing(sample: Sample) -> None:
    before = digests(sample.source.parent)
    for opened in (open_run(sample.ledger, reveal=True), open_check(sample.source)):
        assert [name for name, _ in frames(opened)]

    assert digests(sample.source.parent) == before


def test_timings_come_from_the_report_of_this_run_only(sample: Sample, tmp_path: Path) -> None:
    ledger, report = tmp_path / "new.ledger.db", tmp_path / "new.report.json"
    shutil.copy(sample.ledger, ledger)
    shutil.copy(sample.ledger.with_name(report.name), report)
    stated = json.loads(report.read_text())

    timed = open_run(ledger).timings
    assert timed["seconds"].to_list() == [phase["seconds"] for phase in stated["phases"]]
    assert timed["phase"].to_list()[-1] == "publish"

    for text in (json.dumps({**stated, "started_ms": 1}), "[]", "{", "null"):
        report.write_text(text)
        timed = open_run(ledger).timings
        assert "publish" not in timed["phase"]
        assert timed["phase"].to_list()[:3] == ["snapshot", "extract", "resolve"]
        assert (timed["seconds"] >= 0).all()


def test_a_check_has_nothing_verified(checked: Run) -> None:
    assert checked.verification.is_empty()
    assert checked.runs.is_empty()
    assert checked.timings["phase"].to_list()[0] == "snapshot"


def test_differences_are_named_by_key(sample: Sample, tmp_path: Path) -> None:
    for path in (sample.source, sample.target, sample.ledger):
        shutil.copy(path, tmp_path / path.name)
    target = tmp_path / sample.target.name
    change(
        target,
        "UPDATE persons SET first_name = 'Somebody' WHERE rowid = 1",
        "UPDATE tags SET tag = 'something' WHERE rowid = 1",
    )
    person = query(target, "SELECT id FROM persons WHERE rowid = 1")[0]["id"]
    run, revealed = open_run(target), open_run(target, reveal=True)

    found = run.diff("persons").filter(kind="changed")
    assert found.schema == {name: dtype for name, (dtype, _) in DIFFERENCES.items()}
    assert found.select("column", "count").rows() == [("first_name", 1)]
    assert found["target_key"].to_list() == [[person]]
    assert run.diff("persons", "last_name").is_empty()
    assert run.diff("patients", source=sample.source, limit=1).height == found.height + 1
    # A tag is part of its row's key, and no id.
    assert run.diff("tags")["source_key"].to_list()[0][1] == HIDDEN
    assert revealed.diff("tags")["source_key"].to_list()[0][1] != HIDDEN
    with pytest.raises(UsageError):
        run.diff("nothing")


def test_a_record_is_traced_into_a_frame(run: Run) -> None:
    linked = run.persons.filter(pl.col("children") > 0).row(0, named=True)

    there = run.trace("patient", linked["origin_id"])
    back = run.trace("person", linked["person_id"])

    assert there.schema == {name: dtype for name, (dtype, _) in TRACE.items()}
    assert set(there["aspect"]) <= {"became", "archived", "discrepancy", "related", "kept out"}
    became = there.filter(aspect="became", other_table="persons")
    assert became["other_key"].to_list() == [[linked["person_id"]]]
    origins = back.filter(aspect="came from")["other_key"].to_list()
    assert [linked["origin_id"]] in origins
    assert there.filter(aspect="archived")["columns"].list.len().min() > 0  # type: ignore[operator]


def test_a_check_can_neither_trace_nor_compare(checked: Run) -> None:
    with pytest.raises(UsageError, match="this is a check"):
        checked.trace("patient", "p1")
    with pytest.raises(UsageError, match="this is a check"):
        checked.diff("persons")


def test_questions_and_decisions_are_those_of_the_ledger(tmp_path: Path) -> None:
    children = [{**SMALL["children"][0], "first_name": "Asha Devi"}]
    migrated(tmp_path, {**SMALL, "children": children})
    first = open_run(tmp_path / "new.db", reveal=True)
    question = first.questions.filter(field="first_name").row(0, named=True)
    answer = Decision(
        **{name: question[name] for name in QUESTION_KEY},
        decision="child",
        evidence=question["evidence"],
        reviewer="R",
        note="Asha Devi is right",
    )
    write_decisions(Decisions((answer,)), tmp_path / "decisions.toml")
    options = MigrateOptions(
        tmp_path / "old.db", tmp_path / "second.db", decisions=tmp_path / "decisions.toml"
    )
    migrate(options)
    second = open_run(tmp_path / "second.db")

    assert set(question["options"].split()) == {"child", "patient", "unlink"}
    (decided,) = second.decisions.to_dicts()
    assert (decided["decision"], decided["outcome"]) == ("child", "applied")
    assert (decided["reviewer"], decided["note"], decided["evidence"]) == ("R", HIDDEN, HIDDEN)
    previewed = open_check(CheckOptions(options.source, decisions=options.decisions))
    assert_frame_equal(previewed.decisions, second.decisions)


def test_the_ledger_of_an_earlier_release_has_no_questions(sample: Sample, tmp_path: Path) -> None:
    ledger = tmp_path / sample.ledger.name
    shutil.copy(sample.ledger, ledger)
    change(ledger, "DROP TABLE questions", "DROP TABLE decisions")

    assert open_run(ledger).questions.is_empty()
    assert open_run(ledger).decisions.is_empty()
