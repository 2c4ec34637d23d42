"""Work that goes on in a thread of its own: drivers and Polars leave the interpreter to others.

The threads are daemons, for one statement may take minutes: an interrupted main thread does not
wait for them.  So whatever such a thread opens, it also closes.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """A call that runs beside the caller, from now on."""

    def __init__(self, call: Callable[[], T]) -> None:
        """Start the call."""
        self._call = call
        self._answer: list[T] = []
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answer.append(self._call())
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            self._error = error

    def result(self) -> T:
        """Wait for the call; its value, or the error that it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._answer[0]
