"""Others at work: a target that is locked, several runs on one target, a source that is written."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO

import pytest
from tests.faults.honesty import assert_honest, assert_said, assert_tidy
from tests.faults.site import Outcome, Site
from tests.faults.trials import Trials
from tests.migration.support import change, query

from person_unify.pipeline import verify

EXISTING = pytest.mark.parametrize("site", ["existing"], indirect=True)
LOCKS = ("BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "BEGIN; SELECT count(*) FROM sqlite_master")
RUNS = (2, 3, 4, 8)
RATES = [(mode, rate) for rate in (1, 10, 100, 500) for mode in ("delete", "wal")]

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2].split("; "):
    connection.execute(statement).fetchall()
print("locked", flush=True)
sys.stdin.read()
"""

# Each transaction adds a patient and the child that is linked to it.
WRITER = """
import sqlite3, sys, threading, time
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set())).start()
pause = 1 / float(sys.argv[2])
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("PRAGMA synchronous = OFF")
print("writing", flush=True)
due, written = time.monotonic(), 0
while not stop.is_set():
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "INSERT INTO patients (id, clinician_id, first_name, last_name, date_of_birth, gender) "
        f"VALUES ('pw{written}', 'u1', 'Asha', 'Rao', 0, 'female')"
    )
    connection.execute(
        "INSERT INTO children (id, parent_id, linked_patient_id, first_name, last_name, "
        f"date_of_birth, gender) VALUES ('cw{written}', 'r1', 'pw{written}', 'Asha', 'Rao', 0, '')"
    )
    connection.execute("COMMIT")
    written += 1
    due += pause
    stop.wait(max(0, due - time.monotonic()))
connection.close()
print(written)
"""


@contextmanager
def beside(script: str, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Another program at work; closing its standard input, which is yielded, ends it."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline()
        yield other, other.stdin


@EXISTING
def test_target_locked_for_a_moment(site: Site, trials: Trials) -> None:
    """Target locked by another program for less than the timeout."""
    for lock in trials.sample(LOCKS, quick=1):
        site.reset()
        with trials.trial(lock):
            with (
                beside(HOLDER, site.target, lock) as (_, hold),
                subprocess.Popen(
                    site.command(*site.arguments("--json", "--busy-timeout", "60")),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=site.environment(),
                ) as run,
            ):
                assert run.stdout is not None
                run.stdout.readline()  # the run begins
                time.sleep(1)
                hold.close()
                rest, errors = run.communicate(timeout=300)
            assert_honest(site, Outcome(run.returncode, rest, errors), {0})


@EXISTING
def test_target_locked_throughout(site: Site, trials: Trials) -> None:
    """Target locked by another program for longer than the timeout."""
    for lock in trials.sample(LOCKS, quick=1):
        site.reset()
        with trials.trial(lock):
            with beside(HOLDER, site.target, lock):
                outcome = site.run_here(*site.arguments("--busy-timeout", "1"))
            assert "in use by another program" in outcome.stderr
            assert_honest(site, outcome, {3})


def test_several_runs_at_once(site: Site, trials: Trials) -> None:
    """Two to eight runs on one target at once."""
    for number in trials.sample(RUNS, quick=1):
        site.reset()
        with trials.trial(f"{number} runs"):
            runs = [
                subprocess.Popen(
                    site.command(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=site.environment(),
                )
                for _ in range(number)
            ]
            said = [run.communicate(timeout=300) for run in runs]
            outcomes = [Outcome(r.returncode, *s) for r, s in zip(runs, said, strict=True)]
            winners = [outcome for outcome in outcomes if outcome.code == 0]
            assert len(winners) == 1, [outcome.stderr or "done" for outcome in outcomes]
            for outcome in outcomes:
                assert_said(outcome, {0, 1, 3})
            assert_honest(site, winners[0], {0})


@pytest.mark.parametrize("site", ["created"], indirect=True)
def test_source_that_is_being_written(site: Site, trials: Trials) -> None:
    """Source being written 1 to 500 times a second."""
    for mode, rate in trials.sample(RATES, quick=2):
        site.reset()
        change(site.source, f"PRAGMA journal_mode = {mode}")
        with trials.trial(f"{rate} transactions a second, journal mode {mode}"):
            with beside(WRITER, site.source, rate) as (writer, _):
                outcome = site.run()
                written = int(writer.communicate("")[0])
            assert_said(outcome, {6} if rate >= 100 else {0, 6})
            assert_one_instant(site, written)
            assert_tidy(site, live=True)


def assert_one_instant(site: Site, written: int) -> None:
    """The target shows whole transactions only, and the writer lost none of its own."""
    (backup,) = site.backups.iterdir()
    failed = [c for c in verify(backup, site.target).failed_checks if c.name != "source_hash"]
    assert not failed, failed[:3]
    arrived = {
        word: query(site.ledger, f"SELECT count(*) AS n FROM {word}_to_person")[0]["n"]
        for word in ("patient", "child")
    }
    assert arrived["patient"] == arrived["child"], arrived
    assert query(site.source, "SELECT count(*) AS n FROM patients")[0]["n"] == 2 + written
    with closing(sqlite3.connect(site.source)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
