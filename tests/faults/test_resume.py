"""A run that was killed, and killed again while it was resumed or discarded."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.faults.honesty import KILLED, WAYS, Way, assert_honest
from tests.faults.site import Site
from tests.faults.strace import Call, calls_of, injecting, require_strace
from tests.faults.trials import SHARES, Trials
from tests.migration.support import Found, query


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("way", WAYS)
def test_killed_again(site: Site, trials: Trials, tmp_path: Path, way: Way, share: int) -> None:
    """SIGKILL instead of a write-like system call of a run that goes on with a killed one."""
    require_strace()
    first = calls_of(site, tmp_path / "trace")
    for kill in first_kills(first, way):
        stop(site, kill)
        saved = save(site, tmp_path / "saved")
        calls = calls_of(site, tmp_path / "trace", *site.arguments(way))
        expected = ids(site)
        for position, (call, number) in enumerate(trials.sample(calls[::24], 1, share)):
            if way == "--resume":
                restore(site, saved)
            else:
                stop(site, kill)  # a copy would leave the backup to the run that it is a copy of
            with trials.trial(f"{kill}, then {call} {number}"):
                prefix = injecting(call, number, "signal=SIGKILL")
                outcome = site.run(*site.arguments(way), prefix=prefix)
                if outcome.code == 0:
                    trials.miss()
                assert_honest(site, outcome, {KILLED, 0}, look=position % 2 == 0)
                if way == "--resume":
                    assert ids(site) == expected, "other ids than before the kill"


def first_kills(calls: Sequence[Call], way: Way) -> list[Call]:
    """Early, in the midst of the rows, and, where nothing can be begun anew, while publishing."""
    links = [call for call in calls if call[0].startswith("link")]
    inside = [calls[len(calls) * part // 100] for part in (15, 60)]
    return [*inside, links[-1]] if way == "--resume" else inside


def stop(site: Site, kill: Call) -> None:
    """A run that is killed at that call, or a little before.

    Checkpoints are shown by the clock, so a quicker run makes a few calls less than the traced one.
    """
    call, number = kill
    for earlier in range(min(number, 4)):
        site.reset()
        outcome = site.run(prefix=injecting(call, number - earlier, "signal=SIGKILL"))
        if outcome.code == KILLED:
            return
    pytest.fail(f"the run was not killed at {call} {number}")


def ids(site: Site) -> list[Found]:
    """Which person every patient became."""
    return query(site.ledger, "SELECT old_id, new_id FROM patient_to_person ORDER BY old_id")


def save(site: Site, to: Path) -> Path:
    """Everything in the site, hard links as such: they tell what was published already."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    for place in site.places:
        subprocess.run(["cp", "-a", place, to / place.name], check=True)
    return to


def restore(site: Site, saved: Path) -> None:
    for place in site.places:
        shutil.rmtree(place)
        subprocess.run(["cp", "-a", saved / place.name, place], check=True)
