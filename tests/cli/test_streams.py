"""Output that nobody reads or no disk can hold does not end the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.migration.support import SMALL, old_database

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="the machine has no /dev/full")
@pytest.mark.parametrize("options", [["--json"], ["--quiet"], []])
def test_a_full_disk_under_the_output_is_said_and_does_not_end_the_work(
    options: list[str], tmp_path: Path
) -> None:
    source, target = old_database(tmp_path / "old.db", SMALL), tmp_path / "new.db"

    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "person_unify", "migrate", source, target, *options],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    said = [line for line in done.stderr.splitlines() if line.startswith("person-unify: ")]
    assert done.returncode == 0, done.stderr
    assert said == ["person-unify: the output could not be written: No space left on device"]
    assert target.exists()


@pytest.mark.skipif(not FULL.exists(), reason="the machine has no /dev/full")
def test_a_full_disk_under_the_progress_does_not_end_the_work(tmp_path: Path) -> None:
    source, target = old_database(tmp_path / "old.db", SMALL), tmp_path / "new.db"

    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "person_unify", "migrate", source, target],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )

    assert done.returncode == 0
    assert done.stdout.rstrip().splitlines()[-1].startswith("published")


CLOSED = {
    "all": ("<&- >&- 2>&-", ["--quiet"]),
    "output": (">&-", []),
    "events": (">&-", ["--json"]),
    "errors": ("2>&-", []),
    "input": ("<&-", []),
}


@pytest.mark.parametrize("closed", CLOSED)
def test_streams_that_are_closed_at_the_start_are_no_obstacle(closed: str, tmp_path: Path) -> None:
    redirected, options = CLOSED[closed]
    source, target = old_database(tmp_path / "old.db", SMALL), tmp_path / "new.db"

    done = subprocess.run(
        [
            *("sh", "-c", f'"$0" -m person_unify migrate "$@" {redirected}', sys.executable),
            *(str(source), str(target), *options),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert target.exists()
    assert target.read_bytes().startswith(b"SQLite format 3\0")
