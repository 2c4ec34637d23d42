"""A fleet as a process for tests, and the waiting for what it does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

PATIENCE = 300.0
"""Seconds that a busy machine has for what takes a few."""


@contextlib.contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The fleet as a process of its own group, of which nothing is left at the end.

    Its machine is so slow that Dask would give every worker up that has to be started anew.
    """
    command = [sys.executable, "-m", "person_unify", "fleet", *arguments]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "50ms"},
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


T = TypeVar("T")


def wait_for(look: Callable[[], T | None]) -> T:
    """What there is to see, as soon as it is there."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.002)
    raise AssertionError(f"nothing came of it: {look}")
