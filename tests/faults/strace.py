"""Faults at the system call: strace kills the process there, or answers in the kernel's place."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from tests.faults.site import Site

CALLS = (
    *("write", "writev", "pwrite64", "pwritev", "sendfile", "copy_file_range"),
    *("fsync", "fdatasync", "ftruncate", "fallocate", "chmod", "fchmod"),
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir"),
)
"""Whatever changes a file or a directory (a name that the machine lacks is passed over)."""

# One thread each: less waiting for each other, which is what takes the time under a tracer.
_PREFIX = ("env", "POLARS_MAX_THREADS=1", "RAYON_NUM_THREADS=1", "strace", "-f", "-qq")
Call = tuple[str, int]
"""A system call's name, and its number among those of the name."""

_LINE = re.compile(r"^(\d+) +(\w+)\(")


def require_strace() -> None:
    """Skip where processes cannot be traced, and say why."""
    reason = _obstacle()
    if reason:
        pytest.skip(reason)


@cache
def _obstacle() -> str | None:
    if shutil.which("strace") is None:
        return "strace is not installed: faults at system calls cannot be injected"
    tried = subprocess.run(["strace", "-f", "true"], capture_output=True, check=False)
    return "tracing is not permitted here: no faults at system calls" if tried.returncode else None


def injecting(call: str, number: int, fault: str, *, again: bool = False) -> list[str]:
    """The prefix that has the ``number``-th call (and with ``again`` all later ones) meet a fault.

    ``fault`` is ``signal=SIGKILL``, delivered instead of the call, or ``error=ENOSPC``.
    """
    when = f"{number}+" if again else str(number)
    rule = f"inject={call}:{fault}:when={when}"
    # With its filter in the kernel strace is quick, but delivers no signals.
    quick = ["--seccomp-bpf"] if fault.startswith("error") else []
    return [*_PREFIX, *quick, "-o", "/dev/null", f"--trace={call}", "-e", rule]


def calls_of(site: Site, trace: Path, *arguments: str) -> list[Call]:
    """Every write-like call of one undisturbed run, in order.

    Calls are numbered per thread, as strace counts them.
    """
    names = ",".join(f"?{name}" for name in CALLS)
    prefix = [*_PREFIX, "--seccomp-bpf", "-o", str(trace), f"--trace={names}"]
    done = site.run(*arguments, prefix=prefix)
    assert done.code == 0, done.stderr
    seen: Counter[tuple[str, str]] = Counter()
    found: dict[Call, None] = {}
    for line in trace.read_text(errors="replace").splitlines():
        if match := _LINE.match(line):
            thread, call = match[1], match[2]
            seen[thread, call] += 1
            found[call, seen[thread, call]] = None
    return list(found)


def thinned(calls: Sequence[Call], step: int) -> list[Call]:
    """All calls but page writes, of which there are hundreds: every ``step``-th of those."""
    pages = [call for call in calls if call[0] == "pwrite64"][::step]
    return [call for call in calls if call[0] != "pwrite64" or call in pages]
