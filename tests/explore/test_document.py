"""The page names every frame and column as the code has them."""

from __future__ import annotations

from pathlib import Path

from person_unify.explore import CLASSES, COMPARED, FRAMES, Run, charts
from person_unify.explore.document import render, rewritten

PAGE = Path(__file__).parents[2] / "docs" / "EXPLORE.md"


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_frames_are_printed_from_the_code() -> None:
    assert rewritten(text()) == text(), "run: make docs"
    assert render().count("| --- | --- | --- |") == len(FRAMES) + 2 + len(COMPARED)


def test_every_frame_is_an_attribute_of_a_run() -> None:
    assert [name for name in FRAMES if not hasattr(Run, name)] == []


def test_the_page_names_every_chart_class_and_format() -> None:
    assert [name for name in charts.__all__ if f".{name}`" not in text()] == []
    assert [name for name in CLASSES if f"| `{name}` |" not in text()] == []
    assert [f for f in ("parquet", "csv", "json", "xlsx") if f"| `{f}` |" not in text()] == []
