"""What each column of the old schema holds: drawn from its name, its type and its references.

A column that has to agree with another (the two names of a linked child, a city and its PIN code)
or to be unique has a line in :data:`SPECIAL`; everything else follows from the schema and from
``vocab.toml``.  "table.column" goes before "column" wherever both are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

import numpy as np
import polars as pl

from person_unify.sample import vocab
from person_unify.sample.clinic import DAY, PARENT_USERS, TODAY, Clinic
from person_unify.sample.draw import Cells, Draw, take, text, where
from person_unify.sample.identity import Flags, Ints, Keys, below, keys
from person_unify.sample.rows import BRANCHES, CATALOGUES, ROOM, Rows
from person_unify.schema import Column, Table

Drawn: TypeAlias = Callable[[Rows, Draw], Cells]
T = TypeVar("T")

_USUALLY_FILLED = 0.7
_QUESTIONS = 20
"""Questions of the screener; as many follow up."""


def cells(table: Table, column: Column, rows: Rows, draw: Draw) -> Cells:
    """The cells of one column of ``rows``, one per row."""
    drawn = _told(SPECIAL, table, column)
    if drawn is not None:
        return drawn(rows, draw)
    reference = _reference(table, column, rows)
    made = _value(table, column, draw, rows) if reference is None else reference
    if column.not_null:
        return made
    filled = _told(vocab.FILLED, table, column)
    return draw.maybe(made, _USUALLY_FILLED if filled is None else filled)


def _told(known: Mapping[str, T], table: Table, column: Column) -> T | None:
    return known.get(f"{table.name}.{column.name}", known.get(column.name))


def _reference(table: Table, column: Column, rows: Rows) -> pl.Series | None:
    """Ids of the row that it grows on, of its person's patient, parent or clinician."""
    key = table.foreign_key(column.name)
    if key is None:
        return None
    grown_on = BRANCHES.get(table.name, ("",))[0]
    if grown_on == key.table or (grown_on == "clinicians" and key.table == "users"):
        return rows.parent_ids(key.table)
    known = {
        "patients": rows.patient_ids,
        "parents": rows.guardian_ids,
        "users": rows.clinician_ids,
    }
    return known[key.table]()


def _value(table: Table, column: Column, draw: Draw, rows: Rows) -> pl.Series | Ints | Flags:
    if column.type == "BOOLEAN":
        share = _told(vocab.SHARES, table, column)
        return draw.chance(0.5 if share is None else share)
    if column.type == "INTEGER":
        return draw.integers(*(_told(vocab.NUMBERS, table, column) or (0, 100)))
    if column.type == "DATETIME":
        if column.default == "CURRENT_TIMESTAMP":
            return rows.created
        return (draw.day_after if column.name.endswith("date") else draw.after)(rows.created, 60)
    return _text(table, column, draw, rows)


def _text(table: Table, column: Column, draw: Draw, rows: Rows) -> pl.Series:
    name = column.name
    odds = _told(vocab.ODDS, table, column)
    if odds is not None:
        return draw.pick(tuple(odds), [share / 100 for share in odds.values()])
    words = _told(vocab.WORDS, table, column)
    if words is not None:
        return draw.words(words) if name in vocab.LISTS else draw.pick(words)
    if name.endswith("_url"):
        return text("https://files.example/{}", hexadecimal(rows, name))
    if name.endswith("token"):
        return hexadecimal(rows, name)
    if "phone" in name or name == "whatsapp_number":
        return draw.phone()
    if name.endswith("_name") or name in ("name", "provider", "teacher", "author"):
        return text("{} {}", draw.pick(vocab.GIRLS + vocab.BOYS), draw.pick(vocab.SURNAMES))
    if name in vocab.PROSE or f"{table.name}.{name}" in vocab.PROSE:
        return draw.prose(1, 3)
    return draw.phrase()


def hexadecimal(rows: Rows, name: str) -> pl.Series:
    """32 hexadecimal digits per row, as tokens and hashes have; unique for each ``name``."""
    return rows.ids(f"{rows.table}/{name}").str.replace_all("-", "", literal=True)


def emails(clinic: Clinic, user: Keys) -> pl.Series:
    """The e-mail address of each user, unique because the user's number is part of it."""
    latin = [name.lower() for name in (*vocab.GIRLS, *vocab.BOYS) if name.isascii()]
    names = take(latin, below(clinic.seed, "e-mail", user, len(latin)))
    staff = user < PARENT_USERS
    number = np.where(staff, user, user - PARENT_USERS)
    own = text("dr.{}.{}@asha-clinic.example", names, number)
    return where(staff, own, text("{}{}@mail.example", names, number))


def _lot(rows: Rows, name: str, limit: int) -> Ints:
    """A number below ``limit`` for each row, the same whenever it is asked for."""
    return below(rows.clinic.seed, f"{rows.table}/{name}", rows.key, limit)


def _first_name(rows: Rows, draw: Draw) -> pl.Series:
    """The same for the child and the patient that are one person."""
    lot = rows.clinic.lot("first name", rows.owner)
    girls, boys = (
        take(pool, (lot % np.uint64(len(pool))).astype(np.int64))
        for pool in (vocab.GIRLS, vocab.BOYS)
    )
    leading = take(("", "", "Sai ", "Sri ", "Naga ", "Devi ", "Om "), (lot >> 40) % np.uint64(7))
    return text("{}{}", leading, where(rows.clinic.is_girl(rows.owner), girls, boys))


def _last_name(rows: Rows, draw: Draw) -> pl.Series:
    """The same for brothers and sisters."""
    lot = rows.clinic.lot("last name", rows.clinic.family(rows.owner))
    return take(vocab.SURNAMES, (lot % np.uint64(len(vocab.SURNAMES))).astype(np.int64))


def _gender(rows: Rows, draw: Draw) -> pl.Series:
    return where(rows.clinic.is_girl(rows.owner), "female", "male")


def _born(rows: Rows, draw: Draw) -> Ints:
    return rows.clinic.born(rows.owner)


def _town(part: int) -> Drawn:
    """The town of an address, its state, or a PIN code there."""

    def drawn(rows: Rows, draw: Draw) -> pl.Series:
        pool = pl.Series([place[part] for place in vocab.PLACES])
        at = pool.gather(_lot(rows, "town", len(vocab.PLACES)))
        return at if part < 2 else text("{}", at * 100 + draw.integers(1, 99))

    return drawn


def _updated(rows: Rows, draw: Draw) -> Ints:
    return rows.created + draw.integers(0, 1000) * (TODAY - rows.created) // 1000


def _staff(rows: Rows, draw: Draw) -> pl.Series:
    """Who wrote a row: mostly the person's clinician, sometimes any other."""
    stand_in = rows.ids("users", keys(_lot(rows, "staff", rows.clinic.clinicians)))
    return where(draw.chance(0.1), stand_in, rows.clinician_ids())


def _by_parent(rows: Rows) -> Flags:
    """Whether a row was written by a parent rather than by a clinician."""
    return rows.clinic.has_parent(rows.owner) & (_lot(rows, "author", 10) < 3)


def _author(rows: Rows, draw: Draw) -> pl.Series:
    """Writers who may be parents, by user id or parent id."""
    guardian = where(draw.chance(0.5), rows.guardian_ids(), rows.guardian_user_ids())
    return where(_by_parent(rows), guardian, rows.clinician_ids())


def _talker(*, asked: bool, ids: bool) -> Drawn:
    """Sender (``asked``) or recipient of a message, by user id or by kind."""

    def drawn(rows: Rows, draw: Draw) -> pl.Series:
        parent = (_lot(rows, "asked", 2) == 1) == asked
        if ids:
            return where(parent, rows.guardian_user_ids(), rows.clinician_ids())
        return where(parent, "parent", "clinician")

    return drawn


def _start(rows: Rows, draw: Draw) -> Ints:
    return (rows.created + _lot(rows, "start", 20) * DAY) // DAY * DAY


def _clock(first: int, last: int) -> Drawn:
    return lambda rows, draw: draw.clock(first, last)


def _sibling(table: str, share: float, template: str = "{}") -> Drawn:
    """The person's first row of another table, in about ``share`` of the rows that have one."""
    return lambda rows, draw: text(template, draw.maybe(rows.sibling_ids(table), share))


def _plan_goal(rows: Rows, draw: Draw) -> pl.Series:
    return draw.maybe(rows.goal_ids(), 0.3)


def _location(rows: Rows, draw: Draw) -> pl.Series:
    """The clinician's first place."""
    staff = BRANCHES.get(rows.table, ("",))[0] == "clinicians"
    clinician = rows.parent if staff else keys(rows.clinic.clinician(rows.owner))
    return draw.maybe(rows.ids("practice_locations", clinician * np.uint64(ROOM)), 0.85)


def _activity_goal(rows: Rows, draw: Draw) -> pl.Series:
    there = rows.goes_with("pep_goals", rows.parent) & draw.chance(0.8)
    return where(there, rows.ids("pep_goals", keys(rows.parent * np.uint64(ROOM))), None)


def _tag(rows: Rows, draw: Draw) -> pl.Series:
    """No two alike on one patient."""
    tags = vocab.WORDS["tags"]
    first = rows.clinic.lot("first tag", rows.owner) % np.uint64(len(tags))
    return take(tags, (first.astype(np.int64) + rows.position) % len(tags))


_STATES = ("active", "pending", "revoked", "expired")


def _consent_state(rows: Rows) -> Ints:
    """Index into the states: 80, 8, 7 and 5 percent."""
    return np.searchsorted((80, 88, 95), _lot(rows, "state", 100), side="right").astype(np.int64)


def _consent(when: int, days: int, otherwise: float = 0.0) -> Drawn:
    """An instant in consents of one state; in ``otherwise`` of the others one a year later."""

    def drawn(rows: Rows, draw: Draw) -> pl.Series:
        others = where(draw.chance(otherwise), rows.created + 400 * DAY, None)
        return where(_consent_state(rows) == when, draw.after(rows.created, days), others)

    return drawn


def _claimed(made: Drawn) -> Drawn:
    """What a consent has once a clinician has taken it up."""
    return lambda rows, draw: where(_consent_state(rows) != 1, made(rows, draw), None)


SPECIAL: dict[str, Drawn] = {
    "id": lambda rows, draw: rows.ids(),
    "updated_at": _updated,
    "last_modified_at": _updated,
    "city": _town(0),
    "state": _town(1),
    "pin_code": _town(2),
    "place_of_birth": lambda rows, draw: draw.pick([town for town, _, _ in vocab.PLACES]),
    "address_line1": lambda rows, draw: text(
        "{}, {}", draw.integers(1, 900), draw.pick(vocab.WORDS["street"])
    ),
    "first_name": lambda rows, draw: draw.pick((*vocab.GIRLS, *vocab.BOYS)),
    "middle_name": lambda rows, draw: draw.maybe(draw.pick(vocab.MIDDLE_NAMES), 0.3),
    "last_name": lambda rows, draw: draw.pick(vocab.SURNAMES),
    "gender": _gender,
    "ip_address": lambda rows, draw: text("10.{}.{}.7", *(draw.integers(0, 255) for _ in "ab")),
    "start_date": _start,
    "end_date": lambda rows, draw: _start(rows, draw) + draw.integers(100, 364) * DAY,
    "start_time": _clock(9, 12),
    "end_time": _clock(14, 18),
    "old_value": _clock(9, 17),
    "new_value": _clock(9, 17),
    "timestamp": lambda rows, draw: text("00:{}:{}", *(draw.integers(10, 59) for _ in "ms")),
    "goal_number": lambda rows, draw: rows.position + 1,
    "objective_number": lambda rows, draw: rows.position + 1,
    "is_primary": lambda rows, draw: rows.position == 0,
    "is_primary_contact": lambda rows, draw: rows.position == 0,
    "administered_by": _staff,
    "changed_by": _staff,
    "created_by": _staff,
    "uploaded_by": _author,
    "updated_by": _author,
    "participant_id": _author,
    "linked_session_id": _sibling("consultation_sessions", 0.3),
    "linked_intervention_id": _sibling("interventions", 0.3),
    "linked_assessment_id": _sibling("assessments", 0.4),
    "linked_iep_id": _sibling("ieps", 0.8),
    "linked_goal_id": _plan_goal,
    "linked_iep_goal_id": _plan_goal,
    "location_id": _location,
    "series_id": lambda rows, draw: draw.maybe(hexadecimal(rows, "series"), 0.2),
    "users.email": lambda rows, draw: emails(rows.clinic, rows.key),
    "email": lambda rows, draw: draw.maybe(emails(rows.clinic, rows.key), 0.6),
    "users.role": lambda rows, draw: where(rows.position == 1, "parent", "clinician"),
    "password_hash": lambda rows, draw: text("$2b$12${}", hexadecimal(rows, "password")),
    "users.last_login_at": lambda rows, draw: draw.after(np.full_like(rows.created, TODAY), -200),
    "parents.user_id": lambda rows, draw: rows.ids("users", rows.key + PARENT_USERS),
    "children.first_name": _first_name,
    "children.last_name": _last_name,
    "children.date_of_birth": _born,
    "linked_patient_id": lambda rows, draw: where(
        rows.clinic.has_patient(rows.owner), rows.patient_ids(), None
    ),
    "patients.first_name": _first_name,
    "patients.last_name": _last_name,
    "patients.date_of_birth": _born,
    "udid_number": lambda rows, draw: draw.maybe(text("UD{}", rows.owner + 10_000_000_000), 0.4),
    "aadhaar_encrypted": lambda rows, draw: draw.maybe(hexadecimal(rows, "aadhaar"), 0.6),
    "school_id": lambda rows, draw: draw.maybe(text("SCH-{}", draw.integers(100, 999)), 0.5),
    "parent_children.parent_id": lambda rows, draw: rows.parent_ids("parents"),
    "consent_grants.status": lambda rows, draw: take(_STATES, _consent_state(rows)),
    "consent_grants.clinician_id": _claimed(lambda rows, draw: rows.clinician_ids()),
    "activated_at": _claimed(lambda rows, draw: draw.after(rows.created, 5)),
    "consent_grants.expires_at": _consent(3, 20, 0.3),
    "consent_grants.revoked_at": _consent(2, 60),
    "granted_by_email": lambda rows, draw: emails(
        rows.clinic, rows.clinic.parent(rows.owner) + PARENT_USERS
    ),
    "clinician_email": lambda rows, draw: emails(
        rows.clinic, keys(rows.clinic.clinician(rows.owner))
    ),
    "tag": _tag,
    "screening_id": lambda rows, draw: rows.parent_ids("parent_screenings"),
    "question_id": lambda rows, draw: rows.ids(
        "mchat_questions", keys(_lot(rows, "question", _QUESTIONS))
    ),
    "baseline_assessment_id": lambda rows, draw: where(
        rows.position > 0, rows.ids("assessments", rows.key - keys(rows.position)), None
    ),
    "session_date": lambda rows, draw: rows.created // 900_000 * 900_000,
    "consultation_sessions.duration": lambda rows, draw: draw.integers(2, 8) * 15,
    "pep_activities.goal_id": _activity_goal,
    "linked_resource_id": lambda rows, draw: draw.maybe(
        rows.ids("resources", keys(_lot(rows, "resource", CATALOGUES["resources"]))), 0.4
    ),
    "journal_entries.content": lambda rows, draw: draw.prose(1, 3),
    "journal_entries.created_by": _author,
    "created_by_type": lambda rows, draw: where(_by_parent(rows), "parent", "clinician"),
    "conversations.patient_id": lambda rows, draw: draw.maybe(rows.patient_ids(), 0.9),
    "participants": lambda rows, draw: text(
        '["{}", "{}"]', rows.guardian_user_ids(), rows.clinician_ids()
    ),
    "sender_id": _talker(asked=True, ids=True),
    "sender_type": _talker(asked=True, ids=False),
    "recipient_id": _talker(asked=False, ids=True),
    "recipient_type": _talker(asked=False, ids=False),
    "notifications.user_id": lambda rows, draw: rows.clinician_ids(),
    # Links lead to sessions: an audit log or notification that names a patient is a fault.
    "action_url": _sibling("consultation_sessions", 0.7, "/sessions/{}"),
    "action_data": _sibling("consultation_sessions", 0.3, '{"session": "{}"}'),
    "audit_logs.user_id": lambda rows, draw: draw.maybe(_staff(rows, draw), 0.95),
    "resource_id": lambda rows, draw: rows.ids("audited", keys(_lot(rows, "resource", 1 << 40))),
    "session_templates.created_by": lambda rows, draw: rows.parent_ids("users"),
    "clinician_profiles.date_of_birth": lambda rows, draw: draw.integers(-9_000, 10_000) * DAY,
    "credential_number": lambda rows, draw: text("A{}", draw.integers(10_000, 99_999)),
    "day_of_week": lambda rows, draw: rows.position + 1,
    "mchat_questions.question_number": lambda rows, draw: rows.owner % _QUESTIONS + 1,
    "is_initial_screener": lambda rows, draw: rows.owner < _QUESTIONS,
    "mchat_questions.is_follow_up": lambda rows, draw: rows.owner >= _QUESTIONS,
    # Ten ages, five domains, six questions each.
    "asq_questions.age_range": lambda rows, draw: text("{} months", rows.owner // 30 * 6 + 6),
    "asq_questions.domain": lambda rows, draw: take(vocab.WORDS["domain"][:5], rows.owner // 6 % 5),
    "asq_questions.question_number": lambda rows, draw: rows.owner % 6 + 1,
}
"""Column, or ``table.column``, -> what draws it."""
