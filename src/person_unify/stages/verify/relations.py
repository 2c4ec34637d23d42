"""What an id names: rows of the target by their old ids, persons by either of theirs.

"Exists" means "is loaded" (contract section 3), so all lookups end in the target; only where two
source tables share one target does the source say which side an id belongs to.
"""

from __future__ import annotations

from person_unify.mappings.bind import BoundMapping
from person_unify.schema import quote
from person_unify.spec import Copy, Person, Via, Word
from person_unify.stages.verify import cells
from person_unify.stages.verify.bench import Bench

PEOPLE = {"patients": "temp.verify_patients", "children": "temp.verify_children"}
BOTH = {
    "verify_by_patient": ("patients", "children"),
    "verify_by_child": ("children", "patients"),
}
"""Lookups over both kinds of people, by the kind whose ids come first."""
MAPPED_IDS = {"consent_grants": "temp.verify_consent_to_grant"}


def key_text(cell: str) -> str:
    """A cell as the text that a reference looks up."""
    return f"CAST({cell} AS TEXT)"


def person_of(cell: str, first: str, attribute: str = "person_id") -> str:
    """What ``cell`` names as a person: an attribute of the first kind of people, else the other."""
    both = "verify_by_patient" if first == "patients" else "verify_by_child"
    return f"(SELECT q.{attribute} FROM temp.{both} AS q WHERE q.old_id = {key_text(cell)})"


def twin(bench: Bench, bound: BoundMapping) -> str | None:
    """The source table whose ids win over this one's, as SQL."""
    other = bound.mapping.shares_ids_with
    return None if other is None else bench.source(other)


def has_twin(bench: Bench, bound: BoundMapping) -> bool:
    """Whether another source table fills the same target under its own ids."""
    return any(b.mapping.shares_ids_with == bound.mapping.source for b in bench.plan.bound)


def new_id(bench: Bench, bound: BoundMapping, old: str) -> str:
    """The target id of a loaded row of this mapping whose old id is ``old`` (a text)."""
    mapped = MAPPED_IDS.get(bound.mapping.source)
    if mapped is not None:
        return f"(SELECT m.new_id FROM {mapped} AS m WHERE m.old_id = {old})"
    winner = twin(bench, bound)
    if winner is None:
        return old
    collision = (
        "(SELECT m.new_id FROM temp.verify_collisions AS m "
        f"WHERE m.source_table = {cells.literal(bound.name)} AND m.old_id = {old})"
    )
    return (
        f"CASE WHEN EXISTS (SELECT 1 FROM {winner} AS w WHERE w.id = {old}) "
        f"THEN {collision} ELSE {old} END"
    )


def located(bench: Bench, usual: str, old: str) -> tuple[str, str] | None:
    """``(table, condition on alias i)`` of the loaded row of an old table that ``old`` names."""
    bound = bench.mapping(usual)
    if bound is None or bound.target is None:
        return None
    key = quote(bound.target.primary_key[0])
    if usual in PEOPLE:
        return (
            "main.persons",
            f"i.{key} = (SELECT q.person_id FROM {PEOPLE[usual]} AS q WHERE q.old_id = {old})",
        )
    condition = f"i.{key} = {new_id(bench, bound, old)}"
    if has_twin(bench, bound) or bound.mapping.shares_ids_with is not None:
        own = quote(bound.target.primary_key[0])
        condition += (
            f" AND EXISTS (SELECT 1 FROM source.{quote(bound.name)} AS o WHERE o.{own} = {old})"
        )
    return f"main.{quote(bound.target.name)}", condition


def referenced(bench: Bench, usual: str, cell: str) -> str:
    """The target id of the loaded row of ``usual`` that a cell names, else NULL."""
    place = located(bench, usual, key_text(cell))
    if place is None:
        return "NULL"
    bound = bench.mapping(usual)
    assert bound is not None
    assert bound.target is not None
    return f"(SELECT i.{quote(bound.target.primary_key[0])} FROM {place[0]} AS i WHERE {place[1]})"


def attribute_of(bench: Bench, word: Via, cell: str, depth: int = 0) -> str:
    """The attribute of the loaded row that ``cell`` names, else NULL."""
    bound = bench.mapping(word.table)
    place = located(bench, word.table, key_text(cell))
    if bound is None or bound.target is None or place is None:
        return "NULL"
    exposed = bound.mapping.exposes.get(word.attribute)
    if exposed is None:
        return f"(SELECT i.{quote(word.attribute)} FROM {place[0]} AS i WHERE {place[1]})"
    alias = f"v{depth}"
    own = quote(bound.target.primary_key[0])
    return (
        f"(SELECT {_exposed(bench, bound, exposed, alias, depth)} "
        f"FROM source.{quote(bound.name)} AS {alias} WHERE {alias}.{own} = {key_text(cell)} "
        f"AND EXISTS (SELECT 1 FROM {place[0]} AS i WHERE {place[1]}))"
    )


def _exposed(bench: Bench, bound: BoundMapping, word: Word, alias: str, depth: int) -> str:
    """A value that other tables look up although the target has no such column."""
    assert isinstance(word, Copy | Via)
    cell = "NULL"
    if bound.source.column(word.column) is not None:
        cell = f"{alias}.{quote(word.column)}"
    if isinstance(word, Copy):
        return cells.text(cell)
    return attribute_of(bench, word, cell, depth + 1)


def names_nothing(bench: Bench, bound: BoundMapping, word: Word, names: str | None) -> str:
    """Whether a required reference of row ``s`` names no loaded row."""
    column = getattr(word, "column", None)
    cell = f"s.{quote(column)}" if column and bound.source.column(column) else "NULL"
    if isinstance(word, Person):
        return f"({person_of(cell, word.first)}) IS NULL"
    if isinstance(word, Via):
        return f"{attribute_of(bench, word, cell)} IS NULL"
    assert names is not None
    return f"{referenced(bench, names, cell)} IS NULL"
