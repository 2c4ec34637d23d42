"""From a discrepancy to a decision to a second run with that decision, by real files."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.migration.support import Migrated, change, query

from person_unify.pipeline import CheckOptions, MigrateOptions, check, migrate, verify
from person_unify.review import (
    Decisions,
    export_review,
    import_review,
    read_decisions,
    write_decisions,
)

from .clinic import ANSWERS, fill, old_database


@dataclass(frozen=True)
class Reviewed:
    """A first run, the workbook that was filled in after it, and a second run."""

    first: Migrated
    workbook: Path
    file: Path
    second: Migrated


def run(source: Path, target: Path, **options: Any) -> Migrated:
    report = migrate(MigrateOptions(source, target, keep_backup=False, **options))
    return Migrated(source, target, target.with_name(f"{target.stem}.ledger.db"), report)


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    folder = tmp_path_factory.mktemp("review")
    first = run(old_database(folder / "old.db"), folder / "new.db")
    workbook, file = folder / "review.xlsx", folder / "decisions.toml"
    export_review(first.ledger, workbook)
    fill(workbook, ANSWERS)
    write_decisions(import_review(workbook), file)
    second = run(first.source, folder / "second.db", decisions=file)
    return Reviewed(first, workbook, file, second)


def test_every_kind_of_question_is_asked(reviewed: Reviewed) -> None:
    asked = {
        (row["kind"], row["source_id"], row["related_id"])
        for row in query(reviewed.first.ledger, "SELECT * FROM questions")
    }

    assert set(ANSWERS) <= asked


def test_all_decisions_are_applied_and_verified(reviewed: Reviewed) -> None:
    recorded = query(reviewed.second.ledger, "SELECT * FROM decisions")

    assert {row["outcome"] for row in recorded} == {"applied"}
    assert {(r["kind"], r["source_id"], r["related_id"]) for r in recorded} == set(ANSWERS)
    assert {row["reviewer"] for row in recorded} == {"R. Iyer"}
    assert verify(reviewed.second.source, reviewed.second.target).failed_checks == ()
    assert {c.outcome: c.count for c in reviewed.second.report.decisions}.keys() == {"applied"}


def test_a_child_s_value_is_taken(reviewed: Reviewed) -> None:
    assert reviewed.first.person("p1")["first_name"] == "Asha"
    assert reviewed.second.person("p1")["first_name"] == "Aasha"
    assert reviewed.second.person("c1")["id"] == reviewed.second.person("p1")["id"]
    (kept,) = reviewed.second.archived("patients", "id = 'p1'")
    assert kept["first_name"] == "Asha"
    (logged,) = reviewed.second.logged("demographic_mismatch", "c1")
    assert logged["chosen_value"] == "Aasha"
    assert "by decision" in logged["message"]


@pytest.mark.parametrize(("child", "patient"), [("c2", "p2"), ("c8", "p9")])
def test_an_unlinked_child_is_a_person_of_its_own(
    reviewed: Reviewed, child: str, patient: str
) -> None:
    first, second = reviewed.first, reviewed.second

    assert first.person(child)["id"] == first.person(patient)["id"]
    assert second.person(child)["id"] != second.person(patient)["id"]
    assert [v["parent_id"] for v in second.of_person("parent_child_views", child)] == ["r2"]
    assert all(
        d["chosen_value"] == d["child_value"] for d in second.logged("demographic_mismatch", "c2")
    )
    (kept,) = second.archived("children", f"id = '{child}'")
    assert kept["linked_patient_id"] == patient


@pytest.mark.parametrize(("child", "patient"), [("c3", "p3"), ("c6", "p4")])
def test_a_linked_child_becomes_its_patient(reviewed: Reviewed, child: str, patient: str) -> None:
    second = reviewed.second

    assert reviewed.first.person(child)["id"] != reviewed.first.person(patient)["id"]
    assert second.person(child)["id"] == second.person(patient)["id"]
    assert len(second.of_person("parent_child_views", child)) == 1
    assert len(second.of_person("clinician_patient_views", child)) == 1
    assert [g["status"] for g in second.of_person("access_grants", child)] == ["active"]
    (kept,) = second.archived("children", f"id = '{child}'")
    assert len(json.loads(kept["_archived"])) > 8, "a linked child's row is archived whole"


def test_two_children_become_one_person_with_two_parents(reviewed: Reviewed) -> None:
    second = reviewed.second

    assert second.person("c4")["id"] == second.person("c5")["id"]
    views = second.of_person("parent_child_views", "c4")
    assert {(v["parent_id"], v["is_primary_caregiver"]) for v in views} == {("r1", 1), ("r2", 0)}
    (kept,) = second.archived("children", "id = 'c5'")
    assert kept["first_name"] == "Dev"


def test_caregiver_number_and_grants_follow_the_decisions(reviewed: Reviewed) -> None:
    second = reviewed.second

    for patient in ("p7", "p8"):
        views = second.of_person("parent_child_views", patient)
        assert [v["parent_id"] for v in views if v["is_primary_caregiver"]] == ["r2"]
    assert second.person("p6")["udid_number"] == "U1"
    assert second.person("p5")["udid_number"] is None
    assert [d["related_id"] for d in second.logged("duplicate_udid", "p5")] == ["p6"]
    assert second.of_person("access_grants", "p1") == []
    (grant,) = second.of_person("access_grants", "p9")
    assert (grant["status"], grant["activated_at"]) == ("pending", None)


def test_answered_discrepancies_stay_in_the_log(reviewed: Reviewed) -> None:
    for kind, source_id, _ in ANSWERS:
        found = reviewed.second.logged(kind, "p5" if kind == "duplicate_udid" else source_id)
        assert found, kind
        if ANSWERS[kind, source_id, _] not in ("separate",):
            assert "decision" in found[0]["message"], kind


def test_run_records_which_file_was_used(reviewed: Reviewed) -> None:
    (found,) = query(reviewed.second.ledger, "SELECT options FROM run")
    (earlier,) = query(reviewed.first.ledger, "SELECT options FROM run")

    assert json.loads(found["options"])["decisions"] == read_decisions(reviewed.file).digest
    assert "decisions" not in json.loads(earlier["options"])


def test_check_previews_what_migrate_does(reviewed: Reviewed) -> None:
    preview = check(CheckOptions(reviewed.first.source, decisions=reviewed.file))

    assert preview.decisions == reviewed.second.report.decisions
    assert preview.equations == reviewed.second.report.equations
    assert preview.discrepancies == reviewed.second.report.discrepancies


def test_answers_are_filled_in_again_in_the_next_review(reviewed: Reviewed, tmp_path: Path) -> None:
    again = tmp_path / "again.xlsx"
    export_review(reviewed.second.ledger, again)

    assert import_review(again).decisions
    assert _plain(import_review(again)) == _plain(import_review(reviewed.workbook))


def _plain(decisions: Decisions) -> set[tuple[Any, ...]]:
    return {(*d.key, d.decision, d.link_to, d.evidence) for d in decisions.decisions}


def test_csv_and_workbook_ask_the_same(reviewed: Reviewed, tmp_path: Path) -> None:
    paths = [tmp_path / "again.csv", tmp_path / "again.xlsx"]
    for path in paths:
        export_review(reviewed.second.ledger, path)

    assert _plain(import_review(paths[0])) == _plain(import_review(paths[1]))


def test_files_are_for_their_owner_only(reviewed: Reviewed) -> None:
    for path in (reviewed.workbook, reviewed.file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


CHANGES: Mapping[str, str] = {
    "c1": "UPDATE children SET first_name = 'Ashaa' WHERE id = 'c1'",
    "c2": "UPDATE patients SET date_of_birth = 0 WHERE id = 'p2'",
    "p3": "UPDATE children SET gender = 'female' WHERE id = 'c3'",
    "c5": "UPDATE children SET first_name = 'dev' WHERE id = 'c4'",
    "c6": "UPDATE children SET first_name = 'Esh' WHERE id = 'c6'",
    "c8": "UPDATE patients SET gender = 'other' WHERE id = 'p9'",
    "p6": "UPDATE patients SET last_name = 'Ghosh' WHERE id = 'p5'",
    "p7": "INSERT INTO parent_children SELECT 'l9', 'r3', 'p7', 'aunt', 0, 1, added_at "
    "FROM parent_children WHERE id = 'l1'",
}
"""Source id of a decision -> a change of what it was made about."""


def test_decisions_on_changed_data_are_stale_and_not_applied(
    reviewed: Reviewed, tmp_path: Path
) -> None:
    source = old_database(tmp_path / "old.db")
    change(source, "INSERT INTO parents SELECT 'r3', 'u4', " + _rest("parents"))
    change(source, *CHANGES.values())

    changed = run(source, tmp_path / "new.db", decisions=reviewed.file)

    recorded = query(changed.ledger, "SELECT source_id FROM decisions WHERE outcome = 'stale'")
    stale = {row for c in changed.report.decisions if c.outcome == "stale" for row in c.rows}
    assert {row["source_id"] for row in recorded} == set(CHANGES)
    assert {row.split()[1] for row in stale} == set(CHANGES)
    assert verify(source, changed.target).failed_checks == ()
    assert changed.person("p1")["first_name"] == "Asha"
    assert changed.person("c3")["id"] != changed.person("p3")["id"]


def _rest(table: str) -> str:
    from person_unify.schema import OLD

    columns = ", ".join(OLD[table].column_names[2:])
    return f"{columns} FROM {table} WHERE id = 'r1'"


def test_a_decision_nobody_needs_any_more_is_reported(reviewed: Reviewed, tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db")
    change(source, "UPDATE children SET first_name = 'Asha' WHERE id = 'c1'")

    changed = run(source, tmp_path / "new.db", decisions=reviewed.file)

    recorded = query(changed.ledger, "SELECT * FROM decisions WHERE outcome = 'not_needed'")
    assert [row["source_id"] for row in recorded] == ["c1"]


def test_a_further_export_can_ask_only_what_is_open(reviewed: Reviewed, tmp_path: Path) -> None:
    whole = export_review(reviewed.second.ledger, tmp_path / "whole.csv")
    still = export_review(reviewed.second.ledger, tmp_path / "open.csv", only_open=True)
    applied = query(reviewed.second.ledger, "SELECT * FROM decisions WHERE outcome = 'applied'")

    assert sum(still.values()) == sum(whole.values()) - len(applied)
    again = import_review(tmp_path / "open.csv")
    assert again.decisions == ()
    earlier = read_decisions(reviewed.file)
    assert set(again.onto(earlier).decisions) == set(earlier.decisions)


def test_a_later_decision_replaces_the_earlier_one_about_its_question(reviewed: Reviewed) -> None:
    first, *others = read_decisions(reviewed.file).decisions
    other = replace(first, note="thought better of it")

    joined = Decisions((other,)).onto(Decisions((first, *others)))

    assert set(joined.decisions) == {other, *others}
