"""Tables say what the kept results say."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.figures import goals, newest, ratios
from bench.measuring import OURS, kept
from bench.tables import fill_pages
from tests.bench.conftest import record, run


def table(page: Path, mark: str) -> list[list[str]]:
    """The rows of the table between two marks, without its head."""
    text = page.read_text(encoding="utf-8").partition(f"<!-- {mark}:begin -->")[2]
    lines = text.partition(f"<!-- {mark}:end -->")[0].splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ][2:]


def test_ratio_is_taken_within_a_round(results: Path) -> None:
    tuned = next(m for m in newest(kept("compare", results)) if m.name == "sql-tuned")

    # Each round was slower than the one before, for both alike.
    assert ratios(tuned) == pytest.approx([2.0, 2.0, 2.0])


def test_newest_result_counts_for_each_contender_and_size(tmp_path: Path) -> None:
    record("scale", run(seconds=1.0), run(persons=2_000, seconds=2.0)).keep(tmp_path)
    record("scale", run(seconds=3.0), days=1).keep(tmp_path)

    found = newest(kept("scale", tmp_path))

    assert [(one.persons, one.median("seconds")) for one in found] == [(1_000, 3.0), (2_000, 2.0)]


def test_every_table_is_filled(results: Path, page: Path) -> None:
    fill_pages(page, page, results)

    compared = {(row[0], row[1]): row for row in table(page, "compare")}
    assert compared["sql-tuned", "1,000"][2:5] == ["3", "24,000", "12.0"]
    assert compared["sql-tuned", "1,000"][-2:] == ["2.0x as fast", ""]
    assert compared["limit", "1,000"][-2] == "2.0x slower"
    assert compared["prisma-many, core tables", "100"][-1] == "66.7x as fast (1,000)"
    assert [row[:3] for row in table(page, "scale")] == [
        ["1,000", "25,000", "4.0"],
        ["2,000", "25,000", "8.0"],
    ]
    assert table(page, "bench") == table(page, "scale")
    assert table(page, "odd") == [
        ["no odd cell, one odd cell", "25,000", "1", "6.0", "7.5", "1.25x"]
    ]
    assert table(page, "phases")[0] == ["1,000", "1.0", "1.5", "1.0"]
    assert "load average before 0.2" in page.read_text()


def test_tables_without_results_stay_empty(tmp_path: Path, page: Path) -> None:
    before = page.read_text()

    fill_pages(page, page, tmp_path / "nothing")

    assert page.read_text() == before


def test_goal_is_met_only_at_the_size_for_which_it_is_set(results: Path) -> None:
    small = {goal.aim: goal.met for goal in goals(newest(kept("compare", results)), [])}
    rounds = [run(OURS, 300_000, seconds=80.0), run("sql-tuned", 300_000, seconds=90.0)]
    rounds += [run("sql-naive", 300_000, seconds=90.0), run("limit", 300_000, seconds=1.0)]
    record("compare", *rounds, days=1).keep(results)
    large = {goal.aim: goal.met for goal in goals(newest(kept("compare", results)), [])}

    assert small["no slower than sql-tuned"] == "so far"
    assert large["no slower than sql-tuned"] == "yes"
    assert large["2.5x as fast as sql-naive"] == "no"
    assert large["the load phase takes at most 3x the time of limit"] == "yes"


def test_growth_and_memory_are_judged_by_size(tmp_path: Path) -> None:
    sizes = [run(persons=100_000, seconds=50.0), run(persons=2_000_000, seconds=1_250.0)]
    record("scale", *sizes).keep(tmp_path)

    found = [
        (goal.persons, goal.measured, goal.met)
        for goal in goals([], newest(kept("scale", tmp_path)))
    ]

    assert found == [
        (2_000_000, "80% at 2,000,000 persons", "no"),
        (100_000, "300 MiB at 100,000 persons", "yes"),
        (2_000_000, "300 MiB at 2,000,000 persons", "yes"),
    ]
