"""What each word of a mapping must have made of source rows (contract sections 1, 6 and 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from person_unify.mappings.bind import Binding, BoundMapping, type_of
from person_unify.mappings.spec import (
    ClinicianOf,
    Computed,
    Constant,
    Copy,
    Fixed,
    Fold,
    Owner,
    Person,
    Type,
    Via,
    Word,
)
from person_unify.schema import Column
from person_unify.stages.verify.cells import alike, present
from person_unify.stages.verify.context import Context, Rows
from person_unify.stages.verify.findings import UnknownRuleError
from person_unify.stages.verify.reading import CLASSES, VALUES, day
from person_unify.stages.verify.rules import RULES

PEOPLE = ("patients", "children")


@dataclass(frozen=True, slots=True)
class Expected:
    """What the cells of a target column must be.

    carries: the source column whose cells they are.  printed: rows whose text is a number that
    SQLite printed, whose last digits depend on its release.  anything: every value but NULL is
    right.  truth: what the source itself says, where ``value`` is the ledger's.  own: the rows
    whose own cell it is, of those of a pair; None for all.
    """

    value: pl.Series
    carries: str | None = None
    printed: pl.Series | None = None
    anything: bool = False
    truth: pl.Series | None = None
    own: pl.Series | None = None

    def only(self, rows: pl.Series | None) -> Expected:
        """What is expected of some of the rows."""
        if rows is None:
            return self
        printed, truth, own = (
            mask if mask is None else mask.filter(rows)
            for mask in (self.printed, self.truth, self.own)
        )
        value = self.value.filter(rows)
        return replace(self, value=value, printed=printed, truth=truth, own=own)


@dataclass
class Counts:
    """Per source column and rule, the rows whose cell counts as normalised."""

    found: dict[tuple[str, str], pl.Series] = field(default_factory=dict)

    def add(self, column: str, rule: str, rows: pl.Series) -> None:
        """Count rows, each once however many target cells the source cell feeds."""
        known = self.found.get((column, rule))
        self.found[column, rule] = rows if known is None else known | rows


@dataclass(frozen=True)
class Words:
    """Compiles the words of one mapping over rows of its source table."""

    context: Context
    bound: BoundMapping
    rows: Rows
    counts: Counts = field(default_factory=Counts)

    def expected(self, binding: Binding) -> Expected | None:
        """What a target column must hold; None for fresh ids and what is settled elsewhere."""
        word, type_ = binding.word, binding.type
        if isinstance(word, Copy) and binding.names is not None:
            return self._reference(binding, word, binding.names)
        if isinstance(word, Copy):
            return self._copy(binding, word)
        if isinstance(word, Person):
            return self._person(word)
        if isinstance(word, Computed):
            return self._computed(binding, word)
        if isinstance(word, Fixed):
            return Expected(self._constant(word.value, type_))
        if isinstance(word, Owner):
            return Expected(self._owner(word))
        if isinstance(word, ClinicianOf):
            human = self.human(word.column, "patients")["human"]
            return Expected(self.context.people.clinician.gather(human).fill_null(""))
        if isinstance(word, Via):
            return Expected(self._chain(binding, word, self.attribute(word)))
        if isinstance(word, Fold):
            return Expected(self._fold(word))
        return None

    def unfilled(self, column: Column) -> Expected:
        """A target column that nothing fills has its default."""
        type_ = type_of(column)
        if column.default is not None and column.default.upper() == "CURRENT_TIMESTAMP":
            return Expected(self._constant(None, type_), anything=True)
        return Expected(self._constant(declared_default(column), type_))

    def human(self, column: str, first: str) -> pl.DataFrame:
        """``human`` and ``own`` of whom a column names."""
        return self.context.people.of(self.rows.value(column, "TEXT"), first)

    def attribute(self, word: Via) -> pl.Series:
        """The attribute of the loaded rows that a column names."""
        known = self.context.known.get(word.table)
        named = self.rows.value(word.column, "TEXT")
        if known is None or word.attribute not in known.rows.columns:
            return alike(None, named.len(), pl.String())
        return known.of(named, word.attribute)

    def exists(self, column: str, usual: str) -> pl.Series:
        """Whether a column names a row of an old table: a loaded one, or a human of that kind."""
        if usual in PEOPLE:
            return self.human(column, usual)["own"].fill_null(value=False)
        known = self.context.known.get(usual)
        if known is None:
            return alike(False, self.rows.height)
        return known.has(self.rows.value(column, "TEXT"))

    def named(self, column: str, usual: str) -> pl.Series:
        """The target ids of the loaded rows of an old table that a column names."""
        return self._of(self.rows.value(column, "TEXT"), usual)

    def exposed(self, word: Word) -> pl.Series:
        """A value that other tables look up although the target has no such column."""
        if isinstance(word, Copy):
            return self.rows.value(word.column, "TEXT")
        assert isinstance(word, Via)
        return self.attribute(word)

    def _of(self, ids: pl.Series, usual: str) -> pl.Series:
        if usual in PEOPLE:
            human = self.context.people.of(ids, usual)
            person = self.context.people.person.gather(human["human"])
            return person.zip_with(human["own"].fill_null(value=False), _nothing(pl.String()))
        known = self.context.known.get(usual)
        if known is None:
            return alike(None, ids.len(), pl.String())
        return known.of(ids, "new")

    def _copy(self, binding: Binding, word: Copy) -> Expected:
        reading = self.rows.read(word.column, binding.type)
        value = self._chain(binding, word, reading.value)
        self._count(binding, word.column, reading.value, value)
        printed = reading.recast.get("real_to_text")
        return Expected(value, word.column, printed)

    def _chain(self, binding: Binding, word: Copy | Via, value: pl.Series) -> pl.Series:
        """A value or what stands in for it (contract section 1)."""
        if not value.null_count():
            return value
        dtype = VALUES[CLASSES[binding.type]]
        otherwise: Constant | Copy = word.otherwise
        while isinstance(otherwise, Copy):
            value = value.zip_with(
                value.is_not_null(), self.rows.value(otherwise.column, binding.type)
            )
            otherwise = otherwise.otherwise
        if otherwise is not None:
            value = value.fill_null(pl.lit(otherwise).cast(dtype))
        if not binding.target.not_null or not value.null_count():
            return value
        if binding.type == "DATETIME":
            created = self.rows.value(self.bound.mapping.created, "DATETIME")
            value = value.zip_with(value.is_not_null(), created)
            return value.fill_null(self.context.options.run_time_ms)
        return value.fill_null(pl.lit(required_default(binding.target, binding.type)).cast(dtype))

    def _reference(self, binding: Binding, word: Copy, names: str) -> Expected:
        said = self.rows.value(word.column, "TEXT")
        found = self._of(said, names)
        if binding.strength == "loose":
            carried = self._chain(binding, word, said)
            value = found.zip_with(found.is_not_null(), carried)
        else:
            value = found
        held = value if binding.strength == "optional" else said
        self._count(
            binding, word.column, said.zip_with(held.is_not_null(), _nothing(said.dtype)), value
        )
        return Expected(value, word.column)

    def _person(self, word: Person) -> Expected:
        people = self.context.people
        said = self.rows.value(word.column, "TEXT")
        human = people.of(said, word.first)
        person = people.person.gather(human["human"])
        there = said.zip_with(human["human"].is_not_null(), _nothing(said.dtype))
        self._recast(word.column, "TEXT", there.is_not_null())
        return Expected(person, word.column)

    def _computed(self, binding: Binding, word: Computed) -> Expected:
        if word.rule not in RULES:
            raise UnknownRuleError(f"the verifier does not know the rule {word.rule}")
        value = RULES[word.rule](self.rows, self.context.options)
        printed = None
        if word.rule == "as_text":
            printed = self.rows.read(word.reads[0].column, "TEXT").recast.get("real_to_text")
        if word.carries is None:
            return Expected(value, printed=printed)
        said = self.rows.value(word.carries, binding.type)
        same = said.eq_missing(value)
        self._recast(word.carries, binding.type, said.is_not_null() & same)
        if binding.target.not_null:
            self.counts.add(word.carries, "required_default", said.is_null())
        return Expected(value, word.carries)

    def _count(self, binding: Binding, column: str, held: pl.Series, value: pl.Series) -> None:
        """Conversions of cells that are held, and defaults where a value is required."""
        word = binding.word
        assert isinstance(word, Copy)
        type_: Type = "TEXT" if binding.names is not None else binding.type
        self._recast(column, type_, present(held))
        counts = binding.target.not_null
        if binding.strength is not None:
            counts = counts and binding.strength == "loose" and not word.may_be_absent
        if counts:
            said = self.rows.value(column, type_)
            if said.null_count():
                self.counts.add(column, "required_default", said.is_null())

    def _recast(self, column: str, type_: Type, held: pl.Series) -> None:
        if column in self.rows.cells.columns:
            for rule, rows in self.rows.read(column, type_).recast.items():
                self.counts.add(column, rule, rows & held)

    def _owner(self, word: Owner) -> pl.Series:
        said = self.rows.value(word.column, "TEXT")
        parents = self.context.known.get("parents")
        if parents is None:
            return self._constant("clinician", "TEXT")
        owns = parents.has(said) | parents.has(said, "user_id")
        return pl.select(
            pl.when(owns).then(pl.lit("parent")).otherwise(pl.lit("clinician"))
        ).to_series()

    def _fold(self, word: Fold) -> pl.Series:
        lines: list[pl.Series] = []
        for part in word.parts:
            value = self.rows.value(part.column, part.type)
            if part.type == "DATETIME":
                value = day(value)
            value = value.zip_with(value != "", _nothing(value.dtype))
            lines.append(value if part.label is None else f"{part.label}: " + value)
        frame = pl.DataFrame([line.rename(str(n)) for n, line in enumerate(lines)])
        joined = pl.concat_str(pl.all(), separator="\n", ignore_nulls=True)
        empty = pl.all_horizontal(pl.all().is_null())
        return frame.select(pl.when(~empty).then(joined)).to_series()

    def _constant(self, value: Constant | float, type_: Type) -> pl.Series:
        dtype = VALUES[CLASSES[type_]]
        return alike(value, self.rows.height, dtype)


def _nothing(dtype: pl.DataType) -> pl.Series:
    return pl.Series([None], dtype=dtype)


def declared_default(column: Column) -> Constant | float:
    """A column's DEFAULT as a value; None for none, and for an instant that SQLite would take."""
    text = column.default
    if text is None or text.upper() in ("CURRENT_TIMESTAMP", "NULL"):
        return None
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    if text.lower() in ("true", "false"):
        return int(text.lower() == "true")
    return float(text) if type_of(column) == "REAL" else int(text)


def required_default(column: Column, type_: Type) -> Constant | float:
    """What a required column but an instant takes when nothing speaks for it."""
    declared = declared_default(column)
    empty: Mapping[Type, Constant | float] = {"TEXT": "", "REAL": 0.0}
    return declared if declared is not None else empty.get(type_, 0)
