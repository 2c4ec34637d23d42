"""Sources by the keys that other rows name them by, and what is refused of these (section 2)."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from person_unify.errors import SourceError
from person_unify.frames.model import SourceFrame
from person_unify.frames.odd import DTYPES, ROW, TEXT, odd_field, promised
from person_unify.frames.reading import Reader
from person_unify.schema import Table


def empty_source(table: Table) -> SourceFrame:
    """A table that the file does not have: no rows, every column in the lane it would have."""
    lanes = {column.name: promised(column.type) for column in table.columns}
    schema = {ROW: pl.Int64(), **{name: DTYPES[lane] for name, lane in lanes.items()}}
    return SourceFrame(pl.DataFrame(schema=schema), table=table, lanes=lanes)


def with_key(source: SourceFrame, known: Table | None) -> SourceFrame:
    """The frame with the key of its table, also where the file declares none."""
    usual = known.primary_key if known is not None else ()
    there = (source.table.column(column) for column in usual)
    return replace(source, usual_key=tuple(column.name for column in there if column))


def require_keys(source: SourceFrame, *, whole: bool) -> None:
    """Refuse a key that is NULL, and an id that is not TEXT or not valid UTF-8 (section 2)."""
    reader = Reader(source, run_time=0)
    for column in dict.fromkeys((*source.key, *source.table.primary_key)):
        wrong = "NULL, not TEXT or not valid UTF-8" if column in source.key else "NULL"
        bad = source.frame.select((~_sound(reader, column)).sum()).item()
        if bad:
            raise SourceError(
                f"{source.table.name} has {'' if whole else 'at least '}{bad} rows whose primary "
                f"key {source.table.written(column)} is {wrong}: give those rows proper ids first"
            )


def _sound(reader: Reader, column: str) -> pl.Expr:
    """Whether a cell of a key can name its row: an id by its text, another column by any cell."""
    source = reader.source
    if column not in source.key:
        return reader.stated(column)
    odd_text = pl.col(odd_field(column, "class")) == TEXT
    is_text = source.either(column, pl.lit(source.lane(column) == "text"), odd_text)
    return is_text & reader.peek(column, "TEXT").value.is_not_null()


def require_distinct(source: SourceFrame) -> None:
    """Refuse ids that stand in several rows, of records whose ids the maps go by."""
    ids = source.frame.select(Reader(source, run_time=0).key_text()).to_series()
    repeated = ids.len() - ids.n_unique()
    if repeated:
        raise SourceError(
            f"{source.table.name} has {repeated} repeated ids, and what an id became is kept by "
            "its id: give those rows ids of their own first"
        )
