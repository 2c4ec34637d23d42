"""A faultless run has no differences; each planted fault is found."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, reject
from tests.reference import ReferenceResult, migrate_reference
from tests.reference.compare import compare
from tests.reference.materialise import materialise
from tests.reference.source import Refused
from tests.strategies import Description, build, old_databases
from tests.strategies.examples import drawn
from tests.strategies.handmade import write

RUN = 1_750_000_000_000


@drawn(20)
@given(old_databases())
def test_a_faultless_run_has_no_differences(description: Description) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target, ledger = (Path(folder) / name for name in ("old", "new", "ledger"))
        try:
            result = migrate_reference(build(description, source), run_time_ms=RUN)
        except Refused:
            reject()
        materialise(result, target, ledger)
        assert compare(result, source, target, ledger) == []


def produced(folder: Path) -> ReferenceResult:
    """A small run in ``folder``: source, target and ledger."""
    link = {"parent_id": "r1", "linked_patient_id": "p1"}
    source = write(
        folder / "old",
        users=[{"id": "u1"}, {"id": "u2"}],
        parents=[{"id": "r1", "user_id": "u2"}],
        patients=[{"id": "p1", "clinician_id": "u1", "country": None}],
        children=[link | {"id": "c1", "first_name": "Bela"}],
        audit_logs=[{"resource_id": "p1"}, {"resource_id": "c1"}],
        patient_tags=[{"patient_id": "p1", "tag": "speech"}],
    )
    result = migrate_reference(source, run_time_ms=RUN)
    materialise(result, folder / "new", folder / "ledger")
    return result


@pytest.mark.parametrize(
    ("file", "statement", "said"),
    [
        ("new", "UPDATE persons SET country = 'X'", "country"),
        ("new", "UPDATE persons SET created_at = '1700000000000.5'", "created_at"),
        ("new", "DELETE FROM audit_logs WHERE resource_id = 'c1'", "missing"),
        ("new", "UPDATE access_grants SET notes = 'child c1'", "notes"),
        ("new", "UPDATE persons SET migration_notes = NULL", "migration_notes"),
        ("ledger", "UPDATE patient_to_person SET new_id = 'p1'", "canonical"),
        ("ledger", "DELETE FROM tag_to_tag", "tag_to_tag"),
        ("ledger", "UPDATE discrepancies SET severity = 'note'", "demographic_mismatch"),
        ("ledger", "UPDATE discrepancies SET message = 'some'", "count"),
        ("ledger", "UPDATE discrepancies SET message = ''", "without a message"),
        ("ledger", "UPDATE normalisations SET cells = cells + 1", "normalisation"),
        ("ledger", "UPDATE person_notes SET note = 'x'", "person note"),
        ("ledger", "UPDATE questions SET evidence = 'x'", "question"),
        ("ledger", "UPDATE archive_children SET first_name = CAST(first_name AS BLOB)", "cells"),
        ("ledger", "UPDATE archive_patients SET _archived = '[]'", "columns missing"),
        ("ledger", "UPDATE archive_patients SET _reason = 'x'", "reason"),
        ("ledger", "DELETE FROM archive_children", "missing"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, file: str, statement: str, said: str) -> None:
    result = produced(tmp_path)
    connection = sqlite3.connect(tmp_path / file)
    assert connection.execute(statement).rowcount > 0
    connection.commit()
    connection.close()
    found = compare(result, tmp_path / "old", tmp_path / "new", tmp_path / "ledger")
    assert any(said in line for line in found), found
