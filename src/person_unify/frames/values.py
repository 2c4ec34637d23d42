"""Source cells as canonical target values, as Polars expressions (contract section 1).

A source column arrives in a lane, and its odd cells in a frame of their own (:mod:`odd`), where
they are converted.  :func:`cells` reads a column as one of the five target types.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from person_unify.frames.conversions import (
    boolean_of_text,
    finer_than_millisecond,
    instant_of_real,
    instant_of_text,
    integer_of_real,
    integer_of_text,
    real_of_text,
    within_years,
)
from person_unify.frames.odd import (
    BLOB,
    CODES,
    FIELDS,
    TEXT,
    beside,
    escaped,
    has_odd,
    odd_field,
)
from person_unify.frames.odd import Lane as Stored

Lane = Stored | Literal["absent"]
"""The lane of a column; ``absent`` where the file has no such column."""

Type = Literal["TEXT", "INTEGER", "INT4", "REAL", "BOOLEAN", "DATETIME"]

INT4_FIRST, INT4_LAST = -(2**31), 2**31 - 1
"""What PostgreSQL's ``integer`` holds."""

DTYPES: dict[Type, pl.DataType] = {
    "TEXT": pl.String(),
    "INTEGER": pl.Int64(),
    "INT4": pl.Int64(),
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
    main = Cells(pl.col(escaped(column)))
    if (lane, type_) not in PLAIN:
        main = _combined(_forms(type_, _in_lane(column, lane)), type_)
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
        main = Cells(pl.col(escaped(column)))
        if (lane, type_) not in PLAIN:
            own = _forms(type_, _in_lane(column, lane))
            main = _combined(_once(name, own, forms), type_)
        wanted[name] = _joined(main, apart)
    frame, found = _settled(frame.with_columns(e.alias(n) for n, e in forms.items()), wanted)
    return frame.drop(*forms), found


def _apart(odd: pl.DataFrame, reads: Sequence[Read]) -> list[Cells | None]:
    """The odd cells of each column, converted where they stand; None where it has none."""
    of_types: dict[Type, list[Read]] = {}
    for read in reads:
        if has_odd(odd, read[0]):
            of_types.setdefault(read[2], []).append(read)
    made: dict[Read, Cells] = {}
    for type_, some in of_types.items():
        # Below each other, so that a type is converted once and not column by column.
        below = pl.concat([_fields_of(odd, column) for column, _, _ in some])
        forms: dict[str, pl.Expr] = {}
        own = _once(type_, _forms(type_, _by_fields(type_, set(below["class"].unique()))), forms)
        made_of = _combined(own, type_, pl.col("class").is_not_null())
        below = below.with_columns(e.alias(n) for n, e in forms.items())
        results, (cells,) = _settled(below, {str(type_): made_of})
        for position, read in enumerate(some):
            here = results.slice(position * odd.height, odd.height)
            made[read] = _looked_up(cells, here)
    return [made.get(read) for read in reads]


def _fields_of(odd: pl.DataFrame, column: str) -> pl.DataFrame:
    return pl.DataFrame([odd[odd_field(column, name)].alias(name) for name in FIELDS])


def _looked_up(cells: Cells, results: pl.DataFrame) -> Cells:
    """Cells that point at columns of ``results``, for the rows whose ``@odd`` leads there."""
    found = {name: results[mask.meta.output_name()] for name, mask in cells.masks.items()}
    masks = {n: beside(mask).fill_null(value=False) for n, mask in found.items() if mask.any()}
    return Cells.of(beside(results[cells.value.meta.output_name()]), masks)


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


def _in_lane(column: str, lane: Lane) -> dict[str, pl.Expr]:
    """The cells of a column in its lane, by their storage class."""
    return {lane: pl.col(escaped(column))}


def _by_fields(type_: Type, seen: Collection[int | None]) -> dict[str, pl.Expr]:
    """Odd cells by storage class, of those that were seen."""
    stored, decoded = pl.col("class"), pl.col("decoded")
    of_blob = (stored == BLOB) & ~decoded.str.contains(_CONTROL)
    cells = {
        "integer": pl.col("integer"),
        "real": pl.col("printed" if type_ == "TEXT" else "real"),
        "text": pl.when(stored == TEXT).then(decoded),
        "blob": pl.when(of_blob).then(decoded),
    }
    return {name: cell for name, cell in cells.items() if CODES[name] in seen}


@dataclass(frozen=True, slots=True)
class _Reading:
    """How cells of a storage class are read as a type.

    canonical: whether that is the class of the type.  altered: where the value is another one than
    the cell's, if that can be told; else it is where the class is.
    """

    stored: str
    value: Callable[[pl.Expr], pl.Expr]
    canonical: bool = False
    altered: Callable[[pl.Expr], pl.Expr] | None = None


def _itself(cell: pl.Expr) -> pl.Expr:
    return cell


def _int4(value: pl.Expr) -> pl.Expr:
    return pl.when(value.is_between(INT4_FIRST, INT4_LAST)).then(value)


_READINGS: Mapping[Type, tuple[_Reading, ...]] = {
    "TEXT": (
        _Reading("text", _itself, canonical=True),
        _Reading("integer", lambda cell: cell.cast(pl.String)),
        _Reading("real", _itself),  # as SQLite prints it
        _Reading("blob", _itself),
    ),
    "INTEGER": (
        _Reading("integer", _itself, canonical=True),
        _Reading("real", integer_of_real),
        _Reading("text", integer_of_text),
    ),
    "INT4": (
        _Reading("integer", _int4, canonical=True),
        _Reading("real", lambda cell: _int4(integer_of_real(cell))),
        _Reading("text", lambda cell: _int4(integer_of_text(cell))),
    ),
    "BOOLEAN": (
        _Reading("integer", lambda cell: pl.when(cell.is_in([0, 1])).then(cell), canonical=True),
        _Reading("real", lambda cell: integer_of_real(pl.when(cell.is_in([0.0, 1.0])).then(cell))),
        _Reading("text", boolean_of_text),
    ),
    "DATETIME": (
        _Reading("integer", within_years, canonical=True),
        _Reading("real", instant_of_real, altered=lambda cell: cell != cell.round(0)),
        _Reading("text", instant_of_text, altered=finer_than_millisecond),
    ),
    "REAL": (
        # SQLite stores a REAL without a fraction as an integer, which has no sign of its zero.
        _Reading(
            "real",
            _itself,
            canonical=True,
            altered=lambda cell: cell.reinterpret(dtype=pl.Int64) == _NEGATIVE_ZERO,
        ),
        _Reading("integer", lambda cell: cell.cast(pl.Float64)),
        _Reading("text", real_of_text),
    ),
}


def _forms(type_: Type, cells: Mapping[str, pl.Expr]) -> list[_Form]:
    """What is made of the cells of each storage class there is."""
    return [
        _Form(
            reading.stored,
            cell.is_not_null(),
            reading.value(cell),
            reading.canonical,
            reading.altered(cell) if reading.altered is not None else None,
        )
        for reading in _READINGS[type_]
        if (cell := cells.get(reading.stored)) is not None
    ]


def literal(value: str | int | None, type_: Type) -> pl.Expr:
    """A constant of the column's type."""
    return pl.lit(value, dtype=DTYPES[type_])
