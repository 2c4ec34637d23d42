"""Answers of one review that cannot be carried out together, by sheet and row.

The same is refused again when a run puts decisions to the data (``stages.resolve.decided``), which
knows more: whose values are equal, who was linked before.  Here it is said to who can correct it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from person_unify.frames.decisions import Decision

Record = tuple[str, str]
"""``child`` or ``patient``, and its id."""
_STAYING = {"child", "patient", "same", "standalone"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision, where it stands, and which table its ``related_id`` is of."""

    place: str
    decision: Decision
    related: Literal["child", "patient"]

    @property
    def source(self) -> Record:
        """The record that the question is about."""
        one = self.decision
        return ("child" if one.source_table.lower() == "children" else "patient", one.source_id)

    @property
    def other(self) -> Record:
        """The record beside it."""
        return (self.related, self.decision.related_id or "")

    @property
    def move(self) -> tuple[Record, Record | None] | None:
        """The child that goes to another record, or (None) becomes a person of its own."""
        match self.decision.decision:
            case "unlink":
                return self.source, None
            case "link" if self.decision.link_to is not None:
                return self.source, ("patient", self.decision.link_to)
            case "link" | "merge" if self.source[0] == "child":
                return self.source, self.other
            case "link" | "merge":
                return self.other, self.source
        return None


def contradictions(answers: Sequence[Answer]) -> Iterator[str]:
    """A sentence for each contradiction, with ids and places and never a value."""
    moved: dict[Record, dict[Record | None, str]] = {}
    for answer in answers:
        if answer.move is not None:
            child, to = answer.move
            moved.setdefault(child, {}).setdefault(to, answer.place)
    for (_, id_), places in moved.items():
        if len(places) > 1:
            yield f"child {id_}: is to be one with several records by {_two(places.values())}"
    for answer in answers:
        if answer.decision.decision in _STAYING and answer.source in moved:
            place = next(iter(moved[answer.source].values()))
            yield (
                f"child {answer.source[1]}: is unlinked, linked or merged by {place}, and kept "
                f"where it is by {answer.place}"
            )
    yield from _values(answers)
    caregivers = [(a.source, a.place) for a in answers if a.decision.decision == "primary"]
    yield from _once(caregivers, "has several primary caregivers")
    keepers = [(a.other, a.place) for a in answers if a.decision.decision == "this"]
    yield from _once(keepers, "loses its number to several records")
    yield from _united(answers, moved)


def _two(places: Iterable[str]) -> str:
    return " and ".join(list(places)[:2])


def _values(answers: Sequence[Answer]) -> Iterator[str]:
    """A child's value taken and the patient's own kept, for one field of one person."""
    said: dict[tuple[str | None, str | None], dict[str, str]] = {}
    for answer in answers:
        one = answer.decision
        if one.kind == "demographic_mismatch" and one.decision in ("child", "patient"):
            places = said.setdefault((one.related_id, one.field), {})
            places.setdefault(one.decision, answer.place)
    for (patient, field), places in said.items():
        if len(places) > 1:
            by = _two(places.values())
            yield f"patient {patient} {field}: several values are to be taken by {by}"


def _once(chosen: Sequence[tuple[Record, str]], what: str) -> Iterator[str]:
    """Records that something is said of several times, where it can be once only."""
    places: dict[Record, list[str]] = {}
    for record, place in chosen:
        places.setdefault(record, []).append(place)
    for (table, id_), where in places.items():
        if len(where) > 1:
            yield f"{table} {id_}: {what} by {_two(where)}"


def _united(
    answers: Sequence[Answer], moved: Mapping[Record, Mapping[Record | None, str]]
) -> Iterator[str]:
    """Two records that one answer keeps apart and others make one."""
    humans: dict[Record, frozenset[Record]] = {}
    by: dict[Record, str] = {}
    for child, places in moved.items():
        for to, place in places.items():
            if to is not None:
                whole = humans.get(child, frozenset({child})) | humans.get(to, frozenset({to}))
                humans.update(dict.fromkeys(whole, whole))
                by[child] = place
    for answer in answers:
        one, other = answer.source, answer.other
        if answer.decision.decision == "separate" and other in humans.get(one, ()):
            place = next(by[record] for record in (one, other, *humans[one]) if record in by)
            yield (
                f"{one[0]} {one[1]} and {other[0]} {other[1]}: are kept apart by {answer.place}, "
                f"and made one by {place}"
            )
