"""A source that is damaged or cut off: read as it is, or refused with every file as it was."""

from __future__ import annotations

import random

import pytest
from tests.faults.honesty import (
    assert_said,
    assert_silent_files,
    assert_source,
    assert_tidy,
    assert_verified,
    files_of,
)
from tests.faults.site import Site
from tests.faults.trials import SHARES, Trials

PAGE = 4096
PLACES = range(300)
CREATED = pytest.mark.parametrize("site", ["created"], indirect=True)


@CREATED
@pytest.mark.parametrize("share", SHARES)
def test_damaged_source(site: Site, trials: Trials, share: int) -> None:
    """Source damaged at a random place."""
    sound = site.original
    for seed in trials.sample(PLACES, quick=12, share=share):
        dice = random.Random(seed)
        spoilt = bytearray(sound)
        start, length = dice.randrange(len(sound)), dice.choice((1, 1, 8, 64, 512))
        length = min(length, len(sound) - start)
        spoilt[start : start + length] = dice.randbytes(length)
        with trials.trial(f"{length} bytes at {start}, seed {seed}"):
            assert_read_or_refused(site, bytes(spoilt))


@CREATED
def test_truncated_source(site: Site, trials: Trials) -> None:
    """Source cut off at a boundary of its header or pages, and a byte beside it."""
    sound = site.original
    edges = (page + beside for page in range(PAGE, len(sound), PAGE) for beside in (-1, 0, 1))
    for length in trials.sample([*range(101), *edges], quick=12):
        with trials.trial(f"{length} of {len(sound)} bytes"):
            assert_read_or_refused(site, sound[:length])


@CREATED
@pytest.mark.parametrize(
    "damages",
    [
        {b"phone_verified": b"phone_verifi\xff\xff"},
        # SQLite quotes the name in an error of its own.
        {b"tablepatients": b"tablepatient\xff", b'TABLE "patients"': b'TABXE "patients"'},
    ],
)
def test_schema_that_is_no_text(site: Site, damages: dict[bytes, bytes]) -> None:
    """Names that no driver can hand over end in a refusal, not in a driver's exception."""
    content = site.original
    for words, damaged in damages.items():
        content = content.replace(words, damaged)
    site.reset(content)
    before = files_of(site)

    outcome = site.run_here()

    assert_said(outcome, {3})
    assert "schema is damaged" in outcome.stderr
    assert files_of(site) == before


def assert_read_or_refused(site: Site, content: bytes) -> None:
    """The run ends with a proven target, or with a refusal after which nothing is there."""
    site.reset(content)
    before = files_of(site)
    outcome = site.run_here()
    assert_said(outcome, {0, 3})
    assert_source(site)
    assert_silent_files(site)
    if outcome.code == 0:
        assert_verified(site)
        assert_tidy(site)
    else:
        assert files_of(site) == before, "something is left of a refused run"
