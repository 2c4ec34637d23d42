"""Pictures come from kept results alone, and come out equal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench.figures import newest
from bench.measuring import RESULTS, kept
from bench.plots import PLOTS, Ticks, charts, draw_all, svg
from tests.bench.conftest import record, run

NAMES = ["time", "memory", "ratios", "phases"]


def test_every_picture_is_drawn_and_shown(results: Path, page: Path) -> None:
    paths = draw_all(page, page.parent / "plots", results)

    assert [path.stem for path in paths] == NAMES
    assert all(path.stat().st_size < 60_000 for path in paths)
    shown = re.findall(r"!\[[^]]+\]\(plots/(\w+)\.svg\)", page.read_text())
    assert sorted(shown) == sorted(NAMES)


def test_pictures_name_their_axes_and_units(results: Path, page: Path) -> None:
    texts = {path.stem: path.read_text() for path in draw_all(page, page.parent, results)}

    assert "persons (logarithmic)" in texts["time"]
    assert "seconds (logarithmic)" in texts["time"]
    assert "peak memory, MiB (logarithmic)" in texts["memory"]
    assert "time per row, person-unify = 1 (logarithmic)" in texts["ratios"]
    assert "seconds of work per million rows of the source" in texts["phases"]
    assert all('fill="white"' in text for text in texts.values())


def test_same_results_give_the_same_bytes(results: Path, page: Path) -> None:
    drawn = [[path.read_bytes() for path in draw_all(page, page.parent, results)] for _ in range(2)]

    assert drawn[0] == drawn[1]


def test_nothing_is_drawn_or_shown_where_nothing_is_kept(tmp_path: Path, page: Path) -> None:
    before = page.read_text()

    assert draw_all(page, tmp_path / "plots", tmp_path / "nothing") == []
    assert page.read_text() == before


def test_own_runs_alone_are_drawn_without_ratios(tmp_path: Path, page: Path) -> None:
    record("scale", run()).keep(tmp_path)

    assert [p.stem for p in draw_all(page, tmp_path, tmp_path)] == ["time", "memory", "phases"]


@pytest.mark.parametrize("name", NAMES)
def test_kept_picture_is_the_one_that_the_kept_results_give(name: str) -> None:
    drawn = charts(newest(kept("compare", RESULTS)), newest(kept("scale", RESULTS)))
    path = PLOTS / f"{name}.svg"

    assert path.exists() == (name in drawn), "run: make bench-pages"
    if name in drawn:
        assert path.read_text(encoding="utf-8") == svg(drawn[name]), "run: make bench-pages"


def test_logarithmic_axis_encloses_its_values() -> None:
    assert Ticks.around([0.03, 1.0]).axis.values == [0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    assert Ticks.around([7.0]).axis.values == [5.0, 10.0]
