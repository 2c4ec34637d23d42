"""Source cells as canonical target values, as Polars expressions (contract section 1).

A source column arrives in a *lane*: ``integer`` or ``text`` when every cell is of that
storage class or NULL, else ``mixed``, a struct of the fields in :data:`MIXED` that keeps each
cell's class and exact bytes.  :func:`cells` reads a column as one of the five target types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from person_unify.conversions import (
    boolean_of_text,
    finer_than_millisecond,
    instant_of_real,
    instant_of_text,
    integer_of_real,
    integer_of_text,
    real_of_text,
    within_years,
)

Lane = Literal["integer", "text", "mixed", "absent"]
Type = Literal["TEXT", "INTEGER", "REAL", "BOOLEAN", "DATETIME"]

NULL, INTEGER, REAL, TEXT, BLOB = range(5)
"""Codes of SQLite's storage classes in a mixed lane's ``class`` field."""

MIXED = pl.Struct(
    {
        "class": pl.Int64,
        "integer": pl.Int64,
        "real": pl.Float64,
        "bytes": pl.Binary,
        "printed": pl.String,
        "decoded": pl.String,
    }
)
"""A mixed cell: its class, then its value in the field of that class (text and BLOB in ``bytes``);
``printed`` is a REAL as SQLite prints it, ``decoded`` the bytes where they are valid UTF-8."""

DTYPES: dict[Type, pl.DataType] = {
    "TEXT": pl.String(),
    "INTEGER": pl.Int64(),
    "REAL": pl.Float64(),
    "BOOLEAN": pl.Int64(),
    "DATETIME": pl.Int64(),
}

_CONTROL = r"[\p{Cc}--\t\n\r]"
"""What a BLOB that stands for a text does not hold: JSONB and other binaries do."""

_CONVERTED_AT_ONCE = 12
"""Columns."""

PLAIN: frozenset[tuple[Lane, Type]] = frozenset({("text", "TEXT"), ("integer", "INTEGER")})
"""Lanes that are canonical as they are."""


@dataclass(frozen=True, slots=True)
class Cells:
    """A column read as one type.  Masks are None where no row can be concerned.

    value: canonical value, null where the cell is NULL or unreadable.
    unreadable: the cell is not NULL and has no canonical form.
    altered: the canonical value differs from the cell in value or class (instants: in value).
    recast: per rule (``text_to_integer``), the cells whose storage class changed.
    """

    value: pl.Expr
    unreadable: pl.Expr | None = None
    altered: pl.Expr | None = None
    recast: tuple[tuple[str, pl.Expr], ...] = ()


@dataclass(frozen=True, slots=True)
class _Form:
    """One storage class of a column: its cells, converted, and whether it is canonical."""

    name: str
    present: pl.Expr
    value: pl.Expr
    canonical: bool
    altered: pl.Expr | None = None


def cells(column: str, lane: Lane, type_: Type) -> Cells:
    """Read ``column`` of the given lane as ``type_`` (contract section 1)."""
    if lane == "absent":
        return Cells(pl.repeat(None, pl.len(), dtype=DTYPES[type_]))
    if (lane, type_) in PLAIN:
        return Cells(pl.col(column))
    return _combined(column, lane, type_, _FORMS[type_](_parts(column, lane)))


def converted(
    frame: pl.DataFrame, reads: Sequence[tuple[str, Lane, Type]]
) -> tuple[pl.DataFrame, list[Cells]]:
    """The frame with conversions of columns computed once, and cells that point at the results.

    reads: column, its lane and the type that it is read as.  Masks that hold in no row are left out
    of the cells and of the frame.
    """
    read: list[Cells] = []
    # In groups: one column at a time has Polars begin over and over, all at once is much in memory.
    for start in range(0, len(reads), _CONVERTED_AT_ONCE):
        frame, found = _converted(frame, reads[start : start + _CONVERTED_AT_ONCE])
        read += found
    return frame, read


def _converted(
    frame: pl.DataFrame, reads: Sequence[tuple[str, Lane, Type]]
) -> tuple[pl.DataFrame, list[Cells]]:
    forms: dict[str, pl.Expr] = {}
    made: dict[str, pl.Expr] = {}
    masks: list[str] = []
    read: list[Cells] = []
    for column, lane, type_ in reads:
        name = f"@{column}:{type_}"
        own = _FORMS[type_](_parts(column, lane))
        forms |= {f"{name}:{form.name}": form.value for form in own}
        known = [replace(form, value=pl.col(f"{name}:{form.name}")) for form in own]
        cells = _combined(column, lane, type_, known)
        parts = {"unreadable": cells.unreadable, "altered": cells.altered, **dict(cells.recast)}
        made[f"{name}:value"] = cells.value
        made |= {f"{name}:{part}": mask for part, mask in parts.items() if mask is not None}
        masks += [f"{name}:{part}" for part, mask in parts.items() if mask is not None]
        read.append(cells)
    frame = frame.with_columns(e.alias(n) for n, e in forms.items())
    frame = frame.with_columns(e.alias(n) for n, e in made.items())
    held = frame.select(pl.col(masks).any()).row(0) if masks else ()
    nowhere = {mask for mask, holds in zip(masks, held, strict=True) if not holds}
    frame = frame.drop(*forms, *nowhere)

    def there(name: str) -> pl.Expr | None:
        return pl.col(name) if name in made and name not in nowhere else None

    pointing = []
    for (column, _, type_), cells in zip(reads, read, strict=True):
        name = f"@{column}:{type_}"
        recast = ((rule, there(f"{name}:{rule}")) for rule, _ in cells.recast)
        pointing.append(
            Cells(
                pl.col(f"{name}:value"),
                there(f"{name}:unreadable"),
                there(f"{name}:altered"),
                tuple((rule, mask) for rule, mask in recast if mask is not None),
            )
        )
    return frame, pointing


def _combined(column: str, lane: Lane, type_: Type, forms: list[_Form]) -> Cells:
    value = pl.coalesce([form.value for form in forms]).cast(DTYPES[type_])
    present = pl.any_horizontal([form.present for form in forms])
    if lane == "mixed":
        present = pl.col(column).struct.field("class") != NULL
    altered = [
        form.altered if form.altered is not None else form.value.is_not_null()
        for form in forms
        if form.altered is not None or not form.canonical
    ]
    canonical = type_.lower() if type_ in ("TEXT", "REAL") else "integer"
    return Cells(
        value=value,
        unreadable=present & value.is_null(),
        altered=pl.any_horizontal(altered).fill_null(value=False) if altered else None,
        recast=tuple(
            (f"{form.name}_to_{canonical}", form.value.is_not_null())
            for form in forms
            if not form.canonical
        ),
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """The cells of a column by storage class; None where the lane has none of that class."""

    integer: pl.Expr | None = None
    real: pl.Expr | None = None
    printed: pl.Expr | None = None
    text: pl.Expr | None = None
    blob: pl.Expr | None = None


def _parts(column: str, lane: Lane) -> _Parts:
    cell = pl.col(column)
    if lane == "integer":
        return _Parts(integer=cell)
    if lane == "text":
        return _Parts(text=cell)
    stored = cell.struct.field("class")
    decoded = cell.struct.field("decoded")
    return _Parts(
        integer=cell.struct.field("integer"),
        real=cell.struct.field("real"),
        printed=cell.struct.field("printed"),
        text=pl.when(stored == TEXT).then(decoded),
        blob=pl.when((stored == BLOB) & ~decoded.str.contains(_CONTROL)).then(decoded),
    )


def _text_forms(parts: _Parts) -> list[_Form]:
    forms = []
    if parts.text is not None:
        forms.append(_Form("text", parts.text.is_not_null(), parts.text, canonical=True))
    if parts.integer is not None:
        value = parts.integer.cast(pl.String)
        forms.append(_Form("integer", parts.integer.is_not_null(), value, canonical=False))
    if parts.real is not None and parts.printed is not None:
        forms.append(_Form("real", parts.real.is_not_null(), parts.printed, canonical=False))
    if parts.blob is not None:
        forms.append(_Form("blob", parts.blob.is_not_null(), parts.blob, canonical=False))
    return forms


def _integer_forms(parts: _Parts) -> list[_Form]:
    return _number_forms(parts, integer_of_real, integer_of_text)


def _boolean_forms(parts: _Parts) -> list[_Form]:
    forms = []
    if parts.integer is not None:
        value: pl.Expr = pl.when(parts.integer.is_in([0, 1])).then(parts.integer)
        forms.append(_Form("integer", parts.integer.is_not_null(), value, canonical=True))
    if parts.real is not None:
        value = pl.when(parts.real.is_in([0.0, 1.0])).then(parts.real.cast(pl.Int64, strict=False))
        forms.append(_Form("real", parts.real.is_not_null(), value, canonical=False))
    if parts.text is not None:
        value = boolean_of_text(parts.text)
        forms.append(_Form("text", parts.text.is_not_null(), value, canonical=False))
    return forms


def _instant_forms(parts: _Parts) -> list[_Form]:
    forms = []
    if parts.integer is not None:
        value = within_years(parts.integer)
        forms.append(_Form("integer", parts.integer.is_not_null(), value, canonical=True))
    if parts.real is not None:
        value = instant_of_real(parts.real)
        altered = parts.real != parts.real.round(0)
        forms.append(_Form("real", parts.real.is_not_null(), value, False, altered))
    if parts.text is not None:
        value = instant_of_text(parts.text)
        altered = finer_than_millisecond(parts.text)
        forms.append(_Form("text", parts.text.is_not_null(), value, False, altered))
    return forms


def _real_forms(parts: _Parts) -> list[_Form]:
    forms = []
    if parts.real is not None:
        forms.append(_Form("real", parts.real.is_not_null(), parts.real, canonical=True))
    if parts.integer is not None:
        value = parts.integer.cast(pl.Float64)
        forms.append(_Form("integer", parts.integer.is_not_null(), value, canonical=False))
    if parts.text is not None:
        value = real_of_text(parts.text)
        forms.append(_Form("text", parts.text.is_not_null(), value, canonical=False))
    return forms


def _number_forms(
    parts: _Parts,
    of_real: Callable[[pl.Expr], pl.Expr],
    of_text: Callable[[pl.Expr], pl.Expr],
) -> list[_Form]:
    forms = []
    if parts.integer is not None:
        forms.append(_Form("integer", parts.integer.is_not_null(), parts.integer, canonical=True))
    if parts.real is not None:
        forms.append(_Form("real", parts.real.is_not_null(), of_real(parts.real), canonical=False))
    if parts.text is not None:
        forms.append(_Form("text", parts.text.is_not_null(), of_text(parts.text), canonical=False))
    return forms


_FORMS: dict[Type, Callable[[_Parts], list[_Form]]] = {
    "TEXT": _text_forms,
    "INTEGER": _integer_forms,
    "REAL": _real_forms,
    "BOOLEAN": _boolean_forms,
    "DATETIME": _instant_forms,
}


def literal(value: str | int | None, type_: Type) -> pl.Expr:
    """A constant of the column's type."""
    return pl.lit(value, dtype=DTYPES[type_])
