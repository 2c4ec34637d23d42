"""Cells of any storage class in columns of one type, without losing the class.

The ledger's archive keeps every cell in the class it came with, and one column may hold several.
Spelled out, such a column is two: the cell as text, and its class beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from person_unify.frames import ODD, held
from person_unify.lanes import BLOB, FIELDS, INTEGER, TEXT, odd_field

CLASSES = ("null", "integer", "real", "text", "blob", "text_not_utf8")
"""What a class column says, beside NULL: this row does not archive the column."""

MIXED = pl.Struct(dict(FIELDS))
"""A cell of any class; the class is NULL where the cell is."""

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


def all_mixed(frame: pl.DataFrame, odd: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """The frame with these columns as structs of :data:`MIXED`, all NULL where it lacks one.

    columns: name in the frame -> column of the table.  odd: the cells that ``@odd`` points at.
    """
    return frame.with_columns(
        _mixed(name, column, odd, whole=frame.schema[name] == pl.Int64)
        if name in frame.columns
        else pl.lit(None).cast(MIXED).alias(name)
        for name, column in columns.items()
    )


def _mixed(name: str, column: str, odd: pl.DataFrame, *, whole: bool) -> pl.Expr:
    cell = pl.col(name)
    code = pl.when(cell.is_not_null()).then(INTEGER if whole else TEXT)
    own = {"class": code.cast(pl.Int64)}
    own |= {"integer": cell} if whole else {"bytes": cell.cast(pl.Binary), "decoded": cell}
    fields = []
    for part, type_ in FIELDS.items():
        value = own.get(part, pl.lit(None, dtype=type_))
        if odd_field(column, part) in odd.columns:
            apart = pl.lit(odd[odd_field(column, part)]).gather(pl.col(ODD))
            value = pl.coalesce(apart, value)
        fields.append(value.alias(part))
    return pl.struct(fields).cast(MIXED).alias(name)


def text(column: str) -> pl.Expr:
    """A mixed cell as text that tells it apart from every other of its class.

    An INTEGER in decimal, a REAL with the digits that read back to the same number, TEXT as it is,
    and what no text can hold, BLOB and TEXT that is not UTF-8, as lowercase hexadecimal.
    """
    cell = pl.col(held(column)).struct
    stored, written = cell.field("class"), cell.field("bytes").bin.encode("hex")
    return (
        pl.when(stored == BLOB)
        .then(written)
        .otherwise(
            pl.coalesce(
                cell.field("integer").cast(pl.String),
                cell.field("real").cast(pl.String),
                cell.field("decoded"),
                written,
            )
        )
        .alias(column)
    )


def stored_bytes(column: str) -> pl.Expr:
    """A mixed cell as bytes: TEXT and BLOB as stored, numbers as :func:`text` spells them."""
    cell = pl.col(held(column)).struct
    return pl.coalesce(cell.field("bytes"), text(column).cast(pl.Binary)).alias(column)


def class_of(column: str) -> pl.Expr:
    """The name of a mixed cell's class, one of :data:`CLASSES`."""
    cell = pl.col(held(column)).struct
    stored = cell.field("class")
    unread = (stored == TEXT) & cell.field("decoded").is_null()
    code = pl.when(unread).then(pl.lit(len(CLASSES) - 1)).otherwise(stored.fill_null(0))
    return code.replace_strict(
        list(range(len(CLASSES))), list(CLASSES), return_dtype=pl.String
    ).alias(column)


def filled(column: str) -> pl.Expr:
    """Whether a mixed cell is neither NULL nor empty."""
    cell = pl.col(held(column)).struct
    empty = (cell.field("class") == TEXT) & (cell.field("bytes") == b"")
    return cell.field("class").is_not_null() & ~empty.fill_null(value=False)


def spelled(
    frame: pl.DataFrame, columns: Sequence[str], archived: str, hidden: Collection[str] = ()
) -> pl.DataFrame:
    """Each mixed column as text followed by its class column; columns in ``hidden`` by class only.

    ``archived`` names the column with the JSON list of what a row archives: the class of any other
    cell is NULL.
    """
    names = class_names(columns)
    listed = pl.col(archived).str.json_decode(pl.List(pl.String))
    said = frame.with_columns(listed.alias("@listed"))
    expressions: list[pl.Expr] = []
    for column in columns:
        if column not in hidden:
            expressions.append(text(column))
        kept = pl.col("@listed").list.contains(pl.lit(column))
        expressions.append(pl.when(kept).then(class_of(column)).alias(names[column]))
    return said.select(expressions)
