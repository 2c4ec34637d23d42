"""Source cells as canonical target values, as Polars expressions (contract section 1).

A source column arrives in a lane, and its odd cells in a frame of their own (:mod:`odd`), where
they are converted.  :func:`cells` reads a column as one of the five target types.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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
from person_unify.odd import (
    BLOB,
    FIELDS,
    INTEGER,
    REAL,
    TEXT,
    beside,
    has_odd,
    held,
    odd_field,
    odd_fields,
)
from person_unify.odd import Lane as Stored

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

    @property
    def masks(self) -> dict[str, pl.Expr]:
        """The masks there are, those of rules by the rule."""
        every = {"unreadable": self.unreadable, "altered": self.altered, **dict(self.recast)}
        return {name: mask for name, mask in every.items() if mask is not None}

    @classmethod
    def of(cls, value: pl.Expr, masks: Mapping[str, pl.Expr]) -> Cells:
        """The cells of a value and :attr:`masks`."""
        rules = {
            name: mask for name, mask in masks.items() if name not in ("unreadable", "altered")
        }
        return cls(value, masks.get("unreadable"), masks.get("altered"), tuple(rules.items()))


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

    odd: the odd cells that the frame's ``@odd`` leads to, see :func:`odd.odd_field`.
    """
    if lane == "absent":
        return Cells(pl.repeat(None, pl.len(), dtype=DTYPES[type_]))
    main = Cells(pl.col(held(column)))
    if (lane, type_) not in PLAIN:
        main = _combined(_FORMS[type_](_in_lane(column, lane)), type_)
    return _joined(main, _apart(odd, [(column, lane, type_)])[0])


def converted(
    frame: pl.DataFrame, odd: pl.DataFrame, reads: Sequence[Read]
) -> tuple[pl.DataFrame, list[Cells]]:
    """The frame with conversions of columns computed once, and cells that point at the results.

    odd: the odd cells that the frame's ``@odd`` leads to.  Masks that hold in no row are left out
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
    wanted: dict[str, Cells] = {}
    for (column, lane, type_), apart in zip(reads, _apart(odd, reads), strict=True):
        name = f"@{column}:{type_}"
        main = Cells(pl.col(held(column)))
        if (lane, type_) not in PLAIN:
            own = _FORMS[type_](_in_lane(column, lane))
            main = _combined(_once(name, own, forms), type_)
        wanted[name] = _joined(main, apart)
    frame, found = _settled(frame.with_columns(e.alias(n) for n, e in forms.items()), wanted)
    return frame.drop(*forms), found


def _apart(odd: pl.DataFrame, reads: Sequence[Read]) -> list[Cells | None]:
    """The odd cells of each column, converted where they stand; None where it has none."""
    there = [read for read in reads if has_odd(odd, read[0])]
    if not there:
        return [None] * len(reads)
    forms: dict[str, pl.Expr] = {}
    wanted: dict[str, Cells] = {}
    for column, _, type_ in there:
        name, stored = f"@{column}:{type_}", odd_field(column, "class")
        own = _once(name, _FORMS[type_](_by_fields(column, set(odd[stored].unique()))), forms)
        wanted[name] = _combined(own, type_, pl.col(stored).is_not_null())
    results, found = _settled(odd.with_columns(e.alias(n) for n, e in forms.items()), wanted)

    def look(made: pl.Expr) -> pl.Expr:
        return beside(results.get_column(made.meta.output_name()))

    made = {}
    for read, cells_ in zip(there, found, strict=True):
        masks = {name: look(mask).fill_null(value=False) for name, mask in cells_.masks.items()}
        made[read] = Cells.of(look(cells_.value), masks)
    return [made.get(read) for read in reads]


def _once(name: str, forms: list[_Form], columns: dict[str, pl.Expr]) -> list[_Form]:
    """The forms as columns of a frame, so that each is computed once; these go to ``columns``."""
    columns |= {f"{name}:{form.name}": form.value for form in forms}
    return [replace(form, value=pl.col(f"{name}:{form.name}")) for form in forms]


def _settled(frame: pl.DataFrame, wanted: Mapping[str, Cells]) -> tuple[pl.DataFrame, list[Cells]]:
    """The frame with cells as columns, and cells that point at them; no mask that holds nowhere."""
    values = {f"{name}:value": cells.value for name, cells in wanted.items()}
    masks = {
        f"{name}:{part}": mask
        for name, cells in wanted.items()
        for part, mask in cells.masks.items()
    }
    frame = frame.with_columns(e.alias(n) for n, e in (values | masks).items())
    holds = frame.select(pl.col(list(masks)).any()).row(0) if masks else ()
    nowhere = {mask for mask, there in zip(masks, holds, strict=True) if not there}
    pointing = []
    for name, cells in wanted.items():
        parts = {part: f"{name}:{part}" for part in cells.masks}
        left = {part: pl.col(column) for part, column in parts.items() if column not in nowhere}
        pointing.append(Cells.of(pl.col(f"{name}:value"), left))
    return frame.drop(*nowhere), pointing


def _joined(main: Cells, apart: Cells | None) -> Cells:
    """Cells of the lane and odd ones, of which each row has one at the most."""
    if apart is None:
        return main
    masks = main.masks
    for name, mask in apart.masks.items():
        masks[name] = masks[name] | mask if name in masks else mask
    return Cells.of(pl.coalesce(main.value, apart.value), masks)


def _combined(forms: list[_Form], type_: Type, present: pl.Expr | None = None) -> Cells:
    """The forms of a column as one; ``present``: where a cell is not NULL, if they do not say."""
    values = [form.value for form in forms] or [pl.lit(None)]
    value = pl.coalesce(values).cast(DTYPES[type_])
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
    cell = pl.col(held(column))
    return _Parts(integer=cell) if lane == "integer" else _Parts(text=cell)


def _by_fields(column: str, seen: Collection[int | None]) -> _Parts:
    """The odd cells of a column, in which these classes were seen."""
    fields = dict(zip(FIELDS, map(pl.col, odd_fields([column])), strict=True))
    stored, decoded = fields["class"], fields["decoded"]
    of_blob = (stored == BLOB) & ~decoded.str.contains(_CONTROL)
    return _Parts(
        integer=fields["integer"] if INTEGER in seen else None,
        real=fields["real"] if REAL in seen else None,
        printed=fields["printed"] if REAL in seen else None,
        text=pl.when(stored == TEXT).then(decoded) if TEXT in seen else None,
        blob=pl.when(of_blob).then(decoded) if BLOB in seen else None,
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
