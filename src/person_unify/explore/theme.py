"""How every chart looks: colours that colour-blind readers tell apart, on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from person_unify.progress import PHASES

BLUE, ORANGE, GREEN, RED, SKY, VIOLET, GREY, OLIVE, ROSE = (
    "#2f7fc1",
    "#d98a00",
    "#12916b",
    "#cc4a1c",
    "#5aa7d6",
    "#7b6bb8",
    "#8a8f98",
    "#8c8a1f",
    "#b8568f",
)
"""After Okabe and Ito, each with a contrast of 2.7 or more on white and on #111."""

STORY = dict(zip(PHASES, (GREY, SKY, VIOLET, BLUE, GREEN, OLIVE, ORANGE, RED), strict=True))
"""A colour for each phase of a run."""

SEVERITY = {"error": RED, "warning": ORANGE, "info": BLUE}

INK = "#7a7f87"
"""Text and lines: a grey that reads on white (4:1) as on black (5:1)."""

WIDTH = 520
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def dressed(layers: Sequence[alt.Chart], title: str, subtitle: str) -> alt.LayerChart:
    """The layers as one chart with its title, on a transparent ground, in the house's look."""
    chart: alt.LayerChart = (
        alt.LayerChart(layer=list(layers))
        .properties(
            title=alt.TitleParams(
                text=title,
                subtitle=subtitle,
                anchor="start",
                offset=14,
                fontSize=15,
                fontWeight=600,
                subtitleFontSize=12,
                subtitlePadding=4,
            ),
            background="transparent",
            padding=8,
        )
        .configure(font=_FONT)
        .configure_view(stroke=None)
        .configure_title(color=INK, subtitleColor=INK)
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            titleFontWeight="normal",
            labelFontSize=12,
            titleFontSize=12,
            gridColor=GREY,
            gridOpacity=0.25,
            domainColor=GREY,
            tickColor=GREY,
            labelLimit=260,
        )
        .configure_legend(
            labelColor=INK, titleColor=INK, labelFontSize=12, orient="top", titleFontWeight="normal"
        )
        .configure_header(labelColor=INK, titleColor=INK, labelFontSize=12)
        .configure_text(color=INK, fontSize=12)
    )
    return chart


def figure(column: str, form: str = ",") -> alt.Tooltip:
    """A number in a tooltip, thousands set apart if nothing else is said."""
    return alt.Tooltip(f"{column}:Q", format=form)


def scale(colours: dict[str, str]) -> alt.Scale:
    """A colour scale with one fixed colour for each word."""
    return alt.Scale(domain=list(colours), range=list(colours.values()))


def rank(column: str, order: Sequence[str]) -> pl.Expr:
    """The place of each word in a fixed order, as ``rank``."""
    return pl.col(column).replace_strict(list(order), list(range(len(order)))).alias("rank")
