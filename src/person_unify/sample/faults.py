"""How faults are planted: rows are picked by a seeded draw, then one SQL statement breaks them all.

ADBC cannot put several storage classes into one column, so whatever is off-type is written by SQL,
after the clean rows are in and before there are indexes.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import adbc_driver_sqlite.dbapi as sqlite
import numpy as np
import polars as pl

from person_unify.sample.identity import Ints
from person_unify.sample.options import SampleOptions

_PICKED = "CREATE TEMP TABLE _picked (row INTEGER PRIMARY KEY, n INTEGER, other INTEGER)"
_LEAST = 3
"""Rows that carry a fault however small its share, so that its forms show; fewer in tiny tables."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Breaks ``share`` (at ``faults`` 1) of the rows of ``table`` that satisfy ``where``.

    The statements see the picked rows as ``temp._picked``: ``row`` is the rowid, ``n`` a running
    number for variety, ``other`` the rowid of a companion out of ``other`` (a table, perhaps with a
    WHERE).  At most ``most`` rows are picked.  Joins say ``+p.row``, which no index can serve, so
    that SQLite goes through the few picked rows and not through the table.
    """

    name: str
    table: str
    share: float
    statements: tuple[str, ...]
    where: str = ""
    other: str = ""
    most: int | None = None


def update(
    name: str, table: str, share: float, assign: str, *, where: str = "", other: str = ""
) -> Fault:
    """A fault that is one UPDATE; in ``assign`` the picked row is ``p``.

    OR IGNORE: a row whose changed primary key is taken stays as it is.
    """
    statement = (
        f'UPDATE OR IGNORE "{table}" SET {assign} FROM temp._picked AS p '
        f'WHERE "{table}".rowid = +p.row'
    )
    return Fault(name, table, share, (statement,), where, other)


def plant(cursor: sqlite.Cursor, options: SampleOptions, faults: tuple[Fault, ...]) -> None:
    """Plant the faults in order, each on its share of the rows, on a row or three at least."""
    cursor.execute(_PICKED)
    for fault in faults:
        picked = _pick(cursor, options, fault)
        if picked.is_empty():
            continue
        cursor.execute("DELETE FROM temp._picked")
        cursor.adbc_ingest("_picked", picked.to_arrow(), mode="append", temporary=True)
        for statement in fault.statements:
            cursor.execute(statement)
    cursor.execute("DROP TABLE temp._picked")


def _pick(cursor: sqlite.Cursor, options: SampleOptions, fault: Fault) -> pl.DataFrame:
    name = f"{fault.name}/{fault.table}".encode()
    lot = int.from_bytes(blake2b(name, digest_size=8).digest(), "big")
    random = np.random.default_rng((options.seed, lot))
    candidates = _rowids(cursor, fault.table, fault.where)
    least = min(_LEAST, max(1, candidates.size // 20))
    count = max(least, round(candidates.size * fault.share * options.faults))
    count = min(count, candidates.size, fault.most or count)
    row = np.sort(random.choice(candidates, count, replace=False))
    number = np.arange(count) + random.integers(1000)
    table, _, where = fault.other.partition(" WHERE ")
    others = _rowids(cursor, table, where) if table else candidates
    if not others.size:
        return pl.DataFrame()
    at = np.resize(random.permutation(others.size), count)
    at = np.where(others[at] == row, (at + 1) % others.size, at)
    return pl.DataFrame({"row": row, "n": number, "other": others[at]})


def _rowids(cursor: sqlite.Cursor, table: str, where: str) -> Ints:
    """The rowids that satisfy a condition; without one they run from 1 (rows are only appended)."""
    if not where:
        cursor.execute(f'SELECT coalesce(max(rowid), 0) FROM "{table}"')
        return np.arange(1, cursor.fetchall()[0][0] + 1, dtype=np.int64)
    cursor.execute(f'SELECT rowid AS "row" FROM "{table}" WHERE {where} ORDER BY rowid')
    rowids = pl.DataFrame(cursor.fetch_arrow_table()).to_series()
    return rowids.cast(pl.Int64).to_numpy()
