"""Every script answers for itself, and the short ones run as a whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bench.compare import FAST, LIMIT, in_turn
from bench.figures import PARTS, TUNED
from bench.measuring import OURS, ROOT
from bench.profile import masked

from person_unify.sample import SampleOptions, write_sample

SCRIPTS = (
    "compare",
    "scale",
    "guard",
    "profile",
    "plots",
    "tables",
    "linkage",
    "odd",
    "deliver",
    "smallest",
    "floor",
    "floor_parts",
)
NAME = "Zebulon"


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_explains_itself(script: str) -> None:
    done = ran(f"bench.{script}", "--help")

    assert done.returncode == 0, done.stderr
    assert f"usage: python -m bench.{script}" in done.stdout


def test_every_script_is_tried_here() -> None:
    runnable = {
        path.stem for path in (ROOT / "bench").glob("*.py") if "__main__" in path.read_text()
    }

    assert runnable == set(SCRIPTS)


def test_makefile_and_page_run_what_there_is() -> None:
    for name in ("Makefile", "docs/PERFORMANCE.md"):
        named = set(re.findall(r"-m bench\.(\w+)", (ROOT / name).read_text(encoding="utf-8")))
        assert named <= set(SCRIPTS), name


def test_guard_without_a_kept_ratio_says_how_to_keep_one() -> None:
    done = ran("bench.guard", "--persons", "17")

    assert done.returncode == 2
    assert "python -m bench.guard --keep --persons 17" in done.stdout


def test_each_round_begins_with_another_and_ends_with_the_limit() -> None:
    rounds = [in_turn(FAST, number) for number in (1, 2, 3)]

    assert [names[0] for names in rounds] == [OURS, *FAST[:2]]
    assert all(names[-1] == LIMIT for names in rounds)
    assert all(sorted(names) == sorted([OURS, *FAST]) for names in rounds)


def test_profile_names_phases_and_statements_and_no_cell(tmp_path: Path) -> None:
    write_sample(tmp_path / "old.db", SampleOptions(persons=40, seed=3))

    done = ran("bench.profile", str(tmp_path / "old.db"), "--statements", "2000")

    assert done.returncode == 0, done.stderr
    for phase in ("snapshot", "extract", "transform", "load", "verify", "publish", "whole run"):
        assert re.search(rf"^{phase} +\d+\.\d\d +\d+\.\d\d", done.stdout, re.MULTILINE), phase
    assert "stages.verify." in done.stdout
    assert "'" not in done.stdout.replace("'s", "")
    assert [path.name for path in tmp_path.iterdir()] == ["old.db"]


def test_floor_times_every_part_of_a_migration() -> None:
    done = ran("bench.floor", "--persons", "30")

    assert done.returncode == 0, done.stderr
    for name in (OURS, TUNED, *PARTS.values()):
        assert re.search(rf"^{re.escape(name)} +\d+\.\d\d s ", done.stdout, re.MULTILINE), name


@pytest.mark.parametrize(
    "literal", [f"'{NAME}'", f"'{NAME}''s'", "'a\nb'", "x'5A65'", "1764115200000", "1764.25"]
)
def test_literals_are_masked(literal: str) -> None:
    assert masked(f"SELECT 1 FROM t\n WHERE name = {literal} ") == "SELECT 1 FROM t WHERE name = ?"
