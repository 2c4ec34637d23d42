"""Draw the kept results as SVG.

    python -m bench.plots

The same results give the same pictures, to the byte.  A picture for which nothing is kept is not
drawn, and the page does not show it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import altair as alt
import polars as pl
import vl_convert

from bench.figures import CORE_ONLY, Measured, named, newest, ratios
from bench.measuring import OURS, RESULTS, ROOT, fill, kept
from person_unify.explore.theme import (
    BLUE,
    GREEN,
    GREY,
    INK,
    OLIVE,
    ORANGE,
    RED,
    ROSE,
    SKY,
    STORY,
    VIOLET,
    WIDTH,
    dressed,
    scale,
)
from person_unify.progress import PHASES

PAGE = ROOT / "docs" / "PERFORMANCE.md"
PLOTS = ROOT / "docs" / "plots"
FAULTY = f"{OURS}, with faults"
LINES = {
    OURS: BLUE,
    FAULTY: SKY,
    "sql-naive": ORANGE,
    "sql-tuned": GREEN,
    "sql-unsafe": OLIVE,
    "limit": GREY,
    "row-by-row": RED,
    "sqlalchemy": ROSE,
    "pandas": VIOLET,
    "prisma-many": "#7d5a3c",
    "prisma-create": "#3b7d7d",
}
SAID = {
    "ratios": ("Time per row of each peer, as a multiple of person-unify's",),
    "size": ("Time by size", "Memory by size"),
    "phases": ("Seconds of work per phase and million rows, by size",),
}
"""Marks of the page, with the alternative text of the pictures that stand there."""
FILES = {"ratios": ("ratios",), "size": ("time", "memory"), "phases": ("phases",)}


@dataclass(frozen=True, slots=True)
class Ticks:
    """A logarithmic axis with marks at 1, 2 and 5 times the powers of ten."""

    scale: alt.Scale
    axis: alt.Axis

    @classmethod
    def around(cls, values: Sequence[float]) -> Ticks:
        """The axis from the mark below the least to the mark above the greatest value."""
        marks = [n * 10.0**power for power in range(-4, 9) for n in (1, 2, 5)]
        first = max(mark for mark in marks if mark <= min(values))
        last = min(mark for mark in marks if mark >= max(values))
        shown = [round(mark, 4) for mark in marks if first <= mark <= last]
        return cls(
            alt.Scale(type="log", domain=[shown[0], shown[-1]], nice=False),
            alt.Axis(values=shown, format=",~r", labelOverlap=True, labelFlush=False),
        )


def main() -> int:
    """Draw everything that the results allow, and let the page show it."""
    argparse.ArgumentParser(prog="python -m bench.plots", description=__doc__).parse_args()
    for path in draw_all():
        print(path.relative_to(ROOT))
    return 0


def draw_all(page: Path = PAGE, plots: Path = PLOTS, results: Path = RESULTS) -> list[Path]:
    """Write ``<plots>/*.svg`` and the lines that show them; returns the files."""
    drawn = charts(newest(kept("compare", results)), newest(kept("scale", results)))
    plots.mkdir(parents=True, exist_ok=True)
    for name, chart in drawn.items():
        (plots / f"{name}.svg").write_text(svg(chart), encoding="utf-8")
    for mark, names in FILES.items():
        shown = zip(names, SAID[mark], strict=True)
        lines = [f"![{said}](plots/{name}.svg)" for name, said in shown if name in drawn]
        fill(page, f"picture:{mark}", lines)
    return [plots / f"{name}.svg" for name in drawn]


def charts(
    compared: Sequence[Measured], scaled: Sequence[Measured]
) -> Mapping[str, alt.LayerChart]:
    """The pictures by name, without those for which nothing is kept; of ours, those with faults."""
    own = named(scaled, OURS)
    sized = sizes(compared, own)
    found = {}
    if sized.height:
        found["time"] = by_size(sized, "seconds", "Time by size", "seconds")
        found["memory"] = by_size(sized, "mebibytes", "Memory by size", "peak memory, MiB")
    if compared:
        found["ratios"] = multiples(compared)
    if own:
        found["phases"] = phases(own)
    return found


def svg(chart: alt.LayerChart) -> str:
    """A chart as SVG on white, a line per element so that changes of a picture can be read."""
    white = chart.properties(background="white").to_json()
    return str(vl_convert.vegalite_to_svg(white)).replace("><", ">\n<") + "\n"


def sizes(compared: Sequence[Measured], scaled: Sequence[Measured]) -> pl.DataFrame:
    """Medians per contender and size: ``name``, ``persons``, ``seconds``, ``mebibytes``."""
    rows = [
        (name, one.persons, one.median("seconds"), one.median("peak_rss_bytes") / 2**20)
        for named, listed in ((None, compared), (FAULTY, scaled))
        for one in listed
        for name in [named or one.name]
    ]
    schema = {
        "name": pl.String,
        "persons": pl.Int64,
        "seconds": pl.Float64,
        "mebibytes": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").sort("name", "persons")


def by_size(sized: pl.DataFrame, figure: str, title: str, unit: str) -> alt.LayerChart:
    """One line per contender, both axes logarithmic."""
    named = {name: colour for name, colour in LINES.items() if name in set(sized["name"])}
    x, y = (Ticks.around(sized[column].to_list()) for column in ("persons", figure))
    base = alt.Chart(_listed(sized), width=WIDTH, height=300).encode(
        x=alt.X("persons:Q", title="persons (logarithmic)", scale=x.scale, axis=x.axis),
        y=alt.Y(f"{figure}:Q", title=f"{unit} (logarithmic)", scale=y.scale, axis=y.axis),
        color=alt.Color(
            "name:N",
            title=None,
            scale=scale(named),
            legend=alt.Legend(columns=4, labelLimit=0),
        ),
    )
    lines = base.mark_line(strokeWidth=2)
    points = base.mark_point(filled=True, size=60, opacity=1)
    core = ", ".join(name for name in CORE_ONLY if name in named)
    note = f"Medians of whole processes{f'; {core}: core tables only' if core else ''}"
    return dressed([lines, points], title, note)


def multiples(compared: Sequence[Measured]) -> alt.LayerChart:
    """Time per row of each peer at its largest size, as a multiple of ours in the same round."""
    largest = {one.name: one for one in compared if one.name != OURS}
    rows = [
        {
            "name": _bar(one),
            "multiple": median(ratios(one)),
            "least": min(ratios(one)),
            "most": max(ratios(one)),
        }
        for one in largest.values()
    ]
    drawn = pl.DataFrame(rows).sort("multiple", "name")
    base = alt.Chart(_listed(drawn), width=WIDTH, height=alt.Step(26)).encode(
        y=alt.Y("name:N", title=None, sort=drawn["name"].to_list())
    )
    x = Ticks.around([1.0, *drawn["least"], *drawn["most"]])
    multiple = alt.X(
        "multiple:Q",
        title="time per row, person-unify = 1 (logarithmic)",
        scale=x.scale,
        axis=x.axis,
    )
    spans = base.mark_rule(color=BLUE, strokeWidth=2).encode(
        x=alt.X("least:Q", scale=x.scale), x2="most:Q"
    )
    points = base.mark_point(filled=True, size=80, opacity=1, color=BLUE).encode(x=multiple)
    numbers = (
        base.transform_calculate(said="format(datum.multiple, '.2~r') + 'x'")
        .mark_text(dy=-9, color=INK)
        .encode(x=multiple, text="said:N")
    )
    ours = alt.Chart(_listed(pl.DataFrame({"one": [1.0]}))).mark_rule(
        color=ORANGE, strokeDash=[5, 3], strokeWidth=2
    )
    line = ours.encode(x=alt.X("one:Q", scale=x.scale))
    note = "Right of the line: slower than person-unify at the same size; median and span of rounds"
    return dressed([line, spans, points, numbers], "Peers against person-unify", note)


def phases(scaled: Sequence[Measured]) -> alt.LayerChart:
    """Stacked seconds of work per million rows of the source, a bar per size."""
    rows = [
        (
            f"{one.persons:,} persons",
            PHASES.index(name),
            name,
            seconds / one.median("source_rows") * 1e6,
        )
        for one in scaled
        for name, seconds in one.phases().items()
    ]
    columns = {"size": pl.String, "rank": pl.Int64, "phase": pl.String, "seconds": pl.Float64}
    spent = pl.DataFrame(rows, schema=columns, orient="row")
    shown = {name: colour for name, colour in STORY.items() if name in set(spent["phase"])}
    bars = (
        alt.Chart(_listed(spent), width=WIDTH, height=alt.Step(34))
        .mark_bar()
        .encode(
            y=alt.Y("size:N", title=None, sort=[f"{one.persons:,} persons" for one in scaled]),
            x=alt.X("seconds:Q", title="seconds of work per million rows of the source"),
            color=alt.Color(
                "phase:N", title=None, scale=scale(shown), legend=alt.Legend(columns=9)
            ),
            order="rank:Q",
        )
    )
    return dressed([bars], "Where the time goes", "Bars of one length: time grows in proportion")


def _bar(one: Measured) -> str:
    tables = ", core tables" if one.name in CORE_ONLY else ""
    return f"{one.name}{tables}, {one.persons:,} persons"


def _listed(frame: pl.DataFrame) -> alt.InlineData:
    """Rows inside the chart, in their order, so that equal results draw equally."""
    return alt.InlineData(values=frame.to_dicts())


if __name__ == "__main__":
    raise SystemExit(main())
