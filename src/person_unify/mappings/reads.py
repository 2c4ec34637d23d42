"""Which cells a bound mapping reads, so that every column is converted once."""

from __future__ import annotations

from person_unify.mappings.bind import BoundMapping
from person_unify.mappings.spec import Type
from person_unify.schema import OLD


def reads(bound: BoundMapping) -> list[tuple[str, Type]]:
    """Every source column that a bound mapping reads, with the type it reads it as."""
    usual = OLD.get(bound.mapping.source, bound.source)
    found: list[tuple[str, Type]] = [(name, "TEXT") for name in usual.primary_key]
    found.append((bound.mapping.created, "DATETIME"))
    for binding in bound.columns:
        type_: Type = "TEXT" if binding.names is not None else binding.type
        found += binding.word.read_as(type_)
    for word in bound.mapping.exposes.values():
        found += word.read_as("TEXT")
    return found
