"""Instants as text: written for a TEXT column, and read exactly to compare two forms."""

from __future__ import annotations

import polars as pl

from person_unify.frames.conversions import decode_utf8
from person_unify.frames.odd import INTEGER, REAL, TEXT
from person_unify.stages.rebuild.columns import Column

_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999
_MINUTE = 60_000
_TEXT = (
    r"^(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<minute>[0-9]{2}:[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    r"(?: ?(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?))?)?$"
)


def written(milliseconds: pl.Expr) -> pl.Expr:
    """ISO 8601 with milliseconds and ``Z``; NULL where there is no such instant."""
    known = pl.when(milliseconds.is_between(_FIRST, _LAST)).then(milliseconds)
    return known.cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def exactly(cells: Column) -> pl.Expr:
    """Milliseconds since the epoch where a cell says that and nothing finer, else NULL.

    The accepted texts are those of contract section 1; REAL counts where it is integral.
    """
    held = cells.by_class()
    integer = pl.when(held.stored == INTEGER).then(held.number)
    real = pl.when(held.stored == REAL).then(held.number).reinterpret(dtype=pl.Float64)
    whole = real.is_between(float(_FIRST), float(_LAST)) & (real == real.floor())
    of_real = pl.when(whole).then(real).cast(pl.Int64)
    text = pl.when(held.stored == TEXT).then(held.bytes)
    of_text = text.map_batches(_read, return_dtype=pl.Int64)
    found = pl.coalesce(integer, of_real, of_text)
    return pl.when(found.is_between(_FIRST, _LAST)).then(found)


def _read(stored: pl.Series) -> pl.Series:
    """A text taken apart, put into one form, and read by Polars; the zone is then taken off."""
    texts = decode_utf8(stored).alias("text").to_frame()
    parts = texts.select(pl.col("text").str.extract_groups(_TEXT)).unnest("text")
    # In steps: Polars plans one long expression for longer than it takes for a few texts.
    parts = parts.with_columns(
        pl.col("minute").fill_null("00:00"),
        pl.col("second").fill_null("00"),
        pl.col("fraction").fill_null(""),
        digits=pl.col("zone").str.replace(":", "").str.slice(1).str.pad_end(4, "0"),
    )
    thousandths = pl.col("fraction").str.slice(0, 3).str.pad_end(3, "0")
    clock = pl.concat_str(
        "day", pl.lit("T"), "minute", pl.lit(":"), "second", pl.lit("."), thousandths
    )
    parts = parts.with_columns(
        local=clock.str.to_datetime("%Y-%m-%dT%H:%M:%S%.3f", time_unit="ms", strict=False),
        hours=pl.col("digits").str.slice(0, 2).cast(pl.Int64, strict=False).fill_null(0),
        minutes=pl.col("digits").str.slice(2, 2).cast(pl.Int64, strict=False).fill_null(0),
    )
    sound = (
        (pl.col("second") < "60")
        & (pl.col("minute") < "24")
        & (pl.col("hours") < 24)
        & (pl.col("minutes") < 60)
        & ~pl.col("fraction").str.slice(3).str.contains("[1-9]")
    )
    sign = pl.when(pl.col("zone").str.starts_with("-")).then(-1).otherwise(1)
    instant = (
        pl.col("local").cast(pl.Int64) - sign * (60 * pl.col("hours") + pl.col("minutes")) * _MINUTE
    )
    return parts.select(pl.when(sound).then(instant)).to_series()
