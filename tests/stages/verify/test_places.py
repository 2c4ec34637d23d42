"""Keys found by hashes are those that a dictionary of their texts finds."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from person_unify.stages.verify.places import Places

_TEXTS = st.lists(st.none() | st.text("ab\0é", max_size=3), max_size=30)
_PAIRS = st.lists(st.tuples(*(st.none() | st.text("ab", max_size=2),) * 2), max_size=30)


def _texts(values: list[str | None]) -> pl.Series:
    return pl.Series(values, dtype=pl.String)


@given(_TEXTS, _TEXTS)
def test_a_key_has_its_first_place(keys: list[str | None], wanted: list[str | None]) -> None:
    first: dict[str, int] = {}
    for place, key in enumerate(keys):
        if key is not None:
            first.setdefault(key, place)
    places = Places(_texts(keys))
    due = [None if key is None else first.get(key) for key in wanted]
    assert places.of(_texts(wanted)).to_list() == due
    assert places.has(_texts(wanted)).to_list() == [place is not None for place in due]
    hashes = _texts([key for key in wanted if key is not None]).hash()
    assert places.has_hashes(hashes).to_list() == [
        key in first for key in wanted if key is not None
    ]


@given(_PAIRS, _PAIRS)
def test_parts_of_a_key_are_told_apart(
    keys: list[tuple[str | None, str | None]], wanted: list[tuple[str | None, str | None]]
) -> None:
    first: dict[tuple[str | None, str | None], int] = {}
    for place, key in enumerate(keys):
        first.setdefault(key, place)
    places = Places(*(_texts([key[n] for key in keys]) for n in (0, 1)))
    found = places.of(*(_texts([key[n] for key in wanted]) for n in (0, 1)))
    assert found.to_list() == [None if None in key else first.get(key) for key in wanted]
