"""The migration as plain SQL: one ``INSERT … SELECT`` per mapping, for data without faults.

The target is ``main``, the source is attached as ``old``.  Three temporary tables say who is who:
``patient_person``, ``child_person`` (old_id, person_id) and ``person_clinician``.
"""

from __future__ import annotations

from collections.abc import Iterator

from person_unify.mappings import CORE_TABLES, MAPPINGS
from person_unify.mappings.spec import (
    ClinicianOf,
    Computed,
    Copy,
    Fixed,
    Fold,
    Mapping,
    NewId,
    Owner,
    Part,
    Person,
    Reference,
    Via,
    Word,
)
from person_unify.schema import OLD, UNIFIED, Column, quote

UUID = (
    "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || "
    "substr(hex(randomblob(2)), 2) || '-' || substr('89ab', 1 + (abs(random()) % 4), 1) || "
    "substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"
)
OFFSET_MINUTES = 330
"""Asia/Kolkata, which knows no daylight saving time."""

WHO = (
    "CREATE TEMP TABLE patient_person (old_id TEXT PRIMARY KEY, person_id TEXT) WITHOUT ROWID",
    f"INSERT INTO patient_person SELECT id, {UUID} FROM old.patients",
    "CREATE TEMP TABLE child_person (old_id TEXT PRIMARY KEY, person_id TEXT) WITHOUT ROWID",
    f"INSERT INTO child_person SELECT c.id, coalesce(m.person_id, {UUID}) FROM old.children AS c "
    "LEFT JOIN patient_person AS m ON m.old_id = c.linked_patient_id",
    "CREATE TEMP TABLE person_clinician (person_id TEXT PRIMARY KEY, clinician_id TEXT) "
    "WITHOUT ROWID",
    "INSERT INTO person_clinician SELECT m.person_id, p.clinician_id "
    "FROM old.patients AS p JOIN patient_person AS m ON m.old_id = p.id",
)

PERSON = (
    "coalesce((SELECT m.person_id FROM patient_person AS m WHERE m.old_id = s.{c}), "
    "(SELECT m.person_id FROM child_person AS m WHERE m.old_id = s.{c}))"
)


def inserts() -> Iterator[tuple[str, str]]:
    """Target table and statement, in an order in which every row finds what it needs."""
    for mapping in MAPPINGS:
        if mapping.target is None or mapping.source in CORE_TABLES:
            continue
        if mapping.source == "consent_grants":
            yield from _core()
        yield mapping.target, insert(mapping)
    yield "access_grants", _IMPLIED


def insert(mapping: Mapping) -> str:
    """The statement of one mapping."""
    assert mapping.target is not None
    columns, values = [], []
    for column in UNIFIED[mapping.target].columns:
        word = mapping.columns.get(column.name)
        if word is None and OLD[mapping.source].column(column.name) is not None:
            word = Copy(column.name)
        if word is not None:
            columns.append(quote(column.name))
            values.append(_value(word, column, mapping.source))
    merged = " GROUP BY s.patient_id, s.tag" if mapping.merge_on else ""
    return (
        f"INSERT INTO main.{quote(mapping.target)} ({', '.join(columns)}) "
        f"SELECT {', '.join(values)} FROM old.{quote(mapping.source)} AS s{merged}"
    )


def _value(word: Word, column: Column, source: str) -> str:
    match word:
        case Copy(name, otherwise):
            return _required(_copied(name, otherwise, source), column)
        case Fixed(value):
            return literal(value)
        case Person(name):
            return PERSON.format(c=quote(name))
        case Reference(name):
            return f"s.{quote(name)}"
        case Via(name, table, attribute, otherwise):
            return _via(name, table, attribute, otherwise, source)
        case Owner(name):
            return (
                f"CASE WHEN EXISTS (SELECT 1 FROM old.parents AS p WHERE p.id = s.{quote(name)} "
                f"OR p.user_id = s.{quote(name)}) THEN 'parent' ELSE 'clinician' END"
            )
        case ClinicianOf(name):
            person = PERSON.format(c=quote(name))
            return (
                "coalesce((SELECT k.clinician_id FROM person_clinician AS k "
                f"WHERE k.person_id = {person}), '')"
            )
        case NewId():
            return UUID
        case Fold(parts):
            return f"nullif(rtrim({' || '.join(map(_line, parts))}, char(10)), '')"
        case Computed(rule):
            return RULES[rule]
        case _:
            raise AssertionError(f"{word} is settled by hand")


def _line(part: Part) -> str:
    cell = f"s.{quote(part.column)}"
    shown = f"date({cell} / 1000, 'unixepoch')" if part.type == "DATETIME" else cell
    label = literal(f"{part.label}: " if part.label else "")
    return f"CASE WHEN {cell} <> '' THEN {label} || {shown} || char(10) ELSE '' END"


def _copied(name: str, otherwise: object, source: str) -> str:
    cell = f"s.{quote(name)}"
    declared = OLD[source].column(name)
    if declared is not None and declared.type.upper() == "DATETIME":
        # The column default of the old schema writes text, everything else milliseconds.
        cell = (
            f"CASE typeof({cell}) WHEN 'text' THEN "
            f"CAST(round((julianday({cell}) - 2440587.5) * 86400000) AS INTEGER) ELSE {cell} END"
        )
    if isinstance(otherwise, Copy):
        return f"coalesce({cell}, s.{quote(otherwise.column)})"
    return cell if otherwise is None else f"coalesce({cell}, {literal(otherwise)})"


def _required(value: str, column: Column) -> str:
    if not column.not_null:
        return value
    default = column.default
    if default is None or "CURRENT" in default.upper():
        default = "''" if column.type.upper() == "TEXT" else "0"
    return f"coalesce({value}, {default})"


def _via(name: str, table: str, attribute: str, otherwise: object, source: str) -> str:
    home = next(m.target for m in MAPPINGS if m.source == table)
    if attribute == "plan_creator":
        found = (
            "SELECT p.created_by FROM main.education_goals AS g JOIN main.education_plans AS p "
            f"ON p.id = g.plan_id WHERE g.id = s.{quote(name)}"
        )
    else:
        found = (
            f"SELECT v.{quote(attribute)} FROM main.{quote(str(home))} AS v "
            f"WHERE v.id = s.{quote(name)}"
        )
    if isinstance(otherwise, Copy):
        return f"coalesce(({found}), {_copied(otherwise.column, otherwise.otherwise, source)})"
    return f"({found})" if otherwise is None else f"coalesce(({found}), {literal(otherwise)})"


def literal(value: object) -> str:
    """A constant as SQL text."""
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def _clock(added: str) -> str:
    return (
        f"strftime('%H:%M', (s.session_date / 60000 + {OFFSET_MINUTES} + {added}) * 60, "
        "'unixepoch')"
    )


RULES = {
    "iep_plan_name": "'IEP ' || coalesce(s.academic_year, '')",
    "session_start": _clock("0"),
    "session_end": _clock("coalesce(s.duration, 0)"),
    "as_text": "coalesce(s.overall_progress, '')",
    "grant_permissions": "coalesce(s.permissions, '{}')",
    "grant_token": "s.token",
    "grant_token_expiry": "CASE WHEN s.status = 'pending' THEN "
    + _copied("expires_at", None, "consent_grants")
    + " END",
    "grant_status": "s.status",
}


def _core() -> Iterator[tuple[str, str]]:
    """Persons and views, which no single mapping makes."""
    for source, where in (
        ("patients", ""),
        (
            "children",
            " WHERE s.id NOT IN (SELECT c.id FROM old.children AS c "
            "JOIN old.patients AS p ON p.id = c.linked_patient_id)",
        ),
    ):
        yield "persons", _persons(source) + where
    yield "parent_child_views", _PARENT_VIEWS
    yield "clinician_patient_views", _clinician_views()


def _persons(source: str) -> str:
    who = "patient_person" if source == "patients" else "child_person"
    columns, values = ["id"], [f"(SELECT m.person_id FROM {who} AS m WHERE m.old_id = s.id)"]
    for column in UNIFIED["persons"].columns:
        if column.name in ("id", "migration_notes") or OLD[source].column(column.name) is None:
            continue
        value = _required(_copied(column.name, None, source), column)
        if column.name == "gender" and source == "patients":
            value = (
                "coalesce(nullif(s.gender, ''), (SELECT c.gender FROM old.children AS c "
                "WHERE c.linked_patient_id = s.id AND c.gender <> '' LIMIT 1), 'unknown')"
            )
        elif column.name == "udid_number":
            value = "nullif(s.udid_number, '')"
        columns.append(quote(column.name))
        values.append(value)
    return (
        f"INSERT INTO main.persons ({', '.join(columns)}) SELECT {', '.join(values)} "
        f"FROM old.{source} AS s"
    )


_PARENT_VIEWS = f"""
INSERT INTO main.parent_child_views (id, person_id, parent_id, relationship_type,
    is_primary_caregiver, medical_history, current_concerns, developmental_notes, added_at,
    updated_at, reminder_preferences)
SELECT {UUID}, w.person_id, w.parent_id, coalesce(k.relationship_type, 'parent'),
    row_number() OVER (PARTITION BY w.person_id
        ORDER BY coalesce(k.is_primary, 0) DESC, w.is_child DESC, w.added_at) = 1,
    w.medical_history, w.current_concerns, w.developmental_notes,
    coalesce({_copied("added_at", None, "parent_children").replace("s.", "k.")}, w.added_at),
    w.updated_at, '{{}}'
FROM (
    SELECT m.person_id, s.parent_id, 1 AS is_child, s.medical_history, s.current_concerns,
        s.developmental_notes, min({_copied("created_at", None, "children")}) AS added_at,
        {_copied("updated_at", None, "children")} AS updated_at, s.linked_patient_id AS patient_id
    FROM old.children AS s JOIN child_person AS m ON m.old_id = s.id
    GROUP BY m.person_id, s.parent_id
    UNION ALL
    SELECT m.person_id, s.parent_id, 0, NULL, NULL, NULL,
        {_copied("added_at", None, "parent_children")},
        {_copied("added_at", None, "parent_children")}, s.patient_id
    FROM old.parent_children AS s JOIN patient_person AS m ON m.old_id = s.patient_id
    WHERE NOT EXISTS (SELECT 1 FROM old.children AS c JOIN child_person AS n ON n.old_id = c.id
        WHERE c.parent_id = s.parent_id AND n.person_id = m.person_id)
    GROUP BY m.person_id, s.parent_id
) AS w
LEFT JOIN old.parent_children AS k ON k.parent_id = w.parent_id AND k.patient_id = w.patient_id
"""

_IMPLIED = f"""
INSERT INTO main.access_grants (id, grantor_type, grantor_id, grantee_type, grantee_id, person_id,
    permissions, access_level, status, granted_at, activated_at, granted_by_name,
    granted_by_email)
SELECT {UUID}, 'parent', c.parent_id, 'clinician', p.clinician_id, m.person_id,
    '{{"view": true, "edit": false, "assessments": true, "reports": true, "iep": false}}', 'view',
    'active', unixepoch() * 1000, unixepoch() * 1000, u.email, u.email
FROM old.children AS c JOIN old.patients AS p ON p.id = c.linked_patient_id
JOIN patient_person AS m ON m.old_id = p.id
JOIN old.parents AS r ON r.id = c.parent_id JOIN old.users AS u ON u.id = r.user_id
WHERE p.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM old.consent_grants AS g
    WHERE g.parent_id = c.parent_id AND g.patient_id = c.linked_patient_id)
GROUP BY c.parent_id, m.person_id
"""


def _clinician_views() -> str:
    mapping = next(m for m in MAPPINGS if m.target == "clinician_patient_views")
    columns, values = ["id", "person_id"], [UUID, PERSON.format(c="id")]
    for column in UNIFIED["clinician_patient_views"].columns:
        word = mapping.columns.get(column.name)
        if word is None and OLD["patients"].column(column.name) is not None:
            word = Copy(column.name)
        if column.name not in columns and word is not None:
            columns.append(quote(column.name))
            values.append(_value(word, column, "patients"))
    return (
        f"INSERT INTO main.clinician_patient_views ({', '.join(columns)}) "
        f"SELECT {', '.join(values)} FROM old.patients AS s"
    )
