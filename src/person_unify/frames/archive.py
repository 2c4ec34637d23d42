"""The archive of one source table: every cell that the target does not hold (section 9)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_

import polars as pl

from person_unify.frames.model import ROW, Archive, SourceFrame
from person_unify.frames.odd import ODD, Rows, concat, escaped, only, respelt
from person_unify.schema import Table

Mask = pl.Expr | None
"""A boolean expression; None stands for "in no row"."""


_NEVER = pl.lit(value=False)
"""Stands for a mask that is there; the flags decide."""


def assemble(
    source: SourceFrame,
    lost: Mapping[str, Sequence[Mask]],
    kept: pl.DataFrame,
    whole: Mask,
    others: Sequence[tuple[pl.DataFrame, str]],
    identity: Sequence[str] = (),
) -> Archive | None:
    """One archive of the represented rows and the others; None where nothing is archived.

    lost: per source column, one mask per target cell it feeds: the rows where that cell does not
    hold it.  kept: the represented rows, archived cell by cell (all cells where ``whole``).
    others: rows that are not loaded, each frame with its reason.  identity: columns that a row with
    any archived cell archives too, so that it is known again in the target.
    """
    table = source.table
    masks = _archived(table, lost, whole)
    rows_kept = _kept_cells(source, kept, masks, identity)
    wholes = [_whole(source, frame, reason) for frame, reason in others if frame.height]
    parts = [part for part in (rows_kept, *wholes) if part is not None and part.frame.height]
    if not parts:
        return None
    columns = [name for name in _beside_key(table) if wholes or name in masks]
    listed = (*_keys(table), *map(escaped, columns), ODD, "@archived", "@reason")
    rows = respelt(concat(Rows(p.frame.select(listed), p.odd) for p in parts), table.respelt)
    return Archive(
        rows.frame,
        rows.odd,
        table=table.name,
        key=tuple(map(table.written, table.primary_key)),
        columns=tuple(map(table.written, columns)),
        beside_key=tuple(map(table.written, _beside_key(table))),
    )


def _archived(
    table: Table, lost: Mapping[str, Sequence[Mask]], whole: Mask
) -> dict[str, pl.Expr | None]:
    """Per column that may be archived: the rows where it is; None stands for all rows."""
    masks: dict[str, pl.Expr | None] = {}
    for name in table.column_names:
        losses = lost.get(name)
        if losses is None:
            masks[name] = None
        elif all(loss is not None for loss in losses):
            gone = reduce(
                and_, [loss.fill_null(value=False) for loss in losses if loss is not None]
            )
            masks[name] = gone if whole is None else gone | whole
        elif whole is not None:
            masks[name] = whole
    return masks


def _kept_cells(
    source: SourceFrame,
    kept: pl.DataFrame,
    masks: dict[str, pl.Expr | None],
    identity: Sequence[str],
) -> Rows | None:
    """The archived cells of represented rows; drops from ``masks`` what no row archives."""
    if not masks or not kept.height:
        return None
    flags = _flagged(kept, masks, identity)
    if not masks:
        return None
    table, schema = source.table, kept.schema
    kept = kept.with_columns(_listed(table, flags, list(masks)).alias("@archived"))
    there = kept["@archived"] != "[]"
    kept, flags = kept.filter(there), flags.filter(there)

    def cell(name: str) -> pl.Expr:
        own = escaped(name)
        if name not in masks:
            return pl.lit(None).cast(schema[own]).alias(own)
        if masks[name] is None:
            return pl.col(own)
        return pl.when(flags[own]).then(pl.col(own)).alias(own)

    reason = pl.lit("not_carried").alias("@reason")
    cells = map(cell, _beside_key(table))
    frame = kept.select(*_keys(table), *cells, ODD, "@archived", reason)
    archived = {
        name: None if mask is None else flags[escaped(name)] for name, mask in masks.items()
    }
    return only(Rows(frame, source.odd), archived | dict.fromkeys(table.primary_key))


def _flagged(
    kept: pl.DataFrame, masks: dict[str, pl.Expr | None], identity: Sequence[str]
) -> pl.DataFrame:
    """Per row and column (by :func:`escaped`) whether the cell is archived."""
    flags = kept.select(
        (pl.repeat(value=True, n=pl.len()) if mask is None else mask).alias(escaped(name))
        for name, mask in masks.items()
    )
    for name, mask in list(masks.items()):
        if mask is not None and not flags[escaped(name)].any():
            del masks[name]
    beside = [name for name in identity if masks.get(name, _NEVER) is not None]
    if masks and beside:
        listed = [escaped(name) for name in masks]
        any_ = flags.select(pl.any_horizontal(listed).alias("any")).to_series()
        flags = flags.with_columns(any_.alias(escaped(name)) for name in beside)
        masks |= dict.fromkeys(beside, _NEVER)
    return flags


def _whole(source: SourceFrame, frame: pl.DataFrame, reason: str) -> Rows:
    """Every cell of rows that are not loaded."""
    table = source.table
    cells = frame.select(
        *_keys(table),
        *map(escaped, _beside_key(table)),
        ODD,
        pl.lit(json.dumps(list(map(table.written, table.column_names)))).alias("@archived"),
        pl.lit(reason).alias("@reason"),
    )
    return only(Rows(cells, source.odd), dict.fromkeys(table.column_names))


def _keys(table: Table) -> tuple[str, ...]:
    return tuple(map(escaped, table.primary_key)) or (ROW,)


def _beside_key(table: Table) -> list[str]:
    return [name for name in table.column_names if name not in table.primary_key]


def _listed(table: Table, flags: pl.DataFrame, names: Sequence[str]) -> pl.Series:
    """Per row, the JSON list of the columns that are flagged."""
    parts = [
        pl.when(pl.col(escaped(name))).then(pl.lit(json.dumps(table.written(name))))
        for name in names
    ]
    joined = pl.concat_str(parts, separator=", ", ignore_nulls=True)
    return flags.select(("[" + joined + "]").alias("archived")).to_series()
