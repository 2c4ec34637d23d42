"""The flow of rows from old tables to new ones, as ribbons (a Sankey picture)."""

from __future__ import annotations

from typing import Literal

import altair as alt
import polars as pl

from person_unify.explore.run import Run
from person_unify.explore.theme import BLUE, GREEN, GREY, RED, VIOLET, dressed, figure, scale

ARCHIVE = "the ledger only"
_ROOM = 14.0
"""Height that a label needs."""
_GAP = 5.0
_LARGEST = 130.0
_STEPS = 24
_COLOURS = {
    "renamed": BLUE,
    "merged": GREEN,
    "same name": GREY,
    "no new table": VIOLET,
    "kept out": RED,
}


def flow(run: Run) -> alt.LayerChart:
    """Where the rows of every old table went; tables that keep their name flow as one ribbon.

    Thickness is the square root of the rows, so that small tables stay visible; labels and tooltips
    have the counts.
    """
    ribbons, changed = _ribbons(run.flow)
    left = _nodes(ribbons, "source", changed["source"].to_list())
    right = _nodes(ribbons, "target", _right_order(ribbons))
    placed = _placed(ribbons, left, right)
    height = pl.concat([left, right])["y2"].max()
    assert isinstance(height, float), "there is always a row"
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[height, 0], nice=False))
    bands = (
        alt.Chart(_curves(placed), width=560, height=height)
        .mark_area(opacity=0.55, interpolate="linear")
        .encode(
            x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.75, 1.6], nice=False)),
            y=y,
            y2="y2:Q",
            detail="ribbon:N",
            color=alt.Color("how:N", scale=scale(_COLOURS), title=None),
            tooltip=["source", "target", "how", figure("rows")],
        )
    )
    labels = [
        _labels(left, x=-0.02, align="right"),
        _labels(right, x=1.02, align="left"),
    ]
    bars = [_bars(left, -0.012, 0.0), _bars(right, 1.0, 1.012)]
    total = int(run.flow["rows"].sum())
    return dressed(
        [bands, *bars, *labels],
        "From old tables to new",
        f"{total:,} rows; thickness is the square root of the rows",
    )


def _ribbons(ends: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``source, target, how, rows, thick`` per ribbon; the sources in the order they are drawn."""
    loaded = pl.col("target_table").is_not_null()
    shared = (
        ends.filter(loaded).group_by("target_table").agg(pl.col("source_table").n_unique() > 1)
    ).rename({"source_table": "shared"})
    known = ends.join(shared, on="target_table", how="left", maintain_order="left")
    own = (
        known.filter(
            loaded & ~pl.col("shared") & (pl.col("source_table") == pl.col("target_table"))
        )
    )["source_table"].unique()
    same = pl.col("source_table").is_in(own.to_list())
    label = f"{own.len()} tables that keep their name"
    how = (
        pl.when(pl.col("reason") == "unmapped_table")
        .then(pl.lit("no new table"))
        .when(~loaded)
        .then(pl.lit("kept out"))
        .when(same)
        .then(pl.lit("same name"))
        .when(pl.col("shared"))
        .then(pl.lit("merged"))
        .otherwise(pl.lit("renamed"))
    )
    ribbons = (
        known.with_columns(
            how.alias("how"),
            pl.when(same).then(pl.lit(label)).otherwise("source_table").alias("source"),
            pl.when(~loaded)
            .then(pl.lit(ARCHIVE))
            .when(same)
            .then(pl.lit("the same tables"))
            .otherwise("target_table")
            .alias("target"),
        )
        .group_by("source", "target", "how", maintain_order=True)
        .agg(pl.sum("rows"))
        .with_columns(pl.col("rows").sqrt().alias("thick"))
    )
    largest = pl.max_horizontal(
        pl.col("thick").sum().over(side).max() for side in ("source", "target")
    )
    ribbons = ribbons.with_columns(pl.col("thick") * _LARGEST / largest)
    # Sources stand in the order of their targets, so that few ribbons cross.
    rank = {name: place for place, name in enumerate(_right_order(ribbons))}
    order = (
        ribbons.with_columns(pl.col("target").replace_strict(rank).alias("rank"))
        .group_by("source", maintain_order=True)
        .agg(pl.min("rank"))
        .sort("rank", maintain_order=True)
    )
    return ribbons, order


def _right_order(ribbons: pl.DataFrame) -> list[str]:
    """Targets in the order of their first source; what everything may flow into comes last."""
    names: list[str] = ribbons["target"].unique(maintain_order=True).to_list()
    last = {ARCHIVE: 2, "the same tables": 1}
    return sorted(names, key=lambda name: last.get(name, 0))


def _nodes(ribbons: pl.DataFrame, side: str, order: list[str]) -> pl.DataFrame:
    """``name, rows, y, y2``: the stacked boxes of one side."""
    nodes = ribbons.group_by(pl.col(side).alias("name")).agg(pl.sum("rows", "thick"))
    rank = {name: place for place, name in enumerate(order)}
    nodes = nodes.sort(pl.col("name").replace_strict(rank))
    room = pl.max_horizontal("thick", pl.lit(_ROOM))
    top = room.cum_sum() - room + pl.int_range(pl.len()) * _GAP
    return nodes.select(
        "name",
        "rows",
        (top + (room - pl.col("thick")) / 2).alias("y"),
        (top + (room + pl.col("thick")) / 2).alias("y2"),
    )


def _placed(ribbons: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Ribbons with their upper edges at both ends, stacked in the order of the other side."""
    both = ribbons.join(
        left.select(pl.col("name").alias("source"), pl.col("y").alias("y_left")), on="source"
    ).join(right.select(pl.col("name").alias("target"), pl.col("y").alias("y_right")), on="target")
    before = pl.col("thick").cum_sum() - pl.col("thick")
    both = both.sort("y_left", "y_right").with_columns(
        (pl.col("y_left") + before.over("source")).alias("from")
    )
    both = both.sort("y_right", "y_left").with_columns(
        (pl.col("y_right") + before.over("target")).alias("to")
    )
    return both.with_row_index("ribbon")


def _curves(placed: pl.DataFrame) -> pl.DataFrame:
    """Points along each ribbon, a smooth step from one end to the other."""
    along = pl.DataFrame({"x": [step / _STEPS for step in range(_STEPS + 1)]})
    smooth = pl.col("x") ** 2 * (3 - 2 * pl.col("x"))
    height = pl.col("from") + (pl.col("to") - pl.col("from")) * smooth
    return placed.join(along, how="cross").select(
        "ribbon",
        "source",
        "target",
        "how",
        "rows",
        "x",
        height.alias("y"),
        (height + pl.col("thick")).alias("y2"),
    )


def _labels(nodes: pl.DataFrame, x: float, align: Literal["left", "right"]) -> alt.Chart:
    placed = nodes.with_columns(((pl.col("y") + pl.col("y2")) / 2).alias("middle"), x=pl.lit(x))
    chart: alt.Chart = (
        alt.Chart(placed)
        .transform_calculate(label="datum.name + '  ' + format(datum.rows, ',')")
        .mark_text(align=align, baseline="middle", fontSize=11)
        .encode(x="x:Q", y="middle:Q", text="label:N")
    )
    return chart


def _bars(nodes: pl.DataFrame, start: float, end: float) -> alt.Chart:
    placed = nodes.with_columns(x=pl.lit(start), x2=pl.lit(end))
    chart: alt.Chart = (
        alt.Chart(placed)
        .mark_rect(color=GREY)
        .encode(x="x:Q", x2="x2:Q", y="y:Q", y2="y2:Q", tooltip=["name", figure("rows")])
    )
    return chart
