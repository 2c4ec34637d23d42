"""How a command ends: one line on stderr and an honest exit code, whatever went wrong."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType

import typer

from person_unify.background import over_within
from person_unify.cli.paths import on_screen
from person_unify.cli.streams import (
    ReaderGone,
    without_password,
    write_event,
    write_line,
)
from person_unify.errors import DecisionsRefused, MigrationError

EXIT_CODES = """\
\b
Exit codes:
  0    done and verified
  1    failed; nothing changed, or the message says that the target is complete
  2    wrong usage
  3    source, target or decisions refused
  4    verification failed, nothing published
  5    --strict and there are discrepancies of severity error, nothing published
  6    migrated and published, but the source changed since its snapshot
  130  interrupted (143 terminated, 129 hung up, 141 output closed); see --resume
"""


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those by which a process is asked to end."""

_PATIENCE = 0.5
"""Seconds that threads of ours have to end; a driver in one of them may hear nothing for long."""


class Terminated(KeyboardInterrupt):
    """A signal asked the process to end; it unwinds like Ctrl-C, so that everything rolls back."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def stop_on_signals() -> None:
    """Turn SIGTERM and SIGHUP into :class:`Terminated`, unless the caller ignores them (nohup)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)


def ignore_signals() -> None:
    """Leave signals unheard from here on: all is done, and the exit code is to say how it ended.

    The interpreter takes a while to go, and puts the handlers back that would end it by the signal.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


@contextmanager
def honest_exit(as_json: bool = False) -> Iterator[None]:
    """Run a command's body; whatever it raises becomes one line and an exit code.

    Decisions that are refused have a line per problem after it.
    """
    problems: tuple[str, ...] = ()
    try:
        yield
    except DecisionsRefused as error:
        code, message, problems = error.exit_code, error.message, error.problems
    except MigrationError as error:
        code, message = error.exit_code, _with_notes(str(error), error)
    except ReaderGone as error:
        code, message = exit_code(signal.SIGPIPE), _with_notes(said(signal.SIGPIPE), error)
    except Terminated as error:
        code, message = exit_code(error.number), _with_notes(said(error.number), error)
    except KeyboardInterrupt as error:
        code, message = exit_code(signal.SIGINT), _with_notes(said(signal.SIGINT), error)
    except OSError as error:
        code, message = 1, _with_notes(_describe(error), error)
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001  Rust panics are no Exception
        # Neither message nor traceback: both may quote a cell.
        where = _innermost(error.__traceback__)
        code, message = 1, f"internal error: {type(error).__name__} in {where}"
    else:
        return
    message = without_password(message)
    if as_json:
        event = {"event": "error", "exit_code": code, "message": message}
        write_event(event | ({"problems": list(problems)} if problems else {}))
    write_line(f"person-unify: {on_screen(message)}", sys.stderr)
    for problem in problems:
        write_line(f"  {on_screen(problem)}", sys.stderr)
    if not over_within(_PATIENCE):
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    raise typer.Exit(code)


def exit_code(number: int) -> int:
    """What a shell reports for a process that a signal ended."""
    return 128 + number


def said(number: int) -> str:
    """What a signal did, in a word or two."""
    words = {signal.SIGINT: "interrupted", signal.SIGPIPE: "nobody reads the output any more"}
    return words.get(signal.Signals(number), "terminated")


def _with_notes(message: str, error: BaseException) -> str:
    """The message, and what the pipeline noted on the error about going on."""
    return "; ".join([message, *getattr(error, "__notes__", ())])


def _describe(error: OSError) -> str:
    reason = error.strerror or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def _innermost(trace: TracebackType | None) -> str:
    """``module:line`` of the deepest frame of ours."""
    where = "unknown"
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__"))
        if module.partition(".")[0] == "person_unify":
            where = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where
