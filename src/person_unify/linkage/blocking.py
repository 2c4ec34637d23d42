"""Which pairs are worth comparing: those that share a key, so that nobody compares all with all."""

from __future__ import annotations

import polars as pl

ROW = "row"
LARGEST_BLOCK = 500
"""A key that more people share says nothing (a placeholder date, say) and costs its square."""

_YEAR, _MONTH, _DAY = (
    pl.col("born").dt.year(),
    pl.col("born").dt.month(),
    pl.col("born").dt.day(),
)
_INITIALS = (pl.col("first").str.slice(0, 1), pl.col("last").str.slice(0, 1))
KEYS: dict[str, tuple[pl.Expr, ...]] = {
    "day and last name": (pl.col("born"), pl.col("last")),
    "day and first name": (pl.col("born"), pl.col("first")),
    # In alphabetical order, so that swapped names share it.
    "day and initials": (
        pl.col("born"),
        pl.min_horizontal(*_INITIALS),
        pl.max_horizontal(*_INITIALS),
    ),
    "names and transposed date": (
        pl.col("first"),
        pl.col("last"),
        _YEAR,
        pl.min_horizontal(_MONTH, _DAY),
        pl.max_horizontal(_MONTH, _DAY),
    ),
    "names, year and month": (pl.col("first"), pl.col("last"), _YEAR, _MONTH),
    "names, year and day": (pl.col("first"), pl.col("last"), _YEAR, _DAY),
    "names, month and day": (pl.col("first"), pl.col("last"), _MONTH, _DAY),
}
"""What two records of one human still share after one slip of the pen."""


def candidates(people: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """All pairs that share a key; ``people`` has ``row``, ``first``, ``last``, ``born`` (Date).

    Returns ``row``, ``row_right`` (``row`` < ``row_right``), each pair once, and how many keys were
    left out because too many people share them.
    """
    found, crowded = [], 0
    for key in KEYS.values():
        names = [f"k{position}" for position in range(len(key))]
        keyed = people.select(ROW, *(e.alias(n) for e, n in zip(key, names, strict=True)))
        blocks = keyed.drop_nulls().group_by(names).agg(pl.col(ROW)).drop(names)
        blocks = blocks.filter(pl.col(ROW).list.len() > 1)
        usable = blocks.filter(pl.col(ROW).list.len() <= LARGEST_BLOCK)
        crowded += blocks.height - usable.height
        members = usable.with_row_index("block").explode(ROW)
        pairs = members.join(members, on="block").filter(pl.col(ROW) < pl.col(f"{ROW}_right"))
        found.append(pairs.select(ROW, f"{ROW}_right"))
    return pl.concat(found).unique().sort(ROW, f"{ROW}_right"), crowded
