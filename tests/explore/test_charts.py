"""Every picture can be drawn, also of next to nothing, and holds counts only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import vl_convert
from tests.explore.conftest import Sample
from tests.migration.support import SMALL, migrated, query

from person_unify.explore import Run, charts, open_check, open_run

NAMES = tuple(name for name in charts.__all__ if not name.startswith("bench"))


def drawn(name: str, run: Run) -> tuple[dict[str, Any], str]:
    """A chart as its specification and as SVG."""
    chart = getattr(charts, name)(run)
    return chart.to_dict(), str(vl_convert.vegalite_to_svg(chart.to_json()))


def marks(specification: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from specification.get("layer", [specification])


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_has_title_tooltips_and_a_clear_ground(name: str, run: Run) -> None:
    specification, svg = drawn(name, run)

    assert specification["title"]["text"]
    assert specification["title"]["subtitle"]
    assert specification["background"] == "transparent"
    assert any("tooltip" in layer.get("encoding", {}) for layer in marks(specification))
    assert svg.count("<path") > 3
    assert specification["title"]["text"] in svg


@pytest.fixture(scope="session")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """A run and a check of one patient with nothing around it."""
    done = migrated(tmp_path_factory.mktemp("lonely"), {"patients": [{"id": "p1"}]})
    return open_run(done.ledger), open_check(done.source)


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_can_be_drawn_of_next_to_nothing(name: str, lonely: tuple[Run, Run]) -> None:
    for opened in lonely:
        assert drawn(name, opened)[1].startswith("<svg")


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_holds_no_cell_even_of_a_revealed_run(
    name: str, sample: Sample, revealed: Run
) -> None:
    specification, _ = drawn(name, revealed)
    text = json.dumps(specification, ensure_ascii=False)
    names = query(sample.target, "SELECT first_name AS a, last_name AS b FROM persons")
    ids = query(sample.target, "SELECT id FROM persons")

    assert not [row for row in names if row["a"] and row["a"] in text]
    assert not [row for row in ids if row["id"] in text]


def test_discrepancies_are_counted_in_full(run: Run) -> None:
    specification, _ = drawn("discrepancies", run)
    (rows,) = specification["datasets"].values()

    assert sum(row["count"] for row in rows) == run.discrepancies.height
    assert {row["kind"] for row in rows} == set(run.discrepancies["kind"])


def test_what_was_kept_out_flows_in_one_order(run: Run) -> None:
    kept_out = run.flow.filter(pl.col("reason") != "loaded")

    assert kept_out.height
    assert kept_out.equals(kept_out.sort("source_table", "reason"))


def test_the_flow_carries_every_row(run: Run) -> None:
    specification, svg = drawn("flow", run)
    ribbons = {
        (row["source"], row["target"], row["how"]): row["rows"]
        for rows in specification["datasets"].values()
        for row in rows
        if "ribbon" in row
    }

    assert sum(ribbons.values()) == run.flow["rows"].sum()
    assert {how for _, _, how in ribbons} == {
        "renamed",
        "merged",
        "same name",
        "no new table",
        "kept out",
    }
    assert "education_plans" in svg


def test_many_records_per_person_are_drawn_in_ranges(tmp_path: Path) -> None:
    entries = [{"id": f"j{n}", "patient_id": "p1"} for n in range(200)]
    done = migrated(tmp_path, {**SMALL, "journal_entries": entries})

    specification, _ = drawn("records_per_person", open_run(done.ledger))
    ranges = {row["range"] for rows in specification["datasets"].values() for row in rows}

    assert ranges == {"196 to 202"}
