"""Rows with cells of any class into a table: a column of Arrow has one type, one of SQLite not."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from person_unify.files.database import Database
from person_unify.frames.odd import BLOB, INTEGER, ODD, REAL, STORED, TEXT, Rows, odd_field
from person_unify.schema import quote

_COLUMNS_AT_ONCE = 400
"""An odd column travels as five, and SQLite allows a table 2,000."""

_MOST = 2_000
"""Columns of one result."""

_PLACE = "@place"


def insert(
    database: Database,
    catalog: str,
    table: str,
    rows: Rows,
    names: Mapping[str, str],
    rowid: str | None = None,
) -> None:
    """Append rows to an existing table, every cell in its storage class.

    names: column of the frame -> column of the table.  rowid: a name that reaches the table's
    rowid, by which the rows keep their order; without it those with odd cells come last.
    Raises :class:`DatabaseError`.
    """
    frame, odd = rows.frame, rows.odd
    if rowid is not None and not odd.is_empty() and len(names) < _MOST:
        last = database.value(f"SELECT coalesce(max({rowid}), 0) FROM {catalog}.{quote(table)}")
        frame = frame.with_columns(pl.int_range(1, pl.len() + 1).alias(_PLACE) + last)
        names = {_PLACE: rowid, **names}
    plain = frame if odd.is_empty() else frame.filter(pl.col(ODD).is_null())
    database.ingest(table, plain.select(list(names)).rename(dict(names)), catalog=catalog)
    if plain.height == frame.height:
        return
    others = frame.filter(pl.col(ODD).is_not_null())
    apart = odd[others[ODD]]
    expressions: list[str] = []
    stages: list[str] = []
    columns = list(names)
    for start in range(0, len(columns), _COLUMNS_AT_ONCE):
        series: list[pl.Series] = []
        for name in columns[start : start + _COLUMNS_AT_ONCE]:
            here = f"c{len(expressions)}"
            series.append(others[name].alias(here))
            expressions.append(here)
            if rows.has_odd(names[name]):
                series += [apart[odd_field(names[name], f)].alias(f"{here}_{f}") for f in STORED]
                expressions[-1] = _cell(here)
        stages.append(stage := f"insert_stage_{len(stages)}")
        staged = pl.DataFrame(series)
        database.execute(f"CREATE TEMP TABLE {stage} ({', '.join(staged.columns)})")
        database.ingest(stage, staged, catalog="temp")
    first, *more = stages
    joined = "".join(f" JOIN temp.{stage} ON {stage}.rowid = {first}.rowid" for stage in more)
    database.execute(
        f"INSERT INTO {catalog}.{quote(table)} ({', '.join(map(quote, names.values()))}) "
        f"SELECT {', '.join(expressions)} FROM temp.{first}{joined} ORDER BY {first}.rowid"
    )
    for stage in stages:
        database.execute(f"DROP TABLE temp.{stage}")


def _cell(name: str) -> str:
    """The SQL that makes a cell of its fields again."""
    return (
        f"CASE {name}_class WHEN {INTEGER} THEN {name}_integer WHEN {REAL} THEN {name}_real "
        f"WHEN {TEXT} THEN CAST({name}_bytes AS TEXT) WHEN {BLOB} THEN {name}_bytes "
        f"ELSE {name} END"
    )
