"""Tables say what the kept results say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bench.figures import FAULTS, MEMORY, NO_FAULTS, goals, newest, ratios
from bench.measuring import OURS, Record, kept
from bench.tables import fill_pages
from tests.bench.conftest import record, run

from bench import measuring


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
    assert [row[:4] for row in table(page, "scale")] == [
        ["2% faults", "1,000", "25,000", "4.0"],
        ["2% faults", "2,000", "25,000", "8.0"],
    ]
    assert table(page, "bench") == table(page, "scale")
    assert table(page, "odd") == [
        ["no odd cell, one odd cell", "25,000", "1", "6.0", "7.5", "1.25x"]
    ]
    took = {row[0]: row[1:] for row in table(page, "floor")}
    assert took["person-unify"] == ["4.00", "6.00", "100.0%"]
    assert took["all three: quick_check"] == ["1.50", "0.50", "8.3%"]
    assert took["**together, the source read twice**"] == ["10.50", "3.50", "58.3%"]
    assert table(page, "phases")[0] == ["1,000", "1.0", "1.5", "1.0"]
    assert "load average before 0.2" in page.read_text()


def test_tables_without_results_stay_empty(tmp_path: Path, page: Path) -> None:
    before = page.read_text()

    fill_pages(page, page, tmp_path / "nothing")

    assert page.read_text() == before


def test_goals_are_judged_at_their_sizes(results: Path) -> None:
    rounds = [run(OURS, 300_000, seconds=80.0), run("sql-tuned", 300_000, seconds=60.0)]
    rounds += [run("sql-naive", 300_000, seconds=79.0)]
    record("compare", *rounds, days=1).keep(results)
    small = {goal.aim: goal for goal in goals(newest(kept("compare", results)), [])}

    assert small["at most 1.5x the time of sql-tuned"].at == "300,000"
    assert small["at most 1.5x the time of sql-tuned"].met == "yes"
    assert small["faster than sql-naive"].met == "no"
    assert small["faster than prisma-many"].measured == "10.0x as fast (100)"
    assert small["faster than prisma-many"].met == "yes"


def test_a_peer_that_is_faster_at_one_size_is_no_slower_peer(tmp_path: Path) -> None:
    rounds = [run(seconds=4.0), run("pandas", seconds=2.0)]
    rounds += [run(persons=2_000, seconds=4.0), run("pandas", 2_000, seconds=8.0)]
    record("compare", *rounds).keep(tmp_path)

    (goal,) = goals(newest(kept("compare", tmp_path)), [])

    assert (goal.measured, goal.met) == ("2.0x slower (1,000), 2.0x as fast (2,000)", "no")


def test_few_rows_faults_and_check_are_judged_by_cpu(tmp_path: Path) -> None:
    took = {
        ("imports", 0): 1.0,
        ("--help", 0): 0.29,
        (OURS, 0): 2.6,
        ("check", 50): 2,
        (OURS, 50): 5,
    }
    record("smallest", *(replace(run(n, p), cpu_seconds=s) for (n, p), s in took.items())).keep(
        tmp_path
    )
    pair = ((NO_FAULTS, 10.0), (FAULTS, 12.5))
    record("odd", *(replace(run(n), cpu_seconds=s) for n, s in pair)).keep(tmp_path)

    found = goals([], [], *(newest(kept(kind, tmp_path)) for kind in ("odd", "smallest")))

    assert [(goal.measured, goal.met) for goal in found] == [
        ("1.25x the CPU", "yes"),
        ("2.60x the CPU", "no"),
        ("0.29 s", "yes"),
        ("0.40x the CPU", "yes"),
    ]


def test_growth_and_memory_are_judged_by_size(tmp_path: Path) -> None:
    sizes = [run(persons=100_000, seconds=50.0), run(persons=1_000_000, seconds=625.0)]
    record("scale", *sizes).keep(tmp_path)

    found = [
        (goal.at, goal.measured, goal.met) for goal in goals([], newest(kept("scale", tmp_path)))
    ]

    assert found == [
        ("1,000,000", "80% at 1,000,000 persons", "no"),
        ("100,000", "300 MiB at 100,000 persons", "yes"),
        ("1,000,000", "300 MiB at 1,000,000 persons", "yes"),
    ]


def test_runs_without_faults_and_told_their_memory_stand_apart(tmp_path: Path, page: Path) -> None:
    told = [replace(run(), name=f"{MEMORY} {size}") for size in ("256M", "1G")]
    clean = replace(run(seconds=2.0), name=NO_FAULTS)
    record("scale", run(seconds=4.0), clean, *told).keep(tmp_path)

    fill_pages(page, page, tmp_path)

    assert [row[0] for row in table(page, "scale")] == [
        "2% faults",
        "no faults",
        "--memory 256M",
        "--memory 1G",
    ]
    assert [row[:2] for row in table(page, "bench")] == [["2% faults", "1,000"]]
    assert [row for row in table(page, "goals") if "--memory" in row[0]] == [
        ["--memory 256M held within 15%", "1,000", "300 MiB, 1.17x", "no"],
        ["--memory 1G held within 15%", "1,000", "300 MiB, 0.29x", "yes"],
    ]


def test_growth_is_judged_by_the_samples_that_were_measured_furthest(tmp_path: Path) -> None:
    clean = [run(persons=100_000, seconds=40.0), run(persons=1_000_000, seconds=800.0)]
    record("scale", run(persons=100_000, seconds=50.0)).keep(tmp_path)
    record("scale", *(replace(one, name=NO_FAULTS) for one in clean), days=1).keep(tmp_path)

    first, *_ = goals([], newest(kept("scale", tmp_path)))

    assert (first.measured, first.met) == ("50% at 1,000,000 persons, no faults", "no")


def test_a_smaller_size_than_the_goals_proves_nothing(tmp_path: Path) -> None:
    record("scale", run(persons=100_000), run(persons=200_000, seconds=8.0)).keep(tmp_path)

    assert [g.met for g in goals([], newest(kept("scale", tmp_path)))] == [
        "so far",
        "yes",
        "so far",
    ]


def test_a_casual_run_is_not_where_the_pages_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    places = {"RESULTS": tmp_path / "kept", "CASUAL": tmp_path / "casual"}
    for name, directory in places.items():
        monkeypatch.setattr(measuring, name, directory)

    for keep, place in ((False, "CASUAL"), (True, "RESULTS")):
        made = Record("scale", {"keep": keep})
        made.add(run())
        assert made.keep().parent == places[place]
