"""Who is who: persons, links, duplicates and notes (contract section 3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from person_unify.schema import UNIFIED, Column

from .record import New, Record, State, Stored, TargetRow
from .source import SourceRow
from .values import NULL, Value, day_of, iso_instant, normal_name, read

PERSONS = UNIFIED["persons"]
COMPARED = ("first_name", "last_name", "date_of_birth", "gender")


@dataclass
class People:
    """Records of patients and children on their way, and who is linked to whom."""

    patients: dict[str, Record] = field(default_factory=dict)
    children: dict[str, Record] = field(default_factory=dict)
    link: dict[str, str] = field(default_factory=dict)
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


def make_people(state: State) -> People:
    """Fills ``persons`` and the two person maps, and logs all of section 3."""
    people = People()
    _introduce(state, people)
    for old_id, record in people.patients.items():
        _person_of_patient(state, people, old_id, record)
    for old_id, record in people.children.items():
        if old_id not in people.link:
            _person_of_child(state, people, old_id, record)
    _settle_udids(state, people)
    for old_id in people.link:
        people.children[old_id].whole = True
    for patient_id, child_ids in people.linked.items():
        _compare_linked(state, people, patient_id, child_ids)
    _suspect_duplicates(state, people)
    return people


def _introduce(state: State, people: People) -> None:
    """Makes the records, and resolves ``linked_patient_id``."""
    for row in state.source.rows("patients"):
        old_id = row.text("id")
        record = Record(state, state.source.known["patients"], row, old_id)
        record.person = New("person", ("patients", old_id))
        people.patients[old_id] = record
        state.patients[old_id] = row
    for row in state.source.rows("children"):
        _introduce_child(state, people, row)
    for child_ids in people.linked.values():
        child_ids.sort(key=lambda child: earliest(people.children[child]))
    for old_id, record in people.patients.items():
        state.maps["patient_to_person"][old_id] = record.person
    for old_id, record in people.children.items():
        assert isinstance(record.person, New)
        state.person_of_child[old_id] = record.person
        state.maps["child_to_person"][old_id] = record.person


def _introduce_child(state: State, people: People, row: SourceRow) -> None:
    old_id = row.text("id")
    record = Record(state, state.source.known["children"], row, old_id)
    record.person = New("person", ("children", old_id))
    people.children[old_id] = record
    wanted = record.text("linked_patient_id")
    if wanted is not None and wanted in people.patients and wanted != "":
        record.person = people.patients[wanted].person
        people.link[old_id] = wanted
        people.linked[wanted].append(old_id)
        record.carry("linked_patient_id", "TEXT")
    elif record.candidate("linked_patient_id", "TEXT"):
        record.log("missing_linked_patient", field="linked_patient_id", related_id=wanted)


def _person_of_patient(state: State, people: People, old_id: str, record: Record) -> None:
    record.mark_carried("id")
    target = _blank_person(record)
    gender = _own_gender(record)
    for child in people.linked.get(old_id, ()):
        candidate = people.children[child].candidate("gender", "TEXT")
        gender = gender or candidate
    _fill_person(record, target, _person_columns(record, known=True), gender)
    state.tables["persons"].append(target)


def _person_of_child(state: State, people: People, old_id: str, record: Record) -> None:
    record.mark_carried("id")
    target = _blank_person(record)
    _fill_person(record, target, _person_columns(record, known=False), _own_gender(record))
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
    if not gender:
        record.log("missing_gender", field="gender")
    target["gender"] = gender or "unknown"


def _settle_udids(state: State, people: People) -> None:
    """The earliest keeps a shared udid; patients come before children."""
    keepers: dict[Value, str] = {}
    patients = sorted(people.patients.values(), key=earliest)
    children = [r for c, r in people.children.items() if c not in people.link]
    if state.source.known.get("children") is None or "udid_number" not in (
        state.source.known["children"].columns
    ):
        children = []
    targets = {row["id"]: row for row in state.tables["persons"]}
    for record in [*patients, *sorted(children, key=earliest)]:
        value = record.carry("udid_number", "TEXT")
        if value is None:
            continue
        if value == "":
            record.lose("udid_number")
        elif value in keepers:
            record.lose("udid_number")
            record.log("duplicate_udid", field="udid_number", related_id=keepers[value])
        else:
            keepers[value] = record.source_id
            targets[record.person]["udid_number"] = value


def _compare_linked(state: State, people: People, patient_id: str, children: list[str]) -> None:
    """Logs shared links and mismatches of a patient's linked children, earliest first."""
    patient = people.patients[patient_id]
    lines = []
    for position, child_id in enumerate(children):
        child = people.children[child_id]
        if position:
            child.log("shared_linked_patient", field="linked_patient_id", related_id=patient_id)
        differing = [name for name in COMPARED if _differs(child, patient, name)]
        for name in differing:
            value = _shown(patient, name)
            child.log(
                "demographic_mismatch",
                field=name,
                related_id=patient_id,
                child_value=_shown(child, name),
                patient_value=value,
                chosen_value=value,
            )
        if differing:
            fields = ", ".join(differing)
            lines.append(f"child {child_id} differs from patient {patient_id}: {fields}")
    if lines:
        assert isinstance(patient.person, New)
        state.notes[patient.person] = "\n".join(lines)
        for row in state.tables["persons"]:
            if row["id"] == patient.person:
                row["migration_notes"] = "\n".join(lines)


def _comparable(record: Record, name: str) -> Stored:
    kind = "DATETIME" if name == "date_of_birth" else "TEXT"
    value = record.quietly(name, kind).value
    if value is None or (name == "gender" and value == ""):
        return None
    return day_of(int(value)) if kind == "DATETIME" else normal_name(str(value))


def _differs(child: Record, patient: Record, name: str) -> bool:
    ours, theirs = _comparable(child, name), _comparable(patient, name)
    return ours is not None and theirs is not None and ours != theirs


def _shown(record: Record, name: str) -> str:
    """The value as a reviewer sees it, instants in ISO 8601."""
    if name == "date_of_birth":
        return iso_instant(int(record.quietly(name, "DATETIME").value or 0))
    return str(record.quietly(name, "TEXT").value)


def _suspect_duplicates(state: State, people: People) -> None:
    """Further persons of a group with equal normalised names and the same day of birth."""
    groups: dict[tuple[str, str, int], list[Record]] = defaultdict(list)
    for record in _origins(state, people):
        first, last, born = (
            read(record.row.cells.get(name, NULL), kind).value
            for name, kind in zip(COMPARED[:3], ("TEXT", "TEXT", "DATETIME"), strict=True)
        )
        names = normal_name(str(first or "")), normal_name(str(last or ""))
        if all(names) and born is not None:
            groups[*names, day_of(int(born))].append(record)
    for group in groups.values():
        first_record, *further = sorted(group, key=earliest)
        for record in further:
            record.log("suspected_duplicate", related_id=first_record.source_id)


def _origins(state: State, people: People) -> Iterable[Record]:
    for row in state.tables["persons"]:
        assert isinstance(row["id"], New)
        yield people.record(row["id"])
