"""Tags: one per person and tag (contract section 6)."""

from __future__ import annotations

from person_unify.schema import UNIFIED

from .people import instant_key, resolve
from .record import New, Record, State, TargetRow
from .related import carry_person
from .soft import searched, spot

TAG = UNIFIED["tags"]


def make_tags(state: State) -> None:
    """Fills ``tags`` and its map; rows that fall on one pair become one tag."""
    groups: dict[tuple[New, str], list[Record]] = {}
    for row in state.source.rows("patient_tags"):
        table = state.source.known["patient_tags"]
        patient_id, tag = row.text("patient_id"), row.text("tag")
        record = Record(state, table, row, patient_id)
        person, _ = resolve(state, "patient_id", patient_id)
        record.person = person
        if person is None:
            reason = "orphaned_record"
            record.keep_out(reason, reason, field="patient_id", related_id=patient_id)
            continue
        groups.setdefault((person, tag), []).append(record)
    for (person, tag), records in groups.items():
        records.sort(key=lambda r: (instant_key(r, "created_at"), r.source_id))
        _make_tag(state, person, tag, records)


def _make_tag(state: State, person: New, tag: str, records: list[Record]) -> None:
    first, *further = records
    new_id = New("tag", (person.key, tag))
    for record in records:
        state.maps["tag_to_tag"][record.source_id, tag] = new_id
    for record in further:
        record.keep_out("merged_tag", "merged_tag", field="tag", related_id=first.source_id)
    created = TAG.column("created_at")
    assert created is not None
    target: TargetRow = {
        "id": new_id,
        "person_id": person,
        "tag": first.carry("tag", "TEXT"),
        "added_by": state.clinician_of(person) or "",
        "added_by_type": "clinician",
        "created_at": first.carry_into("created_at", created),
    }
    carry_person(first, "patient_id")
    first.commit()
    state.tables["tags"].append(target)
    if searched(TAG, "added_by"):
        spot(first, TAG.name, "added_by", "patient_id", target["added_by"])
