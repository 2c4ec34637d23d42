"""Source cells as canonical target values, as Polars expressions (contract section 1).

A source column arrives in a *lane*, ``integer`` or ``text``, with every cell of that storage class;
odd cells, those of other classes, stand in a small frame of their own, at which ``@odd`` points.
:func:`cells` reads a column as one of the five target types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import or_
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
from person_unify.lanes import BLOB, ODD, TEXT, odd_field
from person_unify.lanes import Lane as Stored

Lane = Stored | Literal["absent"]
"""The lane of a column; ``absent`` where the file has no such column."""

Type = Literal["TEXT", "INTEGER", "REAL", "BOOLEAN", "DATETIME"]

DTYPES: dict[Type, pl.DataType] = {
    "TEXT": pl.String(),
    "INTEGER": pl.Int64(),
    "REAL": pl.Float64(),
    "BOOLEAN": pl.Int64(),
    "DATETIME": pl.Int64(),
}

_CONTROL = r"[\p{Cc}--\t\n\r]"
"""What a BLOB that stands for a text does not hold: JSONB and other binaries do."""

Read = tuple[str, Lane, Type]
"""A column, its lane, and the type that it is read as."""

_CONVERTED_AT_ONCE = 12
"""Columns."""

_NEGATIVE_ZERO = -(2**63)
"""The bits of REAL -0.0."""

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


def cells(column: str, lane: Lane, type_: Type, odd: pl.DataFrame) -> Cells:
    """Read ``column`` of the given lane as ``type_`` (contract section 1).

    odd: the odd cells that the frame's ``@odd`` points at, see :func:`lanes.odd_field`.
    """
    if lane == "absent":
        return Cells(pl.repeat(None, pl.len(), dtype=DTYPES[type_]))
    (apart,) = _apart(odd, [(column, lane, type_)])
    if (lane, type_) in PLAIN:
        return _joined(Cells(pl.col(column)), apart)
    return _joined(_combined(_FORMS[type_](_in_lane(column, lane)), type_), apart)


def struct_cells(column: str, type_: Type) -> Cells:
    """Read a column of structs, each a cell by its :data:`lanes.FIELDS`, as ``type_``."""
    field = pl.col(column).struct.field
    return _combined(_FORMS[type_](_by_fields(field)), type_, field("class").is_not_null())


def converted(
    frame: pl.DataFrame, odd: pl.DataFrame, reads: Sequence[Read]
) -> tuple[pl.DataFrame, list[Cells]]:
    """The frame with conversions of columns computed once, and cells that point at the results.

    odd: the odd cells that the frame's ``@odd`` points at.  Masks that hold in no row are left out
    of the cells and of the frame.
    """
    read: list[Cells] = []
    # In groups: one column at a time has Polars begin over and over, all at once is much in memory.
    for start in range(0, len(reads), _CONVERTED_AT_ONCE):
        frame, found = _converted(frame, odd, reads[start : start + _CONVERTED_AT_ONCE])
        read += found
    return frame, read


def _converted(
    frame: pl.DataFrame, odd: pl.DataFrame, reads: Sequence[Read]
) -> tuple[pl.DataFrame, list[Cells]]:
    forms: dict[str, pl.Expr] = {}
    made: dict[str, pl.Expr] = {}
    masks: list[str] = []
    read: list[Cells] = []
    for (column, lane, type_), apart in zip(reads, _apart(odd, reads), strict=True):
        name = f"@{column}:{type_}"
        main = Cells(pl.col(column))
        if (lane, type_) not in PLAIN:
            own = _FORMS[type_](_in_lane(column, lane))
            forms |= {f"{name}:{form.name}": form.value for form in own}
            known = [replace(form, value=pl.col(f"{name}:{form.name}")) for form in own]
            main = _combined(known, type_)
        cells = _joined(main, apart)
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


def _apart(odd: pl.DataFrame, reads: Sequence[Read]) -> list[Cells | None]:
    """The odd cells of each column, converted where they stand and looked up by the rows' ``@odd``.

    None where a column has none.
    """
    made: dict[str, pl.Expr] = {}
    found: list[Cells | None] = []
    for position, (column, _, type_) in enumerate(reads):
        if odd_field(column, "class") not in odd.columns:
            found.append(None)
            continue
        field = partial(_field, column)
        own = _combined(_FORMS[type_](_by_fields(field)), type_, field("class").is_not_null())
        parts = {"value": own.value, "unreadable": own.unreadable, "altered": own.altered}
        every = {name: e for name, e in {**parts, **dict(own.recast)}.items() if e is not None}
        made |= {f"{position}:{name}": expression for name, expression in every.items()}
        found.append(own)
    results = odd.select(e.alias(n) for n, e in made.items())
    return [
        own if own is None else _looked_up(own, partial(_result, results, position))
        for position, own in enumerate(found)
    ]


def _looked_up(own: Cells, result: Callable[[str], pl.Expr | None]) -> Cells:
    value = result("value")
    assert value is not None
    recast = ((rule, result(rule)) for rule, _ in own.recast)
    return Cells(
        value,
        result("unreadable"),
        result("altered"),
        tuple((rule, mask) for rule, mask in recast if mask is not None),
    )


def _result(results: pl.DataFrame, position: int, name: str) -> pl.Expr | None:
    """What was found of the odd cells, row by row; None for a mask that holds of none of them."""
    series = results.get_column(f"{position}:{name}", default=None)
    if series is None:
        return None
    looked_up = pl.lit(series).gather(pl.col(ODD))
    if name == "value":
        return looked_up
    return looked_up.fill_null(value=False) if series.any() else None


def _field(column: str, name: str) -> pl.Expr:
    return pl.col(odd_field(column, name))


def _joined(main: Cells, apart: Cells | None) -> Cells:
    """Cells of the lane and odd ones, of which each row has one at the most."""
    if apart is None:
        return main
    recast: dict[str, list[pl.Expr]] = {}
    for rule, mask in (*main.recast, *apart.recast):
        recast.setdefault(rule, []).append(mask)
    return Cells(
        pl.coalesce(main.value, apart.value),
        _either(main.unreadable, apart.unreadable),
        _either(main.altered, apart.altered),
        tuple((rule, reduce(or_, masks)) for rule, masks in recast.items()),
    )


def _either(left: pl.Expr | None, right: pl.Expr | None) -> pl.Expr | None:
    if left is None or right is None:
        return right if left is None else left
    return left | right


def _combined(forms: list[_Form], type_: Type, present: pl.Expr | None = None) -> Cells:
    """The forms of a column as one; ``present``: where a cell is not NULL, if they do not say."""
    value = pl.coalesce([form.value for form in forms]).cast(DTYPES[type_])
    if present is None:
        present = pl.any_horizontal([form.present for form in forms])
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


def _in_lane(column: str, lane: Lane) -> _Parts:
    return _Parts(integer=pl.col(column)) if lane == "integer" else _Parts(text=pl.col(column))


def _by_fields(field: Callable[[str], pl.Expr]) -> _Parts:
    stored, decoded = field("class"), field("decoded")
    return _Parts(
        integer=field("integer"),
        real=field("real"),
        printed=field("printed"),
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
        # SQLite stores a REAL without a fraction as an integer, which has no sign of its zero.
        unsigned = parts.real.reinterpret(dtype=pl.Int64) == _NEGATIVE_ZERO
        forms.append(_Form("real", parts.real.is_not_null(), parts.real, True, unsigned))
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
