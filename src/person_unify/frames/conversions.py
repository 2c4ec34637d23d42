"""Pure conversions between the forms of a value, as Polars expressions (contract section 1).

Where a cell has no such form, the expression is null.
"""

from __future__ import annotations

import polars as pl

from person_unify.frames.timezones import DAY, offsets

FIRST_INSTANT = -62_135_596_800_000
LAST_INSTANT = 253_402_300_799_999
"""0001-01-01 and the last millisecond of 9999, UTC, in ms since the epoch."""

INSTANT_TEXT = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(?: ?(?:[Zz]|([+-])([0-9]{2})(?::?([0-9]{2}))?))?)?$"
)
INTEGER_TEXT = r"^[+-]?[0-9]+$"
REAL_TEXT = r"^[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
_LARGEST_REAL_INTEGER = 9_223_372_036_854_775_808.0
_FEW = 200
"""Cells that are as quickly decoded one by one as halved further."""


def decode_utf8(cells: pl.Series) -> pl.Series:
    r"""Binary to String, null where the bytes are not valid UTF-8.

    >>> decode_utf8(pl.Series([b"ok", b"\xff", None])).to_list()
    ['ok', None, None]
    """
    try:
        return cells.cast(pl.String)
    except pl.exceptions.ComputeError:
        # Polars refuses the whole column for one bad cell: halve it until few stand around that.
        if len(cells) <= _FEW:
            return pl.Series(cells.name, map(_decoded, cells.to_list()), dtype=pl.String)
        middle = len(cells) // 2
        return decode_utf8(cells[:middle]).append(decode_utf8(cells[middle:]))


def _decoded(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None


def within_years(milliseconds: pl.Expr) -> pl.Expr:
    """The instant where its UTC year is one of 0001 to 9999, else null."""
    return pl.when(milliseconds.is_between(FIRST_INSTANT, LAST_INSTANT)).then(milliseconds)


def integer_of_real(real: pl.Expr) -> pl.Expr:
    """The integer where ``real`` is integral and fits 64 bits, else null.

    >>> pl.select(integer_of_real(pl.Series([2.0, 2.5, 9.3e18]))).to_series().to_list()
    [2, None, None]
    """
    fits = (
        (real >= -_LARGEST_REAL_INTEGER) & (real < _LARGEST_REAL_INTEGER) & (real == real.floor())
    )
    return pl.when(fits).then(real).cast(pl.Int64, strict=False)


def integer_of_text(text: pl.Expr) -> pl.Expr:
    """The integer that the text spells (``[+-]?[0-9]+`` within 64 bits), else null.

    >>> pl.select(integer_of_text(pl.Series(["+07", " 7", "7.0"]))).to_series().to_list()
    [7, None, None]
    """
    spelled = pl.when(text.str.contains(INTEGER_TEXT)).then(text.str.strip_prefix("+"))
    return spelled.cast(pl.Int64, strict=False)


def real_of_text(text: pl.Expr) -> pl.Expr:
    """The number that the text spells, else null.

    >>> pl.select(real_of_text(pl.Series(["+1.5e1", "1.", "nan"]))).to_series().to_list()
    [15.0, None, None]
    """
    spelled = pl.when(text.str.contains(REAL_TEXT)).then(text.str.strip_prefix("+"))
    return spelled.cast(pl.Float64, strict=False)


def boolean_of_text(text: pl.Expr) -> pl.Expr:
    """0 or 1 for ``true``, ``false``, ``0`` and ``1`` in any ASCII case, else null.

    >>> pl.select(boolean_of_text(pl.Series(["TRUE", "0", "yes"]))).to_series().to_list()
    [1, 0, None]
    """
    return (
        pl.when(text.str.contains("(?i-u)^(true|1)$"))
        .then(pl.lit(1, dtype=pl.Int64))
        .when(text.str.contains("(?i-u)^(false|0)$"))
        .then(pl.lit(0, dtype=pl.Int64))
    )


def instant_of_real(real: pl.Expr) -> pl.Expr:
    """The instant nearest to ``real`` milliseconds, halves to even, else null.

    >>> pl.select(instant_of_real(pl.Series([0.5, 1.5, 1e300]))).to_series().to_list()
    [0, 2, None]
    """
    near = pl.when(real.is_between(FIRST_INSTANT - 1.0, LAST_INSTANT + 1.0)).then(real)
    return within_years(near.round(0, mode="half_to_even").cast(pl.Int64, strict=False))


def instant_of_text(text: pl.Expr) -> pl.Expr:
    """Milliseconds since the epoch for the accepted text forms, else null; no offset means UTC.

    >>> forms = ["2020-03-15", "2020-03-15 10:00:00.1239+05:30", "2020-02-30", ""]
    >>> pl.select(instant_of_text(pl.lit(pl.Series(forms)))).to_series().to_list()
    [1584230400000, 1584246600123, None, None]
    """
    return text.map_batches(_instants, return_dtype=pl.Int64)


def _instants(texts: pl.Series) -> pl.Series:
    """Whole columns in steps: as one expression, every group would match the pattern again."""
    groups = texts.alias("text").to_frame().select(pl.col("text").str.extract_groups(INSTANT_TEXT))
    found = groups.unnest("text").with_columns(pl.col("5").str.slice(0, 3).str.pad_end(3, "0"))
    numbers = [
        pl.col(group).cast(pl.Int64).fill_null(0) for group in ("2", "3", "4", "5", "7", "8")
    ]
    # No text and no day of the calendar are both NULL here.
    day = pl.col("1").str.to_date("%Y-%m-%d", strict=False).cast(pl.Int64).alias("day")
    fields = found.select(
        day, pl.when(pl.col("6") == "-").then(-1).otherwise(1).alias("sign"), *numbers
    )
    return fields.select(_instant_of_fields().alias(texts.name)).to_series()


def _instant_of_fields() -> pl.Expr:
    hour, minute, second, thousandths, offset_hours, offset_minutes = (
        pl.col(group) for group in ("2", "3", "4", "5", "7", "8")
    )
    exists = (
        (hour < 24) & (minute < 60) & (second < 60) & (offset_hours < 24) & (offset_minutes < 60)
    )
    minutes = hour * 60 + minute - pl.col("sign") * (offset_hours * 60 + offset_minutes)
    milliseconds = ((pl.col("day") * 1440 + minutes) * 60 + second) * 1000 + thousandths
    return pl.when(exists).then(within_years(milliseconds))


def finer_than_millisecond(text: pl.Expr) -> pl.Expr:
    """Whether an instant's text has a non-zero digit after the third of its fraction."""
    return text.str.contains(r"\.[0-9]{3}[0-9]*[1-9]")


def utc_day(milliseconds: pl.Expr) -> pl.Expr:
    """Whole days since the epoch; instants before 1970 fall on the day that has begun."""
    return milliseconds // 86_400_000


def iso_instant(milliseconds: pl.Expr) -> pl.Expr:
    """ISO 8601 with milliseconds and ``Z``, for people and for the value columns (section 8).

    >>> pl.select(iso_instant(pl.lit(0))).item()
    '1970-01-01T00:00:00.000Z'
    """
    return milliseconds.cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def iso_day(milliseconds: pl.Expr) -> pl.Expr:
    """``YYYY-MM-DD`` of the UTC day, as folded texts print an instant (section 6)."""
    return milliseconds.cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d")


_RULES = pl.Schema(dict.fromkeys(("day", "before", "change", "after"), pl.Int64()))


def minute_of_day(milliseconds: pl.Expr, timezone: str) -> pl.Expr:
    """Minutes since local midnight in ``timezone``; seconds are cut (section 11)."""

    def local(instants: pl.Series) -> pl.Series:
        seconds = (instants // 1000).alias("second").to_frame()
        seconds = seconds.with_columns((pl.col("second") // DAY * DAY).alias("day"))
        known = offsets(timezone, seconds["day"].drop_nulls().unique())
        rules = pl.DataFrame(known, schema=_RULES, orient="row")
        ahead = pl.when(pl.col("second") < pl.col("change")).then("before").otherwise("after")
        found = seconds.join(rules, on="day", how="left", maintain_order="left")
        return found.select((pl.col("second") + ahead) % DAY // 60).to_series()

    return milliseconds.map_batches(local, return_dtype=pl.Int64)


def clock(minutes: pl.Expr) -> pl.Expr:
    """``HH:MM`` of minutes since midnight, wrapping at midnight.

    >>> pl.select(clock(pl.Series([545, 1441]))).to_series().to_list()
    ['09:05', '00:01']
    """
    wrapped = minutes % 1440
    hours = (wrapped // 60).cast(pl.String).str.zfill(2)
    return hours + ":" + (wrapped % 60).cast(pl.String).str.zfill(2)
