"""Names as a person would compare them: white space and case folded, nothing else (section 3)."""

from __future__ import annotations

from functools import cache

import polars as pl

_WHITE_SPACE = r"\p{White_Space}+"


def normalised(name: pl.Expr) -> pl.Expr:
    r"""Stripped, inner Unicode white space collapsed to one blank, and casefolded.

    >>> pl.select(normalised(pl.Series(["  Straße\u00a0 3 "]))).item()
    'strasse 3'
    """
    spaced = name.str.replace_all(_WHITE_SPACE, " ").str.strip_chars(" ")
    ascii_only = ~name.str.contains(r"[^\x00-\x7f]")
    before, after = _foldings()
    # Only full case folding makes "ß" equal "ss"; lower-casing is the same thing for plain ASCII.
    folded = spaced.str.replace_many(before, after)
    return pl.when(ascii_only).then(spaced.str.to_lowercase()).otherwise(folded)


@cache
def _foldings() -> tuple[list[str], list[str]]:
    """Every character that full case folding changes, and what it becomes."""
    # Unicode has no cased letters beyond the supplementary multilingual plane.
    changed = [chr(c) for c in range(0x20000) if chr(c).casefold() != chr(c)]
    return changed, [character.casefold() for character in changed]
