"""What is read into the frames: slips in dates of birth, and how complete the old records are."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.migration.support import SMALL, migrated
from tests.strategies.handmade import Row

from person_unify.explore import open_run
from person_unify.explore.derive import LIKELY


@pytest.mark.parametrize(
    ("child", "days", "likely"),
    [
        ("2015-03-01T18:30:00Z", -0.229, LIKELY[0]),
        ("2015-02-03", -27, LIKELY[1]),
        ("2015-03-22", 20, LIKELY[2]),
        ("2015-07-02", 122, LIKELY[3]),
        ("2014-03-02", -365, LIKELY[4]),
        ("2011-12-30", -1158, LIKELY[5]),
    ],
)
def test_a_differing_date_of_birth_is_explained(
    child: str, days: float, likely: str, tmp_path: Path
) -> None:
    patients = [{**SMALL["patients"][0], "date_of_birth": "2015-03-02"}]
    children = [{**SMALL["children"][0], "date_of_birth": child}]
    done = migrated(tmp_path, {**SMALL, "patients": patients, "children": children})

    (row,) = open_run(done.ledger).birth_dates.to_dicts()

    assert row["likely"] == likely
    assert row["days"] == pytest.approx(days, abs=0.001)
    assert (row["child_id"], row["patient_id"]) == ("c1", "p1")


def test_completeness_is_that_of_the_old_records(tmp_path: Path) -> None:
    patients: list[Row] = [
        {"id": "p1", "clinician_id": "u1", "gender": None, "middle_name": ""},
        {"id": "p2", "clinician_id": "u1", "gender": "male", "middle_name": "K"},
    ]
    children: list[Row] = [
        {"id": "c1", "parent_id": "r1", "linked_patient_id": "p1", "gender": "female"},
        {"id": "c2", "parent_id": "r1", "gender": ""},
    ]
    done = migrated(tmp_path, {**SMALL, "patients": patients, "children": children})

    found = open_run(done.ledger).completeness
    shares = {(f, r): (rows, n) for f, r, rows, n in found.iter_rows()}

    # The person p1 has its child's gender; its patient had none.
    assert shares["gender", "patient"] == (2, 1)
    assert shares["gender", "linked child"] == (1, 1)
    assert shares["gender", "standalone child"] == (1, 0)
    assert shares["middle_name", "patient"] == (2, 1)
    assert shares["date_of_birth", "linked child"] == (1, 1)
    assert ("middle_name", "linked child") not in shares
