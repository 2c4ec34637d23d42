"""Measurements are read from whichever files are there."""

from __future__ import annotations

import json
from pathlib import Path

import vl_convert

from person_unify.explore import charts, open_bench
from person_unify.explore.bench import PHASE, RUNS

RESULTS = Path(__file__).parents[2] / "bench" / "results"


def test_every_kept_result_is_read() -> None:
    kept = [json.loads(path.read_text()) for path in RESULTS.glob("*.json")]
    seconds = sorted(run["seconds"] for record in kept for run in record.get("runs", ()))

    bench = open_bench(RESULTS)

    assert sorted(bench.runs["seconds"]) == seconds
    assert bench.phases.height >= 7


def test_other_files_are_left_out(tmp_path: Path) -> None:
    run = {"persons": 10, "seconds": 1.5, "phases": {"load": 1.0, "extract": 0.5, "nap": 9.0}}
    texts = {
        "good": json.dumps({"date": "2026-01-02", "runs": [run, {"persons": 3}, None]}),
        "other": json.dumps({"precision": 0.9}),
        "list": "[1, 2]",
        "broken": "{",
        "none": json.dumps({"runs": None}),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.json").write_text(text)

    bench = open_bench(tmp_path)

    assert bench.runs.select("file", "persons", "seconds", "source_mb").rows() == [
        ("good", 10, 1.5, None)
    ]
    assert bench.phases["phase"].to_list() == ["extract", "load"]
    assert (bench.runs.schema, bench.phases.schema) == (RUNS, PHASE)


def test_measurements_are_drawn_also_when_there_are_none(tmp_path: Path) -> None:
    for bench in (open_bench(RESULTS), open_bench(tmp_path)):
        for draw in (charts.bench_speed, charts.bench_phases):
            assert vl_convert.vegalite_to_svg(draw(bench).to_json()).startswith("<svg")


def test_the_newest_result_with_several_sizes_stands_alone(tmp_path: Path) -> None:
    for stamp, sizes in (("020643", (10, 100)), ("103419", (10, 100)), ("120000", (10, 10))):
        runs = [{"persons": n, "seconds": 1.0, "phases": {"load": 1.0}} for n in sizes]
        record = json.dumps({"date": "2026-01-02", "runs": runs})
        (tmp_path / f"x-2026-01-02-{stamp}.json").write_text(record)

    newest = open_bench(tmp_path).newest

    assert set(newest.runs["file"]) == set(newest.phases["file"]) == {"x-2026-01-02-103419"}
    assert open_bench(tmp_path / "none").newest.runs.height == 0
