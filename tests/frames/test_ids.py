"""Fresh ids: a function of the run, its purpose and the position."""

from __future__ import annotations

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from person_unify.frames.ids import FreshIds

instants = st.integers(min_value=0, max_value=2**48 - 1)
seeds = st.binary(min_size=32, max_size=32)


@settings(deadline=None)
@given(instants, seeds, st.text(max_size=30), st.integers(min_value=0, max_value=200))
def test_ids_are_canonical_ascending_and_carry_the_time_of_the_run(
    run_time: int, seed: bytes, purpose: str, count: int
) -> None:
    ids = FreshIds(run_time, seed).take(purpose, count).to_list()

    assert len(set(ids)) == count
    assert ids == sorted(ids)
    for each in ids:
        parsed = uuid.UUID(each)
        assert str(parsed) == each
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
        assert parsed.int >> 80 == run_time


@settings(deadline=None)
@given(instants, seeds, st.text(max_size=30))
def test_a_step_done_again_gets_the_same_ids(run_time: int, seed: bytes, purpose: str) -> None:
    first, again = FreshIds(run_time, seed), FreshIds(run_time, seed)

    assert first.take(purpose, 50).to_list() == again.take(purpose, 50).to_list()


@settings(deadline=None)
@given(instants, seeds, seeds)
def test_other_purposes_and_other_seeds_give_other_ids(
    run_time: int, seed: bytes, other: bytes
) -> None:
    ids = FreshIds(run_time, seed)
    taken = set(ids.take("views", 100))

    assert not taken & set(ids.take("persons", 100))
    assert (other == seed) == (taken == set(FreshIds(run_time, other).take("views", 100)))


def test_two_runs_of_one_millisecond_share_no_id() -> None:
    one, two = FreshIds(1_750_000_000_000), FreshIds(1_750_000_000_000)

    assert not set(one.take("persons", 10_000)) & set(two.take("persons", 10_000))


def test_a_million_ids_are_distinct_and_ascending() -> None:
    ids = FreshIds(1_750_000_000_000).take("persons", 1_000_000)

    assert ids.n_unique() == 1_000_000
    assert ids.is_sorted()


def test_the_seed_is_not_shown() -> None:
    ids = FreshIds(1, b"\xab" * 32)

    assert "ab" not in repr(ids).replace("FreshIds", "")
