"""What only a real process shows: imports, signals, pipes, file modes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("polars", "pyarrow", "connectorx", "adbc_driver_sqlite", "numpy", "xlsxwriter")

HELP = f"""
import sys
from person_unify.cli import main
sys.argv = ["person-unify", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""

SLOW = """
import signal, sys, time
from person_unify import pipeline
from person_unify.cli import main

def migrate(options, progress):
    print("running", flush=True)
    # In naps: a signal that comes just before a long one would be heard only after it.
    for _ in range(1_200):
        time.sleep(0.05)

# Whoever runs the tests may have these ignored, as nohup and background jobs do.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
pipeline.migrate = migrate
sys.argv = ["person-unify", "migrate", "old.db", "new.db"]
main()
"""

CHATTY = """
import sys
from person_unify import pipeline
from person_unify.cli import main
from person_unify.progress import Note
from person_unify.report import FileFacts, Report

def migrate(options, progress):
    for _ in range(20_000):
        progress(Note("still here"))
    print("went on", file=sys.stderr)
    return Report("0.1.0", "migrate", 1, 2, FileFacts("old.db", 1), None, None, "done")

pipeline.migrate = migrate
sys.argv = ["person-unify", "migrate", "old.db", "new.db", "--json"]
main()
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["migrate", "--help"], ["nope"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", HELP, *arguments], capture_output=True, text=True, check=True
    )

    assert result.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "person-unify: interrupted\n"),
        (signal.SIGTERM, 143, "person-unify: terminated\n"),
        (signal.SIGHUP, 129, "person-unify: terminated\n"),
    ],
)
def test_a_signal_is_one_line_and_its_exit_code(
    number: signal.Signals, code: int, line: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)

    assert (process.returncode, errors) == (code, line)


def test_a_reader_who_leaves_stops_a_migration() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHATTY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(timeout=120)

    assert process.returncode == 141
    assert errors == "person-unify: nobody reads the output any more\n"


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    subprocess.run(
        [sys.executable, "-m", "person_unify", "schema", "--unified", "--into", str(path)],
        check=True,
        capture_output=True,
    )

    assert path.stat().st_mode & 0o077 == 0


def test_a_file_name_that_is_no_text_can_be_named_in_an_error(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.db"
    with open(path, "wb") as file:
        file.write(b"taken")
    result = subprocess.run(
        [sys.executable, "-m", "person_unify", "schema", "--old", "--into", path],
        capture_output=True,
        check=False,
    )

    assert result.returncode == 2
    assert b"exists already" in result.stderr
