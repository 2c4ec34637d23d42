"""Bind the mappings to two real files, before a row is read (contract section 2).

The result says, for every table of the source as it stands, which word fills which column of the
target as it stands, what is unknown, what is missing, and what makes the run impossible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Literal

from person_unify.errors import SourceError, TargetError
from person_unify.mappings import CORE_TABLES, MAPPINGS, SHORT_NAMES
from person_unify.mappings.convention import by_convention
from person_unify.mappings.drift import drift, missing
from person_unify.mappings.spec import Copy, Mapping, Person, Reference, Type, Via, Word
from person_unify.schema import OLD, UNIFIED, Catalogue, Column, Schema, Table

Strength = Literal["required", "optional", "loose"]
NOTES = ("persons", "migration_notes")
"""The one target column that may be absent: Prisma's own unified schema lacks it."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One target column and what fills it.

    ``names``: source table whose loaded rows the value must name; ``strength``: what happens if it
    names none: ``required`` keeps the row out, ``optional`` becomes NULL, ``loose`` stays and is
    logged.
    """

    target: Column
    word: Word
    type: Type
    names: str | None = None
    strength: Strength | None = None


@dataclass(frozen=True, slots=True)
class BoundMapping:
    """A mapping on real files; ``target`` is None for a table that only the archive takes."""

    mapping: Mapping
    source: Table
    target: Table | None
    columns: tuple[Binding, ...] = ()

    @property
    def name(self) -> str:
        """The source table's name in the file, which every record of the run uses."""
        return self.source.name


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is known about the run before a row is read.

    ``tables``: one or more bound mappings per source table, in load order.  ``unmapped``: tables
    archived whole because nothing knows them.  ``notes``: drift in words, for people.
    ``source_names``: what a mapping calls its table -> its name in the file.
    """

    bound: tuple[BoundMapping, ...]
    unmapped: tuple[Table, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    source_names: Dictionary[str, str] = field(default_factory=dict)

    def of(self, source: str) -> tuple[BoundMapping, ...]:
        """The bound mappings of an old table, by the contract's name for it."""
        return tuple(b for b in self.bound if b.mapping.source == source)

    @property
    def respelt(self) -> dict[str, dict[str, str]]:
        """Per source table, the columns that its file writes in another case: name -> written."""
        tables = (*(b.source for b in self.bound), *self.unmapped)
        return {table.name: table.respelt for table in tables if table.respelt}


def bind(source: Schema, target: Schema, has_rows: Callable[[str], bool]) -> Plan:
    """Bind all mappings to the tables of two files.

    Raises :class:`SourceError` or :class:`TargetError` with all problems of that file at once.
    """
    if "patients" not in source and "children" not in source:
        swapped = ", but persons: did you swap OLD_DB and NEW_DB?" if "persons" in source else ""
        raise SourceError(
            "this is not an old-schema database: "
            f"it has neither a table patients nor a table children{swapped}"
        )
    names = names_in_file(source, has_rows)
    problems: list[str] = []
    bound = _bind_known(source, target, names, problems)
    taken = set(names.values())
    unknown = [t for name, t in source.items() if name not in taken]
    conventional, unmapped = _bind_unknown(unknown, target)
    problems += _missing_tables(target)
    if problems:
        raise TargetError(
            "the target does not have the unified schema: "
            + "; ".join(dict.fromkeys(problems))
            + ". Create it with the platform's current migrations, "
            "or give a path that does not exist yet"
        )
    notes = drift(source, names, (b.name for b in conventional), (t.name for t in unmapped))
    every = names | {b.mapping.source: b.name for b in conventional}
    return Plan((*bound, *conventional), tuple(unmapped), missing(names), tuple(notes), every)


def _bind_known(
    source: Schema, target: Schema, names: Dictionary[str, str], problems: list[str]
) -> list[BoundMapping]:
    """Bind the mappings whose source table the file has; adds to ``problems``."""
    bound: list[BoundMapping] = []
    filled: dict[str, set[str]] = {}
    for mapping in MAPPINGS:
        table = source.get(names.get(mapping.source, mapping.source))
        if table is None:
            continue
        if mapping.target is None:
            bound.append(BoundMapping(mapping, table, None))
        elif mapping.target not in target:
            problems.append(f"table {mapping.target} is missing")
        else:
            home = target[mapping.target]
            bound.append(_bind_one(mapping, table, home, bound, filled, problems))
    return bound


def names_in_file(source: Schema, has_rows: Callable[[str], bool]) -> dict[str, str]:
    """Old table -> its name in the file, for those the file has.

    Raises :class:`SourceError` where a table and its short name both have rows.
    """
    names = {name: source[name].name for name in OLD if name in source}
    for usual, short in SHORT_NAMES.items():
        if short not in source or not _has_shape(source[short], usual):
            continue
        other = source[short].name
        if usual not in names:
            names[usual] = other
        elif has_rows(other):
            if has_rows(names[usual]):
                raise SourceError(
                    f"the source has rows in both {names[usual]} and {other}, which are two names "
                    "of one table: move the rows of one into the other first"
                )
            names[usual] = other
    return names


def _has_shape(table: Table, usual: str) -> bool:
    """Whether a table of a short name is the usual one: by its key, and what leads to a person."""
    leading = "pep_id" if usual == "pep_activities" else "patient_id"
    return all(table.column(column) for column in (*OLD[usual].primary_key, leading))


def _bind_one(
    mapping: Mapping,
    source: Table,
    target: Table,
    before: Sequence[BoundMapping],
    filled: dict[str, set[str]],
    problems: list[str],
) -> BoundMapping:
    """Bind one mapping; ``filled`` remembers per source table which unknown columns have a home.

    before: the mappings that are bound already.
    """
    unknown = Catalogue(
        {c: c for c in source.column_names if OLD[mapping.source].column(c) is None}
    )
    used = filled.setdefault(mapping.source, set())
    bindings = []
    for column in target.columns:
        word = mapping.columns.get(column.name)
        if word is None and OLD[mapping.source].column(column.name) is not None:
            word = Copy(column.name)
        same = unknown.get(column.name)
        free = same not in used and not _filled_by_another(mapping, column.name, before)
        if word is None and same is not None and free:
            word = Copy(same)
            used.add(same)
        if word is not None:
            bindings.append(_binding(mapping, source, target, column, word))
        elif column.not_null and column.default is None:
            problems.append(f"column {target.name}.{column.name} is required and nothing fills it")
    problems += _missing_columns(mapping, target)
    return BoundMapping(mapping, source, target, tuple(bindings))


def _missing_columns(mapping: Mapping, target: Table) -> Iterator[str]:
    """Columns that the mapping fills, or fills by their name, and the target does not have."""
    there = {*target.column_names, *target.computed}
    for name in mapping.columns:
        if name not in there and (target.name, name) != NOTES:
            yield f"column {target.name}.{name} is missing"
    for name in OLD[mapping.source].column_names:
        builtin = UNIFIED[target.name].column(name) if target.name in UNIFIED else None
        if name not in there and builtin is not None:
            yield f"column {target.name}.{name} is missing"


def _filled_by_another(mapping: Mapping, column: str, before: Sequence[BoundMapping]) -> bool:
    """Whether a child's row already fills the column that a parent link could too (section 2)."""
    if mapping.source != "parent_children":
        return False
    known = any(
        column in other.columns or OLD[other.source].column(column) is not None
        for other in MAPPINGS
        if other.target == mapping.target and other is not mapping
    )
    unknown = (b.columns for b in before if b.mapping.target == mapping.target)
    return known or any(b.target.name == column for columns in unknown for b in columns)


def _binding(mapping: Mapping, source: Table, target: Table, column: Column, word: Word) -> Binding:
    reference = _foreign_table(target.name, column.name)
    names: str | None = None
    strength: Strength | None = None
    if isinstance(word, Reference):
        names, word = word.table, Copy(word.column)
    elif isinstance(word, Copy) and reference is not None:
        names = _loader_of(reference)
    elif isinstance(word, Copy):
        names = _old_reference(mapping, word.column, target)
    if isinstance(word, Person):
        strength = "required" if column.not_null else "optional"
    elif isinstance(word, Via) and reference == "persons":
        strength = "required"
    elif isinstance(word, Via) and isinstance(word.otherwise, Copy):
        # Where the named row is not loaded, the reference itself is carried as it is.
        strength = "loose"
    elif names is not None:
        required = any(r.column == getattr(word, "column", None) for r in mapping.requires)
        if required or (reference is not None and column.not_null):
            strength = "required"
        else:
            strength = "optional" if reference is not None else "loose"
    return Binding(column, word, type_of(column), names, strength)


def _foreign_table(table: str, column: str) -> str | None:
    """The table that the unified schema's foreign key on the column references."""
    key = UNIFIED[table].foreign_key(column) if table in UNIFIED else None
    return key.table if key else None


def _loader_of(target: str) -> str:
    """The source table whose rows fill a target table (the first one, where two do)."""
    return next((m.source for m in MAPPINGS if m.target == target), target)


def _old_reference(mapping: Mapping, column: str, target: Table) -> str | None:
    """The old table that a reference without a key in the unified schema is looked up in."""
    if mapping.source in CORE_TABLES or mapping.source not in OLD:
        return None
    key = OLD[mapping.source].foreign_key(column)
    return key.table if key else None


def type_of(column: Column) -> Type:
    """The contract's type of a target column, by its declared type."""
    declared = column.type.upper()
    for word, type_ in _TYPES:
        if word in declared:
            return type_
    return "TEXT"


_TYPES: tuple[tuple[str, Type], ...] = (
    ("BOOL", "BOOLEAN"),
    ("DATE", "DATETIME"),
    ("TIME", "DATETIME"),
    ("INT4", "INT4"),
    ("INT", "INTEGER"),
    ("REAL", "REAL"),
    ("FLOA", "REAL"),
    ("DOUB", "REAL"),
    ("NUMERIC", "REAL"),
    ("DECIMAL", "REAL"),
)


def _bind_unknown(unknown: list[Table], target: Schema) -> tuple[list[BoundMapping], list[Table]]:
    """Split tables that no mapping knows into those the target has room for and the rest."""
    bound: dict[str, BoundMapping] = {}
    unmapped = []
    for table in unknown:
        mapping = by_convention(table, target)
        if mapping is None:
            unmapped.append(table)
            continue
        home = target[table.name]
        bindings = tuple(
            _binding(mapping, table, home, column, mapping.columns[column.name])
            for column in home.columns
            if column.name in mapping.columns
        )
        bound[mapping.source] = BoundMapping(mapping, table, home, bindings)
    order = TopologicalSorter(
        {
            name: {b.names for b in bound_mapping.columns if b.names in bound and b.names != name}
            for name, bound_mapping in bound.items()
        }
    )
    return [bound[name] for name in order.static_order()], unmapped


def _missing_tables(target: Schema) -> list[str]:
    return [
        f"table {mapping.target} is missing"
        for mapping in MAPPINGS
        if mapping.target is not None and mapping.target not in target
    ]
