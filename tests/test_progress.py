"""A progress that several threads tell."""

from __future__ import annotations

import time
from threading import Thread

from person_unify.progress import Event, Note, one_at_a_time


def test_events_of_several_threads_come_one_at_a_time() -> None:
    inside, most = 0, 0

    def progress(event: Event) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        inside -= 1

    with one_at_a_time(progress) as told:
        threads = [Thread(target=lambda: [told(Note("x")) for _ in range(20)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert most == 1


def test_nothing_is_told_after_the_end() -> None:
    heard: list[Event] = []

    with one_at_a_time(heard.append) as told:
        told(Note("within"))
    told(Note("late"))

    assert heard == [Note("within")]
