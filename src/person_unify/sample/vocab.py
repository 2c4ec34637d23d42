"""The words of a synthetic Indian clinic, read from ``vocab.toml`` beside this file."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

_DATA: dict[str, Any] = tomllib.loads(
    files("person_unify.sample").joinpath("vocab.toml").read_text(encoding="utf-8")
)

GIRLS, BOYS, SURNAMES, MIDDLE_NAMES = (
    tuple(_DATA["names"][kind]) for kind in ("girls", "boys", "surnames", "middle")
)
PLACES: tuple[tuple[str, str, int], ...] = tuple((t, *at) for t, at in _DATA["places"].items())
"""Town, state and the first digits of its PIN codes."""
WORDS: dict[str, list[str]] = _DATA["words"]
"""Column, or ``table.column``, -> what it may hold."""
ODDS: dict[str, dict[str, float]] = _DATA["odds"]
NUMBERS: dict[str, tuple[int, int]] = _DATA["numbers"]
SHARES: dict[str, float] = _DATA["shares"]
FILLED: dict[str, float] = _DATA["filled"]
PROSE, LISTS = (frozenset(_DATA[kind]["columns"]) for kind in ("prose", "lists"))


@cache
def sentences() -> tuple[str, ...]:
    """Some two thousand sentences of 60 to 170 characters for notes, journals and reports."""
    texts = _DATA["texts"]
    parts = product(texts["openings"], texts["events"], texts["closings"])
    return tuple(f"{opening}, {event}, {closing}." for opening, event, closing in parts)


@cache
def phrases() -> tuple[str, ...]:
    """Some hundred and fifty phrases of 30 to 130 characters for concerns, goals and titles."""
    texts = _DATA["texts"]
    return tuple(
        f"{event[0].upper()}{event[1:]} ({closing.removeprefix('and ')})"
        for event, closing in product(texts["events"], texts["closings"])
    )
