"""Names of tables and columns, compared as SQLite compares them (contract section 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeVar

Value = TypeVar("Value")

_ASCII = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@lru_cache(maxsize=4096)  # a run compares the same few hundred names a hundred thousand times
def folded(name: str) -> str:
    """The name with A to Z in lower case and everything else as it is: equal names fold alike.

    >>> folded("Linked_Patient_Id"), folded("İD"), folded("Ä")
    ('linked_patient_id', 'İd', 'Ä')
    """
    return name.translate(_ASCII)


class Catalogue(Mapping[str, Value]):
    """Things by their name in a file: looked up in any case, listed as the file writes them."""

    def __init__(self, items: Mapping[str, Value]) -> None:
        """Take the items; no file can hold two names that are equal."""
        self._found = {folded(name): (name, value) for name, value in items.items()}

    def __getitem__(self, name: str) -> Value:
        """What goes by that name; raises KeyError."""
        return self._found[folded(name)][1]

    def __iter__(self) -> Iterator[str]:
        """The names as they are written."""
        return (name for name, _ in self._found.values())

    def __len__(self) -> int:
        """Number of names."""
        return len(self._found)
