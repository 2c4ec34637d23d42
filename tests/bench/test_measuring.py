"""Samples, timed processes and kept results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bench.measuring import OURS, ROOT, fill, kept, migrated, runs_of, sample, timed
from tests.bench.conftest import record, run

from bench import measuring


def test_result_is_read_as_it_was_kept(tmp_path: Path) -> None:
    runs = [run(), run("sql-tuned"), run(number=2)]

    path = record("compare", *runs).keep(tmp_path)

    (read,) = kept("compare", tmp_path)
    assert list(runs_of(read)) == [runs[0], runs[2], runs[1]]
    assert path.name.startswith("compare-2026-01-02-030405-")
    assert read["date"] == "2026-01-02"
    assert read["load_average"]["before"] == [0.25, 0.5, 0.75]
    assert len(read["load_average"]["after"]) == 3
    assert {OURS, "commit", "python", "sqlite", "polars"} <= set(read["versions"])
    assert read["memory_bytes"] > 0


def test_result_that_grows_stays_one_file(tmp_path: Path) -> None:
    growing = record("scale", run())
    growing.keep(tmp_path)
    growing.add(run(number=2))
    growing.keep(tmp_path)

    (read,) = kept("scale", tmp_path)

    assert len(read["runs"]) == 2


def test_newest_result_comes_last_and_other_files_are_left_out(tmp_path: Path) -> None:
    for days in (2, 0, 1):
        record("scale", run(), days=days).keep(tmp_path)
    record("compare", run(), days=3).keep(tmp_path)
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "broken.json").write_text("{")

    assert [found["date"][-2:] for found in kept("scale", tmp_path)] == ["02", "03", "04"]


def test_filling_twice_changes_only_what_stands_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "PAGE.md"
    page.write_text("head\n<!-- a:begin -->\nold\n<!-- a:end -->\ntail\n")

    for _ in range(2):
        fill(page, "a", ["one", "two"])

    assert page.read_text() == "head\n<!-- a:begin -->\none\ntwo\n<!-- a:end -->\ntail\n"


@pytest.mark.parametrize("text", ["", "<!-- a:begin -->", "<!-- a:end --><!-- a:begin -->"])
def test_page_without_its_marks_is_refused_and_stays(tmp_path: Path, text: str) -> None:
    page = tmp_path / "PAGE.md"
    page.write_text(text)

    with pytest.raises(ValueError, match=r"PAGE\.md has no place for a"):
        fill(page, "a", ["one"])
    assert page.read_text() == text


def test_process_is_timed_by_itself() -> None:
    process = timed("-c", "import time; x = bytearray(50 << 20); time.sleep(0.2)")

    assert process.seconds >= 0.2
    assert process.cpu_seconds < process.seconds
    assert process.peak_rss_bytes > 50 << 20


def test_failing_process_says_what_it_printed() -> None:
    with pytest.raises(SystemExit, match=r"(?s)ended with 3.*broken"):
        timed("-c", "print('broken'); raise SystemExit(3)")


def test_sample_is_made_once_and_migrated(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(measuring, "SAMPLES", tmp_path / "samples")

    source = sample(40)
    made = source.stat().st_mtime_ns
    mine = migrated(sample(40), 40, 2, tmp_path)

    assert source.stat().st_mtime_ns == made
    assert sample(40, faults=False) != source
    report = json.loads((tmp_path / "person-unify.report.json").read_text())
    assert mine.source_rows == sum(table["source_rows"] for table in report["tables"])
    assert list(mine.phases) == [phase["phase"] for phase in report["phases"]]
    assert (mine.name, mine.round, mine.persons) == (OURS, 2, 40)
    assert mine.rows_per_second == pytest.approx(mine.target_rows / mine.seconds, rel=0.01)


def test_full_disk_stops_a_size_before_it_begins(tmp_path: Path, monkeypatch: Any) -> None:
    source = tmp_path / "old.db"
    source.write_bytes(b"x" * 1_000)
    free = {"free": 4_000}
    monkeypatch.setattr(measuring, "SAMPLES", measuring.ROOT / "build" / "bench")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(**free))

    measuring.require_room(source, 4)
    free["free"] = 3_999
    with pytest.raises(SystemExit, match="make room, or measure a smaller size"):
        measuring.require_room(source, 4)


@pytest.mark.parametrize("script", ["compare", "guard", "scale"])
def test_what_measures_is_small(script: str) -> None:
    # A process inherits the peak memory of the one that starts it.
    code = f"import bench.{script}, sys; print({{'polars', 'altair', 'numpy'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "set()\n"
