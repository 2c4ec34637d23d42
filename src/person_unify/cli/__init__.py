"""The command line: arguments, one call into the library, a printed report, an exit code.

Only this package knows typer and rich.  Nothing here imports Polars, PyArrow or connectorx before a
command runs, so ``--help`` answers at once.
"""

from __future__ import annotations

import os
import resource
import sys
from io import TextIOWrapper

from person_unify.allocators import share_one_arena
from person_unify.cli.app import app
from person_unify.cli.ending import ignore_signals, stop_on_signals
from person_unify.cli.streams import open_closed_streams

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process and exit with its code."""
    open_closed_streams()
    os.umask(0o077)  # everything that a run writes holds personal data
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # and so would a core dump
    # A driver that an interrupt caught half-way fails again in a finalizer, of which Python prints
    # a traceback: it says nothing that counts, and might quote a cell.
    sys.unraisablehook = lambda _: None
    share_one_arena()
    stop_on_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A file name need not fit the terminal's encoding, and must not end a run.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="person-unify")
    finally:
        ignore_signals()
