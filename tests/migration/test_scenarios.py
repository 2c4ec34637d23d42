"""The cases that a reader of the migration plan would try, over databases written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.migration.support import SMALL, Migrated, migrated
from tests.strategies.handmade import NOON, Row

from person_unify.pipeline import verify

HOUR = 3_600_000
BORN = 1_400_000_000_000
DEFAULT_PERMISSIONS = {
    "view": True,
    "edit": False,
    "assessments": True,
    "reports": True,
    "iep": False,
}


def _patient(id_: str, **cells: Any) -> Row:
    return {"id": id_, "clinician_id": "u1", **cells}


def _child(id_: str, linked: str | None = None, **cells: Any) -> Row:
    return {"id": id_, "parent_id": "r1", "linked_patient_id": linked, **cells}


def _consent(id_: str, patient: str, **cells: Any) -> Row:
    given = {"parent_id": "r1", "clinician_id": "u1", "status": "active", "token": f"token {id_}"}
    return {"id": id_, "patient_id": patient, **given, **cells}


CLINIC: Mapping[str, Sequence[Row]] = {
    "users": [
        {"id": "u1", "email": "clinician@example.org"},
        {"id": "u2", "email": "mother@example.org"},
        {"id": "u3", "email": "father@example.org"},
    ],
    "parents": [{"id": "r1", "user_id": "u2"}, {"id": "r2", "user_id": "u3"}],
    "patients": [
        _patient("p-alone", city="Pune", status="discharged", referral_details="by Dr. Rao"),
        _patient("p-linked", developmental_milestones="walked at 1"),
        _patient("p-richer", first_name="Meera", middle_name="K", city="Pune", gender="female"),
        _patient("p-hours", date_of_birth=BORN),
        _patient("p-years", date_of_birth=BORN),
        _patient("p-parents"),
        _patient("p-revoked"),
        _patient("p-pending"),
        _patient("p-closed"),
        _patient("p-implied"),
        _patient("p-lost", clinician_id="gone"),
    ],
    "children": [
        _child("c-alone", first_name="Ravi", medical_history="asthma"),
        _child("c-linked", "p-linked", medical_history="croup", current_concerns="speech"),
        _child("c-poorer", "p-richer", first_name="Mira", gender="male"),
        _child("c-hours", "p-hours", date_of_birth=BORN - 20 * HOUR),
        _child("c-years", "p-years", date_of_birth=BORN - 20_000 * HOUR),
        _child("c-missing", "gone", first_name="Lost"),
        _child("c-revoked", "p-revoked"),
        _child("c-implied", "p-implied"),
    ],
    "parent_children": [
        {"id": "l1", "parent_id": "r1", "patient_id": "p-parents", "relationship_type": "mother"},
        {
            "id": "l2",
            "parent_id": "r2",
            "patient_id": "p-parents",
            "relationship_type": "father",
            "is_primary": 1,
        },
        {"id": "l3", "parent_id": "nobody", "patient_id": "p-parents"},
    ],
    "consent_grants": [
        _consent("g-linked", "p-linked", granted_at="2024-01-02 03:04:05", permissions='{"a": 1}'),
        _consent("g-revoked", "p-revoked", status="revoked", revoked_at=NOON),
        _consent("g-pending", "p-pending", status="pending", expires_at=NOON, clinician_id=None),
        _consent("g-closed", "p-closed", permissions=b"\xff", access_level="full"),
        _consent("g-orphan", "gone"),
    ],
    "patient_tags": [
        {"patient_id": "p-linked", "tag": "speech", "created_at": NOON + 1},
        {"patient_id": "c-linked", "tag": "speech", "created_at": NOON},
    ],
    "journal_entries": [
        {"id": "j1", "patient_id": "c-alone", "created_at": "2024-02-29T05:30:00+05:30"},
        {"id": "j2", "patient_id": "gone"},
    ],
    "ieps": [{"id": "plan", "patient_id": "p-linked", "academic_year": "2023-24"}],
    "iep_goals": [{"id": "goal", "iep_id": "plan", "goal_statement": "of the IEP"}],
    "peps": [{"id": "plan", "patient_id": "p-linked", "parent_id": "r1", "plan_name": "at home"}],
    "pep_goals": [{"id": "goal", "pep_id": "plan", "goal_statement": "of the PEP"}],
    "pep_activities": [{"id": "a1", "pep_id": "plan", "goal_id": "goal"}],
    "appointment_history": [{"id": "h1"}],
}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    return migrated(tmp_path_factory.mktemp("clinic"), CLINIC)


def test_every_equation_adds_up(clinic: Migrated) -> None:
    assert {e.name: e.residual for e in clinic.report.equations} == {
        e.name: 0 for e in clinic.report.equations
    }
    assert len(clinic.rows("SELECT id FROM persons")) == 11 + 8 - 6
    assert all(t.source_rows == t.loaded + sum(t.archived.values()) for t in clinic.report.tables)


def test_a_finished_migration_can_be_proved_again(clinic: Migrated) -> None:
    report = verify(clinic.source, clinic.target)

    assert report.verification
    assert {c.outcome for c in report.verification} <= {"passed", "not_applicable"}


def test_child_without_patient(clinic: Migrated) -> None:
    person = clinic.person("c-alone")

    assert (person["first_name"], person["country"], person["languages_spoken"]) == (
        *("Ravi", "India"),
        "[]",
    )
    (view,) = clinic.of_person("parent_child_views", "c-alone")
    assert (view["parent_id"], view["medical_history"]) == ("r1", "asthma")
    assert (view["relationship_type"], view["is_primary_caregiver"]) == ("parent", 1)
    assert view["id"] == clinic.new_id("child_to_view", "c-alone")
    assert clinic.of_person("clinician_patient_views", "c-alone") == []
    assert clinic.of_person("access_grants", "c-alone") == []


def test_patient_without_parent(clinic: Migrated) -> None:
    person = clinic.person("p-alone")

    assert (person["city"], person["migration_notes"]) == ("Pune", None)
    (view,) = clinic.of_person("clinician_patient_views", "p-alone")
    assert (view["clinician_id"], view["case_status"]) == ("u1", "discharged")
    assert (view["referral_notes"], view["admitted_at"]) == ("by Dr. Rao", NOON)
    assert clinic.of_person("parent_child_views", "p-alone") == []


def test_patient_whose_clinician_is_missing_is_still_a_person(clinic: Migrated) -> None:
    assert clinic.of_person("clinician_patient_views", "p-lost") == []
    (logged,) = clinic.logged("orphaned_record", "p-lost")
    assert (logged["field"], logged["related_id"]) == ("clinician_id", "gone")
    assert logged["person_id"] == clinic.person("p-lost")["id"]


def test_linked_child_and_patient_are_one_person(clinic: Migrated) -> None:
    assert clinic.person("c-linked") == clinic.person("p-linked")
    (view,) = clinic.of_person("parent_child_views", "p-linked")
    assert (view["medical_history"], view["current_concerns"]) == ("croup", "speech")
    (seen,) = clinic.of_person("clinician_patient_views", "p-linked")
    assert seen["developmental_history"] == "walked at 1"
    assert clinic.logged("demographic_mismatch", "c-linked") == []
    (child,) = clinic.archived("children", "id = 'c-linked'")
    assert child["first_name"] == "Asha"


def test_new_ids_are_never_old_ids(clinic: Migrated) -> None:
    old = {row["id"] for rows in CLINIC.values() for row in rows if "id" in row}
    for table in ("persons", "parent_child_views", "clinician_patient_views", "access_grants"):
        new = {row["id"] for row in clinic.rows(f"SELECT id FROM {table}")}
        assert new.isdisjoint(old)


def test_more_complete_patient_wins(clinic: Migrated) -> None:
    person = clinic.person("c-poorer")

    assert [person[c] for c in ("first_name", "middle_name", "city", "gender")] == [
        *("Meera", "K", "Pune", "female")
    ]
    logged = {row["field"]: row for row in clinic.logged("demographic_mismatch", "c-poorer")}
    assert set(logged) == {"first_name", "gender"}
    values = [logged["first_name"][f"{who}_value"] for who in ("child", "patient", "chosen")]
    assert values == ["Mira", "Meera", "Meera"]
    assert "Mira" not in logged["first_name"]["message"]
    assert person["migration_notes"] == (
        "child c-poorer differs from patient p-richer: first_name, gender"
    )


def test_different_birth_dates(clinic: Migrated) -> None:
    for child in ("c-hours", "c-years"):
        (logged,) = clinic.logged("demographic_mismatch", child)
        person = clinic.person(child)
        assert (logged["field"], logged["severity"]) == ("date_of_birth", "warning")
        assert (person["date_of_birth"], logged["person_id"]) == (BORN, person["id"])
        assert logged["chosen_value"] == logged["patient_value"] == "2014-05-13T16:53:20.000Z"
        assert "date_of_birth" in person["migration_notes"]
        assert ("time zone" in logged["message"]) == (child == "c-hours")


def test_missing_linked_patient(clinic: Migrated) -> None:
    assert clinic.person("c-missing")["first_name"] == "Lost"
    (logged,) = clinic.logged("missing_linked_patient")
    assert (logged["source_id"], logged["related_id"]) == ("c-missing", "gone")


def test_orphaned_consent(clinic: Migrated) -> None:
    (logged,) = clinic.logged("orphaned_consent_grant")
    assert (logged["source_id"], logged["related_id"]) == ("g-orphan", "gone")
    assert "g-orphan" not in clinic.mapped("consent_to_grant")
    (whole,) = clinic.archived("consent_grants", "id = 'g-orphan'")
    assert (whole["token"], whole["patient_id"]) == ("token g-orphan", "gone")


def test_two_parents_of_one_patient(clinic: Migrated) -> None:
    views = clinic.of_person("parent_child_views", "p-parents")

    assert {(v["parent_id"], v["relationship_type"], v["is_primary_caregiver"]) for v in views} == {
        ("r1", "mother", 0),
        ("r2", "father", 1),
    }
    assert clinic.mapped("parent_link_to_view") == {"l1", "l2"}
    (logged,) = clinic.logged("orphaned_record", "l3")
    assert logged["field"] == "parent_id"


def test_revoked_consent_stays_revoked(clinic: Migrated) -> None:
    (grant,) = clinic.of_person("access_grants", "p-revoked")

    assert (grant["status"], grant["revoked_at"]) == ("revoked", NOON)
    assert clinic.logged("implied_grant", "c-revoked") == []


def test_pending_consent_waits_for_whoever_claims_it(clinic: Migrated) -> None:
    (grant,) = clinic.of_person("access_grants", "p-pending")

    assert (grant["grantee_id"], grant["status"]) == ("", "pending")
    assert (grant["token"], grant["token_expires_at"]) == ("token g-pending", NOON)


def test_unreadable_consent_closes_the_grant(clinic: Migrated) -> None:
    (grant,) = clinic.of_person("access_grants", "p-closed")

    assert (grant["status"], grant["token"], grant["permissions"]) == ("revoked", None, "{}")
    (logged,) = clinic.logged("unreadable_value", "g-closed")
    assert logged["field"] == "permissions"
    (kept,) = clinic.archived("consent_grants", "id = 'g-closed'")
    assert (kept["permissions"], kept["token"], kept["status"]) == (
        *(b"\xff", "token g-closed"),
        "active",
    )


def test_textual_instants_become_milliseconds(clinic: Migrated) -> None:
    (grant,) = clinic.of_person("access_grants", "p-linked")
    assert (grant["granted_at"], grant["permissions"]) == (1_704_164_645_000, '{"a": 1}')
    entry = clinic.row("SELECT created_at FROM journal_entries")
    assert entry["created_at"] == 1_709_164_800_000
    counted = {(n.table, n.column): n.cells for n in clinic.report.normalisations}
    assert counted["consent_grants", "granted_at"] == 1
    assert counted["journal_entries", "created_at"] == 1


def test_merged_tag(clinic: Migrated) -> None:
    (tag,) = clinic.of_person("tags", "p-linked")

    assert (tag["tag"], tag["created_at"]) == ("speech", NOON)
    assert (tag["added_by"], tag["added_by_type"]) == ("u1", "clinician")
    (logged,) = clinic.logged("merged_tag")
    assert (logged["source_id"], logged["related_id"]) == ("p-linked", "c-linked")


def test_child_id_in_patient_column(clinic: Migrated) -> None:
    (entry,) = clinic.of_person("journal_entries", "c-alone")

    assert entry["id"] == "j1"
    (logged,) = clinic.logged("child_id_in_patient_column", "j1")
    assert (logged["field"], logged["related_id"]) == ("patient_id", "c-alone")
    assert clinic.archived("journal_entries", "id = 'j1'")[0]["patient_id"] == "c-alone"


def test_row_of_an_unknown_person_is_archived_whole(clinic: Migrated) -> None:
    (logged,) = clinic.logged("orphaned_record", "j2")
    assert (logged["field"], logged["related_id"]) == ("patient_id", "gone")
    (whole,) = clinic.archived("journal_entries", "id = 'j2'")
    assert whole["title"] == "journal_entries title 2"


def test_id_collision_and_the_references_that_follow_it(clinic: Migrated) -> None:
    plans = {row["plan_type"]: row for row in clinic.of_person("education_plans", "p-linked")}
    goals = {row["goal_statement"]: row for row in clinic.rows("SELECT * FROM education_goals")}
    activity = clinic.row("SELECT * FROM activities")

    assert (plans["IEP"]["id"], plans["IEP"]["plan_name"]) == ("plan", "IEP 2023-24")
    assert plans["PEP"]["id"] != "plan"
    assert (plans["PEP"]["created_by"], plans["PEP"]["created_by_type"]) == ("u2", "parent")
    assert goals["of the IEP"]["plan_id"] == "plan"
    assert goals["of the PEP"]["plan_id"] == plans["PEP"]["id"]
    assert activity["goal_id"] == goals["of the PEP"]["id"] != "goal"
    assert {row["source_table"] for row in clinic.logged("id_collision")} == {"peps", "pep_goals"}


def test_table_without_a_counterpart_is_archived_whole(clinic: Migrated) -> None:
    (whole,) = clinic.archived("appointment_history")
    assert whole["id"] == "h1"
    assert set(json.loads(whole["_archived"])) == set(whole) - {"_archived", "_reason"}


def test_implied_grant_is_active_by_default(clinic: Migrated) -> None:
    (grant,) = clinic.of_person("access_grants", "p-implied")

    run_time = clinic.report.started_ms
    assert (grant["grantor_id"], grant["grantee_id"]) == ("r1", "u1")
    assert (grant["status"], grant["access_level"], grant["token"]) == ("active", "view", None)
    assert (grant["granted_at"], grant["activated_at"]) == (run_time, run_time)
    assert json.loads(grant["permissions"]) == DEFAULT_PERMISSIONS
    assert grant["granted_by_name"] == grant["granted_by_email"] == "mother@example.org"
    assert "c-implied" in grant["notes"]
    assert "p-implied" in grant["notes"]
    (logged,) = clinic.logged("implied_grant", "c-implied")
    assert logged["related_id"] == "p-implied"


@pytest.mark.parametrize("choice", ["pending", "none"])
def test_implied_grants_as_the_operator_chooses(choice: str, tmp_path: Path) -> None:
    done = migrated(tmp_path, implied_grants=choice)

    grants = done.of_person("access_grants", "p1")
    assert [(g["status"], g["activated_at"]) for g in grants] == (
        [("pending", None)] if choice == "pending" else []
    )
    (logged,) = done.logged("implied_grant", "c1")
    assert ("no grant was made" in logged["message"]) == (choice == "none")


SCHOOLS = (
    "CREATE TABLE schools (id TEXT PRIMARY KEY, name TEXT, school_type TEXT, updated_at, mascot)",
    f"INSERT INTO schools VALUES ('s1', 'Vidya', 'public', {NOON}, 'owl')",
    "CREATE TABLE school_student_views (id TEXT PRIMARY KEY, child_id TEXT, school_id TEXT, "
    "updated_at DATETIME)",
    f"INSERT INTO school_student_views VALUES ('v1', 'c1', 's1', {NOON})",
)


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    """Short names, unknown columns and tables, a table by convention."""
    tables: dict[str, Sequence[Row]] = {
        **SMALL,
        "contacts": [{"id": "k1", "patient_id": "p1", "first_name": "Uma", "updated_at": NOON}],
        "children": [
            {**SMALL["children"][0], "nickname": "Ashu", "middle_name": "ignored", "shoe": 7},
            {"id": "c2", "parent_id": "r1", "nickname": "Bo", "middle_name": "B", "shoe": None},
        ],
        "legacy": [{"a": 1, "b": b"\xff"}, {"a": "one", "b": 2.5}],
        "_prisma_migrations": [{"id": "m1", "migration_name": "init"}],
    }
    directory = tmp_path_factory.mktemp("strange")
    return migrated(directory, tables, before=SCHOOLS)


def test_short_table_name(strange: Migrated) -> None:
    (contact,) = strange.of_person("contacts", "p1")

    assert (contact["id"], contact["first_name"]) == ("k1", "Uma")


def test_unknown_column_is_carried_where_the_target_has_it(strange: Migrated) -> None:
    nicknames = [
        view["nickname"]
        for child in ("c1", "c2")
        for view in strange.of_person("parent_child_views", child)
    ]
    assert nicknames == ["Ashu", "Bo"]
    assert strange.person("c2")["middle_name"] == "B"
    assert strange.person("c1")["middle_name"] is None
    (kept,) = strange.archived("children", "id = 'c1'")
    assert (kept["shoe"], kept["middle_name"]) == (7, "ignored")


def test_unknown_table_is_archived_whole(strange: Migrated) -> None:
    cells = [(row["a"], row["b"]) for row in strange.archived("legacy")]
    assert cells == [(1, b"\xff"), ("one", 2.5)]
    assert any("legacy" in note for note in strange.report.drift)
    assert strange.archived("_prisma_migrations")[0]["migration_name"] == "init"


def test_school_is_migrated_by_convention(strange: Migrated) -> None:
    school = strange.row("SELECT * FROM schools")
    assert (school["id"], school["name"], school["status"]) == ("s1", "Vidya", "active")
    assert strange.archived("schools")[0]["mascot"] == "owl"
    (view,) = strange.of_person("school_student_views", "p1")
    assert (view["id"], view["school_id"]) == ("v1", "s1")


def test_tables_without_a_declared_key_are_known_by_the_usual_one(tmp_path: Path) -> None:
    keyless = [
        statement
        for table in ("users", "parents", "patients", "children", "journal_entries")
        for statement in (
            f"CREATE TABLE copied AS SELECT * FROM {table}",
            f"DROP TABLE {table}",
            f"ALTER TABLE copied RENAME TO {table}",
        )
    ]
    tables = {**SMALL, "journal_entries": [{"id": "j1", "patient_id": "p1"}]}

    done = migrated(tmp_path, tables, before=keyless)

    assert done.person("c1") == done.person("p1")
    assert [entry["id"] for entry in done.of_person("journal_entries", "p1")] == ["j1"]


def test_a_consent_without_a_column_for_its_status_is_closed(tmp_path: Path) -> None:
    rows = {**SMALL, "consent_grants": [_consent("g1", "p1")]}

    found = migrated(tmp_path, rows, ["ALTER TABLE consent_grants DROP COLUMN status"])

    assert found.row("SELECT status FROM access_grants") == {"status": "revoked"}
    assert [row["field"] for row in found.logged("unreadable_value")] == ["status"]


def test_children_may_lack_the_column_of_their_link(tmp_path: Path) -> None:
    rows = {**SMALL, "children": [_child("c1", gender=b"\xff")]}

    found = migrated(tmp_path, rows, ["ALTER TABLE children DROP COLUMN linked_patient_id"])

    assert len(found.rows("SELECT 1 FROM persons")) == 2
    assert [row["field"] for row in found.logged("unreadable_value")] == ["gender"]
