"""Interrupts, whatever the process is doing: prompt, one line, nothing half done, resumable."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults.site import write_small
from tests.migration.support import make_target
from tests.processes import run

from person_unify.run.directory import run_directory

KEPT = "what was done is kept: run again with --resume or --fresh\n"
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
SAID = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "terminated"}

_CLI = """
import os
import signal
# Whoever runs the tests may have these ignored, as nohup and background jobs do.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
from person_unify.cli import main
"""
_LONG_STATEMENT = """
from person_unify.cli.commands import run
def endless(files, *rest):
    from person_unify.files.database import Database
    print("verifying", flush=True)
    with Database(files.target, settled=True) as database:
        database.value(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
        )
def watch(real=run.watch, **options):
    # As late as the command itself imports it.
    from person_unify.run import migration
    migration.run_checks = endless
    return real(**options)
run.watch = watch
"""


@contextmanager
def _started(program: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", f"{_CLI}{program}main()", "migrate", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("number", CODES)
def test_interrupted_in_a_statement_that_never_ends(
    number: signal.Signals, in_place: bool, tmp_path: Path
) -> None:
    source, target = write_small(tmp_path / "old.db"), tmp_path / "new.db"
    if in_place:
        make_target(target)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with _started(_LONG_STATEMENT, source, target, "--quiet") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "verifying\n"
        asked = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
        waited = time.monotonic() - asked

    assert process.returncode == CODES[number]
    assert errors == f"person-unify: {SAID[number]}; {KEPT}"
    assert waited < 20  # a busy machine is slow to start the process that rolls back
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert not list(tmp_path.glob("new.db-*"))
    assert run("migrate", source, target, "--quiet", "--resume").returncode == 0


@pytest.mark.parametrize("in_place", [False, True], ids=["created", "in_place"])
def test_interrupted_between_two_statements(in_place: bool, tmp_path: Path) -> None:
    source, target = write_small(tmp_path / "old.db"), tmp_path / "new.db"
    if in_place:
        make_target(target)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with _started("", source, target, "--json") as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "table_finished" and event["phase"] == "load":
                process.send_signal(signal.SIGINT)
                break
        output, errors = process.communicate(timeout=120)

    assert (process.returncode, errors) == (130, f"person-unify: interrupted; {KEPT}")
    assert json.loads(output.splitlines()[-1])["exit_code"] == 130
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert run("migrate", source, target, "--quiet", "--fresh").returncode == 0
    assert not run_directory(target).exists()


def test_interrupted_before_there_is_anything_to_keep(tmp_path: Path) -> None:
    source, target = write_small(tmp_path / "old.db"), tmp_path / "new.db"
    program = """
from person_unify.cli.commands import run
def watch(real=run.watch, **options):
    from person_unify.run import beginning
    def interrupted(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            pass
    beginning.take = interrupted
    return real(**options)
run.watch = watch
"""
    with _started(program, source, target, "--quiet") as process:
        _, errors = process.communicate(timeout=120)

    assert (process.returncode, errors) == (130, "person-unify: interrupted\n")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("options", [["--json"], []], ids=["stdout", "stderr"])
def test_closed_pipe_stops_the_run_and_it_can_be_resumed(
    options: list[str], tmp_path: Path
) -> None:
    source, target = write_small(tmp_path / "old.db"), tmp_path / "new.db"
    with _started("", source, target, *options) as process:
        pipe = process.stdout if options else process.stderr
        assert pipe is not None
        for line in pipe:
            if "parents" in line:
                break
        pipe.close()
        process.wait(timeout=120)

    assert process.returncode == 141
    assert not target.exists()
    assert run("migrate", source, target, "--quiet", "--resume").returncode == 0


def test_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    source, target = write_small(tmp_path / "old.db"), tmp_path / "new.db"
    program = "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    with _started(program, source, target, "--json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=120)

    assert process.returncode == 0


@pytest.mark.parametrize("number", CODES)
def test_signal_to_a_process_that_is_done_does_not_change_how_it_ended(
    number: signal.Signals,
) -> None:
    """What is left in modules is destroyed last, after Python has given its handlers back.

    A finalizer that fails is not heard of.
    """
    late = """
import sys
class Failing:
    def __del__(self):
        raise RuntimeError
class Late:
    def __del__(self, kill=os.kill, own=os.getpid(), number=int(sys.argv.pop())):
        kill(own, number)
sys.late = [Late(), Failing()]
main()
"""
    command = [sys.executable, "-c", _CLI + late, "--version", str(int(number))]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("person-unify ")
