"""Which rows each table has: roots that follow the clinic, and branches that grow on them.

A branch's rows are numbered inside their parent row (key = parent's key * 8 + position), and how
many there are is drawn from the parent's key.  So the rows of any table in any chunk of persons are
known without looking at another table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from person_unify.sample.clinic import DAY, PARENT_USERS, TODAY, Clinic
from person_unify.sample.draw import where
from person_unify.sample.identity import Flags, Ints, Keys, below, keys, share, uuids

ROOM = 8
"""Positions that a key reserves for each parent row."""

BRANCHES: dict[str, tuple[str, tuple[float, ...]]] = {
    "patient_contacts": ("patients", (0.2, 0.5, 0.3)),
    "patient_documents": ("patients", (0.5, 0.3, 0.2)),
    "patient_tags": ("patients", (0.5, 0.3, 0.2)),
    "parent_screenings": ("guarded", (0.6, 0.35, 0.05)),
    "screening_responses": ("parent_screenings", (0.0, 0.0, 0.0, 0.5, 0.5)),
    "assessments": ("patients", (0.5, 0.35, 0.15)),
    "assessment_evidence": ("assessments", (0.6, 0.3, 0.1)),
    "ieps": ("patients", (0.75, 0.22, 0.03)),
    "iep_goals": ("ieps", (0.0, 0.3, 0.4, 0.3)),
    "iep_objectives": ("iep_goals", (0.5, 0.3, 0.2)),
    "goal_progress_updates": ("iep_goals", (0.3, 0.4, 0.3)),
    "iep_accommodations": ("ieps", (0.1, 0.4, 0.4, 0.1)),
    "iep_services": ("ieps", (0.2, 0.6, 0.2)),
    "iep_team_members": ("ieps", (0.1, 0.4, 0.4, 0.1)),
    "iep_progress_reports": ("ieps", (0.4, 0.4, 0.2)),
    "peps": ("guarded", (0.75, 0.22, 0.03)),
    "pep_goals": ("peps", (0.1, 0.3, 0.4, 0.2)),
    "pep_goal_progress": ("pep_goals", (0.4, 0.4, 0.2)),
    "pep_activities": ("peps", (0.1, 0.3, 0.4, 0.2)),
    "activity_completions": ("pep_activities", (0.3, 0.3, 0.3, 0.1)),
    "consultation_sessions": ("patients", (0.3, 0.25, 0.2, 0.15, 0.1)),
    "session_participants": ("consultation_sessions", (0.6, 0.35, 0.05)),
    "session_attachments": ("consultation_sessions", (0.85, 0.15)),
    "interventions": ("patients", (0.65, 0.3, 0.05)),
    "intervention_strategies": ("interventions", (0.2, 0.4, 0.4)),
    "intervention_progress": ("interventions", (0.2, 0.3, 0.3, 0.2)),
    "journal_entries": ("patients", (0.35, 0.3, 0.2, 0.1, 0.05)),
    "journal_attachments": ("journal_entries", (0.85, 0.15)),
    "appointments": ("patients", (0.35, 0.3, 0.2, 0.1, 0.05)),
    "appointment_history": ("appointments", (0.8, 0.2)),
    "appointment_participants": ("appointments", (0.7, 0.3)),
    "appointment_reminders": ("appointments", (0.6, 0.3, 0.1)),
    "reports": ("patients", (0.6, 0.3, 0.1)),
    "conversations": ("guarded", (0.7, 0.3)),
    "messages": ("conversations", (0.0, 0.2, 0.2, 0.2, 0.2, 0.2)),
    "patient_activity_log": ("patients", (0.4, 0.4, 0.2)),
    "notifications": ("patients", (0.4, 0.4, 0.2)),
    "audit_logs": ("patients", (0.4, 0.4, 0.2)),
    "consent_grants": ("guarded", (0.0, 0.85, 0.15)),
    "refresh_tokens": ("users", (0.6, 0.3, 0.1)),
    "user_preferences": ("users", (0.3, 0.7)),
    "clinician_profiles": ("clinicians", (0.0, 1.0)),
    "credentials": ("clinicians", (0.0, 0.4, 0.4, 0.2)),
    "practice_locations": ("clinicians", (0.0, 0.7, 0.3)),
    "clinician_availability": ("clinicians", (0.0, 0.0, 0.0, 0.0, 0.3, 0.4, 0.3)),
    "clinician_time_off": ("clinicians", (0.3, 0.4, 0.3)),
    "session_templates": ("clinicians", (0.3, 0.5, 0.2)),
}
"""Table -> (what it grows on, the odds of 0, 1, 2 … rows on each)."""

CATALOGUES = {"mchat_questions": 40, "asq_questions": 300, "resources": 240}
"""Tables of fixed size, the same for every clinic."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table in one chunk: all arrays are as long as there are rows.

    ``owner`` is the person (patients' and families' tables) or the clinician the row is about,
    ``position`` counts within ``parent`` (the key of the row it grows on), ``created`` is in ms.
    """

    clinic: Clinic
    table: str
    key: Keys
    parent: Keys
    owner: Ints
    position: Ints
    created: Ints

    def ids(self, table: str | None = None, key: Keys | None = None) -> pl.Series:
        """The ids of these rows, or of the rows of another table with those keys."""
        return uuids(self.clinic.seed, table or self.table, self.key if key is None else keys(key))

    def parent_ids(self, table: str) -> pl.Series:
        """The ids of the rows of ``table`` that these grow on."""
        return self.ids(table, self.parent)

    def patient_ids(self) -> pl.Series:
        """The id of each row's patient."""
        return self.ids("patients", keys(self.owner))

    def clinician_ids(self) -> pl.Series:
        """The user id of the clinician who treats each row's person."""
        return self.ids("users", keys(self.clinic.clinician(self.owner)))

    def guardian_ids(self, which: Ints | int = 0) -> pl.Series:
        """The id of the first or second parent of each row's person."""
        return self.ids("parents", self.clinic.parent(self.owner, which))

    def guardian_user_ids(self) -> pl.Series:
        """The user id of the first parent of each row's person."""
        return self.ids("users", self.clinic.parent(self.owner) + PARENT_USERS)

    def sibling_ids(self, table: str) -> pl.Series:
        """For each row's patient the id of its first row of ``table``, where there is one."""
        first = keys(self.owner)
        return where(self.goes_with(table, first), self.ids(table, first * np.uint64(ROOM)), None)

    def goal_ids(self) -> pl.Series:
        """For each row's patient the id of the first goal of its first IEP, where there is one."""
        first = keys(self.owner)
        found = self.ids("iep_goals", first * np.uint64(ROOM * ROOM))
        return where(self.goes_with("ieps", first), found, None)

    def goes_with(self, table: str, key: Keys) -> Flags:
        """Whether any row of the branch ``table`` grows on those keys."""
        return _counts(self.clinic.seed, table, key, BRANCHES[table][1]) > 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """The persons ``start <= number < stop`` and the clinicians who fall to them."""

    clinic: Clinic
    index: int
    start: int
    stop: int

    def rows(self, table: str) -> Rows:
        """The rows of a table (or of a root such as ``guarded``) in this chunk."""
        if table in BRANCHES:
            return self._grown(table)
        if table in CATALOGUES:
            return self._catalogue(table)
        if table == "users":
            return self._users()
        if table == "parents":
            return self._parents()
        if table == "parent_children":
            return self._parent_links()
        if table == "clinicians":
            return self._clinicians()
        person = np.arange(self.start, self.stop, dtype=np.int64)
        clinic = self.clinic
        chosen = clinic.has_child(person) if table == "children" else clinic.has_patient(person)
        if table == "guarded":
            chosen &= clinic.has_parent(person)
        owner = person[chosen]
        key = keys(owner)
        return Rows(clinic, table, key, key, owner, np.zeros_like(owner), clinic.arrived(owner))

    def _grown(self, table: str) -> Rows:
        on, odds = BRANCHES[table]
        base = self.rows(on)
        seed = self.clinic.seed
        counts = _counts(seed, table, base.key, odds)
        at = np.repeat(np.arange(base.key.size), counts)
        position = np.arange(at.size) - np.repeat(np.cumsum(counts) - counts, counts)
        key = base.key[at] * np.uint64(ROOM) + keys(position)
        born = base.created[at]
        created = born + (share(seed, f"{table}/when", key) * (TODAY - born)).astype(np.int64)
        return Rows(self.clinic, table, key, base.key[at], base.owner[at], position, created)

    def _catalogue(self, table: str) -> Rows:
        number = np.arange(CATALOGUES[table] if self.index == 0 else 0, dtype=np.int64)
        key = keys(number)
        created = np.full_like(number, TODAY - 2000 * DAY)
        return Rows(self.clinic, table, key, key, number, number, created)

    def _clinicians(self) -> Rows:
        clinic = self.clinic
        first, end = (clinic.clinicians * at // clinic.persons for at in (self.start, self.stop))
        number = np.arange(first, end, dtype=np.int64)
        key = keys(number)
        created = TODAY - 2300 * DAY + below(clinic.seed, "hired", key, 2000 * DAY)
        return Rows(clinic, "clinicians", key, key, number, np.zeros_like(number), created)

    def _parents(self) -> Rows:
        person = np.arange(self.start, self.stop, dtype=np.int64)
        clinic = self.clinic
        family = np.unique(clinic.family(person[clinic.has_parent(person)]))
        owner = np.concatenate((family, family[clinic.has_second_parent(family)]))
        which = np.repeat([0, 1], (family.size, owner.size - family.size)).astype(np.int64)
        order = np.argsort(owner, kind="stable")
        key = keys(owner * 2 + which)[order]
        owner, which = owner[order], which[order]
        return Rows(clinic, "parents", key, key, owner, which, clinic.arrived(owner) - DAY)

    def _users(self) -> Rows:
        """Clinicians (position 0), then parents (position 1)."""
        staff, parents = self._clinicians(), self._parents()
        key = np.concatenate((staff.key, parents.key + PARENT_USERS))
        owner = np.concatenate((staff.owner, parents.owner))
        role = np.repeat([0, 1], (staff.key.size, parents.key.size)).astype(np.int64)
        created = np.concatenate((staff.created, parents.created))
        return Rows(self.clinic, "users", key, key, owner, role, created)

    def _parent_links(self) -> Rows:
        """One row per patient and known parent; the first parent is the primary one."""
        base = self.rows("guarded")
        second = base.owner[self.clinic.has_second_parent(self.clinic.family(base.owner))]
        owner = np.concatenate((base.owner, second))
        which = np.repeat([0, 1], (base.owner.size, second.size)).astype(np.int64)
        key = keys(owner * 2 + which)
        parent = self.clinic.parent(owner, which)
        created = self.clinic.arrived(owner)
        return Rows(self.clinic, "parent_children", key, parent, owner, which, created)


def _counts(seed: int, table: str, key: Keys, odds: tuple[float, ...]) -> Ints:
    """How many rows of ``table`` grow on each key; on key 0 at least one, so no table is empty."""
    steps = np.cumsum(odds)[:-1]
    counts = np.searchsorted(steps, share(seed, f"{table}/count", key), side="right")
    return np.where(key == 0, np.maximum(counts, 1), counts).astype(np.int64)
