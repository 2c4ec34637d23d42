"""Charts in a notebook answer the mouse without a network; without scripts they are pictures."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import pytest
from IPython.display import HTML

from person_unify.explore import Run, charts, display


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What ``enable`` puts into a notebook; the settings are put back."""
    shown: list[HTML] = []
    monkeypatch.setattr(display, "display", shown.append)
    with alt.renderers.enable("default"), pl.Config():
        display.enable()
        (output,) = shown
        yield str(output.data)


def shown(chart: alt.LayerChart) -> dict[str, Any]:
    """What a notebook is given of a chart."""
    bundle = chart._repr_mimebundle_()
    assert isinstance(bundle, dict)
    return bundle


def test_a_chart_is_a_picture_and_a_page_that_loads_nothing(scripts: str, run: Run) -> None:
    bundle = shown(charts.discrepancies(run))

    assert bundle["image/svg+xml"].startswith("<svg")
    assert bundle["image/svg+xml"] in bundle["text/html"]
    assert scripts.startswith("<script>")
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", bundle["text/html"])


def test_a_browser_replaces_the_pictures_by_charts_with_tooltips(
    scripts: str, run: Run, browser: list[str], tmp_path: Path
) -> None:
    drawn = [shown(draw(run)) for draw in (charts.unreadable, charts.completeness)]
    page = tmp_path / "book.html"
    body = "".join(one["text/html"] for one in drawn)
    page.write_text(f"<meta charset=utf-8><body>{scripts}{body}", encoding="utf-8")

    done = subprocess.run(
        [*browser, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )

    embedded = re.findall(r'<div id="chart-[0-9a-f]{32}" class="[^"]*vega-embed', done.stdout)
    assert len(embedded) == len(drawn)


def test_frames_are_shown_without_types_and_lists_in_full(scripts: str) -> None:
    frame = pl.DataFrame({"key": [[str(n) for n in range(9)]]})

    for text in (str(frame), frame._repr_html_()):
        assert "str" not in text
        assert "…" not in text
