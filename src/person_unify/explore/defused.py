"""Cells that a spreadsheet would run as a formula, made harmless without losing what they were."""

from __future__ import annotations

import polars as pl

# The last four are the full-width forms of = + - @, which some spreadsheets take for them.
_DANGEROUS = r"^(\s*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]|[\t\r\n'])"
"""What may be a formula; and an apostrophe, so that it is always right to take one off again."""

_HARMLESS = "'${1}"


def defused(frame: pl.DataFrame) -> pl.DataFrame:
    """Every text (and column name) that might be a formula, behind an apostrophe.

    Whoever reads the file back takes one leading apostrophe off and has the cell as it was.

    >>> defused(pl.DataFrame({"a": ["=1+1", "-2", "x", "'", "", None]}))["a"].to_list()
    ["'=1+1", "'-2", 'x', "''", '', None]
    """
    safe = frame.with_columns(pl.col(pl.String).str.replace(_DANGEROUS, _HARMLESS))
    names = pl.Series(safe.columns, dtype=pl.String).str.replace(_DANGEROUS, _HARMLESS)
    safe.columns = names.to_list()
    return safe
