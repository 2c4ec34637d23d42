"""Mapping words compiled to Polars expressions over a source frame (contract section 6)."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from person_unify.frames.conversions import iso_day
from person_unify.frames.reading import Reader
from person_unify.frames.values import DTYPES, Type, literal
from person_unify.mappings.bind import Binding
from person_unify.mappings.spec import (
    ClinicianOf,
    Computed,
    Copy,
    Fixed,
    Fold,
    Owner,
    Person,
    Via,
    Word,
)
from person_unify.stages.transform.references import Resolved
from person_unify.stages.transform.rules import RULES, Inputs


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles the words of one table; notes what is read and carried in the reader."""

    reader: Reader
    resolved: Resolved
    timezone: str

    def target(self, binding: Binding) -> pl.Expr | None:
        """The target cell; None for a fresh id, which is made once the rows are settled."""
        word = binding.word
        if isinstance(word, Copy):
            return self._copy(binding, word)
        if isinstance(word, Person):
            return self._person(binding, word)
        if isinstance(word, Computed):
            result = self.computed(word).cast(DTYPES[binding.type])
            if word.carries is not None:
                self._carried(binding, word, result)
            return result
        return self.derived(word, binding.type, binding.target.name)

    def derived(self, word: Word, type_: Type, name: str) -> pl.Expr | None:
        """A value that carries no cell of its own."""
        if isinstance(word, Fixed):
            return literal(word.value, type_)
        if isinstance(word, Copy):
            value = self.reader.value(word.column, type_)
            return value if word.otherwise is None else pl.coalesce(value, self._else(word, type_))
        if isinstance(word, Fold):
            return self._fold(word)
        if isinstance(word, Via):
            self.reader.value(word.column, "TEXT")
            found = pl.col(self.resolved.found[name])
            otherwise = self._else(word, type_)
            return found if otherwise is None else pl.coalesce(found, otherwise)
        if isinstance(word, Owner):
            self.reader.value(word.column, "TEXT")
            return pl.col(self.resolved.found[name]).fill_null("clinician")
        if isinstance(word, ClinicianOf):
            return pl.col(self.resolved.found[name]).fill_null("")
        return None

    def _else(self, word: Copy | Via, type_: Type) -> pl.Expr | None:
        if isinstance(word.otherwise, Copy):
            return self.derived(word.otherwise, type_, "")
        return None if word.otherwise is None else literal(word.otherwise, type_)

    def _copy(self, binding: Binding, word: Copy) -> pl.Expr:
        if binding.names is None:
            return self.reader.required(
                word.column, binding.target, binding.type, otherwise=self._else(word, binding.type)
            )
        name = binding.target.name
        key, found = pl.col(self.resolved.key[name]), pl.col(self.resolved.found[name])
        if binding.strength == "required":
            self.reader.carry(word.column, "TEXT")
            return found
        dangling = key.is_not_null() & found.is_null()
        if binding.strength == "optional":
            self.reader.carry(word.column, "TEXT", lost=dangling)
            return found
        value = self.reader.required(
            word.column,
            binding.target,
            "TEXT",
            otherwise=self._else(word, "TEXT"),
            counted=not word.may_be_absent,
        )
        return pl.coalesce(found, value)

    def _person(self, binding: Binding, word: Person) -> pl.Expr:
        name = binding.target.name
        key, found = pl.col(self.resolved.key[name]), pl.col(self.resolved.found[name])
        lost = key.is_not_null() & found.is_null()
        ambiguous = pl.col(f"{self.resolved.found[name]}:ambiguous").fill_null(value=False)
        self.reader.carry(word.column, "TEXT", lost=lost, also=ambiguous)
        return found

    def computed(self, word: Computed) -> pl.Expr:
        """What a named rule makes of the cells that it reads."""
        values: dict[str, pl.Expr] = {}
        unreadable: dict[str, pl.Expr] = {}
        for read in word.reads:
            cell = self.reader.peek(read.column, read.type)
            values[read.column] = self.reader.value(read.column, read.type)
            if cell.unreadable is not None:
                unreadable[read.column] = cell.unreadable
        return RULES[word.rule](Inputs(values, unreadable, self.timezone))

    def _carried(self, binding: Binding, word: Computed, result: pl.Expr) -> None:
        column = word.carries or ""
        self.reader.carry(column, binding.type, result=result)
        if binding.target.not_null:
            self.reader.count_missing(column, binding.type)
        if word.null_is_unreadable:
            missing = self.reader.peek(column, binding.type).value.is_null()
            self.reader.unreadable.setdefault(column, []).append(missing)

    def _fold(self, word: Fold) -> pl.Expr:
        lines = []
        for part in word.parts:
            value = self.reader.value(part.column, part.type)
            if part.type == "DATETIME":
                value = iso_day(value)
            line = value if part.label is None else pl.lit(f"{part.label}: ") + value
            lines.append(pl.when(value != "").then(line))
        joined = pl.concat_str(lines, separator="\n", ignore_nulls=True)
        return pl.when(pl.any_horizontal([line.is_not_null() for line in lines])).then(joined)
