"""Volumes without locks, or on which nothing can be written, and what is said of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults.strace import require_strace
from tests.migration.support import SMALL, change, make_target, migrated, old_database
from tests.processes import run


def _without(call: str, only: Path | None, *arguments: str | Path) -> tuple[int, str]:
    """A run whose system call fails as on a volume without locks, for one file or for all."""
    prefix = ["strace", "-f", "-qq", "-o", "/dev/null", *(["-P", str(only)] if only else [])]
    prefix += ["-e", f"trace={call}", "-e", f"inject={call}:error=ENOLCK"]
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "person_unify", "migrate", *arguments, "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("which", ["run directory", "source", "target"])
def test_volume_without_locks(tmp_path: Path, which: str) -> None:
    require_strace()
    source, target = old_database(tmp_path / "old.db", SMALL), make_target(tmp_path / "new.db")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    call, only = {
        "run directory": ("flock", None),
        "source": ("fcntl", source),
        "target": ("fcntl", target),
    }[which]

    code, said = _without(call, only, source, target)

    assert code == (1 if which == "run directory" else 3), said
    assert "knows no file locks" in said
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("command", ["migrate", "rebuild"])
def test_volume_without_hard_links_is_refused_before_the_work(command: str, tmp_path: Path) -> None:
    require_strace()
    done = migrated(tmp_path, SMALL)
    words = {
        "migrate": ["migrate", done.source, tmp_path / "other.db"],
        "rebuild": ["rebuild", done.target, tmp_path / "rebuilt.db"],
    }[command]
    before = sorted(tmp_path.iterdir())
    links = ["-e", "trace=link,linkat", "-e", "inject=link,linkat:error=EPERM"]

    refused = subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", "/dev/null", *links),
            *(sys.executable, "-m", "person_unify", *map(str, words), "--json"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert refused.returncode == 1, refused.stderr
    assert f"the volume of {tmp_path} knows no hard links" in refused.stderr
    assert "table" not in refused.stdout
    assert sorted(tmp_path.iterdir()) == before


@contextmanager
def _unwritable(directory: Path) -> Iterator[None]:
    """Have a directory mounted again so that nobody can write into it, whoever it is."""
    again = ["mount", "-o", "remount,ro,bind", str(directory)]
    bound = subprocess.run(["mount", "--bind", directory, directory], check=False)
    if bound.returncode or subprocess.run(again, check=False).returncode:
        pytest.skip("mounting is not permitted here: no read-only volume")
    try:
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@pytest.mark.parametrize("command", ["verify", "trace", "diff", "report", "rebuild", "lineage"])
def test_target_that_asks_for_a_log_on_a_read_only_volume(finished: Path, command: str) -> None:
    source, target = finished / "old.db", finished / "new.db"
    call: dict[str, list[str | Path]] = {
        "verify": [source, target],
        "trace": [target, "children", "c1"],
        "diff": [source, target],
        "report": [target, finished.parent / "page.html"],
        "rebuild": [target, finished.parent / "again.db"],
        "lineage": [target],
    }

    with _unwritable(finished):
        done = run(command, *call[command])

    assert done.returncode == 1, done.stderr
    assert "copy it, with its ledger and a -wal file if there is one" in done.stderr
    assert [path.name for path in finished.parent.iterdir()] == [finished.name]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a finished run, whose target the platform has set to a write-ahead log."""
    place = tmp_path_factory.mktemp("volume") / "media"
    place.mkdir()
    migrated(place, SMALL)
    change(place / "new.db", "PRAGMA journal_mode = WAL")
    return place
