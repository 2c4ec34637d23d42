"""Access grants: those of consents, and those that a link implies (contract section 5)."""

from __future__ import annotations

from person_unify.schema import UNIFIED, Column

from .people import People, earliest, resolve
from .record import Mention, New, Record, State, TargetRow
from .related import carry_person, keep_taken_out
from .soft import searched, spot
from .values import NULL, read

GRANT = UNIFIED["access_grants"]
DEFAULT_PERMISSIONS = (
    '{"view": true, "edit": false, "assessments": true, "reports": true, "iep": false}'
)
CLOSED = ("suspended", "deactivated", "inactive", "disabled", "blocked", "deleted")
DECISIVE = ("status", "expires_at", "revoked_at", "permissions", "access_level")
BY_NAME = (
    *("permissions", "access_level", "status", "granted_at", "activated_at", "expires_at"),
    *("revoked_at", "granted_by_name", "granted_by_email", "notes", "audit_log", "token"),
)


def make_grants(state: State, people: People) -> None:
    """Fills ``access_grants`` and its map."""
    claimed: set[tuple[str | None, New | None]] = set()
    for row in state.source.rows("consent_grants"):
        table = state.source.known["consent_grants"]
        record = Record(state, table, row, row.text("id"))
        record.person, _ = resolve(state, "patient_id", record.text("patient_id"))
        claimed.add((record.text("parent_id"), record.person))
        _make_grant(state, record)
    _imply_grants(state, people, claimed)


def _column(name: str) -> Column:
    column = GRANT.column(name)
    assert column is not None
    return column


def _make_grant(state: State, record: Record) -> None:
    parent = record.text("parent_id")
    missing = ("patient_id", record.text("patient_id"))
    if record.person is not None:
        missing = ("parent_id", parent)
    if record.person is None or not state.exists("parents", parent):
        reason = "orphaned_consent_grant"
        record.keep_out(reason, reason, field=missing[0], related_id=missing[1])
        return
    grant: TargetRow = dict.fromkeys(GRANT.column_names)
    grant |= {"id": New("grant", (record.source_id,)), "person_id": record.person}
    grant |= {"grantor_type": "parent", "grantor_id": record.carry("parent_id", "TEXT")}
    grant["grantee_type"] = "clinician"
    record.map_id()
    carry_person(record, "patient_id")
    for name in BY_NAME:
        grant[name] = record.carry_into(name, _column(name))
    grant["grantee_email"] = record.carry_into("clinician_email", _column("grantee_email"))
    _close_or_pend(record, grant)
    _set_grantee(state, record, grant)
    if keep_taken_out(record, GRANT, grant, lambda name: name):
        return
    record.commit()
    state.tables["access_grants"].append(grant)
    state.maps["consent_to_grant"][record.source_id] = grant["id"]
    sources = {"grantor_id": "parent_id", "grantee_id": "clinician_id"}
    for name, source in sources.items():
        if searched(GRANT, name):
            spot(record, GRANT.name, name, source, grant[name])


def _close_or_pend(record: Record, grant: TargetRow) -> None:
    """A grant never ends wider than its consent."""
    unreadable = [n for n in DECISIVE if record.quietly(n, _column(n).type).state == "unreadable"]
    status = record.quietly("status", "TEXT")
    if status.value is None:
        record.complain("status")
    if not unreadable and status.value is not None:
        pending = grant["status"] == "pending"
        grant["token_expires_at"] = grant["expires_at"] if pending else None
        return
    if status.value is not None and status.value != "revoked":
        record.lose("status")
    if record.cell("token").kind != "null":
        record.lose("token")
    grant |= {"status": "revoked", "token": None}
    if "permissions" in unreadable:
        grant["permissions"] = "{}"


def _set_grantee(state: State, record: Record, grant: TargetRow) -> None:
    clinician = record.carry("clinician_id", "TEXT")
    grant["grantee_id"] = "" if clinician is None else clinician
    if clinician is None:
        record.keep("clinician_id")
    elif clinician != "" and not state.exists("users", clinician):
        record.log("dangling_reference", field="clinician_id", related_id=clinician)


def _imply_grants(
    state: State, people: People, claimed: set[tuple[str | None, New | None]]
) -> None:
    """One grant per parent and person of linked children that no consent speaks of."""
    wanted: dict[tuple[str, New], list[Record]] = {}
    for child_id in people.link:
        child = people.children[child_id]
        parent = child.text("parent_id")
        assert isinstance(child.person, New)
        if parent is not None and state.exists("parents", parent):
            wanted.setdefault((parent, child.person), []).append(child)
    for (parent, person), children in wanted.items():
        patient = people.record(person)
        clinician = patient.text("clinician_id")
        deleted = patient.cell("deleted_at").kind != "null"
        if (parent, person) in claimed or not state.exists("users", clinician) or deleted:
            continue
        user_id = str(state.loaded["parents"][parent].target["user_id"])
        closed = _is_closed(state, str(clinician)) or _is_closed(state, user_id)
        first = min(children, key=earliest)
        first.log("implied_grant", field="linked_patient_id", related_id=patient.source_id)
        table = first.table.name
        if closed:
            continue
        key = ("implied_grant", table, first.source_id, patient.source_id, "linked_patient_id")
        decided = state.desk.word(key, "active pending none", parent, clinician)
        mode = decided or state.implied
        if mode != "none":
            grant = _implied_grant(state, parent, person, first.source_id, mode == "active")
            state.tables["access_grants"].append(grant | {"grantee_id": clinician})


def _is_closed(state: State, user: str) -> bool:
    """Whether a loaded user is deleted, or barred by its status."""
    row = state.loaded["users"][user].source
    status = read(row.cells.get("status", NULL), "TEXT").value
    deleted = row.cells.get("deleted_at", NULL).kind != "null"
    return deleted or str(status).lower() in CLOSED


def _implied_grant(
    state: State, parent: str, person: New, child_id: str, active: bool
) -> TargetRow:
    grant: TargetRow = dict.fromkeys(GRANT.column_names)
    user_id = state.loaded["parents"][parent].target["user_id"]
    email = state.loaded["users"][str(user_id)].target["email"]
    return grant | {
        "id": New("implied", (parent, person.key)),
        "grantor_type": "parent",
        "grantor_id": parent,
        "grantee_type": "clinician",
        "person_id": person,
        "permissions": DEFAULT_PERMISSIONS,
        "access_level": "view",
        "status": "active" if active else "pending",
        "granted_at": state.run_ms,
        "activated_at": state.run_ms if active else None,
        "granted_by_name": email,
        "granted_by_email": email,
        "notes": Mention((child_id, person.key[1])),
        "audit_log": "[]",
    }
