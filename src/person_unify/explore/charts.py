"""Pictures of a run: each function takes a :class:`~person_unify.explore.Run`, returns a chart.

They show counts, names of tables and columns, and distances: never a cell.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from person_unify.explore.bench import Bench
from person_unify.explore.derive import LIKELY
from person_unify.explore.run import Run
from person_unify.explore.sankey import flow
from person_unify.explore.theme import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    SEVERITY,
    SKY,
    STORY,
    VIOLET,
    WIDTH,
    dressed,
    figure,
    rank,
    scale,
)
from person_unify.progress import PHASES

__all__ = [
    "bench_phases",
    "bench_speed",
    "birth_dates",
    "completeness",
    "discrepancies",
    "flow",
    "parents_per_person",
    "records_per_person",
    "timings",
    "unreadable",
]

_ROW = alt.Step(20)
_MOST_TABLES, _MOST_COLUMNS = 25, 24
"""Rows and columns of the heat map that keep their names; the rest are counted together."""
_BARS = 30


_SORTS = {"patient": BLUE, "patient and child": GREEN, "child": ORANGE}
_RECORDS = {"patient": BLUE, "linked child": GREEN, "standalone child": ORANGE}

_APART = (
    ("under a day", 1.0),
    ("1 to 7 days", 7.0),
    ("8 to 31 days", 31.0),
    ("1 to 12 months", 366.0),
    ("1 to 5 years", 5 * 365.25),
    ("over 5 years", float("inf")),
)
_SLIPS = dict(zip(LIKELY, (SKY, BLUE, GREEN, VIOLET, ORANGE, GREY), strict=True))
_LINES = [BLUE, ORANGE, GREEN, RED, VIOLET, SKY, GREY]


def discrepancies(run: Run) -> alt.LayerChart:
    """How often each kind of discrepancy was found, errors first."""
    counted = run.discrepancies.group_by("kind", "severity").agg(pl.len().alias("count"))
    order = counted.sort(
        rank("severity", list(SEVERITY)),
        "count",
        "kind",
        descending=[False, True, False],
    )["kind"].to_list()
    base = alt.Chart(counted, height=_ROW, width=WIDTH).encode(
        y=alt.Y("kind:N", sort=order, title=None),
        x=alt.X("count:Q", axis=None, scale=alt.Scale(type="symlog")),
        tooltip=["kind", "severity", figure("count")],
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        color=alt.Color("severity:N", scale=scale(SEVERITY), title=None)
    )
    numbers = base.mark_text(align="left", dx=4).encode(text=alt.Text("count:Q", format=","))
    total = dict.fromkeys(SEVERITY, 0)
    total |= dict(run.discrepancies.group_by("severity").len().iter_rows())
    said = ", ".join(f"{count:,} {severity}" for severity, count in total.items())
    return dressed([bars, numbers], "Discrepancies by kind", f"{said}; bars are logarithmic")


def birth_dates(run: Run) -> alt.LayerChart:
    """How far apart differing birth dates of linked children and their patients are."""
    bucket = pl.lit(_APART[-1][0])
    for name, most in reversed(_APART[:-1]):
        inside = pl.col("days").abs() < most if most == 1 else pl.col("days").abs() <= most
        bucket = pl.when(inside).then(pl.lit(name)).otherwise(bucket)
    counted = (
        run.birth_dates.with_columns(bucket.alias("apart"))
        .group_by("apart", "likely")
        .agg(pl.len().alias("count"))
        .with_columns(rank("likely", LIKELY))
    )
    base = alt.Chart(counted, height=alt.Step(30), width=WIDTH).encode(
        y=alt.Y("apart:N", sort=[name for name, _ in _APART], title=None).scale(
            domain=[name for name, _ in _APART]
        )
    )
    bars = base.mark_bar().encode(
        x=alt.X("count:Q", title="linked children", axis=alt.Axis(tickMinStep=1, format="d")),
        color=alt.Color(
            "likely:N",
            scale=scale(_SLIPS),
            title=None,
            legend=alt.Legend(columns=3, symbolLimit=0),
        ),
        order="rank:Q",
        tooltip=["apart", "likely", "count"],
    )
    numbers = base.mark_text(align="left", dx=4).encode(
        x="sum(count):Q", text=alt.Text("sum(count):Q", format=",")
    )
    total = run.birth_dates.height
    return dressed(
        [bars, numbers],
        "Differing dates of birth: how far apart, and what may be behind it",
        f"{total:,} linked children have another birth day than their patient",
    )


def completeness(run: Run) -> alt.LayerChart:
    """Which share of the old records fills each demographic field, patients against children."""
    shares = run.completeness.filter(pl.col("rows") > 0).with_columns(
        share=pl.col("filled") / pl.col("rows")
    )
    order = shares["field"].unique(maintain_order=True).to_list()
    base = alt.Chart(shares, height=alt.Step(9), width=WIDTH).encode(
        y=alt.Y("field:N", sort=order, title=None),
        yOffset=alt.YOffset("record:N", sort=list(_RECORDS)),
        x=alt.X(
            "share:Q", title="filled", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")
        ),
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        color=alt.Color("record:N", scale=scale(_RECORDS), title=None),
        shape=alt.Shape(
            "record:N",
            scale=alt.Scale(domain=list(_RECORDS), range=["circle", "diamond", "triangle-up"]),
            title=None,
        ),
        tooltip=["field", "record", figure("share", ".1%"), figure("filled"), figure("rows")],
    )
    stems = base.mark_rule(color=GREY, opacity=0.35).encode(x2=alt.datum(0))
    return dressed(
        [stems, dots],
        "How complete the old records are",
        "Share of records with a value; children know four of the fields only",
    )


def unreadable(run: Run) -> alt.LayerChart:
    """Where cells are not of their column's type: tables by columns, the most frequent first.

    A dark row is one table that was written badly, a dark column one sort of value that was.
    """
    found = run.discrepancies.filter(kind="unreadable_value")
    tables = _ranked(found["source_table"], _MOST_TABLES)
    columns = _ranked(found["field"], _MOST_COLUMNS)
    rest_of_tables, rest_of_columns = "all other tables", "all other columns"
    counted = (
        found.with_columns(
            pl.when(pl.col("source_table").is_in(tables))
            .then("source_table")
            .otherwise(pl.lit(rest_of_tables))
            .alias("table"),
            pl.when(pl.col("field").is_in(columns))
            .then("field")
            .otherwise(pl.lit(rest_of_columns))
            .alias("column"),
        )
        .group_by("table", "column")
        .agg(pl.len().alias("cells"))
    )
    base = alt.Chart(counted, height=_ROW, width=alt.Step(24)).encode(
        y=alt.Y("table:N", sort=[*tables, rest_of_tables], title=None),
        x=alt.X(
            "column:N",
            sort=[*columns, rest_of_columns],
            title=None,
            axis=alt.Axis(orient="top", labelAngle=-50),
        ),
        tooltip=["table", "column", figure("cells")],
    )
    most = counted.select(pl.max("cells")).item() or 1
    boxes = base.mark_rect().encode(
        color=alt.Color(
            "cells:Q",
            scale=alt.Scale(type="sqrt", range=[BLUE, RED], domain=[1, most]),
            legend=None,
        )
    )
    numbers = base.mark_text(fontSize=11, color="white").encode(text=alt.Text("cells:Q"))
    said = (
        f"{found.height:,} cells of {found['source_table'].n_unique():,} tables; "
        "each is in the ledger as it was"
    )
    return dressed([boxes, numbers], "Values that could not be read", said)


def _ranked(names: pl.Series, most: int) -> list[str]:
    """The most frequent names, most frequent first."""
    counted = names.drop_nulls().alias("name").to_frame().group_by("name").len()
    ranked = counted.sort("len", "name", descending=[True, False])["name"]
    return [str(name) for name in ranked.head(most)]


def parents_per_person(run: Run) -> alt.LayerChart:
    """How many parents see each person, by where the person comes from."""
    meaning = "rows of parent_child_views that name the person"
    return _per_person(run, "parents", "Parents per person", meaning)


def records_per_person(run: Run) -> alt.LayerChart:
    """How many records of all other tables name each person."""
    meaning = "rows of every other table of the new database that name the person"
    return _per_person(run, "records", "Records per person", meaning)


def _per_person(run: Run, column: str, title: str, meaning: str) -> alt.LayerChart:
    most = run.persons[column].max() if run.persons.height else 0
    assert isinstance(most, int)
    size = -(-(most + 1) // _BARS)
    span = pl.format("{} to {}", "from", pl.col("from") + size - 1)
    alone = pl.col("origin_table") == "children"
    sort = (
        pl.when(alone)
        .then(pl.lit("child"))
        .when(pl.col("children") > 0)
        .then(pl.lit("patient and child"))
        .otherwise(pl.lit("patient"))
    )
    counted = (
        run.persons.with_columns(sort.alias("sort"))
        .with_columns((pl.col(column) // size * size).alias("from"))
        .group_by("from", "sort")
        .agg(pl.len().alias("persons"))
        .with_columns(
            rank("sort", list(_SORTS)),
            (pl.col("from").cast(pl.String) if size == 1 else span).alias("range"),
        )
    )
    width = max(18, min(60, WIDTH // max(1, counted["range"].n_unique())))
    base = alt.Chart(counted, width=alt.Step(width), height=220).encode(
        x=alt.X(
            "range:O",
            title=column,
            sort=alt.EncodingSortField("from", "min"),
            axis=alt.Axis(labelAngle=0 if size == 1 else -45),
        )
    )
    bars = base.mark_bar(cornerRadiusEnd=1).encode(
        y=alt.Y("persons:Q", title="persons", axis=alt.Axis(tickMinStep=1, format=",d")),
        color=alt.Color("sort:N", scale=scale(_SORTS), title="the person was a"),
        order="rank:Q",
        tooltip=[
            alt.Tooltip("range:N", title=column),
            alt.Tooltip("sort:N", title="was a"),
            figure("persons"),
        ],
    )
    numbers = base.mark_text(dy=-6, fontSize=9 if width < 24 else 12).encode(
        y="sum(persons):Q", text=alt.Text("sum(persons):Q", format=",")
    )
    middle = run.persons[column].median() if run.persons.height else None
    said = f"; median {middle:g}" if isinstance(middle, float) else ""
    return dressed([bars, numbers], title, f"{run.persons.height:,} persons: {meaning}{said}")


def timings(run: Run) -> alt.LayerChart:
    """How long each phase worked."""
    total = run.timings["seconds"].sum()
    said = "format(datum.seconds, ',.2f') + ' s'"
    rows = "(datum.rows ? ', ' + format(datum.rows, ',') + ' rows' : '')"
    base = alt.Chart(run.timings, height=alt.Step(26), width=WIDTH).encode(
        y=alt.Y("phase:N", sort=list(PHASES), title=None),
        x=alt.X("seconds:Q", title="seconds of work"),
        tooltip=["phase", figure("seconds", ",.2f"), figure("rows")],
    )
    bars = base.mark_bar(color=BLUE, cornerRadiusEnd=2)
    numbers = (
        base.transform_calculate(said=f"{said} + {rows}")
        .mark_text(align="left", dx=4, color=INK)
        .encode(text="said:N")
    )
    return dressed([bars, numbers], "Time per phase", f"{total:,.1f} seconds of work in all")


def bench_speed(bench: Bench) -> alt.LayerChart:
    """Measured seconds against the number of persons, one line per file of results."""
    base = alt.Chart(bench.runs, width=WIDTH, height=260).encode(
        x=alt.X("persons:Q", title="persons (logarithmic)", scale=alt.Scale(type="log", nice=True)),
        y=alt.Y("seconds:Q", title="seconds (logarithmic)", scale=alt.Scale(type="log", nice=True)),
        color=alt.Color(
            "file:N",
            title=None,
            scale=alt.Scale(range=_LINES),
            legend=alt.Legend(labelLimit=0, columns=1),
        ),
    )
    lines = base.mark_line(strokeWidth=2)
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        tooltip=[
            "file",
            "system",
            figure("persons"),
            figure("source_rows"),
            figure("seconds", ",.1f"),
            figure("rows_per_second", ",.0f"),
            figure("peak_memory_mb", ",.0f"),
        ]
    )
    said = (
        base.transform_calculate(said="format(datum.seconds, ',.1f') + ' s'")
        .mark_text(dy=-12)
        .encode(text="said:N", color=alt.value(INK))
    )
    measured = bench.runs.height
    return dressed([lines, points, said], "How long a migration takes", f"{measured} measurements")


def bench_phases(bench: Bench) -> alt.LayerChart:
    """Which share of the time each phase took, in every measured migration."""
    timed = bench.phases.with_columns(
        rank("phase", PHASES),
        (pl.col("seconds") / pl.col("seconds").sum().over("file", "persons")).alias("share"),
    )
    bars = (
        alt.Chart(timed, width=WIDTH, height=alt.Step(28))
        .transform_calculate(run="format(datum.persons, ',') + ' persons, ' + datum.file")
        .mark_bar()
        .encode(
            y=alt.Y(
                "run:N",
                title=None,
                sort=alt.EncodingSortField("persons", "max"),
                axis=alt.Axis(labelLimit=420),
            ),
            x=alt.X(
                "share:Q",
                title="share of the time",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%"),
            ),
            color=alt.Color("phase:N", title=None, scale=scale(STORY)),
            order="rank:Q",
            tooltip=["run:N", "phase", figure("seconds", ",.2f"), figure("share", ".1%")],
        )
    )
    return dressed([bars], "Where the time goes", "Share of each phase, from first to last")
