"""The other commands: killed or short of room they leave whole files or none; purge finds all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.faults.honesty import KILLED, assert_said, assert_source
from tests.faults.site import CANARY, Site
from tests.faults.strace import calls_of, injecting, require_strace, thinned
from tests.faults.trials import SHARES, Trials

CREATED = pytest.mark.parametrize("site", ["created"], indirect=True)
FORMATS = ("xlsx", "csv", "parquet", "json")

LIMITED = """
import resource, sys
size = int(sys.argv.pop(1))
import person_unify.explore.export, person_unify.evidence.rebuilding
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
from person_unify.cli import main
main()
"""


def migrated(site: Site) -> None:
    site.reset()
    done = site.run_here()
    assert done.code == 0, done.stderr


def out(site: Site) -> Path:
    """Where exported and rebuilt files go: a directory that the target does not stand in."""
    path = site.root / "out"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def commands(site: Site) -> dict[str, list[str]]:
    """Commands that write files, by a name; each writes into ``out``."""
    ledger, place = str(site.ledger), site.root / "out"
    return {
        **{
            f"export {format_}": ["export", ledger, str(place), "--format", format_]
            for format_ in FORMATS
        },
        "rebuild": ["rebuild", str(site.target), str(place / "rebuilt.db"), "--quiet"],
        "review": ["review", "export", ledger, str(place / "review.csv")],
        "report": ["report", str(site.target), str(place / "page.html")],
    }


def whole(site: Site, arguments: Sequence[str]) -> dict[str, int]:
    """The files of an undisturbed call, with their sizes (a workbook's holds its time)."""
    place = out(site)
    done = site.run_here(*arguments)
    assert done.code == 0, done.stderr
    return {path.name: path.stat().st_size for path in place.iterdir()}


def assert_whole_or_none(site: Site, expected: dict[str, int], *, all_or_none: bool) -> None:
    """After purge there is nothing but whole files, and no cell but in them and in databases."""
    place = site.root / "out"
    purged = site.run_here("purge", str(site.target), "--yes", "--in", str(place))
    assert_said(purged, {0})
    found = {path.name: path.stat().st_size for path in place.iterdir()}
    assert found.keys() <= expected.keys(), found
    for name, size in found.items():
        assert abs(size - expected[name]) <= (64 if name.endswith(".xlsx") else 0), (name, size)
    if all_or_none:
        assert found.keys() in (set(), expected.keys()), f"some files only: {sorted(found)}"
    assert not list(site.temporary.iterdir()), "left in the temporary directory"
    assert not [path for path in site.target.parent.iterdir() if path.name.startswith(".")]
    assert_source(site)


@CREATED
@pytest.mark.parametrize("share", SHARES)
def test_killed_command(site: Site, trials: Trials, tmp_path: Path, share: int) -> None:
    """SIGKILL instead of a write-like system call of export, rebuild, review or report."""
    require_strace()
    migrated(site)
    for name, arguments in trials.sample(list(commands(site).items()), quick=2):
        expected = whole(site, arguments)
        out(site)
        calls = thinned(calls_of(site, tmp_path / "trace", *arguments), 8)
        calls = [call for call in calls if call[0] != "write"][:: 1 + len(calls) // 30]
        for call, number in trials.sample(calls, quick=2, share=share):
            out(site)
            with trials.trial(f"{name}: {call} {number}"):
                outcome = site.run(*arguments, prefix=injecting(call, number, "signal=SIGKILL"))
                if outcome.code == 0:
                    trials.miss()
                assert_said(outcome, {KILLED, 0})
                assert_whole_or_none(site, expected, all_or_none="link" not in call)


@CREATED
def test_limit_on_file_sizes(site: Site, trials: Trials) -> None:
    """No file of export, rebuild, review or report may grow beyond a limit."""
    migrated(site)
    for name, arguments in trials.sample(list(commands(site).items()), quick=3):
        expected = whole(site, arguments)
        largest = max(expected.values())
        limits = [size for size in (largest - 1, largest // 2, 4096, 1) if size < largest]
        for limit in trials.sample(limits, quick=1):
            out(site)
            with trials.trial(f"{name}: {limit} bytes"):
                done = subprocess.run(
                    [sys.executable, "-c", LIMITED, str(limit), *arguments],
                    capture_output=True,
                    text=True,
                    check=False,
                    env=site.environment(),
                )
                assert done.returncode == 1, (done.returncode, done.stderr)
                assert "internal error" not in done.stderr, done.stderr
                assert CANARY.lower() not in (done.stdout + done.stderr).lower()
                assert_whole_or_none(site, expected, all_or_none=True)


@pytest.mark.parametrize("share", SHARES)
def test_killed_purge(site: Site, trials: Trials, tmp_path: Path, share: int) -> None:
    """SIGKILL instead of a write-like system call of a purge."""
    require_strace()
    arguments = ["purge", str(site.target), "--yes", "--in", str(site.backups)]
    migrated(site)
    calls = [c for c in calls_of(site, tmp_path / "trace", *arguments) if c[0] != "write"]
    for call, number in trials.sample(calls, quick=2, share=share):
        migrated(site)
        with trials.trial(f"{call} {number}"):
            outcome = site.run(*arguments, prefix=injecting(call, number, "signal=SIGKILL"))
            if outcome.code == 0:
                trials.miss()
            assert_said(outcome, {KILLED, 0})
            assert_said(site.run_here(*arguments), {0})
            assert not list(site.backups.iterdir())
            assert sorted(path.name for path in site.target.parent.iterdir()) == [
                *("new.checkpoints.json", "new.db", "new.ledger.db"),
                *("new.report.html", "new.report.json"),
            ]
            assert_source(site)
