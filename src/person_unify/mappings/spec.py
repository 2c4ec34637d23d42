"""The words that mappings are written in: frozen data, no Polars, no SQL.

A :class:`Mapping` says how one source table becomes rows of one target table.  The target stands on
the left, one line per column; a target column that is not named takes the source column of the same
name, and a source column that reaches no target cell is archived.  The same objects are compiled by
the transform, checked before a row is read, walked by the verifier and printed as documentation.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from typing import Literal

Type = Literal["TEXT", "INTEGER", "INT4", "REAL", "BOOLEAN", "DATETIME"]
"""The target types of contract section 1; ``INT4`` is PostgreSQL's integer of 32 bits."""

Constant = str | int | None


class _Word:
    """What each word says of itself, so that nobody derives it from the word's kind again."""

    __slots__ = ()

    @property
    def holds(self) -> str | None:
        """The source column whose cell the target cell is, up to form, id and default."""
        match self:
            case Copy(column=column) | Person(column=column) | Decided(column=column):
                return column
            case Computed(carries=column):
                return column
        return None

    def read_as(self, type_: Type) -> tuple[tuple[str, Type], ...]:
        """The source columns that are read for a target column of ``type_``, each with its type."""
        match self:
            case Copy(column=column, otherwise=otherwise):
                return ((column, type_), *_of_otherwise(otherwise, type_))
            case Via(column=column, otherwise=otherwise):
                return ((column, "TEXT"), *_of_otherwise(otherwise, type_))
            case Person(column) | Reference(column) | Owner(column) | ClinicianOf(column):
                return ((column, "TEXT"),)
            case Fold(parts=parts):
                return tuple((part.column, part.type) for part in parts)
            case Computed(reads=reads):
                return tuple((read.column, read.type) for read in reads)
            case Decided(column=str(column)):
                return ((column, type_),)
        return ()


def _of_otherwise(otherwise: Constant | Copy, type_: Type) -> tuple[tuple[str, Type], ...]:
    return otherwise.read_as(type_) if isinstance(otherwise, Copy) else ()


@dataclass(frozen=True, slots=True)
class Copy(_Word):
    """The source cell in its canonical form; ``otherwise`` speaks when it has no value.

    ``may_be_absent``: having no value is an ordinary state, not a default worth counting.
    """

    column: str
    otherwise: Constant | Copy = None
    may_be_absent: bool = False


@dataclass(frozen=True, slots=True)
class Fixed(_Word):
    """The same value in every row."""

    value: Constant


@dataclass(frozen=True, slots=True)
class Person(_Word):
    """The person that ``column`` names (contract section 3, "How a reference is resolved").

    ``first`` says where the id is looked up first: among patients or among children.
    """

    column: str
    first: Literal["patients", "children"] = "patients"


@dataclass(frozen=True, slots=True)
class Reference(_Word):
    """The id that the row ``column`` of source table ``table`` has in the target."""

    column: str
    table: str


@dataclass(frozen=True, slots=True)
class Via(_Word):
    """``attribute`` of the loaded row of ``table`` that ``column`` names, else ``otherwise``."""

    column: str
    table: str
    attribute: str
    otherwise: Constant | Copy = None


@dataclass(frozen=True, slots=True)
class Owner(_Word):
    """``parent`` where ``column`` is a parent's id or user id, else ``clinician``."""

    column: str


@dataclass(frozen=True, slots=True)
class ClinicianOf(_Word):
    """The ``clinician_id`` of the patient of the person that ``column`` names, else ``''``."""

    column: str


@dataclass(frozen=True, slots=True)
class NewId(_Word):
    """A fresh UUID."""


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a folded text; without a label the value stands alone."""

    column: str
    label: str | None = None
    type: Type = "TEXT"


@dataclass(frozen=True, slots=True)
class Fold(_Word):
    """One ``Label: value`` line per non-empty part, in order; NULL if there is none."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """A source cell that a rule reads as ``type``."""

    column: str
    type: Type


@dataclass(frozen=True, slots=True)
class Computed(_Word):
    """A named rule over source cells; transform and verifier each know it by its name.

    ``carries`` names the read column whose cell the result still is, wherever the two are equal;
    ``null_is_unreadable`` logs a NULL of that cell like an unreadable one.
    """

    rule: str
    reads: tuple[Read, ...]
    carries: str | None = None
    null_is_unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Decided(_Word):
    """A value that the resolve stage settles for the whole person or pair (sections 3 to 5).

    ``column`` is the source column that may speak for it, None where no single one does;
    ``considers`` names others that decide without ever being the value.
    """

    rule: str
    column: str | None = None
    considers: tuple[str, ...] = ()


Word = (
    Copy
    | Fixed
    | Person
    | Reference
    | Via
    | Owner
    | ClinicianOf
    | NewId
    | Fold
    | Computed
    | Decided
)


@dataclass(frozen=True, slots=True)
class Mapping:
    """How one source table becomes rows of one target table.

    ``columns``: target column -> word.  ``requires``: references that keep the row out when they
    name nothing although no foreign key of the target says so.  ``shares_ids_with``: the table
    whose ids win when both merge into one target.  ``exposes``: values of a row that other tables
    look up under a name that is not a column of the target.  ``orphan_kind``: the discrepancy of a
    row kept out for a missing reference.  ``created``: the source column that stands in for a
    required instant.
    """

    source: str
    target: str | None
    columns: Dictionary[str, Word] = field(default_factory=dict)
    requires: tuple[Reference, ...] = ()
    shares_ids_with: str | None = None
    exposes: Dictionary[str, Word] = field(default_factory=dict)
    orphan_kind: str = "orphaned_record"
    created: str = "created_at"
    merge_on: tuple[str, ...] = ()


def copy(column: str, otherwise: Constant | Copy = None, *, may_be_absent: bool = False) -> Copy:
    """Write ``copy("focusAreas")``: the cell of that source column."""
    return Copy(column, otherwise, may_be_absent)


def constant(value: Constant) -> Fixed:
    """Write ``constant("private")``: the same value in every row."""
    return Fixed(value)


def person(column: str = "patient_id") -> Person:
    """Write ``person()``: the person that ``patient_id`` names."""
    return Person(column, "children" if column == "child_id" else "patients")


def reference(column: str, table: str) -> Reference:
    """Write ``reference("iep_id", "ieps")``: the id that row of ``ieps`` has in the target."""
    return Reference(column, table)


def via(column: str, table: str, attribute: str, otherwise: Constant | Copy = None) -> Via:
    """Write ``via("pep_id", "peps", "created_by")``: an attribute of the row that is named."""
    return Via(column, table, attribute, otherwise)


def owner(column: str) -> Owner:
    """Write ``owner("uploaded_by")``: ``parent`` or ``clinician``."""
    return Owner(column)


def clinician_of(column: str = "patient_id") -> ClinicianOf:
    """Write ``clinician_of()``: the clinician of the person's patient, else ``''``."""
    return ClinicianOf(column)


def new_id() -> NewId:
    """Write ``new_id()``: a fresh UUID."""
    return NewId()


def fold(*columns: str, plain: str | None = None, instants: tuple[str, ...] = ()) -> Fold:
    """Write ``fold("strengths", "concerns")``: one labelled line each; ``plain`` leads unlabelled.

    >>> fold("lre_justification").parts[0].label
    'Lre justification'
    """
    parts = [] if plain is None else [Part(plain)]
    for column in columns:
        words = column.replace("_", " ")
        label = words[:1].upper() + words[1:]
        parts.append(Part(column, label, "DATETIME" if column in instants else "TEXT"))
    return Fold(tuple(parts))


def computed(
    rule: str, *, carries: str | None = None, null_is_unreadable: bool = False, **reads: Type
) -> Computed:
    """Write ``computed("session_start", session_date="DATETIME")``: a named rule over cells."""
    read = tuple(Read(column, type_) for column, type_ in reads.items())
    return Computed(rule, read, carries, null_is_unreadable)


def decided(rule: str, column: str | None = None, *, considers: str | None = None) -> Decided:
    """Write ``decided("gender", "gender")``: settled by the resolve stage for the whole person."""
    return Decided(rule, column, () if considers is None else (considers,))
