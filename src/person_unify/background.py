"""Work that goes on in a thread of its own: drivers and Polars leave the interpreter to others.

The threads are daemons, for one statement may take minutes: an interrupted main thread does not
wait for them.  So whatever such a thread opens, it also closes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from threading import Event, Lock, Thread
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

_PAUSE = 0.1
"""Seconds from one look for a signal to the next."""

_RUNNING: set[Thread] = set()


class Task(Generic[T]):
    """A call that is made once, by whoever comes first, and what it gave."""

    def __init__(self, call: Callable[[], T]) -> None:
        """Note the call."""
        self._call: Callable[[], T] | None = call
        self._free = Lock()
        self._over = Event()
        self._answer: list[T] = []
        self._error: BaseException | None = None

    def make(self) -> None:
        """Make the call here and now, unless it was begun elsewhere."""
        call = self._call
        if call is None or not self._free.acquire(blocking=False):
            return
        self._call = None  # what it holds is let go of with its end
        try:
            self._answer.append(call())
        except BaseException as error:  # noqa: BLE001  whoever wants the result raises it
            self._error = error
        finally:
            self._over.set()

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self._over.is_set()  # an interrupted join would take the thread for ended

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the call, however it ends."""
        self._over.wait(seconds)

    def result(self) -> T:
        """Make the call, or wait for its end; its value, or the error that it raised."""
        self.make()
        return self.heard()

    def heard(self) -> T:
        """The result once it is there, with an ear for Ctrl-C: Polars' handler ends no wait."""
        while not self.over:
            self.wait(_PAUSE)
        if self._error is not None:
            raise self._error
        return self._answer[0]


class Background(Task[T]):
    """A call that runs beside the caller, from now on; a ``with`` block does not end before it."""

    def __init__(self, call: Callable[[], T]) -> None:
        """Start the call."""
        super().__init__(partial(self._tracked, call))
        self._thread = Thread(target=self.make, daemon=True)
        _RUNNING.add(self._thread)
        self._thread.start()

    def _tracked(self, call: Callable[[], T]) -> T:
        try:
            return call()
        finally:
            _RUNNING.discard(self._thread)

    def result(self) -> T:
        """Wait for the call; its value, or the error that it raised."""
        self.wait()
        return self.heard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()


class Beside:
    """One thread that makes calls in turn, beside the caller."""

    def __init__(self) -> None:
        """Begin nothing yet."""
        self._waiting: deque[Task[Any]] = deque()
        self._turn = Lock()
        self._thread: Background[None] | None = None

    def call(self, call: Callable[[], T]) -> Task[T]:
        """Have a call made, after those before it."""
        task = Task(call)
        with self._turn:
            self._waiting.append(task)
            if self._thread is None:
                self._thread = Background(self._work)
        return task

    def _work(self) -> None:
        while True:
            with self._turn:
                if not self._waiting:
                    self._thread = None
                    return
                task = self._waiting.popleft()
            task.make()

    def stop(self) -> None:
        """Forget what has not begun, and wait for what has."""
        with self._turn:
            self._waiting.clear()
            thread = self._thread
        if thread is not None:
            thread.wait()


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made while the caller works on the one before; begins at once."""

    def following() -> list[T]:
        return list(islice(items, 1))

    def handed_out(upcoming: Background[list[T]]) -> Iterator[T]:
        while found := upcoming.result():
            upcoming = Background(following)
            yield found[0]

    return handed_out(Background(following))


def over_within(seconds: float) -> bool:
    """Whether no call runs beside any more, at the latest after so many seconds.

    A process must not end in the usual way while one does: the interpreter would be taken down
    under the feet of a driver.
    """
    deadline = time.monotonic() + seconds
    for thread in list(_RUNNING):
        thread.join(max(0.0, deadline - time.monotonic()))
    return not _RUNNING
