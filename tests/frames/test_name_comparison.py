"""Names as people compare them (contract section 3)."""

from __future__ import annotations

import polars as pl
import pytest
from tests.reference.values import SPACES, normal_name

from person_unify.frames.name_comparison import normalised


def _normalised(names: list[str]) -> list[str]:
    return pl.select(normalised(pl.lit(pl.Series(names)))).to_series().to_list()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (" ASHA\u00a0", "asha", True),
        ("Asha  Devi", "asha\u2003\tdevi", True),
        ("Straße", "STRASSE", True),
        ("ﬁnn", "FINN", True),
        ("Σοφός", "ΣΟΦΌΣ", True),
        ("Å", "A\u030a", False),  # no normalisation
        ("Asha\u200bDevi", "Asha Devi", False),  # a zero-width space is no white space
        ("Asha\x1fDevi", "Asha Devi", False),  # nor is what Python alone calls one
        ("", "   ", True),
    ],
)
def test_equal_names(one: str, other: str, same: bool) -> None:
    left, right = _normalised([one, other])

    assert (left == right) == same


def test_every_character_folds_like_the_reference() -> None:
    names = [f"a{chr(c)}b" for c in range(1, 0x20000) if not 0xD800 <= c < 0xE000]

    found = _normalised(names)

    wrong = [n for n, name in zip(names, found, strict=True) if name != normal_name(n)]
    assert wrong == []


def test_white_space_is_the_unicode_property() -> None:
    assert set(_normalised([f"x{space}y" for space in SPACES])) == {"x y"}
