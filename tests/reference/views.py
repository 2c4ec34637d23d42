"""What parents and clinicians see of a person (contract section 4)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from person_unify.schema import UNIFIED

from .desk import spelled
from .people import People, instant_key, resolve
from .record import New, Record, State, Stored, TargetRow
from .values import Value

VIEW = UNIFIED["parent_child_views"]
CLINICIAN_VIEW = UNIFIED["clinician_patient_views"]
TEXTS = ("medical_history", "current_concerns", "developmental_notes")
FILLED = (
    *("id", "person_id", "parent_id", *TEXTS, "relationship_type", "is_primary_caregiver"),
    *("added_at", "updated_at", "reminder_preferences"),
)
RENAMED = {
    "developmental_history": "developmental_milestones",
    "case_status": "status",
    "referral_notes": "referral_details",
    "admitted_at": "created_at",
}


@dataclass
class Pair:
    """A person and a parent, and the rows that say they belong together, earliest first."""

    person: New
    parent: str
    children: list[Record] = field(default_factory=list)
    links: list[Record] = field(default_factory=list)
    flagged: bool = False

    @property
    def view_id(self) -> New:
        return New("view", (self.person.key, self.parent))

    @property
    def link_key(self) -> tuple[float, str]:
        """Order by ``added_at`` of the speaking row, then the parent."""
        return (instant_key(self.links[0], "added_at") if self.links else float("inf")), self.parent


def make_views(state: State, people: People) -> None:
    """Fills both view tables and their maps."""
    pairs: dict[tuple[New, str], Pair] = {}
    _pair_children(state, people, pairs)
    links = _pair_links(state, pairs)
    by_person: dict[New, list[Pair]] = defaultdict(list)
    for pair in pairs.values():
        pair.children.sort(key=lambda r: (instant_key(r, "created_at"), r.source_id))
        pair.links.sort(key=lambda r: (instant_key(r, "added_at"), r.source_id))
        by_person[pair.person].append(pair)
    for person, own in by_person.items():
        chosen = _primary_caregiver(people.record(person), own)
        for pair in own:
            _make_view(state, pair, pair is chosen)
    for record in links:
        record.commit()
    for record in people.patients.values():
        _make_clinician_view(state, record)


def _pair_children(state: State, people: People, pairs: dict[tuple[New, str], Pair]) -> None:
    for record in people.children.values():
        parent = record.text("parent_id")
        assert isinstance(record.person, New)
        if parent is None or not state.exists("parents", parent):
            record.log("orphaned_record", field="parent_id", related_id=parent)
            continue
        record.carry("parent_id", "TEXT")
        pair = pairs.setdefault((record.person, parent), Pair(record.person, parent))
        pair.children.append(record)
        state.maps["child_to_view"][record.source_id] = pair.view_id


def _pair_links(state: State, pairs: dict[tuple[New, str], Pair]) -> list[Record]:
    """Reads ``parent_children``; gives the records of the rows that are represented."""
    represented = []
    for row in state.source.rows("parent_children"):
        record = Record(state, state.source.known["parent_children"], row, row.text("id"))
        patient_id, parent = record.text("patient_id"), record.text("parent_id")
        person, through_child = resolve(state, "patient_id", patient_id)
        record.person = person
        field_, missing = "patient_id", patient_id
        if person is not None:
            field_, missing = "parent_id", parent
        if person is None or parent is None or not state.exists("parents", parent):
            reason = "orphaned_record"
            record.keep_out(reason, reason, field=field_, related_id=missing)
            continue
        pair = pairs.setdefault((person, parent), Pair(person, parent))
        pair.links.append(record)
        if record.candidate("is_primary", "BOOLEAN") == 1:
            pair.flagged = True
        record.candidate("relationship_type", "TEXT")
        record.candidate("added_at", "DATETIME")
        if through_child:
            record.log("child_id_in_patient_column", field="patient_id", related_id=patient_id)
            record.keep("patient_id")
        state.maps["parent_link_to_view"][record.source_id] = pair.view_id
        represented.append(record)
    return represented


def _primary_caregiver(origin: Record, pairs: list[Pair]) -> Pair:
    """The one view of the person that is the primary caregiver's."""
    flagged = [pair for pair in pairs if pair.flagged]
    if len(flagged) > 1 or (not flagged and len(pairs) > 1):
        kind = "multiple_primary_caregivers" if flagged else "no_primary_caregiver"
        named = _named_by_decision(origin, pairs, kind)
        if named is not None:
            origin.log(kind, field="is_primary", related_id=named.parent)
            return named
    if flagged:
        chosen = min(flagged, key=lambda pair: pair.link_key)
        if len(flagged) > 1:
            origin.log("multiple_primary_caregivers", field="is_primary", related_id=chosen.parent)
        return chosen
    with_child = [pair for pair in pairs if pair.children]
    if with_child:
        chosen = min(
            with_child,
            key=lambda p: (instant_key(p.children[0], "created_at"), p.children[0].source_id),
        )
    else:
        chosen = min(pairs, key=lambda pair: pair.link_key)
    if len(pairs) > 1:
        origin.log("no_primary_caregiver", field="is_primary", related_id=chosen.parent)
    return chosen


def _named_by_decision(origin: Record, pairs: list[Pair], kind: str) -> Pair | None:
    """The pair that a reviewer named; asks about each parent of the family."""
    family = ",".join(
        spelled(p.parent, "1" if p.flagged else "0") for p in sorted(pairs, key=lambda p: p.parent)
    )
    named = []
    for pair in pairs:
        key = (kind, origin.table.name, origin.source_id, pair.parent, "is_primary")
        if origin.state.desk.word(key, "primary", family) == "primary":
            named.append(pair)
    if len(named) > 1:
        origin.state.desk.problems.append(f"{origin.source_id}: several primary caregivers")
    return named[0] if named else None


def _make_view(state: State, pair: Pair, primary: bool) -> None:
    view: TargetRow = dict.fromkeys(VIEW.column_names)
    view |= {"id": pair.view_id, "person_id": pair.person, "parent_id": pair.parent}
    view |= {"is_primary_caregiver": int(primary), "reminder_preferences": "{}"}
    view["relationship_type"] = _speak(pair)
    view["added_at"] = _added_at(state, pair)
    view["updated_at"] = _updated_at(pair, view["added_at"])
    for name in TEXTS:
        view[name] = _text(pair, name)
    for further in pair.children[1:]:
        related = pair.children[0].source_id
        further.log("merged_child_rows", related_id=related)
    _carry_unknown(pair, view)
    state.tables["parent_child_views"].append(view)


def _speak(pair: Pair) -> Value:
    """The relationship of the speaking row; archives all rows of a pair that has several."""
    if not pair.links:
        return "parent"
    for record in pair.links:
        record.whole = len(pair.links) > 1
    speaking = pair.links[0]
    carry_reference(speaking, "patient_id")
    carry_reference(speaking, "parent_id")
    column = VIEW.column("relationship_type")
    assert column is not None
    return speaking.carry_into("relationship_type", column, "parent")


def carry_reference(record: Record, column: str) -> None:
    """Carries a reference that is known to resolve."""
    record.carry(column, "TEXT")


def _added_at(state: State, pair: Pair) -> Stored:
    """The speaking row's instant, else the earliest child's that has one, else the run's time."""
    candidates = [(record, "added_at") for record in pair.links[:1]]
    candidates += [(record, "created_at") for record in pair.children]
    supplied: Stored = None
    for record, column in candidates:
        value = record.candidate(column, "DATETIME")
        if value is not None and supplied is None:
            supplied = record.carry(column, "DATETIME")
    if supplied is None:
        record, column = candidates[0]
        record.count(column, "required_default")
        return state.run_ms
    return supplied


def _updated_at(pair: Pair, added_at: Stored) -> Stored:
    """The child's ``updated_at``, the latest when merged, else ``added_at``."""
    if len(pair.children) == 1:
        value = pair.children[0].carry("updated_at", "DATETIME")
        if value is None:
            pair.children[0].count("updated_at", "required_default")
            pair.children[0].keep("updated_at")
        return added_at if value is None else value
    found = [record.candidate("updated_at", "DATETIME") for record in pair.children]
    instants = [int(value) for value in found if value is not None]
    return max(instants) if instants else added_at


def _text(pair: Pair, name: str) -> Stored:
    """The only child's text as it is, or the distinct non-empty texts of several."""
    if len(pair.children) == 1:
        return pair.children[0].carry(name, "TEXT")
    texts: list[str] = []
    for record in pair.children:
        value = record.candidate(name, "TEXT")
        if value and value not in texts:
            texts.append(str(value))
    return "\n\n".join(texts) if texts else None


def _carry_unknown(pair: Pair, view: TargetRow) -> None:
    """Columns that only this file has: the earliest child speaks, or, of its own, a link."""
    for column in VIEW.columns:
        if column.name in FILLED:
            continue
        for record in [*pair.children[:1], *pair.links[:1]]:
            children = record.state.source.known.get("children")
            of_children = children is not None and column.name in children.columns
            if column.name in record.table.columns and (
                record.table.usual == "children" or not of_children
            ):
                view[column.name] = record.carry_into(column.name, column)


def _make_clinician_view(state: State, record: Record) -> None:
    clinician = record.text("clinician_id")
    if clinician is None or not state.exists("users", clinician):
        record.log("orphaned_record", field="clinician_id", related_id=clinician)
        return
    view: TargetRow = {"id": New("clinician_view", (record.source_id,))}
    view["person_id"] = record.person
    known = {"primary_concerns", "existing_diagnosis", "diagnosis_codes", "medical_history"}
    known |= {"family_history", "current_medications", "allergies", "referral_source"}
    known |= {"clinician_id", "created_at", "updated_at", *RENAMED.values()}
    for column in CLINICIAN_VIEW.columns[2:]:
        source = RENAMED.get(column.name, column.name)
        if source in known or source in record.table.columns:
            view[column.name] = record.carry_into(source, column)
        else:
            view[column.name] = record.default(column) if column.not_null else None
    state.tables["clinician_patient_views"].append(view)
    state.maps["patient_to_view"][record.source_id] = view["id"]
