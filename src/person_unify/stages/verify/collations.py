"""How SQLite compares texts, told anew for the verification (contract section 2)."""

from __future__ import annotations

import polars as pl


def as_compared(values: pl.Series, collation: str) -> pl.Series:
    """Texts of which those are equal that SQLite's collation takes for equal.

    NOCASE knows the letters A to Z; behind a NUL it looks at nothing but the length.
    """
    if collation == "RTRIM":
        return values.str.strip_chars_end(" ")
    if collation != "NOCASE":
        return values
    upper = [chr(c) for c in range(65, 91)]
    heads = values.str.replace_many(upper, [c.lower() for c in upper]).str.split("\0").list.first()
    return values.str.len_bytes().cast(pl.String) + ":" + heads
