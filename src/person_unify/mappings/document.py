"""The mappings as a document for people: every old table, and where its columns go.

Printed from the same objects that the transform compiles and the verifier walks, bound to the two
built-in schemas, so that it cannot say anything else than what happens.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import ModuleType

from person_unify.mappings import SHORT_NAMES, care, people, plans, platform, sharing
from person_unify.mappings.bind import Binding, BoundMapping, bind
from person_unify.mappings.spec import (
    ClinicianOf,
    Computed,
    Constant,
    Copy,
    Decided,
    Fixed,
    Fold,
    Mapping,
    NewId,
    Owner,
    Part,
    Person,
    Reference,
    Via,
    Word,
)
from person_unify.schema import OLD, UNIFIED

AREAS: tuple[tuple[str, ModuleType], ...] = (
    ("Platform", platform),
    ("People", people),
    ("Sharing", sharing),
    ("Care", care),
    ("Plans", plans),
)
"""Heading and module, in the order in which a reader meets them."""

RULES = {
    # persons and views: settled for a whole person or pair
    "person": "the person of this row (a fresh UUID)",
    "gender": "`gender`, else the first non-empty one of the linked children, else `unknown`",
    "unique_udid": "`udid_number`, unless empty or kept by an earlier record",
    "migration_note": "the fields in which linked children differ, else NULL",
    "clinician_view": "a fresh UUID, where the clinician exists",
    "parent_view": "a fresh UUID per (person, parent), where the parent exists",
    "joined_text": "the child's text; of several children the distinct ones, a blank line between",
    "relationship": "`relationship_type` of the parent link, else `parent`",
    "primary_caregiver": "1 for exactly one view of a person, by `is_primary` of the parent links",
    "added_at": "`added_at` of the parent link, else `created_at` of the child",
    "updated_at": "`updated_at` of the child (the latest), else `added_at`",
    # accounts
    "closed_account": "whether `deleted_at` is set, or `status` says that the account is closed",
    # grants: a consent that cannot be read is closed
    "grant_permissions": "`permissions`, `{}` where unreadable",
    "grant_token": "`token`, NULL where the grant is closed",
    "grant_token_expiry": "`expires_at` while `status` is `pending`, else NULL",
    "grant_status": "`status`, `revoked` where the grant is closed",
    # related tables
    "iep_plan_name": "`IEP ` followed by `academic_year`",
    "as_text": "`overall_progress` as text",
    "session_start": "HH:MM of `session_date` in the run's time zone, else `''`",
    "session_end": "start plus `duration` minutes, wrapping at midnight",
}
"""What the named rules of ``computed`` and ``decided`` do, in a reader's words."""

INTRODUCTION = """\
# Mappings

Where every column of the old schema goes. This file is printed from `src/person_unify/mappings/`
by `make docs`; a test fails when it is stale.

Read a table as *target column ← what it takes*. Whatever is not in a table is carried by name,
archived or left alone, as the lines below it say. These rules hold everywhere:

- A cell is carried in the canonical form of the target column's type. A cell whose form had to
  change in value or storage class is archived verbatim as well; so is one that cannot be read.
- *The person* is the one that an old id resolves to, among patients and children.
- A row whose **required** reference names nothing that is loaded is kept out: archived whole, and
  logged. An **optional** reference that names nothing becomes NULL, a **loose** one stays as it is;
  both are logged.
- A required target column without a value takes what its line says, for instants the row's
  `created_at`, else the run's time, else the column's default, else 0 or `''`.
- Where a row gets a fresh UUID, an id map of the ledger leads from the old id to it.
- The row of a child that is linked to a patient is archived whole: the patient speaks for them.

Labels of a *folded* text are the column names in words; each part that is not empty is one line.
"""


def render() -> str:
    """The whole document as Markdown, ending in one line feed."""
    plan = bind(OLD, UNIFIED, lambda table: False)
    short = ", ".join(f"`{short}` for `{usual}`" for usual, short in SHORT_NAMES.items())
    blocks = [INTRODUCTION.rstrip("\n"), f"Accepted short names of tables: {short}."]
    for title, module in AREAS:
        mappings: tuple[Mapping, ...] = module.MAPPINGS
        blocks += [f"## {title}", (module.__doc__ or "").strip().split("\n\n")[0]]
        kept = [m.source for m in mappings if m.target is None]
        for source in dict.fromkeys(m.source for m in mappings if m.target is not None):
            blocks += _section(source, plan.of(source))
        if kept:
            blocks += ["### Archived whole", f"{_listed(kept)}: no counterpart, every row is kept."]
    return "\n\n".join(blocks) + "\n"


def _section(source: str, bound: tuple[BoundMapping, ...]) -> Iterator[str]:
    """Heading, table and lines of one source table, which may fill several targets."""
    names = [b.mapping.target or "" for b in bound]
    shown = ["same name" if name == source else f"`{name}`" for name in names]
    yield f"### `{source}` → {', '.join(shown)}"
    rows = [row for b in bound for row in _rows(b, qualified=len(bound) > 1)]
    if rows:
        yield "\n".join(["| target column | ← |", "| --- | --- |", *rows])
    lines = [line for b in bound for line in _lines(b, qualified=len(bound) > 1)]
    held = {binding.word.holds for b in bound for binding in b.columns}
    archived = [c for c in OLD[source].column_names if c not in held]
    if archived:
        lines.append(f"Archived: {_listed(archived)}.")
    yield "\n".join(f"- {line}" for line in lines)


def _rows(bound: BoundMapping, *, qualified: bool) -> Iterator[str]:
    prefix = f"{bound.mapping.target}." if qualified else ""
    for binding in bound.columns:
        word = bound.mapping.columns.get(binding.target.name)
        if word is not None:
            # How strictly the column must name a row, if it names any.
            text = _says(word) + (f" ({binding.strength})" if binding.strength else "")
            yield f"| `{prefix}{binding.target.name}` | {text} |"


def _lines(bound: BoundMapping, *, qualified: bool) -> Iterator[str]:
    """What a mapping says beyond its columns, one sentence each."""
    mapping = bound.mapping
    place = f" in `{mapping.target}`" if qualified else ""
    named = [b for b in bound.columns if b.target.name not in mapping.columns]
    if named:
        whole = len(named) == len(UNIFIED[str(mapping.target)].columns)
        plain = "all columns" if whole else _listed(b.target.name for b in named)
        yield f"By name{place}: {plain}."
    references = [b for b in named if b.names is not None]
    if references:
        yield f"References among them: {', '.join(map(_reference, references))}."
    filled = {b.target.name for b in bound.columns}
    left = [c.name for c in UNIFIED[str(mapping.target)].columns if c.name not in filled]
    if left:
        yield f"Left NULL or at their default{place}: {_listed(left)}."
    if mapping.shares_ids_with:
        yield f"An id that `{mapping.shares_ids_with}` has too becomes a fresh UUID, and is logged."
    if mapping.merge_on:
        yield f"Rows that agree in {_listed(mapping.merge_on)} become one, from the earliest."
    if mapping.created != "created_at":
        yield f"`{mapping.created}` stands in for a required instant without a value."
    if mapping.orphan_kind != "orphaned_record":
        yield f"A row that is kept out is logged as `{mapping.orphan_kind}`."
    for name, word in mapping.exposes.items():
        yield f"Other tables look up `{name}` here: {_says(word)}."


def _reference(binding: Binding) -> str:
    return f"`{binding.target.name}` in `{binding.names}` ({binding.strength})"


def _says(word: Word) -> str:
    """One word of a mapping as a reader would say it.

    >>> _says(Copy("protocol", otherwise="other"))
    '`protocol`, else `other`'
    """
    match word:
        case Copy(column=column, otherwise=otherwise):
            return f"`{column}`{_otherwise(otherwise)}"
        case Fixed(value=value):
            return _value(value)
        case Person(column=column, first=first):
            return f"the person that `{column}` names, first among {first}"
        case Reference(column=column, table=table):
            return f"the row of `{table}` that `{column}` names"
        case Via(column=column, table=table, attribute=attribute, otherwise=otherwise):
            named = f"`{attribute}` of the row of `{table}` that `{column}` names"
            return named + _otherwise(otherwise)
        case Owner(column=column):
            return f"`parent` if `{column}` is a parent or a parent's user, else `clinician`"
        case ClinicianOf(column=column):
            return f"`clinician_id` of the patient of `{column}`, else `''`"
        case NewId():
            return "a fresh UUID"
        case Fold(parts=parts):
            return "folded text of " + ", ".join(map(_part, parts))
        case Computed(rule=rule) | Decided(rule=rule):
            return RULES[rule]


def _part(part: Part) -> str:
    label = "" if part.label else " without its label"
    return f"`{part.column}`{label}" + (" (as a day)" if part.type == "DATETIME" else "")


def _otherwise(otherwise: Constant | Copy) -> str:
    if otherwise is None:
        return ""
    return f", else {_says(otherwise) if isinstance(otherwise, Copy) else _value(otherwise)}"


def _value(value: Constant) -> str:
    """A constant as code, the empty text as ``''``."""
    return "NULL" if value is None else f"`{value}`" if value != "" else "`''`"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(render())
