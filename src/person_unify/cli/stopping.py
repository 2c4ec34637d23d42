"""Stopping a migration promptly, also while a driver works on a statement and hears nothing.

Python runs a signal's handler when the main thread is back from C, and one statement, read or join
may take many seconds.  So a thread waits for the signals.  It hands the first one to the main
thread, which unwinds and cleans up.  If that does not come to it, the process ends hard, as by a
kill: everything that a run does survives one, which is what ``--resume`` lives on.
"""

from __future__ import annotations

import _thread
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from person_unify.cli.ending import SIGNALS, Terminated, exit_code, said
from person_unify.run.directory import FACTS, run_directory

GRACE = 1.0
"""Seconds that the main thread has to hear of a signal."""


@contextmanager
def stopping_promptly(target: Path, as_json: bool) -> Iterator[None]:
    """Around a migration: a signal ends it within about a second, whatever it is doing.

    Signals that the caller ignores (nohup) stay ignored.  To be entered before libraries are
    imported that start threads: those must not take the signals, and inherit that they are blocked.
    """
    numbers = [n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    watcher = _Watcher(target, as_json, frozenset(numbers))
    handlers = {n: signal.signal(n, watcher.hear) for n in numbers}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    thread = threading.Thread(target=watcher.watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        watcher.over = True
        if numbers and thread.ident is not None:
            signal.pthread_kill(thread.ident, numbers[0])
        thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@dataclass(slots=True)
class _Watcher:
    target: Path
    as_json: bool
    numbers: frozenset[signal.Signals]
    over: bool = False
    _claim: threading.Lock = field(default_factory=threading.Lock)

    def watch(self) -> None:
        """Wait for signals; the first is for the main thread, the second ends the process."""
        if not self.numbers:
            return
        first = None
        while True:
            number = signal.sigwait(self.numbers)
            if self.over:
                return
            if first is not None:
                self._end(first)
            first = number
            _thread.interrupt_main(signal.Signals(number))
            timer = threading.Timer(GRACE, self._unless_heard, (number,))
            timer.daemon = True
            timer.start()

    def hear(self, number: int, frame: FrameType | None) -> NoReturn:
        """The handler in the main thread: unwind, unless the process is about to end hard."""
        if not self._claim.acquire(blocking=False):
            threading.Event().wait()
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)

    def _unless_heard(self, number: int) -> None:
        if not self.over and self._claim.acquire(blocking=False):
            self._end(number)

    def _end(self, number: int) -> NoReturn:
        """End hard; an in-place target is rolled back first, by the same process made new."""
        message = said(number)
        if (run_directory(self.target) / FACTS).exists():
            message += "; what was done is kept: run again with --resume or --fresh"
        code = exit_code(number)
        with suppress(OSError):
            if self.as_json:
                event = {"event": "error", "exit_code": code, "message": message}
                os.write(1, f"{json.dumps(event)}\n".encode())
            os.write(2, f"person-unify: {message}\n".encode())
        if self.target.with_name(f"{self.target.name}-journal").exists():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.numbers)
            # A new program holds none of the locks of this one, and SQLite can undo what is open.
            program = "from person_unify.cli.stopping import undo_and_exit; undo_and_exit()"
            with suppress(OSError):
                os.execv(
                    sys.executable, [sys.executable, "-c", program, str(self.target), str(code)]
                )
        os._exit(code)


def undo_and_exit() -> NoReturn:
    """What a process that ended hard goes on as: let SQLite roll the target back, then exit."""
    from person_unify.files.copies import undo

    path, code = sys.argv[1:]
    with suppress(Exception):  # whoever opens the target next does the same
        undo(Path(path))
    sys.exit(int(code))
