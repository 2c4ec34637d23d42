"""A small old database with one question of every kind, and how a reviewer answers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
from tests.strategies.handmade import Row, write

from person_unify.findings import DECISIONS
from person_unify.review.keys import read_key
from person_unify.review.sheets import COVER, DECISION, KEY, LINK_TO, YOUR_NAME
from person_unify.review.workbook import HEAD

BIRTHDAY, OTHER_BIRTHDAY = 1_400_000_000_000, 1_300_000_000_000


def named(first: str, last: str, **more: Any) -> dict[str, Any]:
    """What a record needs to be known by."""
    return {"first_name": first, "last_name": last, "date_of_birth": BIRTHDAY, **more}


TABLES: Mapping[str, Sequence[Row]] = {
    "users": [{"id": f"u{n}", "email": f"u{n}@example.org"} for n in range(1, 5)],
    "parents": [{"id": "r1", "user_id": "u2"}, {"id": "r2", "user_id": "u3"}],
    "patients": [
        named("Asha", "Rao", id="p1", clinician_id="u1"),
        named("Bela", "Roy", id="p2", clinician_id="u1"),
        named("Chand", "Das", id="p3", clinician_id="u1"),
        named("Esha", "Nair", id="p4", clinician_id="u1"),
        named("Farid", "Khan", id="p5", clinician_id="u1", udid_number="U1"),
        named("Gita", "Bose", id="p6", clinician_id="u1", udid_number="U1"),
        named("Hari", "Menon", id="p7", clinician_id="u1"),
        named("Indu", "Jain", id="p8", clinician_id="u1"),
        named("Jaya", "Iyer", id="p9", clinician_id="u1"),
        named("Kiran", "Shah", id="p10", clinician_id="u1"),
        named("Kiran", "Shah", id="p11", clinician_id="u1"),
    ],
    "children": [
        named("Aasha", "Rao", id="c1", parent_id="r1", linked_patient_id="p1"),
        named("Nila", "Sen", id="c2", parent_id="r2", linked_patient_id="p2")
        | {"date_of_birth": OTHER_BIRTHDAY},
        named("Chand", "Das", id="c3", parent_id="r1", gender="male"),
        named("Dev", "Pal", id="c4", parent_id="r1"),
        named("Dev", "Pal", id="c5", parent_id="r2"),
        named("E.", "Nair", id="c6", parent_id="r1", linked_patient_id="gone"),
        named("Jaya", "Iyer", id="c7", parent_id="r1", linked_patient_id="p9"),
        named("Jaya", "Iyer", id="c8", parent_id="r2", linked_patient_id="p9"),
    ],
    "parent_children": [
        {"id": "l1", "patient_id": "p7", "parent_id": "r1", "is_primary": 1},
        {"id": "l2", "patient_id": "p7", "parent_id": "r2", "is_primary": 1},
        {"id": "l3", "patient_id": "p8", "parent_id": "r1"},
        {"id": "l4", "patient_id": "p8", "parent_id": "r2"},
    ],
}

ANSWERS: Mapping[tuple[str, str, str], str] = {
    ("demographic_mismatch", "c1", "p1"): "child",
    ("demographic_mismatch", "c2", "p2"): "unlink",
    ("suspected_duplicate", "p3", "c3"): "link",
    ("suspected_duplicate", "c5", "c4"): "merge",
    ("suspected_duplicate", "p11", "p10"): "separate",
    ("missing_linked_patient", "c6", "gone"): "link",
    ("shared_linked_patient", "c8", "p9"): "unlink",
    ("contradicting_link", "c2", "p2"): "unlink",
    ("multiple_primary_caregivers", "p7", "r2"): "primary",
    ("no_primary_caregiver", "p8", "r2"): "primary",
    ("duplicate_udid", "p6", "p5"): "this",
    ("implied_grant", "c1", "p1"): "none",
    ("implied_grant", "c7", "p9"): "pending",
}
"""(kind, source id, related id) -> the decision."""


def old_database(path: Path, **changed: Sequence[Row]) -> Path:
    """The database; ``changed`` tables stand in the place of the usual ones."""
    return write(path, **{**TABLES, **changed})  # type: ignore[arg-type]


def fill(path: Path, answers: Mapping[tuple[str, str, str], str], name: str = "R. Iyer") -> None:
    """Answer in the workbook as a person would: the name on the cover, a choice in each row."""
    book = openpyxl.load_workbook(path)
    for label, value in book[COVER].iter_rows(max_col=2):
        if label.value == YOUR_NAME:
            value.value = name
    for page in book.worksheets[1:]:
        headings = [cell.value for cell in page[HEAD + 1]]
        for row in page.iter_rows(min_row=HEAD + 2):
            cells = dict(zip(headings, row, strict=True))
            key = read_key(str(cells[KEY].value))
            assert key is not None
            word = answers.get((key.kind, key.source_id, str(key.related_id)))
            if word is not None:
                cells[DECISION].value = DECISIONS[word]
            if word == "link" and LINK_TO in cells:
                cells[LINK_TO].value = "p4"
    book.save(path)
