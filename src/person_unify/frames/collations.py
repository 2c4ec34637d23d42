"""Texts as the collations of SQLite's own compare them (contract section 2)."""

from __future__ import annotations

import polars as pl

_CAPITALS = [chr(letter) for letter in range(ord("A"), ord("Z") + 1)]


def collated(text: pl.Expr, collation: str) -> pl.Expr:
    """A text that is equal exactly where a collation of SQLite's own says so.

    NOCASE takes A to Z as a to z, up to a NUL, behind which only the length in bytes counts.

    >>> pl.select(collated(pl.lit("Ä@Home"), "NOCASE")).item()
    'Ä@home'
    """
    if collation == "RTRIM":
        return text.str.strip_chars_end(" ")
    if collation != "NOCASE":
        return text
    folded = text.str.replace_many(_CAPITALS, [letter.lower() for letter in _CAPITALS])
    cut = folded.str.replace(r"(?s)\x00.*", "\x00") + text.str.len_bytes().cast(pl.String)
    return pl.when(text.str.contains("\x00", literal=True)).then(cut).otherwise(folded)
