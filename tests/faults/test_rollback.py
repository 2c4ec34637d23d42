"""``rollback`` that is killed, or meets a failing disk: the same call finishes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.honesty import KILLED, assert_said, assert_silent_files, assert_source, finish
from tests.faults.site import Outcome, Site
from tests.faults.strace import Call, calls_of, injecting, require_strace, thinned
from tests.faults.trials import SHARES, Trials

KEPT = ".rolled-back-"


@pytest.mark.parametrize("share", SHARES)
def test_killed_rollback(site: Site, trials: Trials, tmp_path: Path, share: int) -> None:
    """SIGKILL instead of a write-like system call of a rollback."""
    require_strace()
    for call, number in trials.sample(calls(site, tmp_path), quick=2, share=share):
        migrated(site)
        with trials.trial(f"{call} {number}"):
            prefix = injecting(call, number, "signal=SIGKILL")
            outcome = site.run("rollback", str(site.target), prefix=prefix)
            if outcome.code == 0:
                trials.miss()
            assert_rolled_back(site, outcome, {KILLED, 0})


@pytest.mark.parametrize("share", SHARES)
def test_rollback_on_a_failing_disk(site: Site, trials: Trials, tmp_path: Path, share: int) -> None:
    """EIO or ENOSPC once, from a write-like system call of a rollback."""
    require_strace()
    for call, number in trials.sample(calls(site, tmp_path), quick=2, share=share):
        error = ("EIO", "ENOSPC")[number % 2]
        migrated(site)
        with trials.trial(f"{call} {number} {error}"):
            prefix = injecting(call, number, f"error={error}")
            outcome = site.run("rollback", str(site.target), prefix=prefix)
            assert_rolled_back(site, outcome, {0, 1, 3})


def calls(site: Site, directory: Path) -> list[Call]:
    migrated(site)
    return thinned(calls_of(site, directory / "trace", "rollback", str(site.target)), 8)


def migrated(site: Site) -> None:
    site.reset()
    done = site.run_here()
    assert done.code == 0, done.stderr


def assert_rolled_back(site: Site, outcome: Outcome, codes: set[int]) -> None:
    """The same call finishes what was cut short; then a migration goes through again."""
    assert_said(outcome, codes)
    if outcome.code != 0 and site.ledger.exists():
        assert_said(site.run_here("rollback", str(site.target)), {0})
    if site.in_place:
        assert site.target.read_bytes() == site.pristine_target.read_bytes()
    else:
        assert not site.target.exists()
    assert_source(site)
    assert_silent_files(site)
    beside = [path.name for path in site.target.parent.iterdir() if KEPT not in path.name]
    allowed = {site.target.name} if site.in_place else set()
    pre_migration = f"{site.target.name}.pre-migration-"
    assert {name for name in beside if not name.startswith(pre_migration)} == allowed
    assert any(
        path.name.startswith(f"{site.ledger.name}{KEPT}") for path in site.target.parent.iterdir()
    )
    finish(site, Outcome(1, "", ""))
