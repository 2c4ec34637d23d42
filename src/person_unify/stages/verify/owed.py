"""The entries that the log owes: what SQL finds in the source by itself (contract section 8).

Each query has the columns of :data:`ENTRY`; the log must hold its rows, each as often, and no
others of that kind and table.
"""

from __future__ import annotations

from collections.abc import Iterator

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.schema import OLD, quote
from person_unify.spec import Copy, Decided, Person
from person_unify.stages.verify import cells, relations
from person_unify.stages.verify.archive import is_loaded
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.words import Words

ENTRY = "source_id, related_id, person_id, field"
Owed = tuple[str, str, str]
"""Kind, source table and the query of its entries."""


def owed_entries(bench: Bench) -> Iterator[Owed]:
    """Everything that can be told from the source alone, kind by kind and table by table."""
    yield from _of_people(bench)
    for bound in bench.plan.bound:
        if bound.target is not None and bound.mapping.source not in ("patients", "children"):
            yield from _of_references(bench, bound)


def _of_people(bench: Bench) -> Iterator[Owed]:
    children = bench.plan.source_names.get("children")
    patients = bench.plan.source_names.get("patients")
    if children is not None:
        parent = cells.text(bench.column("children", "parent_id"))
        link = cells.text(bench.column("children", "linked_patient_id"))
        yield (
            "missing_linked_patient",
            children,
            _LOST_LINK.format(children=quote(children), link=link),
        )
        created = cells.instant(bench.column("children", "created_at"))
        shared = _SHARED.format(children=quote(children), created=created)
        yield "shared_linked_patient", children, shared
        yield "merged_child_rows", children, _MERGED
        yield "implied_grant", children, _IMPLIED
        yield (
            "orphaned_record",
            children,
            _NO_PARENT.format(children=quote(children), parent=parent),
        )
    if patients is not None:
        yield "orphaned_record", patients, _NO_CLINICIAN
    for usual, name in (("patients", patients), ("children", children)):
        if name is not None:
            for kind, query in (
                ("duplicate_udid", _UDID),
                ("multiple_primary_caregivers", _CAREGIVER.format(which="flags > 1", own="{own}")),
                (
                    "no_primary_caregiver",
                    _CAREGIVER.format(which="flags = 0 AND pairs > 1", own="{own}"),
                ),
            ):
                yield kind, name, query.format(usual=usual, own=_ORIGIN[usual])
            yield "missing_gender", name, _without_gender(bench, usual)


_ORIGIN = {"patients": "o.patient_id", "children": "o.child_id"}
_LOST_LINK = (
    "SELECT c.old_id AS source_id, {link} AS related_id, c.person_id AS person_id, "
    "'linked_patient_id' AS field FROM source.{children} AS s "
    "JOIN temp.verify_children AS c ON c.old_id = +s.id "
    "WHERE c.named IS NULL AND ({link}) <> ''"
)
_SHARED = (
    "SELECT old_id AS source_id, beside AS related_id, person_id, 'linked_patient_id' AS field "
    "FROM (SELECT c.old_id AS old_id, c.person_id AS person_id, coalesce(c.named, c.patient_id) "
    "AS beside, row_number() OVER (PARTITION BY coalesce(c.named, c.patient_id) ORDER BY "
    "({created}) IS NULL, {created}, c.old_id) AS n FROM source.{children} AS s "
    "JOIN temp.verify_children AS c ON c.old_id = +s.id) WHERE n > 1 AND beside IS NOT NULL"
)
_MERGED = (
    "SELECT f.old_id AS source_id, p.child_id AS related_id, f.person_id AS person_id, "
    "NULL AS field FROM temp.verify_pairs AS p JOIN temp.verify_family AS f ON f.person_id = "
    "p.person_id AND f.parent_id = p.parent_id AND f.link = 0 AND f.old_id <> p.child_id "
    "WHERE p.children > 1"
)
_IMPLIED = (
    "SELECT child_id AS source_id, patient_id AS related_id, person_id, "
    "'linked_patient_id' AS field FROM temp.verify_implied WHERE state = 'owed'"
)
_NO_PARENT = (
    "SELECT c.old_id AS source_id, {parent} AS related_id, c.person_id AS person_id, "
    "'parent_id' AS field FROM source.{children} AS s JOIN temp.verify_children AS c "
    "ON c.old_id = +s.id WHERE NOT EXISTS (SELECT 1 FROM temp.verify_family AS f "
    "WHERE f.link = 0 AND f.person_id = c.person_id AND f.old_id = c.old_id)"
)
_NO_CLINICIAN = (
    "SELECT p.old_id AS source_id, p.clinician_id AS related_id, p.person_id AS person_id, "
    "'clinician_id' AS field FROM temp.verify_patients AS p WHERE NOT EXISTS "
    "(SELECT 1 FROM main.users AS u WHERE u.id = p.clinician_id)"
)
_UDID = (
    "SELECT u.old_id AS source_id, u.keeper AS related_id, r.person_id AS person_id, "
    "'udid_number' AS field FROM temp.verify_udid AS u JOIN temp.verify_{usual} AS r "
    "ON r.old_id = u.old_id WHERE u.source_table = '{usual}'"
)
_CAREGIVER = (
    "SELECT {own} AS source_id, p.parent_id AS related_id, p.person_id AS person_id, "
    "'is_primary' AS field FROM temp.verify_primary AS p JOIN temp.verify_people AS o "
    "ON o.person_id = p.person_id WHERE {which} AND {own} IS NOT NULL"
)


def _without_gender(bench: Bench, usual: str) -> str:
    """Persons of whom no record states a gender, by their origin."""
    own = cells.text(bench.column(usual, "gender"))
    condition = (
        "r.alone AND NOT EXISTS (SELECT 1 FROM temp.verify_joined AS g WHERE g.head = +s.id "
        "AND g.gender <> '')"
    )
    if usual == "patients":
        condition = (
            "NOT EXISTS (SELECT 1 FROM temp.verify_linked AS g WHERE g.patient_id = +s.id "
            "AND g.gender <> '')"
        )
    return (
        "SELECT r.old_id AS source_id, NULL AS related_id, r.person_id AS person_id, "
        f"'gender' AS field FROM {bench.source(usual)} AS s JOIN temp.verify_{usual} AS r "
        f"ON r.old_id = +s.id WHERE coalesce({own}, '') = '' AND {condition}"
    )


def _of_references(bench: Bench, bound: BoundMapping) -> Iterator[Owed]:
    """Dangling references of a table's loaded rows, and children's ids in its patient column."""
    key = row_key(bound)
    if key is None:
        return
    found: dict[str, list[str]] = {}
    for binding in bound.columns:
        for kind, condition, related in _broken(bench, bound, binding):
            column = cells.literal(str(getattr(binding.word, "column", "")))
            found.setdefault(kind, []).append(
                f"SELECT s.{quote(key)} AS source_id, {related} AS related_id, "
                f"{_person(bench, bound)} AS person_id, {column} AS field "
                f"FROM source.{quote(bound.name)} AS s WHERE {condition} "
                f"AND {is_loaded(bench, bound.source)}"
            )
    for kind, queries in found.items():
        yield kind, bound.name, " UNION ALL ".join(queries)


def row_key(bound: BoundMapping) -> str | None:
    """The column by which discrepancies name the rows of a table: the first of its key."""
    known = OLD.get(bound.mapping.source)
    keys = bound.source.primary_key or (known.primary_key if known else ())
    return keys[0] if keys and bound.source.column(keys[0]) else None


def _person(bench: Bench, bound: BoundMapping) -> str:
    """The person that row ``s`` belongs to, NULL where it has no reference to one."""
    words = Words(bench, bound)
    for binding in bound.columns:
        if binding.target.name == "person_id":
            if isinstance(binding.word, Decided):
                return relations.person_of(words.cell(str(binding.word.column)), "patients")
            return words.expected(binding) or "NULL"
    return "NULL"


def _broken(bench: Bench, bound: BoundMapping, binding: Binding) -> Iterator[tuple[str, str, str]]:
    """Kind, condition on row ``s`` and related id of what a reference may be logged for."""
    word = binding.word
    column = getattr(word, "column", None)
    if column is None or bound.source.column(column) is None:
        return
    cell = f"s.{quote(column)}"
    said = cells.text(cell)
    if isinstance(word, Person) or (isinstance(word, Decided) and word.rule == "person"):
        first = word.first if isinstance(word, Person) else "patients"
        person = relations.person_of(cell, first)
        if binding.strength == "optional":
            condition = f"{cell} IS NOT NULL AND {person} IS NULL AND ({said}) IS NOT NULL"
            yield "dangling_reference", condition, said
        if first == "patients":
            own = relations.person_of(cell, first, "own")
            condition = f"{cell} IS NOT NULL AND {own} = 0 AND {person} IS NOT NULL"
            yield "child_id_in_patient_column", condition, relations.key_text(cell)
    elif isinstance(word, Copy) and binding.names and binding.strength in ("optional", "loose"):
        named = f"nullif({said}, '')" if bound.mapping.source == "consent_grants" else said
        target = relations.referenced(bench, binding.names, cell)
        condition = f"{cell} IS NOT NULL AND {target} IS NULL AND ({named}) IS NOT NULL"
        yield "dangling_reference", condition, said
