"""The contract's reading of cells (sections 1 and 11), for whole columns at once.

Written for the verifier alone: the transform has its own (``values``, ``conversions``), and neither
knows the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from person_unify.mappings.spec import Type
from person_unify.stages.verify.cells import STORED, Cells, alike, decoded, mark, present

Numbers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

FIRST_INSTANT = -62_135_596_800_000
LAST_INSTANT = 253_402_300_799_999
"""0001-01-01 and the last millisecond of 9999, UTC, in ms since the epoch."""

DAY_MS = 86_400_000
CLASSES: dict[Type, str] = {
    "TEXT": "text",
    "INTEGER": "integer",
    "INT4": "integer",
    "REAL": "real",
    "BOOLEAN": "integer",
    "DATETIME": "integer",
}
"""The storage class of each type's canonical form."""

VALUES: dict[str, pl.DataType] = {
    "text": pl.String(),
    "integer": pl.Int64(),
    "real": pl.Float64(),
}
_INSTANT = (
    r"^(?<y>[0-9]{4})-(?<m>[0-9]{2})-(?<d>[0-9]{2})"
    r"(?:[Tt ](?<H>[0-9]{2}):(?<M>[0-9]{2})(?::(?<S>[0-9]{2})(?:\.(?<f>[0-9]+))?)?"
    r"(?: ?(?:[Zz]|(?<s>[+-])(?<oh>[0-9]{2})(?::?(?<om>[0-9]{2}))?))?)?$"
)
_CONTROL = r"[^\P{Cc}\t\n\r]"


@dataclass(frozen=True, slots=True)
class Reading:
    """A column read as one type; masks are None where no row can be concerned.

    value: canonical, null where the cell is NULL or unreadable.  altered: readable, but the value
    is not the cell's own in value or class (an instant: in value).  recast: per rule such as
    ``text_to_integer``, the cells that changed their class.
    """

    value: pl.Series
    unreadable: pl.Series | None = None
    altered: pl.Series | None = None
    recast: dict[str, pl.Series] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Form:
    """Cells of one class, converted: where they are, what they became, where that is not exact."""

    kind: str
    at: pl.Series | None
    present: pl.Series
    value: pl.Series
    altered: pl.Series | None


def read(cells: Cells, column: str, type_: Type) -> Reading:
    """A column of a table as a type; a column that the file lacks is NULL in every row."""
    dtype = VALUES[CLASSES[type_]]
    lane = cells.columns.get(column)
    if lane is None:
        return Reading(alike(None, cells.height, dtype))
    forms = [_form(_KINDS[lane.dtype.base_type()], None, present(lane), lane, type_)]
    odd = cells.odd.get(column)
    if odd is not None:
        kinds = odd["class"]
        for code in kinds.unique().to_list():
            kind, own = STORED[code], kinds == code
            stored = odd["bytes" if kind in ("text", "blob") else kind].filter(own)
            there = present(stored)
            if stored.dtype == pl.Binary:
                stored = decoded(stored, cells.without_nul)
            forms.append(_form(kind, odd["at"].filter(own), there, stored, type_))
    return _together(forms, type_, cells.height)


_KINDS = {pl.String: "text", pl.Int64: "integer", pl.Float64: "real"}


def _form(
    kind: str, at: pl.Series | None, there: pl.Series, stored: pl.Series, type_: Type
) -> _Form:
    """Cells of one class; ``there``: where there is one, ``stored``: null for unreadable texts."""
    if kind == "blob":
        stored = stored.set(stored.str.contains(_CONTROL).fill_null(value=True), None)
    value, inexact = _CONVERT[type_](kind, stored)
    if type_ != "DATETIME":
        inexact = present(value) if kind != CLASSES[type_] else None
    return _Form(kind, at, there, value, inexact)


def _together(forms: list[_Form], type_: Type, height: int) -> Reading:
    value, canonical = forms[0].value, CLASSES[type_]
    unreadable: list[pl.Series] = []
    altered: list[pl.Series] = []
    recast: dict[str, pl.Series] = {}
    for form in forms:
        at = form.at
        if at is not None:
            # In place it would change the cells as they were read, which others look at, too.
            value = value.clone().scatter(at, form.value)
        masks: list[tuple[list[pl.Series], pl.Series | None]] = [(altered, form.altered)]
        if form.value.null_count() > form.present.len() - int(form.present.sum() or 0):
            masks.append((unreadable, form.present & form.value.is_null()))
        for found, mask in masks:
            if mask is not None and mask.any():
                found.append(mask if at is None else mark(at.filter(mask), height))
        if form.kind != canonical and (there := present(form.value)).any():
            rule = f"{form.kind}_to_{canonical}"
            recast[rule] = there if at is None else mark(at.filter(there), height)
    return Reading(value, _any(unreadable), _any(altered), recast)


def _any(masks: list[pl.Series]) -> pl.Series | None:
    return reduce(or_, masks) if masks else None


_Converted = tuple[pl.Series, pl.Series | None]
"""Values, and where an instant is cut."""


def _text(kind: str, stored: pl.Series) -> _Converted:
    if kind == "real":
        return pl.Series([None if x is None else printed(x) for x in stored], dtype=pl.String), None
    return stored.cast(pl.String), None


def printed(real: float) -> str:
    """A REAL with 15 significant digits, as ``printf('%!.15g')`` of SQLite writes it.

    >>> printed(1.0), printed(1e300), printed(0.1)
    ('1.0', '1.0e+300', '0.1')
    """
    text = f"{real:.15g}"
    if text.lstrip("-") in ("inf", "nan"):
        return text.replace("inf", "Inf")
    mantissa, e, exponent = text.partition("e")
    return (mantissa if "." in mantissa else f"{mantissa}.0") + e + exponent


def _integer(kind: str, stored: pl.Series) -> _Converted:
    if kind == "real":
        fits = (stored >= -(2.0**63)) & (stored < 2.0**63) & (stored == stored.floor())
        return stored.zip_with(fits, pl.Series([None], dtype=pl.Float64)).cast(pl.Int64), None
    if kind == "text":
        whole = stored.zip_with(
            stored.str.contains(r"^[+-]?[0-9]+$"), pl.Series([None], dtype=pl.String)
        )
        plain = whole.str.replace(r"^\+", "").str.replace(r"^(-?)0+([0-9])", "${1}${2}")
        return plain.cast(pl.Int64, strict=False), None
    return _none_of_blob(kind, stored, pl.Int64()), None


def _int4(kind: str, stored: pl.Series) -> _Converted:
    """PostgreSQL's integer has 32 bits (DECISIONS.md)."""
    value, _ = _integer(kind, stored)
    fits = (value >= -2_147_483_648) & (value <= 2_147_483_647)
    return value.zip_with(fits, pl.Series([None], dtype=pl.Int64)), None


def _real(kind: str, stored: pl.Series) -> _Converted:
    if kind == "text":
        shaped = stored.str.contains(r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$")
        number = stored.zip_with(shaped, pl.Series([None], dtype=pl.String))
        return number.str.replace(r"^\+", "").cast(pl.Float64, strict=False), None
    return _none_of_blob(kind, stored, pl.Float64()), None


def _boolean(kind: str, stored: pl.Series) -> _Converted:
    if kind == "text":
        plain = stored.zip_with(
            stored.str.contains(r"^[A-Za-z01]{1,5}$"), pl.Series([None], dtype=pl.String)
        )
        words = {"true": 1, "1": 1, "false": 0, "0": 0}
        found = plain.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Int64)
        return found, None
    if kind == "blob":
        return _none_of_blob(kind, stored, pl.Int64()), None
    said = (stored == 0) | (stored == 1)
    if bool(said.all()):
        return stored.cast(pl.Int64), None
    return stored.zip_with(said, pl.Series([None], dtype=stored.dtype)).cast(pl.Int64), None


def _instant(kind: str, stored: pl.Series) -> _Converted:
    if kind == "text":
        return instant_of_text(stored)
    if kind == "blob":
        return _none_of_blob(kind, stored, pl.Int64()), None
    inexact = None
    if kind == "real":
        near = stored.zip_with(stored.is_finite(), pl.Series([None], dtype=pl.Float64))
        near = near.zip_with(near.abs() < 2.0**62, pl.Series([None], dtype=pl.Float64))
        stored = near.round(mode="half_to_even")
        inexact = (near != stored).fill_null(value=False)
        stored = stored.cast(pl.Int64)
    inside = (stored >= FIRST_INSTANT) & (stored <= LAST_INSTANT)
    if not bool(inside.all()):
        stored = stored.zip_with(inside, pl.Series([None], dtype=pl.Int64))
        inexact = None if inexact is None else inexact & stored.is_not_null()
    return stored, inexact


def instant_of_text(texts: pl.Series) -> _Converted:
    """Milliseconds of accepted texts, null for others, and where something finer was cut."""
    found = texts.to_frame("t").select(pl.col("t").str.extract_groups(_INSTANT)).unnest("t")
    fraction = pl.col("f").fill_null("")
    fields = found.select(
        pl.col("y", "m", "d", "H", "M", "S", "oh", "om").cast(pl.Int64).fill_null(0),
        shaped=pl.col("y").is_not_null(),
        east=pl.col("s").ne_missing("-"),
        ms=(fraction + "000").str.slice(0, 3).cast(pl.Int64),
        finer=fraction.str.slice(3).str.contains("[1-9]"),
    )
    # In NumPy: Polars plans so long an expression for longer than it takes for a few texts.
    y, m, d, hour, minute, second, oh, om, shaped, east, ms, finer = (
        column.to_numpy() for column in fields
    )
    leap = (y % 4 == 0) & (y % 100 != 0) | (y % 400 == 0)
    length = _MONTHS[m.clip(0, 12)] + (leap & (m == 2))
    valid = shaped & (m >= 1) & (m <= 12) & (d >= 1) & (d <= length)
    valid &= (hour < 24) & (minute < 60) & (second < 60) & (oh < 24) & (om < 60)
    minutes = hour * 60 + minute - np.where(east, 1, -1) * (oh * 60 + om)
    instant = (_days(y, m, d) * 1440 + minutes) * 60_000 + second * 1000 + ms
    valid &= (instant >= FIRST_INSTANT) & (instant <= LAST_INSTANT)
    return pl.Series(instant).set(pl.Series(~valid), None), pl.Series(finer & valid)


_MONTHS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
"""Days of each month of a common year, by its number."""


def _days(y: Numbers, m: Numbers, d: Numbers) -> Numbers:
    """Days since 1970-01-01 of y, m, d in the proleptic Gregorian calendar, from March on."""
    year, month = y - (m <= 2), (m + 9) % 12
    of_year = (153 * month + 2) // 5 + d - 1
    days: Numbers = year * 365 + year // 4 - year // 100 + year // 400 + of_year - 719_468
    return days


def day(instants: pl.Series) -> pl.Series:
    """UTC days of instants as ``YYYY-MM-DD``."""
    return instants.cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d")


def iso(instants: pl.Series) -> pl.Series:
    """Instants as ISO 8601 text in UTC, with milliseconds."""
    return instants.cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def _none_of_blob(kind: str, stored: pl.Series, dtype: pl.DataType) -> pl.Series:
    if kind == "blob":
        return alike(None, stored.len(), dtype)
    return stored.cast(dtype)


_CONVERT = {
    "TEXT": _text,
    "INTEGER": _integer,
    "INT4": _int4,
    "REAL": _real,
    "BOOLEAN": _boolean,
    "DATETIME": _instant,
}
