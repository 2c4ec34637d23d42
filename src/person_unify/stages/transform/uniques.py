"""Rows whose values under a UNIQUE of the target an earlier row has taken (contract section 7)."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from person_unify.frames.model import ROW

KEEPER, CONSTRAINT = "@keeper", "@constraint"


def losers(rows: pl.DataFrame, uniques: Sequence[Sequence[str]]) -> pl.DataFrame:
    """The rows that would be refused if rows were inserted one by one in source order.

    rows: ``@row`` and every column named in ``uniques``.  Returns ``@row``, ``@keeper`` (the
    ``@row`` that holds the key) and ``@constraint`` (position in ``uniques`` of the first one
    violated).
    """
    schema = pl.Schema({ROW: pl.Int64(), KEEPER: pl.Int64(), CONSTRAINT: pl.Int64()})
    contested = [_contested(rows, columns) for columns in uniques]
    if not any(frame.height for frame in contested):
        return pl.DataFrame(schema=schema)
    undecided = everyone = pl.concat([frame.select(ROW) for frame in contested]).unique()
    kept = everyone.clear()
    while undecided.height:
        # A row that is the first of every group it stands in is inserted before all its rivals.
        later = [
            _among(groups, undecided).filter(pl.col(ROW) != pl.col(ROW).min().over("@key"))
            for groups in contested
        ]
        first = undecided.join(pl.concat([g.select(ROW) for g in later]), on=ROW, how="anti")
        kept = pl.concat([kept, first])
        undecided = undecided.join(first, on=ROW, how="anti")
        undecided = undecided.join(_beaten(contested, undecided, kept), on=ROW, how="anti")
    return _beaten(contested, everyone.join(kept, on=ROW, how="anti"), kept).cast(schema)


def _contested(rows: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """``@row`` and ``@key`` of the rows that share a key; NULL never equals anything."""
    known = rows.select(ROW, *columns).drop_nulls()
    if known.select(columns).n_unique() == known.height:
        return pl.DataFrame(schema={ROW: pl.Int64, "@key": pl.UInt32})
    numbered = known.select(ROW, pl.struct(columns).rank("dense").cast(pl.UInt32).alias("@key"))
    return numbered.filter(pl.len().over("@key") > 1)


def _among(groups: pl.DataFrame, some: pl.DataFrame) -> pl.DataFrame:
    return groups.join(some, on=ROW, how="semi")


def _beaten(
    contested: Sequence[pl.DataFrame], others: pl.DataFrame, kept: pl.DataFrame
) -> pl.DataFrame:
    """The rows that share a key with an earlier kept row, each with its first such constraint."""
    beaten = [
        _among(groups, others)
        .join(_among(groups, kept).rename({ROW: KEEPER}), on="@key")
        .filter(pl.col(KEEPER) < pl.col(ROW))
        .select(ROW, KEEPER, pl.lit(position, dtype=pl.Int64).alias(CONSTRAINT))
        for position, groups in enumerate(contested)
    ]
    return pl.concat(beaten).sort(ROW, CONSTRAINT).unique(ROW, keep="first", maintain_order=True)
