"""Volumes without locks are refused before anything is read (section 9)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.strace import require_strace
from tests.migration.support import SMALL, make_target, old_database


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
