"""No cell outside the databases: not in any output, in no report, and not in the process table."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.faults.honesty import assert_honest
from tests.faults.site import CANARY, Outcome, Site
from tests.faults.trials import Trials

FORMS: list[list[str]] = [[], ["--json"], ["--quiet"]]


def test_no_cell_in_any_output(site: Site, trials: Trials) -> None:
    """Every command in every form of output."""
    for form in trials.sample(FORMS, quick=len(FORMS)):
        site.reset()
        source, target = str(site.source), str(site.target)
        place = ["--backup-dir", str(site.backups)]
        calls = {
            "check": ["check", source, *plain(form)],
            "migrate": ["migrate", source, target, *place, *form],
            "verify": ["verify", source, target, *form],
            "purge": ["purge", target, *plain(form)],
            "rollback": ["rollback", target, *plain(form)],
        }
        for name, arguments in calls.items():
            with trials.trial(f"{name} {form}"):
                outcome = site.run_here(*arguments)
                assert outcome.code == 0, outcome.stderr
                assert CANARY.lower() not in (outcome.stdout + outcome.stderr).lower()


def plain(form: list[str]) -> list[str]:
    """The form for a command that knows no ``--quiet``."""
    return [option for option in form if option != "--quiet"]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the machine has no /proc")
def test_no_cell_in_the_process_table(site: Site, trials: Trials) -> None:
    """Command line and environment of a run and its children."""
    seen = 0
    with trials.trial("migrate"):
        with subprocess.Popen(
            site.command(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=site.environment(),
        ) as run:
            while run.poll() is None:
                for path in Path("/proc").glob("[0-9]*"):
                    seen += _looked_at(path, run.pid)
            stdout, stderr = run.communicate()
        assert seen > 0
        assert_honest(site, Outcome(run.returncode, stdout, stderr), {0})


def _looked_at(process: Path, of: int) -> bool:
    """Look through one process if it is the run or its child; whether it was."""
    try:
        parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        if of not in (int(process.name), int(parent)):
            return False
        texts = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    except (OSError, IndexError):
        return False
    assert os.fsencode(CANARY).lower() not in texts.lower()
    return True
