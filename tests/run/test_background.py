"""Calls that run beside the caller, and items that are made ahead."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, current_thread

import pytest

from person_unify.background import Background, over_within, prefetch

LONG = 30.0
"""Seconds after which a test that waits for another thread gives up."""


def test_call_runs_while_the_caller_goes_on() -> None:
    asked, answered = Event(), Event()

    def call() -> str:
        answered.set()
        assert asked.wait(LONG)
        return current_thread().name

    other = Background(call)
    assert answered.wait(LONG)
    asked.set()

    assert other.result() != current_thread().name
    assert over_within(LONG)


def test_error_of_the_call_is_the_callers() -> None:
    def call() -> None:
        raise KeyError("beside")

    other = Background(call)

    with pytest.raises(KeyError, match="beside"):
        other.result()


def test_call_that_goes_on_is_known() -> None:
    finish = Event()
    other = Background(lambda: finish.wait(LONG))

    assert not over_within(0.01)
    finish.set()
    assert other.result()
    assert over_within(LONG)


def test_next_item_is_made_while_one_is_used_and_no_other() -> None:
    made = [Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    for number in prefetch(items()):
        if number + 1 < len(made):
            assert made[number + 1].wait(LONG)
        assert [event.is_set() for event in made[number + 2 :]] == [False] * (2 - number)


def test_items_come_in_order_and_end_with_their_error() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("the fourth")

    taken: list[int] = []
    with pytest.raises(ValueError, match="the fourth"):
        taken.extend(prefetch(items()))

    assert taken == [0, 1, 2]
    assert list(prefetch(iter(()))) == []
