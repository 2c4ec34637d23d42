"""Calls that run beside the caller, and items that are made ahead."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from threading import Event, Timer, current_thread

import pytest

from person_unify.background import Background, Beside, over_within, prefetch

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


def test_calls_are_made_beside_in_turn() -> None:
    made: list[int] = []
    beside, queued = Beside(), Event()

    def call(number: int) -> str:
        assert queued.wait(LONG)  # a thread that runs out of calls ends, and another one begins
        made.append(number)
        return current_thread().name

    calls = [beside.call(partial(call, number)) for number in range(9)]
    queued.set()
    beside.call(partial(call, 9)).result()

    assert len({made_by.result() for made_by in calls} - {current_thread().name}) <= 1
    assert sorted(made) == list(range(10))
    beside.stop()
    assert over_within(LONG)


def test_what_is_wanted_before_its_turn_is_made_by_the_caller() -> None:
    begun, finish = Event(), Event()
    beside = Beside()

    def busy() -> bool:
        begun.set()
        return finish.wait(LONG)

    first = beside.call(busy)
    assert begun.wait(LONG)
    second = beside.call(lambda: current_thread().name)

    assert second.result() == current_thread().name
    assert second.result() == current_thread().name, "and only once"
    finish.set()
    assert first.result()


def test_an_error_beside_is_raised_where_the_result_is_wanted() -> None:
    beside = Beside()

    def fail() -> None:
        raise KeyError("beside")

    failed = beside.call(fail)
    after = beside.call(lambda: 1)
    beside.stop()

    with pytest.raises(KeyError, match="beside"):
        failed.result()
    assert after.result() == 1


def test_what_has_not_begun_is_forgotten_at_the_end() -> None:
    begun, finish, made = Event(), Event(), Event()
    beside = Beside()

    def busy() -> bool:
        begun.set()
        return finish.wait(LONG)

    beside.call(busy)
    beside.call(made.set)
    assert begun.wait(LONG)
    Timer(0.05, finish.set).start()
    beside.stop()

    assert finish.is_set()
    assert not made.is_set()
    assert over_within(LONG)
