"""The reference on databases small enough to check against the contract by eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.reference import New, ReferenceResult, Refused, migrate_reference
from tests.strategies.handmade import NOON, write

RUN = 1_750_000_000_000
USER = {"id": "u1", "email": "doctor@example.org"}
MOTHER_USER = {"id": "u2", "email": "mother@example.org", "role": "parent"}
FATHER_USER = {"id": "u3", "email": "father@example.org", "role": "parent"}
MOTHER = {"id": "r1", "user_id": "u2"}
FATHER = {"id": "r2", "user_id": "u3"}
PATIENT = {"id": "p1", "clinician_id": "u1"}
CHILD = {"id": "c1", "parent_id": "r1", "linked_patient_id": "p1"}
OF_P1 = New("person", ("patients", "p1"))
OF_C1 = New("person", ("children", "c1"))


@pytest.fixture
def old(tmp_path: Path) -> Any:
    def migrate(**tables: Any) -> ReferenceResult:
        options = {k: tables.pop(k) for k in list(tables) if k in ("implied_grants", "timezone")}
        tables.setdefault("users", [USER, MOTHER_USER, FATHER_USER])
        tables.setdefault("parents", [MOTHER, FATHER])
        path = write(tmp_path / "old.db", **tables)
        return migrate_reference(path, run_time_ms=RUN, **options)

    return migrate


def kinds(result: ReferenceResult) -> list[tuple[Any, ...]]:
    """Discrepancies as (kind, source_id, related_id, field), sorted.

    Instants of 1 or 2 ms say what is earlier here; that they are implausible is told elsewhere.
    """
    columns = ("kind", "source_id", "related_id", "field")
    logged = [row for row in result.discrepancies if row["kind"] != "implausible_instant"]
    return sorted((tuple(row[c] for c in columns) for row in logged), key=str)


def archived(result: ReferenceResult, table: str) -> list[tuple[set[str], str]]:
    return [(set(cells), reason) for cells, reason in result.archive.get(table, {}).values()]


def test_child_without_patient_becomes_a_person_with_its_parents_view(old: Any) -> None:
    result = old(children=[CHILD | {"linked_patient_id": None, "medical_history": "asthma"}])
    (person,) = result.tables["persons"]
    (view,) = result.tables["parent_child_views"]
    assert (person["id"], person["country"], person["languages_spoken"]) == (OF_C1, "India", "[]")
    assert (view["person_id"], view["parent_id"], view["medical_history"]) == (
        OF_C1,
        "r1",
        "asthma",
    )
    assert (view["relationship_type"], view["is_primary_caregiver"]) == ("parent", 1)
    assert (view["added_at"], view["reminder_preferences"]) == (NOON, "{}")
    assert result.discrepancies == []
    assert archived(result, "children") == [({"linked_patient_id"}, "not_carried")]


def test_patient_without_parent_gets_a_clinician_view_only(old: Any) -> None:
    result = old(patients=[PATIENT | {"status": "paused", "school_id": "s1"}])
    (view,) = result.tables["clinician_patient_views"]
    assert (view["person_id"], view["clinician_id"], view["case_status"]) == (
        OF_P1,
        "u1",
        "paused",
    )
    assert view["admitted_at"] == view["created_at"] == NOON
    assert result.tables["parent_child_views"] == result.tables["access_grants"] == []
    assert archived(result, "patients") == [({"school_id"}, "not_carried")]


def test_linked_child_shares_the_patients_person_and_implies_a_grant(old: Any) -> None:
    result = old(patients=[PATIENT], children=[CHILD])
    (grant,) = result.tables["access_grants"]
    assert len(result.tables["persons"]) == 1
    assert result.maps["child_to_person"] == {"c1": OF_P1}
    assert (grant["grantor_id"], grant["grantee_id"], grant["status"]) == ("r1", "u1", "active")
    assert grant["granted_at"] == grant["activated_at"] == RUN
    assert grant["granted_by_name"] == "mother@example.org"
    assert kinds(result) == [("implied_grant", "c1", "p1", "linked_patient_id")]
    ((columns, reason),) = archived(result, "children")
    assert {"id", "first_name", "linked_patient_id"} <= columns
    assert reason == "not_carried"


def test_the_patients_demographics_win_and_the_difference_is_noted(old: Any) -> None:
    born = 1_400_000_000_000
    result = old(
        patients=[PATIENT | {"first_name": " ASHA", "date_of_birth": born}],
        children=[
            CHILD | {"first_name": "asha", "last_name": "Roy", "date_of_birth": "2014-05-14"}
        ],
        implied_grants="none",
    )
    assert result.tables["persons"][0]["last_name"] == "Rao"
    names, birth = sorted(
        (row for row in result.discrepancies if row["kind"] == "demographic_mismatch"),
        key=lambda row: str(row["field"]),
        reverse=True,
    )
    assert (names["child_value"], names["chosen_value"]) == ("Roy", "Rao")
    assert birth["child_value"] == "2014-05-14T00:00:00.000Z"
    assert birth["patient_value"] == "2014-05-13T16:53:20.000Z"
    note = "child c1 differs from patient p1: last_name, date_of_birth"
    assert result.person_notes == {OF_P1: note}
    assert result.tables["persons"][0]["migration_notes"] == note
    assert result.tables["access_grants"] == []


def test_a_link_to_nobody_leaves_the_child_standalone(old: Any) -> None:
    result = old(children=[CHILD | {"linked_patient_id": "gone"}])
    assert kinds(result) == [("missing_linked_patient", "c1", "gone", "linked_patient_id")]
    assert result.maps["child_to_person"] == {"c1": OF_C1}


def test_consents_keep_their_state_and_orphans_are_skipped(old: Any) -> None:
    consent = {"parent_id": "r1", "patient_id": "p1", "clinician_id": "u1", "expires_at": 9}
    result = old(
        patients=[PATIENT],
        children=[CHILD],
        consent_grants=[
            consent | {"id": "g1", "token": "t1", "status": "revoked", "revoked_at": 5},
            consent | {"id": "g2", "token": "t2", "status": "pending", "clinician_id": None},
            consent | {"id": "g3", "token": "t3", "status": "active", "permissions": b"\xff"},
            consent | {"id": "g4", "token": "t4", "patient_id": "gone"},
            consent | {"id": "g5", "token": "t1"},
        ],
    )
    seen = [
        (g["status"], g["token"], g["token_expires_at"], g["grantee_id"], g["permissions"][:2])
        for g in result.tables["access_grants"]
    ]
    assert seen == [
        ("revoked", "t1", None, "u1", '{"'),
        ("pending", "t2", 9, "", '{"'),
        ("revoked", None, None, "u1", "{}"),
    ]
    assert kinds(result) == [
        ("duplicate_key", "g5", "g1", "token"),
        ("orphaned_consent_grant", "g4", "gone", "patient_id"),
        ("unreadable_value", "g3", None, "permissions"),
    ]
    kept = {key[0].raw: cells for key, (cells, _) in result.archive["consent_grants"].items()}
    assert set(kept[b"g2"]) == {"clinician_id", "created_at", "updated_at"}
    assert {"permissions", "token", "status"} < set(kept[b"g3"])


def test_two_parents_of_one_patient_have_one_primary_caregiver(old: Any) -> None:
    link = {"patient_id": "p1", "relationship_type": "mother", "is_primary": 1}
    result = old(
        patients=[PATIENT],
        parent_children=[
            link | {"id": "l1", "parent_id": "r1", "added_at": 20},
            link | {"id": "l2", "parent_id": "r2", "added_at": "1970-01-01T00:00:00.010Z"},
        ],
    )
    views = {v["parent_id"]: v for v in result.tables["parent_child_views"]}
    assert (views["r1"]["is_primary_caregiver"], views["r2"]["is_primary_caregiver"]) == (0, 1)
    assert views["r2"]["added_at"] == views["r2"]["updated_at"] == 10
    assert kinds(result) == [("multiple_primary_caregivers", "p1", "r2", "is_primary")]
    assert result.normalisations["parent_children", "added_at", "text_to_integer"] == 1
    assert archived(result, "parent_children")[0][0] == {"id", "is_primary", "can_consent"}


def test_children_on_one_pair_merge_their_texts(old: Any) -> None:
    result = old(
        patients=[PATIENT],
        children=[
            CHILD | {"id": "c2", "medical_history": "later", "created_at": 2, "updated_at": 7},
            CHILD | {"id": "c1", "medical_history": "first", "created_at": 1, "updated_at": 9},
            CHILD | {"id": "c3", "medical_history": "first", "created_at": None, "updated_at": 8},
        ],
        implied_grants="pending",
    )
    (view,) = result.tables["parent_child_views"]
    assert view["medical_history"] == "first\n\nlater"
    assert (view["added_at"], view["updated_at"], view["current_concerns"]) == (1, 9, None)
    assert result.tables["access_grants"][0]["activated_at"] is None
    assert kinds(result) == [
        ("implied_grant", "c1", "p1", "linked_patient_id"),
        ("merged_child_rows", "c2", "c1", None),
        ("merged_child_rows", "c3", "c1", None),
        ("shared_linked_patient", "c2", "p1", "linked_patient_id"),
        ("shared_linked_patient", "c3", "p1", "linked_patient_id"),
    ]


def test_a_shared_udid_stays_with_the_earliest(old: Any) -> None:
    result = old(
        patients=[
            PATIENT | {"udid_number": "U", "created_at": 2, "first_name": "Bela"},
            PATIENT | {"id": "p2", "udid_number": "U", "created_at": 1},
            PATIENT | {"id": "p3", "udid_number": "", "last_name": "Sen"},
        ]
    )
    assert [person["udid_number"] for person in result.tables["persons"]] == [None, "U", None]
    assert kinds(result) == [("duplicate_udid", "p1", "p2", "udid_number")]


def test_a_pep_that_shares_its_id_gets_a_new_one_and_its_rows_follow(old: Any) -> None:
    result = old(
        patients=[PATIENT | {"udid_number": None}],
        ieps=[{"id": "x", "patient_id": "p1", "academic_year": None, "strengths": "kind"}],
        peps=[{"id": "x", "patient_id": "p1", "parent_id": "r1"}],
        iep_goals=[{"id": "g", "iep_id": "x"}],
        pep_goals=[{"id": "g", "pep_id": "x", "domain": "motor"}],
        pep_activities=[{"id": "a", "pep_id": "x", "goal_id": "g", "materials": None}],
    )
    iep, pep = result.tables["education_plans"]
    new_plan, new_goal = New("collision", ("peps", "x")), New("collision", ("pep_goals", "g"))
    assert (iep["id"], iep["plan_name"], iep["notes"]) == ("x", "IEP ", "Strengths: kind")
    assert (pep["id"], pep["created_by"], pep["created_by_type"]) == (new_plan, "u2", "parent")
    assert [(g["id"], g["plan_id"]) for g in result.tables["education_goals"]] == [
        ("g", "x"),
        (new_goal, new_plan),
    ]
    (activity,) = result.tables["activities"]
    assert (activity["goal_id"], activity["domain"], activity["materials"]) == (
        new_goal,
        "motor",
        "[]",
    )
    assert kinds(result) == [
        ("id_collision", "g", new_goal, "id"),
        ("id_collision", "x", new_plan, "id"),
    ]


def test_a_row_without_its_person_takes_its_dependants_along(old: Any) -> None:
    result = old(
        patients=[PATIENT],
        interventions=[
            {"id": "i1", "patient_id": "gone", "clinician_id": "u1", "start_date": b"\xff"},
            {"id": "i2", "patient_id": "p1", "clinician_id": "gone"},
        ],
        intervention_progress=[{"id": "n1", "intervention_id": "i1"}],
    )
    assert kinds(result) == [
        ("orphaned_record", "i1", "gone", "patient_id"),
        ("orphaned_record", "i2", "gone", "clinician_id"),
        ("orphaned_record", "n1", "i1", "intervention_id"),
    ]
    assert [reason for _, reason in archived(result, "interventions")] == ["orphaned_record"] * 2


def test_a_child_id_in_a_patient_column_is_resolved_and_kept(old: Any) -> None:
    result = old(
        patients=[PATIENT],
        children=[CHILD],
        consent_grants=[{"patient_id": "p1", "parent_id": "r1", "token": "t"}],
        consultation_sessions=[
            {
                "id": "s1",
                "patient_id": "c1",
                "clinician_id": "u1",
                "session_date": "2024-01-01T18:00:59.9999Z",
                "duration": "45",
            }
        ],
        audit_logs=[{"id": "a1", "resource_id": "c1", "user_id": "gone"}],
        notifications=[
            {"id": "n1", "user_id": "u1", "action_url": "/p/p1?x", "action_data": "p12"}
        ],
    )
    (session,) = result.tables["consultation_sessions"]
    assert (session["person_id"], session["start_time"], session["end_time"]) == (
        OF_P1,
        "23:30",
        "00:15",
    )
    assert session["session_date"] == 1_704_132_059_999
    assert kinds(result) == [
        ("child_id_in_patient_column", "s1", "c1", "patient_id"),
        ("dangling_reference", "a1", "gone", "user_id"),
        ("soft_reference", None, None, "action_url"),
        ("soft_reference", None, None, "resource_id"),
    ]
    ((kept, _),) = archived(result, "consultation_sessions")
    assert {"patient_id", "session_date", "duration"} <= kept


def test_tags_merge_and_the_old_name_of_a_table_is_kept(old: Any) -> None:
    result = old(
        patients=[PATIENT],
        children=[CHILD],
        consent_grants=[{"patient_id": "p1", "parent_id": "r1", "token": "t"}],
        patient_tags=[
            {"patient_id": "p1", "tag": "speech", "created_at": 5},
            {"patient_id": "c1", "tag": "speech", "created_at": 4},
        ],
    )
    (tag,) = result.tables["tags"]
    assert (tag["created_at"], tag["added_by"]) == (4, "u1")
    assert set(result.maps["tag_to_tag"].values()) == {tag["id"]}
    assert kinds(result) == [
        ("child_id_in_patient_column", "c1", "c1", "patient_id"),
        ("merged_tag", "p1", "c1", "tag"),
    ]


def test_required_values_follow_their_order_and_are_counted(old: Any) -> None:
    result = old(
        patients=[
            PATIENT
            | {"updated_at": None, "created_at": 3, "gender": "", "country": None}
            | {"first_name": b"\xff", "date_of_birth": "1969-12-31 23:59:59.9999"}
        ]
    )
    (person,) = result.tables["persons"]
    assert (person["updated_at"], person["country"], person["first_name"]) == (3, "India", "")
    assert (person["gender"], person["date_of_birth"]) == ("unknown", -1)
    assert kinds(result) == [
        ("missing_gender", "p1", None, "gender"),
        ("unreadable_value", "p1", None, "first_name"),
    ]
    assert result.normalisations == {
        ("patients", "updated_at", "required_default"): 1,
        ("patients", "country", "required_default"): 1,
        ("patients", "first_name", "required_default"): 1,
        ("patients", "date_of_birth", "text_to_integer"): 1,
    }
    ((kept, _),) = archived(result, "patients")
    assert kept == {
        *("updated_at", "country", "first_name", "gender", "date_of_birth", "school_id"),
    }


@pytest.mark.parametrize(
    "tables",
    [
        {"patients": [PATIENT | {"id": None}]},
        {"patients": [PATIENT | {"id": b"p1"}]},
        {
            "patient_tags": [{"patient_id": "p", "tag": "t"}],
            "tags": [{"patient_id": "p", "tag": "t"}],
        },
    ],
)
def test_broken_preconditions_are_refused(old: Any, tables: Any) -> None:
    with pytest.raises(Refused):
        old(**tables)
