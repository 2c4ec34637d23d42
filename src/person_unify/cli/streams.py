"""Writing to a terminal, a file or a pipe whose reader may leave before we are done.

What cannot be written never ends the work: a migration is done or not, whoever listens.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from typing import IO, Any

from rich.console import Console

from person_unify.escaping.text import printable as printable

WIDTH = 100
"""Of what is written to a file or a pipe, in columns."""


def open_closed_streams() -> None:
    """Let standard streams that were closed at the start lead nowhere, as with ``/dev/null``.

    Else the first files that are opened would get their numbers, and what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


class Screen(Console):
    """A rich console that never ends the process: a reader who leaves does not stop a migration."""

    def _check_buffer(self) -> None:
        # Rich lets a subclass decide about a broken pipe only, not about a full disk.
        try:
            super()._check_buffer()
        except OSError as error:
            _discard(self.file, error)

    def on_broken_pipe(self) -> None:
        """Leave it to the caller, where every such error is met."""
        raise BrokenPipeError


def screen(stream: IO[str]) -> Screen:
    """A console on ``stream``, as wide as it is, that takes every text literally."""
    width = shutil.get_terminal_size().columns if stream.isatty() else WIDTH
    return Screen(file=stream, width=width, markup=False, emoji=False, highlight=False)


class ReaderGone(KeyboardInterrupt):
    """Nobody reads our progress any more: the command stops, as by Ctrl-C."""


def without_password(text: str) -> str:
    """A message that may quote a word of the command line, without the password of a URL in it.

    >>> without_password("No such command 'postgresql://app:secret@db/clinic'.")
    "No such command 'postgresql://app:…@db/clinic'."
    """
    return re.sub(r"(://[^\s/:@]*):\S*@", r"\1:…@", text)


def write_line(text: str, stream: IO[str] | None = None, *, needs_reader: bool = False) -> None:
    """One line, out at once, on stdout unless another stream is given.

    Raises :class:`ReaderGone` if it ``needs_reader`` and has none.
    """
    stream = sys.stdout if stream is None else stream
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except OSError as error:
        _discard(stream, error)
        if needs_reader and isinstance(error, BrokenPipeError):
            raise ReaderGone from None


def write_event(event: Mapping[str, Any], *, needs_reader: bool = False) -> None:
    """One JSON event as one ASCII line on stdout; see :func:`write_line`."""
    write_line(json.dumps(event), needs_reader=needs_reader)


def write_result(exit_code: int = 0, **found: Any) -> None:
    """The event of what a command found, with the exit code that it stands for."""
    write_event({"event": "result", "exit_code": exit_code, **found})


def _discard(stream: IO[str], error: OSError) -> None:
    """Let everything go nowhere from here on; say so, unless nobody is left to listen."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    if stream is not sys.stderr and not isinstance(error, BrokenPipeError):
        reason = error.strerror or type(error).__name__
        write_line(f"person-unify: the output could not be written: {reason}", sys.stderr)
