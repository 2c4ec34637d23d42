"""SIGKILL, at every write-like system call and at random instants, and the signals that ask."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.faults.honesty import KILLED, WAYS, assert_honest
from tests.faults.site import Outcome, Site
from tests.faults.strace import calls_of, injecting, require_strace, thinned
from tests.faults.trials import FULL, SHARES, Trials

RANDOM_KILLS = 80 if FULL else 4
RANDOM_SIGNALS = 60 if FULL else 2
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("share", SHARES)
def test_killed_at_a_system_call(site: Site, trials: Trials, tmp_path: Path, share: int) -> None:
    """SIGKILL instead of a write-like system call."""
    require_strace()
    calls = thinned(calls_of(site, tmp_path / "trace"), 8)
    for position, (call, number) in enumerate(trials.sample(calls, quick=6, share=share)):
        site.reset()
        with trials.trial(f"{call} {number}"):
            outcome = site.run(prefix=injecting(call, number, "signal=SIGKILL"))
            if outcome.code == 0:
                trials.miss()
            look, way = position % 2 == 0, WAYS[position // 2 % 2]
            assert_honest(site, outcome, {KILLED, 0}, look=look, way=way)


@pytest.mark.parametrize("share", SHARES)
def test_killed_at_a_random_instant(site: Site, trials: Trials, share: int) -> None:
    """SIGKILL at a random instant of the run."""
    usual = interrupted(site, None, 0)[1]
    dice = random.Random(20_260_601 + share)
    for position in range(share, RANDOM_KILLS // 2, len(SHARES)):
        site.reset()
        with trials.trial(position):
            outcome, _ = interrupted(site, signal.SIGKILL, dice.uniform(0, usual))
            look, way = position % 2 == 0, WAYS[position // 2 % 2]
            assert_honest(site, outcome, {KILLED, 0}, look=look, way=way)


@pytest.mark.parametrize("share", SHARES)
def test_interrupted_at_a_random_instant(site: Site, trials: Trials, share: int) -> None:
    """SIGINT, SIGTERM or SIGHUP at a random instant of the run."""
    usual = interrupted(site, None, 0)[1]
    dice = random.Random(20_260_602 + share)
    for position in range(share, RANDOM_SIGNALS // 2, len(SHARES)):
        sent = SIGNALS[position % len(SIGNALS)]
        site.reset()
        with trials.trial(f"{position} {sent.name}"):
            outcome, _ = interrupted(site, sent, dice.uniform(0, usual))
            assert_honest(site, outcome, {128 + sent, 0}, way=WAYS[position % 2])


def interrupted(site: Site, sent: signal.Signals | None, after: float) -> tuple[Outcome, float]:
    """A run that gets a signal so many seconds after its first sign of life, and how long it took.

    Seconds are counted from that sign, for what comes before is mostly Python's imports.
    """
    with subprocess.Popen(
        site.command(*site.arguments("--json")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=site.environment(),
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        started = time.perf_counter()
        if sent is not None:
            time.sleep(after)
            process.send_signal(sent)
        stdout, stderr = process.communicate(timeout=300)
    return Outcome(process.returncode, first + stdout, stderr), time.perf_counter() - started
