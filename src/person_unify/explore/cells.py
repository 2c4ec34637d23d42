"""Cells of any storage class in columns of one type, without losing the class.

The ledger's archive keeps every cell in the class it came with, and one column may hold several.
Spelled out, such a column is two: the cell as text, and its class beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from person_unify.frames.odd import BLOB, INTEGER, NULL, TEXT, Lane, Rows, escaped, odd_fields
from person_unify.frames.values import Type, cells

CLASSES = ("null", "integer", "real", "text", "blob", "text_not_utf8")
"""What a class column says, beside NULL: this row does not archive the column."""

SUFFIX = "_class"


def class_names(columns: Sequence[str]) -> dict[str, str]:
    """The name of each column's class column, free of the names that the columns have.

    >>> class_names(["kind", "kind_class"])
    {'kind': 'kind_class_', 'kind_class': 'kind_class_class'}
    """
    taken = {name.lower() for name in columns}
    names = {}
    for column in columns:
        name = f"{column}{SUFFIX}"
        while name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        names[column] = name
    return names


def text(rows: Rows, column: str) -> pl.Expr:
    """A cell as text that tells it apart from every other of its class.

    An INTEGER in decimal, a REAL with the digits that read back to the same number, TEXT as it is,
    and what no text can hold, BLOB and TEXT that is not UTF-8, as lowercase hexadecimal.
    """
    plain = pl.col(escaped(column)).cast(pl.String)
    return rows.either(column, plain, _odd_text(column)).alias(column)


def _odd_text(column: str) -> pl.Expr:
    stored, integer, real, raw, decoded = _odd(column)
    written = raw.bin.encode("hex")
    numbers = (integer.cast(pl.String), real.cast(pl.String))
    return pl.when(stored == BLOB).then(written).otherwise(pl.coalesce(*numbers, decoded, written))


def stored_bytes(rows: Rows, column: str) -> pl.Expr:
    """A cell as bytes: TEXT and BLOB as stored, numbers as :func:`text` spells them."""
    _, _, _, raw, _ = _odd(column)
    odd = pl.coalesce(raw, _odd_text(column).cast(pl.Binary))
    plain = pl.col(escaped(column)).cast(pl.String).cast(pl.Binary)
    return rows.either(column, plain, odd).alias(column)


def class_of(rows: Rows, column: str) -> pl.Expr:
    """The name of a cell's class, one of :data:`CLASSES`."""
    usual = CLASSES[TEXT if rows.frame.schema[escaped(column)] == pl.String else INTEGER]
    plain = pl.when(pl.col(escaped(column)).is_null()).then(pl.lit(CLASSES[NULL]))
    return rows.either(column, plain.otherwise(pl.lit(usual)), _odd_class(column)).alias(column)


def _odd_class(column: str) -> pl.Expr:
    stored, _, _, _, decoded = _odd(column)
    unread = (stored == TEXT) & decoded.is_null()
    code = pl.when(unread).then(len(CLASSES) - 1).otherwise(stored.fill_null(NULL))
    return code.replace_strict(list(range(len(CLASSES))), list(CLASSES), return_dtype=pl.String)


def classes_in(rows: Rows, column: str) -> set[str]:
    """The names of the classes that a column holds, but NULL."""
    found = rows.frame.select(class_of(rows, column).alias("class")).to_series()
    return set(found.unique().to_list()) - {CLASSES[NULL]}


def filled(rows: Rows, column: str) -> pl.Expr:
    """Whether a cell is neither NULL nor empty."""
    stored, _, _, raw, _ = _odd(column)
    odd = ((stored != TEXT) | (raw != b"")).fill_null(value=True)
    cell = pl.col(escaped(column))
    there = cell.is_not_null()
    plain = there & (cell != "") if rows.frame.schema[escaped(column)] == pl.String else there
    return rows.either(column, plain.fill_null(value=False), odd)


def as_type(rows: Rows, column: str, type_: Type) -> pl.Expr:
    """A column read as one of the target's types, NULL where it cannot be."""
    lane: Lane = "text" if rows.frame.schema[escaped(column)] == pl.String else "integer"
    return cells(column, lane, type_, rows.odd).value


def _odd(column: str) -> list[pl.Expr]:
    parts = ("class", "integer", "real", "bytes", "decoded")
    return list(map(pl.col, odd_fields([column], parts)))


def spelled(
    rows: Rows, columns: Sequence[str], archived: str, hidden: Collection[str] = ()
) -> pl.DataFrame:
    """Each column as text followed by its class column; columns in ``hidden`` by class only.

    ``archived`` names the column with the JSON list of what a row archives: the class of any other
    cell is NULL.
    """
    names = class_names(columns)
    listed = pl.col(archived).str.json_decode(pl.List(pl.String))
    said = rows.frame.with_columns(listed.alias("@listed"))
    expressions: list[pl.Expr] = []
    for column in columns:
        if column not in hidden:
            expressions.append(text(rows, column))
        kept = pl.col("@listed").list.contains(pl.lit(column))
        expressions.append(pl.when(kept).then(class_of(rows, column)).alias(names[column]))
    return said.select(expressions)
