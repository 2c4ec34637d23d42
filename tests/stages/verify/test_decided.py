"""The verifier expects what was decided, and believes no decision that the source does not bear."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.migration.support import change, query
from tests.review.clinic import ANSWERS, fill, old_database

from person_unify.evidence.diff import diff
from person_unify.pipeline import MigrateOptions, migrate, verify
from person_unify.review import export_review, import_review, write_decisions


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a run with one decision of every kind."""
    folder = tmp_path_factory.mktemp("decided")
    source = old_database(folder / "old.db")
    migrate(MigrateOptions(source, folder / "first.db", keep_backup=False))
    export_review(folder / "first.ledger.db", folder / "review.xlsx")
    fill(folder / "review.xlsx", ANSWERS)
    write_decisions(import_review(folder / "review.xlsx"), folder / "decisions.toml")
    file = folder / "decisions.toml"
    migrate(MigrateOptions(source, folder / "new.db", keep_backup=False, decisions=file))
    return folder


def failed(folder: Path, tmp_path: Path, file: str, statement: str) -> set[str]:
    """The checks that fail after a statement on a copy of the target or its ledger."""
    for name in ("old.db", "new.db", "new.ledger.db"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    change(tmp_path / file, statement)
    return {c.name for c in verify(tmp_path / "old.db", tmp_path / "new.db").failed_checks}


def test_a_run_with_decisions_passes(decided: Path) -> None:
    checks = verify(decided / "old.db", decided / "new.db")

    assert checks.failed_checks == ()
    (check,) = [c for c in checks.verification if c.name == "decisions"]
    assert check.expected == check.actual == len(query(decided / "new.ledger.db", _APPLIED))


@pytest.mark.parametrize("table", ["children", "patients", "parent_children", "consent_grants"])
def test_a_run_with_decisions_has_no_difference(decided: Path, table: str) -> None:
    found = diff(decided / "old.db", decided / "new.db", table)

    assert found.found == ()


_APPLIED = "SELECT * FROM decisions WHERE outcome = 'applied'"
EVIDENCE = [
    *("demographic_mismatch", "suspected_duplicate", "missing_linked_patient"),
    *("shared_linked_patient", "multiple_primary_caregivers", "no_primary_caregiver"),
    *("duplicate_udid", "implied_grant"),
]


@pytest.mark.parametrize("kind", EVIDENCE)
def test_evidence_of_another_source_is_found(kind: str, decided: Path, tmp_path: Path) -> None:
    statement = f"UPDATE decisions SET evidence = '{'0' * 64}' WHERE kind = '{kind}'"

    assert failed(decided, tmp_path, "new.ledger.db", statement) == {"decisions"}


LEDGER = {
    "a decision that nothing logged asks for": (
        "DELETE FROM discrepancies WHERE kind = 'demographic_mismatch' AND source_id = 'c1'",
        "decisions",
    ),
    "a value that was not taken": (
        "UPDATE decisions SET decision = 'patient' WHERE decision = 'child'",
        "cells_match",
    ),
    "a link that was not undone": (
        "UPDATE decisions SET outcome = 'stale' WHERE decision = 'unlink'",
        "child_map",
    ),
    "children that were not merged": (
        "DELETE FROM decisions WHERE decision = 'merge'",
        "child_map",
    ),
    "a link that was not made": ("DELETE FROM decisions WHERE decision = 'link'", "persons_count"),
    "another caregiver": (
        "UPDATE decisions SET related_id = 'r1' WHERE decision = 'primary'",
        "primary_caregiver",
    ),
    "another keeper": ("DELETE FROM decisions WHERE kind = 'duplicate_udid'", "cells_match"),
    "a grant that was not made": (
        "UPDATE decisions SET decision = 'active' WHERE decision = 'none'",
        "grants_count",
    ),
    "a grant in another state": (
        "UPDATE decisions SET decision = 'active' WHERE decision = 'pending'",
        "implied_grants",
    ),
}


@pytest.mark.parametrize("name", LEDGER)
def test_a_result_that_was_not_decided_is_found(name: str, decided: Path, tmp_path: Path) -> None:
    statement, check = LEDGER[name]

    assert check in failed(decided, tmp_path, "new.ledger.db", statement)


def test_the_patient_s_value_instead_of_the_decided_one_is_found(
    decided: Path, tmp_path: Path
) -> None:
    statement = "UPDATE persons SET first_name = 'Asha' WHERE first_name = 'Aasha'"

    assert "cells_match" in failed(decided, tmp_path, "new.db", statement)


def test_the_replaced_value_must_be_in_the_archive(decided: Path, tmp_path: Path) -> None:
    statement = "UPDATE archive_patients SET first_name = NULL WHERE id = 'p1'"

    assert "rebuild" in failed(decided, tmp_path, "new.ledger.db", statement)
