"""By which columns of its own a loaded row is known again in the target."""

from __future__ import annotations

from person_unify.mappings import CORE_TABLES, MAPPINGS
from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.mappings.spec import Copy, NewId

_RENUMBERED = frozenset(CORE_TABLES) | {
    mapping.source
    for mapping in MAPPINGS
    if mapping.shares_ids_with or any(isinstance(w, NewId) for w in mapping.columns.values())
}
"""Tables whose rows may have another id in the target, so that a reference says nothing alone."""


def identity(bound: BoundMapping, usual_key: tuple[str, ...]) -> tuple[str, ...]:
    """The source columns that the target holds letter for letter and that name one loaded row.

    They are the file's primary key, else the columns that fill the target's key, else (where every
    row has a new id) ``usual_key``, the key of the old schema, by which the id maps go.  Only cells
    of the usual key are sure to be texts, which the target holds as they are.
    """
    held = {b.target.name: source for b in bound.columns if (source := _verbatim(b))}
    declared = bound.source.primary_key
    if declared and set(declared) <= set(held.values()) & set(usual_key):
        return declared
    assert bound.target is not None
    home = tuple(held.get(column, "") for column in bound.target.primary_key)
    return home if all(home) else usual_key or declared


def _verbatim(binding: Binding) -> str | None:
    """The source column whose text the target cell is, but for collisions of the row's own id."""
    word = binding.word
    if not isinstance(word, Copy) or binding.type != "TEXT" or word.otherwise is not None:
        return None
    if binding.names in _RENUMBERED or binding.strength == "optional":
        return None
    return word.column
