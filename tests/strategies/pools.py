"""Small pools of ids and references, so that rows of different tables meet often."""

from __future__ import annotations

from typing import Any

from tests.strategies.cells import (
    BIRTHDAYS,
    CELLS,
    GENDERS,
    NAMES,
    STATUSES,
    TIMES,
    BadText,
)
from tests.strategies.handmade import NOON

from person_unify.schema import OLD, UNIFIED, Table

CONVENTIONAL = ("schools", "teachers", "school_student_views")

IDS: dict[str, list[str]] = {
    "users": ["u2", "u1", "u3", "u10"],
    "parents": ["r2", "r1", "r10", "R3"],
    "patients": ["p2", "p10", "p1", "P3", "π-4", "p 5"],
    "children": ["c2", "c10", "c1", "C3", "c_4", "ç5"],
    "ieps": ["plan1", "plan2", "plan4", "plan0"],
    "peps": ["plan3", "plan1", "plan2", "plan5"],
    "iep_goals": ["goal1", "goal2", "goal4", "goal0"],
    "pep_goals": ["goal3", "goal1", "goal2", "goal5"],
    "goal_progress_updates": ["step1", "step2", "step4", "step0"],
    "pep_goal_progress": ["step3", "step1", "step2", "step5"],
}

USERS: list[Any] = [*["u2", "u1"] * 8, "u3", "gone", None, b"u2", b"\xff", ""]
PARENTS: list[Any] = [*["r2", "r1"] * 8, "r10", "gone", None, b"r1", ""]
PERSONS: list[Any] = [
    *["p2", "p2", "p10", "p2", "c2", "p10"] * 3,
    *("p1", "P3", "c10", "c1", "π-4", "gone", None, b"p2", b"c2", b"\xff", "", BadText(b"p2\xff")),
]
LINKS: list[Any] = [
    *["p2", None, "p2", "p10"] * 3,
    *("p1", "", "gone", "c2", "P3", b"p2", b"\xff", BadText(b"p\xff")),
]
ANYBODY: list[Any] = ["u2", "r2", "u1", "r1", "p2", "c2", "gone", "", None, b"c2", "p10", b"\xff"]
WORDS: list[Any] = [
    *("/patients/p2", "p2", None, "see c2, or p10.", "p2x", "xp2", "p2-", "_p2", "π-4!", "é p 5"),
    *("C3/c_4", b"p2", b"\xff p2", "ap1 p1", "p2\x00", "٣p2", "²p2"),
]

SESSIONS: list[Any] = [
    *(1_700_000_000_000, 1_720_000_000_000, "2024-03-31 00:59:59", "2024-10-27T01:00:00Z", None),
    *("2105-07-01 08:30", 4_281_000_000_000, "1900-01-01", "1960-07-01 08:30:00", "1883-11-18"),
    *("0001-01-01", "9999-12-31T23:59:59Z", -2_038_200_925_000, "soon", b"\xff"),
]
"""Instants by which time zones differ: both summer and winter, mistyped years, old rules."""

POOLS: dict[tuple[str, str], list[Any]] = {
    ("users", "status"): [*["active"] * 6, "Suspended", "blocked", "pending", None, b"deleted"],
    ("users", "deleted_at"): [*[None] * 6, NOON, "soon", 0],
    ("refresh_tokens", "token"): ["t1", "t2", "t3", None, b"t1"],
    ("consent_grants", "token"): ["t1", "t2", "t3", "t4", "t1", None, b"t2", b"\xff"],
    ("consent_grants", "status"): STATUSES,
    ("consent_grants", "expires_at"): TIMES,
    ("consent_grants", "clinician_id"): USERS,
    ("patients", "first_name"): NAMES,
    ("patients", "last_name"): NAMES,
    ("patients", "date_of_birth"): BIRTHDAYS,
    ("patients", "gender"): GENDERS,
    ("patients", "udid_number"): ["U1", None, "U1", "U2", "", b"U1", b"\xff"],
    ("patients", "created_at"): TIMES,
    ("patients", "deleted_at"): [None, None, None, 5, "soon"],
    ("children", "linked_patient_id"): LINKS,
    ("children", "first_name"): NAMES,
    ("children", "last_name"): NAMES,
    ("children", "date_of_birth"): BIRTHDAYS,
    ("children", "gender"): GENDERS,
    ("children", "created_at"): TIMES,
    ("children", "updated_at"): TIMES,
    ("children", "medical_history"): ["asthma", None, "", "croup", b"asthma", b"\xff"],
    ("parent_children", "is_primary"): [1, 1, 0, 1, "true", None, 2],
    ("parent_children", "added_at"): TIMES,
    ("patient_tags", "patient_id"): ["p2", "c2", "p2", "c2", "c10", "p10", "p1", "c1", "gone", ""],
    ("patient_tags", "tag"): ["speech", "speech", "speech", "motor", "", "Speech"],
    ("patient_tags", "created_at"): TIMES,
    ("user_preferences", "user_id"): ["u2", "u1", "u3", "gone", ""],
    ("notifications", "action_url"): WORDS,
    ("notifications", "action_data"): WORDS,
    ("conversations", "patient_id"): PERSONS,
    ("mchat_questions", "question_number"): [1, 2, "1", 1.0, None],
    ("asq_questions", "question_number"): [1, 2, "1", None],
    ("asq_questions", "age_range"): ["6m", "9m", b"6m", None],
    ("asq_questions", "domain"): ["motor", "speech"],
    ("clinician_availability", "day_of_week"): [1, 2, "1"],
    ("clinician_availability", "start_time"): ["09:00", "10:00"],
    ("consultation_sessions", "session_date"): SESSIONS,
    ("consultation_sessions", "duration"): [45, 0, 1500, "30", -5, "x", 2**63 - 1, None],
    ("school_student_views", "student_id"): ANYBODY,
}
SHARED: dict[str, list[tuple[str, Any]]] = {
    "users": [("email", email) for email in ("users email 0", b"users email 1", None)] * 6,
    "parents": [("user_id", user) for user in ("u2", b"u1", "gone", None)] * 6,
}
"""Replacements that make rows of these tables fall on one another, or away."""
PLACES = {"patients": PERSONS, "parents": PARENTS, "users": USERS, "persons": PERSONS}
REFERRED = {"screening_id": "parent_screenings"}


def described(table: str) -> Table:
    """The table as the old schema has it, or the unified one for tables moved by convention."""
    return OLD[table] if table in OLD else UNIFIED[table]


def ids(table: str) -> list[str]:
    """Ids that rows of the table take, first to last: neither sorted nor alike."""
    return IDS.get(table) or [f"{table[:4]}{table[-3:]}{n}" for n in (2, 1, 10, 3)]


def pool(table: str, column: str) -> list[Any] | None:
    """The values that every row draws for the column; None where it takes a default."""
    if (table, column) == ("parents", "user_id"):
        return None
    if (table, column) in POOLS:
        return POOLS[table, column]
    reference = described(table).foreign_key(column)
    referred = REFERRED.get(column, reference.table if reference else None)
    if referred in PLACES:
        return PLACES[referred]
    if referred is not None:
        known = ids(referred)
        return [*known[:2] * 6, "gone", None, known[0].encode(), b"\xff"]
    searched = column.endswith(("_id", "_by")) and column not in described(table).primary_key
    return ANYBODY if searched else None


def by_position(table: str, position: int) -> dict[str, Any]:
    """What every row has of its own: an id, a parent's user."""
    own: dict[str, Any] = {}
    if described(table).primary_key == ("id",):
        own["id"] = ids(table)[position]
    if table == "parents":
        own["user_id"] = ids("users")[position]
    return own


def faults(table: str) -> list[tuple[str, Any]]:
    """Every (column, cell) that may replace what a row has, keys aside."""
    declared = described(table)
    shared = SHARED.get(table, [])
    return [*shared, *shared] + [
        (column.name, cell)
        for column in declared.columns
        if column.name not in declared.primary_key
        for cell in CELLS[column.type]
    ]
