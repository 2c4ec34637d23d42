"""What must not pass in silence: odd links, defaults, deletions, instants and accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.migration.support import SMALL, Migrated, migrated
from tests.reference import migrate_reference
from tests.reference.compare import compare
from tests.strategies.handmade import NOON, Row

from person_unify.pipeline import verify

DAY = 86_400_000
BORN = 1_400_000_000_000


def _pair(name: str, child: Row, patient: Row | None = None) -> tuple[Row, Row]:
    """A child of the mother that is linked to a patient of the doctor."""
    return (
        {"id": f"c-{name}", "parent_id": "r1", "linked_patient_id": f"p-{name}", **child},
        {"id": f"p-{name}", "clinician_id": "u1", **(patient or {})},
    )


PAIRS = [
    _pair("same", {}),
    _pair("other", {"first_name": "Ravi", "last_name": "Das", "date_of_birth": BORN + DAY}),
    _pair("twin", {"first_name": "Ravi", "date_of_birth": BORN + DAY}),
    _pair("unborn", {"first_name": "R", "last_name": "D", "date_of_birth": "soon"}),
    _pair("deleted", {}, {"deleted_at": NOON}),
    _pair("oddly", {}, {"deleted_at": "some day"}),
    _pair("undated", {}, {"date_of_birth": None}),
    _pair("unread", {"date_of_birth": None}, {"date_of_birth": "13.5.2014"}),
    _pair("form", {"last_name": "Nu\u0301n\u0303ez"}, {"last_name": "Núñez"}),
    _pair("hidden", {"first_name": "Asha\u200b"}),
    _pair("wide", {"first_name": "\uff21\uff33\uff28\uff21"}),
    _pair("mixed", {"first_name": "\uff21sha\u200b", "last_name": "Ra\u00ado"}),
]
TABLES: Mapping[str, Sequence[Row]] = {
    **SMALL,
    "patients": [patient for _, patient in PAIRS],
    "children": [
        *(child for child, _ in PAIRS),
        {"id": "c-alone", "parent_id": "r1", "date_of_birth": "unknown"},
    ],
}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    return migrated(tmp_path_factory.mktemp("findings"), TABLES)


def told(done: Migrated, kind: str, *columns: str) -> set[tuple[Any, ...]]:
    return {tuple(row[column] for column in columns) for row in done.logged(kind)}


def agree(done: Migrated, **options: Any) -> list[str]:
    """What the reference and a further verification say against the result."""
    run_time = done.report.started_ms
    expected = migrate_reference(done.source, run_time_ms=run_time, target=done.target, **options)
    failed = verify(done.source, done.target).failed_checks
    return [
        *compare(expected, done.source, done.target, done.ledger),
        *(check.name for check in failed),
    ]


def test_both_accounts_agree_with_the_reference(clinic: Migrated) -> None:
    assert agree(clinic) == []


def test_a_child_unlike_its_patient_in_all_that_names_it(clinic: Migrated) -> None:
    found = told(clinic, "contradicting_link", "source_id", "related_id", "field", "severity")

    assert found == {("c-other", "p-other", "linked_patient_id", "error")}


def test_a_birth_date_that_is_a_default_is_said_of_the_origin(clinic: Migrated) -> None:
    found = told(clinic, "missing_birth_date", "source_table", "source_id", "field", "severity")

    assert found == {
        ("patients", "p-undated", "date_of_birth", "error"),
        ("patients", "p-unread", "date_of_birth", "error"),
        ("children", "c-alone", "date_of_birth", "error"),
    }
    assert clinic.person("p-undated")["date_of_birth"] == NOON


def test_a_child_whose_patient_is_deleted(clinic: Migrated) -> None:
    found = told(clinic, "deleted_patient", "source_id", "related_id", "field", "severity")

    assert found == {
        ("c-deleted", "p-deleted", "deleted_at", "warning"),
        ("c-oddly", "p-oddly", "deleted_at", "warning"),
    }


@pytest.mark.parametrize(
    ("child", "field", "hint"),
    [
        ("c-form", "last_name", "Unicode form (composed or decomposed)"),
        ("c-hidden", "first_name", "only in invisible characters"),
        ("c-wide", "first_name", "only in the width of characters"),
        ("c-mixed", "first_name", "Unicode form, invisible characters and width"),
        ("c-mixed", "last_name", "only in invisible characters"),
        ("c-twin", "first_name", None),
    ],
)
def test_a_difference_that_nobody_sees_is_explained(
    child: str, field: str, hint: str | None, clinic: Migrated
) -> None:
    (message,) = (
        row["message"]
        for row in clinic.logged("demographic_mismatch", child)
        if row["field"] == field
    )

    assert hint in message if hint else "differ only" not in message


EARLY = [1, 31 * DAY - 1, 1_700_000_000, "1970-01-15", 45_000.0, "1970-01-01T00:00:00.001Z"]
NOT_EARLY = [0, -1, 31 * DAY, "1970-01-01", NOON, "soon", None]


def test_instants_of_january_1970_are_counted_by_column(tmp_path: Path) -> None:
    entries = [
        {"id": f"j{n}", "patient_id": "p1", "created_at": NOON, "updated_at": instant}
        for n, instant in enumerate([*EARLY, *NOT_EARLY])
    ]
    lost = {"id": "lost", "patient_id": "gone", "created_at": 5, "updated_at": 5}
    reports = [{"id": "r", "patient_id": "p1", "clinician_id": "u1", "generated_at": 20_240_315}]

    done = migrated(tmp_path, {**SMALL, "journal_entries": [*entries, lost], "reports": reports})

    found = told(done, "implausible_instant", "source_table", "source_id", "field", "message")
    assert {(table, id_, field) for table, id_, field, _ in found} == {
        ("journal_entries", None, "updated_at"),
        ("reports", None, "generated_at"),
    }
    (message,) = (m for table, _, _, m in found if table == "journal_entries")
    assert message.startswith(f"{len(EARLY)} rows ")
    assert agree(done) == []


def test_seconds_in_a_birth_date_are_counted_for_persons(tmp_path: Path) -> None:
    """A linked child's own date is not loaded, so it is not counted."""
    rows = {
        **SMALL,
        "patients": [{"id": "p1", "clinician_id": "u1", "date_of_birth": 1_400_000_000}],
        "children": [
            {"id": "c1", "parent_id": "r1", "linked_patient_id": "p1", "date_of_birth": 7},
            {"id": "c2", "parent_id": "r1", "date_of_birth": 1_400_000_000, "created_at": 9},
        ],
    }

    done = migrated(tmp_path, rows)

    assert told(done, "implausible_instant", "source_table", "field", "message") == {
        ("patients", "date_of_birth", "1 rows hold an instant of January 1970"),
        ("children", "date_of_birth", "1 rows hold an instant of January 1970"),
        ("children", "created_at", "1 rows hold an instant of January 1970"),
    }
    assert agree(done) == []


@pytest.mark.parametrize("linked", ["p1", None])
def test_an_instant_that_several_children_settle_is_not_counted(
    linked: str | None, tmp_path: Path
) -> None:
    """A view has the latest update of its children; the earliest creation is one child's."""
    early = {"parent_id": "r1", "created_at": 9, "updated_at": 7}
    children = [{"id": "c1", "linked_patient_id": linked, **early}]
    if linked:
        later = {"created_at": NOON, "updated_at": None}
        children.append({"id": "c2", "parent_id": "r1", "linked_patient_id": linked, **later})

    done = migrated(tmp_path, {**SMALL, "children": children})

    fields = {field for (field,) in told(done, "implausible_instant", "field")}
    assert fields == {"created_at"} | (set() if linked else {"updated_at"})
    assert agree(done) == []


CLOSED: Sequence[Row] = [
    {"deleted_at": NOON},
    {"deleted_at": "once"},
    *({"status": s} for s in ("suspended", "deactivated", "inactive", "disabled")),
    *({"status": s} for s in ("blocked", "deleted", "Suspended", b"blocked")),
]
OPEN: Sequence[Row] = [{"status": s} for s in ("active", "pending", "", None, "suspended soon")]


def test_nothing_is_implied_for_a_closed_account(tmp_path: Path) -> None:
    """Each account in turn is the clinician's, then the parent's."""
    accounts = [*CLOSED, *OPEN]
    rows: dict[str, list[Row]] = {
        "users": [{"id": "u", "email": "u"}],
        "parents": [{"id": "r", "user_id": "u"}],
    }
    for number, account in enumerate(accounts):
        user = f"u{number}"
        rows["users"].append({"id": user, "email": user, **account})
        rows["parents"].append({"id": f"r{number}", "user_id": user})
        for side, clinician, parent in (("c", user, "r"), ("p", "u", f"r{number}")):
            id_ = f"{number}-{side}"
            rows.setdefault("patients", []).append({"id": f"p{id_}", "clinician_id": clinician})
            rows.setdefault("children", []).append(
                {"id": f"c{id_}", "parent_id": parent, "linked_patient_id": f"p{id_}"}
            )

    done = migrated(tmp_path, rows)

    closed = {f"c{number}-{side}" for number in range(len(CLOSED)) for side in "cp"}
    said = done.logged("implied_grant")
    assert {row["source_id"] for row in said} == {row["id"] for row in rows["children"]}
    assert {row["source_id"] for row in said if "account" in row["message"]} == closed
    notes = " ".join(row["notes"] for row in done.rows("SELECT notes FROM access_grants"))
    granted = {row["id"] for row in rows["children"] if f"{row['id']} " in f"{notes} "}
    assert granted == {row["id"] for row in rows["children"]} - closed
    assert agree(done) == []


TEXTS = [b"plain \t text\r\n", "é😀\u200b".encode(), b""]
BINARIES = [
    *(b"nul \x00", b"\x1b[31m", b"\x7f", "next line \x85".encode()),
    *(b"\x8c\x17a\x13", b"\x17a\x131"),  # JSONB
]


def test_a_blob_is_a_text_only_without_control_characters(tmp_path: Path) -> None:
    cells = [*TEXTS, *BINARIES]
    entries = [{"id": f"j{n}", "patient_id": "p1", "content": c} for n, c in enumerate(cells)]

    done = migrated(tmp_path, {**SMALL, "journal_entries": entries})

    found = [r["content"] for r in done.rows("SELECT content FROM journal_entries ORDER BY id")]
    assert found == [*(text.decode() for text in TEXTS), *("" for _ in BINARIES)]
    kept = [row["content"] for row in done.archived("journal_entries", "1 ORDER BY id")]
    assert kept == cells
    unreadable = told(done, "unreadable_value", "source_id", "field")
    assert unreadable == {(f"j{n}", "content") for n in range(len(TEXTS), len(cells))}
    assert agree(done) == []
