"""``old_databases``: small old databases that mix every fault of the contract's sections 1 to 7."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st
from tests.strategies import drift
from tests.strategies.description import Description, TableDescription
from tests.strategies.handmade import NOON, filled
from tests.strategies.pools import CONVENTIONAL, by_position, described, faults, ids, pool

from person_unify.schema import OLD

CORE = {
    "users": (2, 4),
    "parents": (2, 4),
    "patients": (1, 6),
    "children": (0, 6),
    "parent_children": (0, 4),
    "consent_grants": (0, 4),
}
"""Tables of every database, with their lowest and highest number of rows."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "tags": ("patient_tags",),
    "contacts": ("patient_contacts", "patient_documents"),
    "screening": ("parent_screenings", "screening_responses"),
    "assessments": ("assessments", "assessment_evidence"),
    "plans": (
        *("ieps", "peps", "iep_goals", "pep_goals", "pep_activities", "activity_completions"),
    ),
    "progress": (
        *("ieps", "peps", "iep_goals", "pep_goals", "goal_progress_updates"),
        *("pep_goal_progress", "iep_objectives"),
    ),
    "iep": (
        *("ieps", "iep_accommodations", "iep_services", "iep_team_members"),
        *("iep_progress_reports",),
    ),
    "resources": ("resources", "peps", "pep_activities"),
    "sessions": ("consultation_sessions", "session_participants", "session_attachments"),
    "interventions": ("interventions", "intervention_strategies", "intervention_progress"),
    "journal": ("journal_entries", "journal_attachments"),
    "appointments": ("practice_locations", "appointments", "clinician_availability"),
    "archived": (
        *("appointments", "appointment_history", "appointment_participants"),
        *("appointment_reminders", "session_templates", "patient_activity_log"),
    ),
    "reports": ("reports",),
    "messages": ("conversations", "messages"),
    "account": (
        *("clinician_profiles", "credentials", "refresh_tokens", "user_preferences"),
        *("clinician_time_off",),
    ),
    "traces": ("audit_logs", "notifications"),
    "questions": ("mchat_questions", "asq_questions"),
    "schools": CONVENTIONAL,
}


def _row(table: str) -> st.SearchStrategy[dict[str, Any]]:
    """What distinguishes a row: references and key facts, some replaced cells, how full it is."""
    declared = described(table)
    drawn = {}
    for column in declared.column_names:
        values = pool(table, column)
        if values is not None:
            drawn[column] = st.sampled_from(values)
    drawn["*faults"] = st.lists(st.sampled_from(faults(table)), max_size=2)
    drawn["*full"] = st.booleans()
    return st.fixed_dictionaries(drawn)


def _rows(table: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    fewest, most = CORE.get(table, (1, 4))
    return st.lists(_row(table), min_size=fewest, max_size=most)


ROWS = {table: _rows(table) for table in (*OLD, *CONVENTIONAL)}


def _complete(table: str, position: int, drawn: dict[str, Any]) -> dict[str, Any]:
    """The whole row: its id by position, defaults, drawn values, then the faults."""
    declared = described(table)
    row = by_position(table, position)
    if drawn["*full"]:
        for column in declared.columns:
            if not column.not_null and column.type == "TEXT":
                row[column.name] = f"{column.name} {position}"
    row |= {column: value for column, value in drawn.items() if not column.startswith("*")}
    row |= dict(drawn["*faults"])
    row = filled(table, row, position)
    if table in CONVENTIONAL:
        row = {"created_at": NOON, "updated_at": NOON, "name": "x", "school_type": "x"} | row
        row = {"first_name": "x", "last_name": "x"} | row
    return row


def _described(table: str, rows: list[dict[str, Any]], twin: bool) -> TableDescription:
    declared = described(table)
    columns = {column.name: column.type for column in declared.columns}
    complete = [_complete(table, position, drawn) for position, drawn in enumerate(rows)]
    if table == "children" and twin and complete:
        complete[0]["id"] = ids("patients")[0]
    return TableDescription(table, columns, declared.primary_key, complete)


@st.composite
def old_databases(draw: st.DrawFn, strays: bool = True) -> Description:
    """Draws a description; ``strays`` lets its schema differ from the old one."""
    families = draw(
        st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, max_size=5, unique=True)
    )
    names = list(dict.fromkeys([*CORE, *(t for family in families for t in FAMILIES[family])]))
    twin = draw(st.integers(0, 9)) == 9
    tables = {name: _described(name, draw(ROWS[name]), twin) for name in names}
    if "schools" in families:
        _use_person_column(tables["school_student_views"], draw(st.booleans()))
    strangers: list[TableDescription] = []
    bystanders: tuple[str, ...] = ()
    strict = draw(st.integers(0, 5)) == 5
    if strays and draw(st.booleans()):
        _stray(draw, tables, strict)
        if not strict:
            chosen_tables = st.lists(st.sampled_from(sorted(tables)), max_size=3, unique=True)
            for usual in draw(chosen_tables):
                _key_otherwise(draw, usual, tables[usual])
        chosen = draw(st.lists(st.sampled_from(range(len(drift.STRANGERS))), max_size=3))
        taken = {table.name for table in tables.values()}
        found = [copy.deepcopy(drift.STRANGERS[index]) for index in sorted(set(chosen))]
        strangers = [table for table in found if table.name not in taken]
        bystanders = drift.BYSTANDERS if draw(st.booleans()) else ()
    for name in OLD if draw(st.booleans()) else ():
        if name not in tables:
            tables[name] = _described(name, [], twin=False)
    if strict:
        for name, table in tables.items():
            table.strict_as = name if name in OLD else None
    every = [*tables.values(), *strangers]
    return Description(every, bystanders, draw(_spelling(every)) if strays else {})


def _spelling(tables: list[TableDescription]) -> st.SearchStrategy[dict[str, str]]:
    """Some names of tables and columns in another case, or none."""
    names = {name for table in tables for name in (table.name, *table.columns) if name.isascii()}
    case = st.sampled_from([str.upper, str.title, str.swapcase])
    some = st.dictionaries(st.sampled_from(sorted(names)), case, max_size=12)
    drawn = some.map(lambda found: {name: how(name) for name, how in found.items()})
    return st.one_of(st.just({}), drawn)


def _key_otherwise(draw: st.DrawFn, usual: str, table: TableDescription) -> None:
    """Takes the key away, with an id there twice, or declares another one than usual."""
    columns = [c for c in table.columns if c not in table.key]
    kind = draw(st.sampled_from(["none", "none", "number", "text", "beside", "other"]))
    if kind == "none":
        table.key = ()
        if len(table.rows) > 1 and usual not in drift.RENUMBERED and draw(st.booleans()):
            first, second = table.rows[0], table.rows[-1]
            second |= {column: first[column] for column in described(usual).primary_key}
    elif kind in ("number", "text"):
        table.columns["own_key"] = {"number": "INTEGER", "text": "TEXT"}[kind]
        table.key = ("own_key",)
        for position, row in enumerate(table.rows):
            row["own_key"] = 7 - position if kind == "number" else f"key {position}"
    elif columns:
        other = draw(st.sampled_from(columns))
        table.key = (other, *table.key) if kind == "beside" else (other,)


def _use_person_column(table: TableDescription, as_child: bool) -> None:
    """School views of an old file name a patient or a child, not a person."""
    name = "child_id" if as_child else "patient_id"
    table.columns = {name if c == "person_id" else c: k for c, k in table.columns.items()}
    for row in table.rows:
        row[name] = row.pop("person_id")


def _stray(draw: st.DrawFn, tables: dict[str, TableDescription], strict: bool) -> None:
    """Adds, drops and undeclares columns, gives tables their short names, leaves tables out."""
    extra = st.one_of(st.sampled_from(drift.EXTRA), st.sampled_from(drift.SHARED))
    for table, column, kind in draw(st.lists(extra, max_size=4)):
        if table in tables:
            tables[table].columns[column] = kind
            offset = draw(st.integers(0, 30))
            for position, row in enumerate(tables[table].rows):
                row[column] = drift.extra_value(kind, position + offset)
    if not strict:
        for table, column in draw(drift.columns_to_drop()):
            if table in tables:
                tables[table].columns.pop(column, None)
        for table in draw(st.lists(st.sampled_from(sorted(tables)), max_size=2)):
            tables[table].columns = dict.fromkeys(tables[table].columns, "")
    for usual, short in drift.SHORT.items():
        if usual in tables and draw(st.booleans()):
            tables[usual].name = short
    missing = draw(st.sampled_from([None, None, None, "children", "patients", "users", "parents"]))
    if missing is not None:
        tables.pop(missing, None)
