"""How a file may stray from the old schema: columns, names and tables (contract section 2)."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from tests.strategies.cells import CELLS
from tests.strategies.description import TableDescription
from tests.strategies.handmade import NOON

from person_unify.schema import OLD

SHORT = {
    "patient_contacts": "contacts",
    "patient_documents": "documents",
    "patient_tags": "tags",
    "parent_screenings": "screenings",
    "consultation_sessions": "sessions",
    "pep_activities": "activities",
}
NEEDED = {
    *(("users", "email"), ("parents", "user_id"), ("clinician_profiles", "user_id")),
    *(("refresh_tokens", "token"), ("mchat_questions", "question_number")),
    *(("mchat_questions", "is_initial_screener"), ("asq_questions", "age_range")),
    *(("asq_questions", "domain"), ("asq_questions", "question_number")),
}
"""Columns of a UNIQUE without which the run is refused."""

DROPPABLE = [
    (table.name, column)
    for table in OLD.values()
    for column in table.column_names
    if column not in table.primary_key and (table.name, column) not in NEEDED
]
CORE_DROPPABLE = [
    (table, column)
    for table, column in DROPPABLE
    if table in ("patients", "children", "parent_children", "consent_grants", "patient_tags")
]
EXTRA: list[tuple[str, str, str]] = [
    ("children", "nickname", "TEXT"),
    ("children", "middle_name", "TEXT"),
    ("children", "udid_number", "TEXT"),
    ("children", "country", "TEXT"),
    ("children", "deleted_at", "DATETIME"),
    ("children", 'odd "name', ""),
    ("patients", "birth_history", "TEXT"),
    ("patients", "discharged_at", "DATETIME"),
    ("patients", "case_status", "TEXT"),
    ("patients", "extra", ""),
    ("parent_children", "note", ""),
    ("consent_grants", "legacy", ""),
    ("patient_tags", "colour", "TEXT"),
    ("appointments", "foo", ""),
    ("peps", "academic_year", "TEXT"),
    ("ieps", "description", "TEXT"),
    ("iep_goals", "milestones", "TEXT"),
    ("pep_goals", "priority", "TEXT"),
    ("consultation_sessions", "observations", "TEXT"),
    ("session_participants", "role", "TEXT"),
    ("patient_documents", "visibility", "TEXT"),
    ("parents", "profile_picture_url", "TEXT"),
    ("reports", "recommendations", "TEXT"),
    ("reports", "created_at", "DATETIME"),
]

SHARED: list[tuple[str, str, str]] = [
    ("children", "nickname", "TEXT"),
    ("parent_children", "nickname", "TEXT"),
    ("children", "parent_notes", "TEXT"),
    ("parent_children", "parent_notes", "TEXT"),
    ("patients", "nickname", "TEXT"),
]
"""Unknown columns that the target has a home for, in more than one table."""

RENUMBERED = ("patients", "children", "parent_children", "consent_grants")
"""Tables in which an id must not stand twice."""

STRANGERS: list[TableDescription] = [
    TableDescription("legacy notes", {"a": "", "b": "TEXT"}, rows=[{"a": 1}, {"b": "p2"}]),
    TableDescription("settings", {"id": "INTEGER", "v": ""}, ("id",), [{"id": 7, "v": b"\xff"}]),
    TableDescription(
        "pairs", {"x": "TEXT", "y": "TEXT", "z": "REAL"}, ("x", "y"), [{"x": "1", "y": "é"}], True
    ),
    TableDescription("_prisma_migrations", {"id": "TEXT", "n": "INTEGER"}, ("id",), [{"id": "m"}]),
    TableDescription("persons", {"id": "TEXT", "first_name": "TEXT"}, ("id",), [{"id": "p2"}]),
    TableDescription("empty_one", {"id": "TEXT"}, ("id",)),
    TableDescription("sessions", {"sid": "TEXT", "expired": "INTEGER"}, ("sid",), [{"sid": "p2"}]),
    TableDescription("tags", {"id": "TEXT", "name": "TEXT"}, ("id",), [{"id": "c2", "name": "x"}]),
    TableDescription("contacts", {"id": "TEXT", "message": "TEXT"}, ("id",), [{"id": "m"}]),
    TableDescription("activities", {"id": "TEXT", "patient_id": "TEXT"}, ("id",), [{"id": "a"}]),
    TableDescription(
        "devices", {"user_id": "TEXT", "updated_at": "DATETIME"}, (), [{"user_id": "u1"}]
    ),
    TableDescription('we"ird %s?1', {"ro wid": "TEXT", 'q"': ""}, rows=[{'q"': 2.5}]),
    TableDescription("rowid_column", {"rowid": "TEXT", "v": "TEXT"}, rows=[{"rowid": "a"}]),
]
BYSTANDERS = (
    "CREATE VIEW everybody AS SELECT 1 AS one",
    "CREATE TABLE audited (id INTEGER PRIMARY KEY)",
    "CREATE TRIGGER watch AFTER INSERT ON audited BEGIN SELECT 1; END",
)


def columns_to_drop() -> st.SearchStrategy[list[tuple[str, str]]]:
    """A few (table, column) that the file lacks, those of the core tables more often."""
    drawn = st.one_of(st.sampled_from(CORE_DROPPABLE), st.sampled_from(DROPPABLE))
    return st.lists(drawn, max_size=3)


def extra_value(kind: str, position: int) -> Any:
    """The cell of an unknown column in the row at that position."""
    if kind == "DATETIME":
        return [None, NOON, "2023-11-14", "soon"][position % 4]
    values = ["more", None, "", "more", *CELLS[kind]]
    return values[position % len(values)]
