"""The guard decides by the ratios of rounds, on made-up results."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench.guard import PEER, judged, newest_of, ratios_of
from bench.measuring import OURS
from tests.bench.conftest import run

REFERENCE = {"time": 2.0, "memory": 5.0}


def test_median_of_rounds_forgives_one_bad_round_and_a_slow_machine() -> None:
    # The second round met a machine that is three times slower, the third a hiccup of ours.
    seconds = {1: (4.0, 2.0), 2: (12.0, 6.0), 3: (40.0, 2.0)}
    runs = [
        run(name, number=number, seconds=spent)
        for number, pair in seconds.items()
        for name, spent in zip((OURS, PEER), pair, strict=True)
    ]

    assert ratios_of(runs) == {"time": 2.0, "memory": 1.0}


def test_memory_is_compared_too() -> None:
    runs = [replace(run(), peak_rss_bytes=900), replace(run(PEER), peak_rss_bytes=300)]

    assert ratios_of(runs)["memory"] == 3.0


@pytest.mark.parametrize(
    ("fresh", "worse"),
    [
        ({"time": 2.0, "memory": 5.0}, False),
        ({"time": 2.4, "memory": 6.0}, False),
        ({"time": 0.5, "memory": 1.0}, False),
        ({"time": 2.41, "memory": 5.0}, True),
        ({"time": 1.0, "memory": 6.01}, True),
    ],
)
def test_more_than_a_fifth_worse_fails(fresh: dict[str, float], worse: bool) -> None:
    assert judged(fresh, REFERENCE)[1] is worse


def test_sentence_names_what_got_worse_and_by_how_much() -> None:
    said, _ = judged({"time": 3.0, "memory": 5.0}, REFERENCE)

    assert said == (
        "person-unify got over 20% worse: time is 3.00x sql-tuned, kept were 2.00x (+50%)"
    )


def test_newest_kept_ratio_of_the_same_size_counts() -> None:
    records = [
        {"options": {"persons": size}, "ratios": {"time": ratio}}
        for size, ratio in ((100, 1.0), (100, 2.0), (200, 3.0))
    ]

    assert newest_of(100, records) == {"time": 2.0}
    assert newest_of(300, records) is None
