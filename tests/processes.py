"""Other processes for tests: one that has a file locked, one that tries it, one that dies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    held.execute(statement).fetchall()
print("ready", flush=True)
sys.stdin.read()
"""
_TRY = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
try:
    other.execute(sys.argv[2]).fetchall()
except sqlite3.OperationalError as error:
    sys.exit(str(error))
"""
_DIE = """
import importlib, os, signal, sys
module, name, when, *arguments = sys.argv[1:]
owner = importlib.import_module(module)
*path, last = name.split(".")
for part in path:
    owner = getattr(owner, part)
wanted, calls, real = int(when.strip("<>")), [], getattr(owner, last)
def dying(*given, **named):
    calls.append(1)
    fatal = len(calls) == wanted
    if fatal and when.startswith("<"):
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(*given, **named)
    if fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(owner, last, dying)
sys.argv = ["person-unify", *arguments]
from person_unify.cli import main
main()
"""


@contextmanager
def holding(path: Path, *statements: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has run the statements on a database and keeps its connection open."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, path, *statements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.communicate("")


def refused(path: Path, statement: str) -> str:
    """Why another process cannot run a statement; empty if it could."""
    done = subprocess.run(
        [sys.executable, "-c", _TRY, path, statement], capture_output=True, text=True, check=False
    )
    return done.stderr.strip()


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line as a process."""
    return subprocess.run(
        [sys.executable, "-m", "person_unify", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )


def killed(where: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line as a process that dies by SIGKILL at one of its own calls.

    ``where``: module and function, with the number of the call: ``mod:Class.f >1`` dies after
    its first call, ``<2`` before its second.
    """
    function, when = where.split()
    module, name = function.split(":")
    done = subprocess.run(
        [sys.executable, "-c", _DIE, f"person_unify.{module}", name, when, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9, (done.returncode, done.stderr)
    return done
