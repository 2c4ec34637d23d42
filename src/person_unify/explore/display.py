"""How a notebook shows charts and frames: charts that answer the mouse offline, frames in full."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import altair as alt
import polars as pl
import vl_convert
from IPython.display import HTML, display

_RENDERER = "person-unify"
_ROWS = 60
_CHARACTERS = 160


def enable() -> None:
    """Show every chart that follows with its tooltips, every frame without types and cut lists.

    The scripts that draw come from the installed packages, once per notebook: nothing is loaded.
    Where scripts do not run (an untrusted notebook, a mail) the same charts stand as pictures.
    """
    alt.renderers.register(_RENDERER, _drawn)
    alt.renderers.enable(_RENDERER)
    pl.Config.set_tbl_rows(_ROWS)
    pl.Config.set_tbl_cols(-1)
    pl.Config.set_tbl_hide_column_data_types(True)
    pl.Config.set_fmt_str_lengths(_CHARACTERS)
    pl.Config.set_fmt_table_cell_list_len(-1)
    scripts = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # the stub has no default
    display(HTML(f"<script>{scripts}</script>"))  # type: ignore[no-untyped-call]


def _drawn(specification: dict[str, Any], **_: Any) -> dict[str, str]:
    """A chart as a picture, and as a page in which the scripts, if any run, replace it."""
    picture = vl_convert.vegalite_to_svg(specification)
    place = f"chart-{uuid4().hex}"
    written = json.dumps(specification).replace("<", "\\u003c")
    script = (
        f'if (window.vegaEmbed) vegaEmbed("#{place}", {written}, '
        '{actions: false, renderer: "svg", tooltip: {theme: "dark"}});'
    )
    page = f'<div id="{place}">{picture}</div><script>{script}</script>'
    return {"image/svg+xml": picture, "text/html": page, "text/plain": "a chart"}
