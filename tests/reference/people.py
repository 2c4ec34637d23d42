"""Who is who: persons, links, duplicates and notes (contract section 3)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from person_unify.schema import UNIFIED, Column

from .record import New, Record, State, TargetRow
from .values import Value

PERSONS = UNIFIED["persons"]


@dataclass
class People:
    """Records of patients and children on their way, and who is linked to whom.

    named: what the source says; link: what holds after decisions; joined: children that are one
    human with another child, and not linked.
    """

    patients: dict[str, Record] = field(default_factory=dict)
    children: dict[str, Record] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    link: dict[str, str] = field(default_factory=dict)
    joined: dict[str, str] = field(default_factory=dict)
    linked: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def record(self, person: New) -> Record:
        """The record of the person's origin."""
        table, old_id = person.key
        return self.patients[old_id] if table == "patients" else self.children[old_id]


def resolve(state: State, column: str, old_id: str | None) -> tuple[New | None, bool]:
    """The person that a reference means, and whether a patient column held a child's id."""
    if old_id is None:
        return None, False
    patient = New("person", ("patients", old_id)) if old_id in state.patients else None
    child = state.person_of_child.get(old_id)
    if column == "child_id":
        return child or patient, False
    return patient or child, patient is None and child is not None


def earliest(record: Record) -> tuple[float, str]:
    """The sort key of "earliest": canonical ``created_at``, missing last, then the id."""
    return instant_key(record, "created_at"), record.source_id


def instant_key(record: Record, column: str) -> float:
    """A readable instant, infinity for a missing or unreadable one."""
    value = record.quietly(column, "DATETIME").value
    return float("inf") if value is None else float(value)


def introduce(state: State, people: People) -> None:
    """Makes the records, and reads what ``linked_patient_id`` says."""
    for row in state.source.rows("patients"):
        old_id = row.text("id")
        record = Record(state, state.source.known["patients"], row, old_id)
        record.person = New("person", ("patients", old_id))
        people.patients[old_id] = record
        state.patients[old_id] = row
    for row in state.source.rows("children"):
        old_id = row.text("id")
        record = Record(state, state.source.known["children"], row, old_id)
        people.children[old_id] = record
        wanted = record.text("linked_patient_id")
        if wanted is not None and wanted in people.patients and wanted != "":
            people.named[old_id] = wanted


def settle_persons(state: State, people: People) -> None:
    """Gives every child its person, and every patient its linked children."""
    for old_id, record in people.children.items():
        origin = ("children", people.joined.get(old_id, old_id))
        if old_id in people.link:
            origin = ("patients", people.link[old_id])
            people.linked[people.link[old_id]].append(old_id)
        record.person = New("person", origin)
        if old_id in people.named and people.link.get(old_id) == people.named[old_id]:
            record.carry("linked_patient_id", "TEXT")
        elif record.candidate("linked_patient_id", "TEXT") and old_id not in people.named:
            wanted = record.text("linked_patient_id")
            record.log("missing_linked_patient", field="linked_patient_id", related_id=wanted)
    for child_ids in people.linked.values():
        child_ids.sort(key=lambda child: earliest(people.children[child]))
    for old_id, record in people.patients.items():
        state.maps["patient_to_person"][old_id] = record.person
    for old_id, record in people.children.items():
        assert isinstance(record.person, New)
        state.person_of_child[old_id] = record.person
        state.maps["child_to_person"][old_id] = record.person


def person_of_patient(state: State, people: People, old_id: str, record: Record) -> None:
    record.map_id()
    target = _blank_person(record)
    gender = _own_gender(record)
    for child in people.linked.get(old_id, ()):
        candidate = people.children[child].candidate("gender", "TEXT")
        gender = gender or candidate
    _fill_person(record, target, _person_columns(record, known=True), gender)
    state.tables["persons"].append(target)


def person_of_child(state: State, people: People, old_id: str, record: Record) -> None:
    record.map_id()
    target = _blank_person(record)
    gender = _own_gender(record)
    others = [people.children[child] for child, head in people.joined.items() if head == old_id]
    for other in sorted(others, key=earliest):
        candidate = other.candidate("gender", "TEXT")
        gender = gender or candidate
    _fill_person(record, target, _person_columns(record, known=False), gender)
    state.tables["persons"].append(target)


def _person_columns(record: Record, known: bool) -> list[Column]:
    """Columns of persons that the record's table fills by name, gender and udid apart."""
    special = ("id", "gender", "udid_number", "migration_notes")
    return [
        column
        for column in PERSONS.columns
        if column.name not in special
        and (known or column.name in record.table.columns or column.name in _CHILD_COLUMNS)
    ]


_CHILD_COLUMNS = ("first_name", "last_name", "date_of_birth", "created_at", "updated_at")


def _blank_person(record: Record) -> TargetRow:
    target: TargetRow = {"id": record.person}
    for column in PERSONS.columns[1:]:
        target[column.name] = record.default(column) if column.not_null else None
    return target


def _own_gender(record: Record) -> Value:
    """The origin's own gender, carried unless it is empty."""
    value = record.carry("gender", "TEXT")
    if not value:
        record.lose("gender")
    return value


def _fill_person(record: Record, target: TargetRow, columns: list[Column], gender: Value) -> None:
    for column in columns:
        target[column.name] = record.carry_into(column.name, column)
    if record.quietly("date_of_birth", "DATETIME").value is None:
        record.log("missing_birth_date", field="date_of_birth")
    if not gender:
        record.log("missing_gender", field="gender")
    target["gender"] = gender or "unknown"
