"""Which records are one human, and what decisions change about it (contract section 3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .desk import spelled
from .people import (
    People,
    earliest,
    introduce,
    person_of_child,
    person_of_patient,
    settle_persons,
)
from .record import New, Record, State, Stored, TargetRow
from .source import Refused
from .values import NULL, Value, day_of, iso_instant, normal_name, read

COMPARED = ("first_name", "last_name", "date_of_birth", "gender")
LINK = "linked_patient_id"


def make_people(state: State) -> People:
    """Fills ``persons`` and the two person maps, and logs all of section 3."""
    people = People()
    introduce(state, people)
    _settle_links(state, people)
    settle_persons(state, people)
    for old_id, record in people.patients.items():
        person_of_patient(state, people, old_id, record)
    for old_id, record in people.children.items():
        if old_id not in people.link and old_id not in people.joined:
            person_of_child(state, people, old_id, record)
    _settle_udids(state, people)
    for old_id in [*people.link, *people.joined]:
        people.children[old_id].whole = True
    for child_id, patient_id in people.link.items():
        if people.patients[patient_id].cell("deleted_at").kind != "null":
            people.children[child_id].log(
                "deleted_patient", field="deleted_at", related_id=patient_id
            )
    for patient_id, child_ids in _beside(people).items():
        _compare(state, people, patient_id, child_ids)
    _ask_of_strays(state, people)
    _suspect_duplicates(state, people)
    return people


def _settle_links(state: State, people: People) -> None:
    """Who is linked to whom: by the source, but for what was decided about that."""
    desk = state.desk
    people.link = dict(people.named)
    for patient_id, child_ids in _beside(people).items():
        for position, child_id in enumerate(child_ids):
            words = [_ask_shared(state, people, child_id, patient_id)] if position else []
            fields = _ask_fields(state, people, child_id, patient_id)
            words += [*fields.values(), _ask_contradicting(state, people, child_id, patient_id)]
            _take_road(state, child_id, {word for word in words if word})
    _ask_of_strays(state, people)
    for group in _groups(people):
        _ask_of_group(state, people, group)
    for child_id, roads in desk.roads.items():
        if len(roads) > 1 or child_id in desk.staying:
            desk.problems.append(f"{child_id}: two places")
        for where, whom in roads:
            if where == "patient" and whom not in people.patients:
                desk.problems.append(f"{child_id}: no such patient")
    if desk.problems:
        raise Refused("decisions")
    _move(state, people)


def _take_road(state: State, child_id: str, words: set[str]) -> None:
    if "unlink" in words:
        state.desk.roads[child_id].add(("unlink", ""))
    if words - {"unlink"}:
        state.desk.staying.add(child_id)


def _move(state: State, people: People) -> None:
    roads = {child: next(iter(found)) for child, found in state.desk.roads.items()}
    for child_id, (where, whom) in roads.items():
        if where == "unlink":
            del people.link[child_id]
        elif where == "patient":
            people.link[child_id] = whom
    for child_id, (where, whom) in roads.items():
        if where == "child" and whom in people.link:
            people.link[child_id] = people.link[whom]
        elif where == "child":
            people.joined[child_id] = whom


def _beside(people: People) -> dict[str, list[str]]:
    """The children that stand beside each patient, earliest first, also those parted since."""
    found = defaultdict(list)
    for child_id in people.children:
        patient_id = people.named.get(child_id) or people.link.get(child_id)
        if patient_id is not None:
            found[patient_id].append(child_id)
    for child_ids in found.values():
        child_ids.sort(key=lambda child: earliest(people.children[child]))
    return found


def _known_by(record: Record) -> str:
    return spelled(*(_text(record, name) for name in COMPARED))


def _text(record: Record, name: str) -> str | None:
    value = record.quietly(name, "DATETIME" if name == "date_of_birth" else "TEXT").value
    return None if value is None else str(value)


def _ask_contradicting(state: State, people: People, child_id: str, patient_id: str) -> str | None:
    child, patient = people.children[child_id], people.patients[patient_id]
    if not _contradicts(child, patient):
        return None
    options = "same unlink" if child_id in people.named else "same"
    key = ("contradicting_link", child.table.name, child_id, patient_id, LINK)
    return state.desk.word(key, options, _known_by(child), _known_by(patient))


def _contradicts(child: Record, patient: Record) -> bool:
    """Whether nothing but the link says that the two are one human."""
    return all(_differs(child, patient, name) for name in COMPARED[:3])


def _ask_shared(state: State, people: People, child_id: str, patient_id: str) -> str | None:
    child, patient = people.children[child_id], people.patients[patient_id]
    options = "same unlink" if child_id in people.named else "same"
    key = ("shared_linked_patient", child.table.name, child_id, patient_id, LINK)
    return state.desk.word(key, options, _known_by(child), _known_by(patient))


def _ask_fields(
    state: State, people: People, child_id: str, patient_id: str
) -> dict[str, str | None]:
    """The fields that differ, and what was decided about each."""
    child, patient = people.children[child_id], people.patients[patient_id]
    options = "child patient unlink" if child_id in people.named else "child patient"
    words = {}
    for name in COMPARED:
        if _differs(child, patient, name):
            key = ("demographic_mismatch", child.table.name, child_id, patient_id, name)
            words[name] = state.desk.word(key, options, _text(child, name), _text(patient, name))
    return words


def _ask_of_strays(state: State, people: People) -> None:
    for child_id, child in people.children.items():
        wanted = child.text(LINK)
        if not wanted or child_id in people.named:
            continue
        key = ("missing_linked_patient", child.table.name, child_id, wanted, LINK)
        answer = state.desk.ask(key, "standalone link", _known_by(child))
        if answer is not None and answer["decision"] == "link":
            state.desk.roads[child_id].add(("patient", answer["link_to"]))
        elif answer is not None:
            state.desk.staying.add(child_id)


def _settle_udids(state: State, people: People) -> None:
    """The earliest keeps a shared udid; patients come before children; a decision comes first."""
    groups: dict[Value, list[Record]] = defaultdict(list)
    patients = sorted(people.patients.values(), key=earliest)
    children = [
        record
        for child, record in people.children.items()
        if child not in people.link and child not in people.joined
    ]
    if state.source.known.get("children") is None or "udid_number" not in (
        state.source.known["children"].columns
    ):
        children = []
    targets = {row["id"]: row for row in state.tables["persons"]}
    for record in [*patients, *sorted(children, key=earliest)]:
        value = record.carry("udid_number", "TEXT")
        if value == "":
            record.lose("udid_number")
        elif value is not None:
            groups[value].append(record)
    for value, group in groups.items():
        keeper = _keeper(state, value, group)
        targets[keeper.person]["udid_number"] = value
        for record in group:
            if record is not keeper:
                record.lose("udid_number")
                related = keeper.source_id
                record.log("duplicate_udid", field="udid_number", related_id=related)


def _keeper(state: State, value: Value, group: list[Record]) -> Record:
    first, *further = group
    named = []
    for record in further:
        table, old_id = record.table.name, record.source_id
        key = ("duplicate_udid", table, old_id, first.source_id, "udid_number")
        word = state.desk.word(key, "earlier this", str(value), _known_by(record), _known_by(first))
        if word == "this":
            named.append(record)
    if len(named) > 1:
        state.desk.problems.append(f"{first.source_id}: several keepers")
    return named[0] if named else first


def _compare(state: State, people: People, patient_id: str, children: list[str]) -> None:
    """Logs shared links and mismatches of the children beside a patient, earliest first."""
    patient = people.patients[patient_id]
    decided = {child: _ask_fields(state, people, child, patient_id) for child in children}
    taken = _taken_values(state, people, patient, decided)
    lines = []
    for position, child_id in enumerate(children):
        child = people.children[child_id]
        together = child.person == patient.person
        if position:
            _ask_shared(state, people, child_id, patient_id)
            child.log("shared_linked_patient", field=LINK, related_id=patient_id)
        if _contradicts(child, patient):
            _ask_contradicting(state, people, child_id, patient_id)
            child.log("contradicting_link", field=LINK, related_id=patient_id)
        for name in decided[child_id]:
            child.log(
                "demographic_mismatch",
                field=name,
                related_id=patient_id,
                child_value=_shown(child, name),
                patient_value=_shown(patient, name),
                chosen_value=_shown(taken.get(name, patient) if together else child, name),
            )
        if decided[child_id] and together:
            fields = ", ".join(decided[child_id])
            lines.append(f"child {child_id} differs from patient {patient_id}: {fields}")
    assert isinstance(patient.person, New)
    person = next(row for row in state.tables["persons"] if row["id"] == patient.person)
    for name, child in taken.items():
        _take(person, patient, child, name)
    if lines:
        state.notes[patient.person] = "\n".join(lines)
        person["migration_notes"] = "\n".join(lines)


def _taken_values(
    state: State, people: People, patient: Record, decided: dict[str, dict[str, str | None]]
) -> dict[str, Record]:
    """Field -> the child whose value was decided for the person."""
    taken: dict[str, Record] = {}
    for child_id, words in decided.items():
        child = people.children[child_id]
        for name, word in words.items():
            if word != "child" or child.person != patient.person:
                continue
            others = [
                w.get(name)
                for c, w in decided.items()
                if people.children[c].person == patient.person
            ]
            known = taken.setdefault(name, child)
            if "patient" in others or _text(known, name) != _text(child, name):
                state.desk.problems.append(f"{patient.source_id} {name}: several values")
    return taken


def _take(person: TargetRow, patient: Record, child: Record, name: str) -> None:
    kind = "DATETIME" if name == "date_of_birth" else "TEXT"
    person[name] = child.quietly(name, kind).value
    patient.lose(name)


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


def _groups(people: People) -> Iterator[list[Record]]:
    """Records of the same names and day of birth that the source does not link, earliest first."""
    groups: dict[tuple[str, str, int], list[Record]] = defaultdict(list)
    unlinked = [r for child, r in people.children.items() if child not in people.named]
    for record in [*people.patients.values(), *unlinked]:
        first, last, born = (
            read(record.row.cells.get(name, NULL), kind).value
            for name, kind in zip(COMPARED[:3], ("TEXT", "TEXT", "DATETIME"), strict=True)
        )
        names = normal_name(str(first or "")), normal_name(str(last or ""))
        if all(names) and born is not None:
            groups[*names, day_of(int(born))].append(record)
    for group in groups.values():
        yield sorted(group, key=earliest)


def _ask_of_group(state: State, people: People, group: list[Record]) -> None:
    """Asks of each further record of a group, and notes which children are to move."""
    for record, first, word in _answers(state, people, group):
        pair = {r.table.usual: r.source_id for r in (record, first)}
        if word == "link" and len(pair) == 2:
            state.desk.roads[pair["children"]].add(("patient", pair["patients"]))
        elif word == "merge":
            state.desk.roads[record.source_id].add(("child", first.source_id))


def _answers(
    state: State, people: People, group: list[Record]
) -> Iterator[tuple[Record, Record, str | None]]:
    first, *further = group
    for record in further:
        usual = {record.table.usual, first.table.usual}
        merging = "merge" if usual == {"children"} else "link"
        options = "separate" if usual == {"patients"} else f"separate {merging}"
        key = ("suspected_duplicate", record.table.name, record.source_id, first.source_id, None)
        facts = first.table.name, _known_by(record), _known_by(first)
        yield record, first, state.desk.word(key, options, *facts)


def _suspect_duplicates(state: State, people: People) -> None:
    """Logs further records, and objects where what was kept apart became one."""
    for group in _groups(people):
        for record, first, word in _answers(state, people, group):
            record.log("suspected_duplicate", related_id=first.source_id)
            if word == "separate" and record.person == first.person:
                state.desk.problems.append(f"{record.source_id}: apart and one")
