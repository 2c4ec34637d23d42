"""Which cells a bound mapping reads, so that every column is converted once."""

from __future__ import annotations

from person_unify.mappings.bind import BoundMapping
from person_unify.spec import Computed, Copy, Decided, Fold, Type, Word


def reads(bound: BoundMapping) -> list[tuple[str, Type]]:
    """Every source column that a bound mapping reads, with the type it reads it as."""
    found: list[tuple[str, Type]] = [(name, "TEXT") for name in bound.source.primary_key]
    found.append((bound.mapping.created, "DATETIME"))
    for binding in bound.columns:
        type_: Type = "TEXT" if binding.names is not None else binding.type
        found += _reads_of(binding.word, type_)
    for word in bound.mapping.exposes.values():
        found += _reads_of(word, "TEXT")
    return found


def _reads_of(word: Word, type_: Type) -> list[tuple[str, Type]]:
    if isinstance(word, Copy):
        nested = _reads_of(word.otherwise, type_) if isinstance(word.otherwise, Copy) else []
        return [(word.column, type_), *nested]
    if isinstance(word, Computed):
        return [(read.column, read.type) for read in word.reads]
    if isinstance(word, Fold):
        return [(part.column, part.type) for part in word.parts]
    if isinstance(word, Decided):
        return [(word.column, type_)] if word.column else []
    column = getattr(word, "column", None)
    return [(column, "TEXT")] if column else []
