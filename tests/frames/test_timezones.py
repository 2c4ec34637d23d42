"""Time zones: the rules of ``tzdata`` for every zone and year, whatever the host has."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import values as reference

from person_unify.errors import UsageError
from person_unify.frames.conversions import minute_of_day
from person_unify.frames.timezones import names, zone
from person_unify.stages.verify.rules import offsets as verified_offsets

INSTANTS = st.one_of(
    st.integers(reference.FIRST_MS, reference.LAST_MS),
    st.integers(-3_800_000_000_000, 6_000_000_000_000),  # 1849 to 2160: where rules change
)


def minutes(moments: list[int], name: str) -> list[int]:
    column = pl.Series(moments, dtype=pl.Int64)
    return pl.select(minute_of_day(pl.lit(column), name)).to_series().to_list()


@settings(deadline=None)
@given(st.sampled_from(sorted(names())), st.lists(INSTANTS, min_size=1, max_size=50))
def test_minute_of_the_day_in_any_zone_and_year(name: str, moments: list[int]) -> None:
    assert minutes(moments, name) == [reference.minute_of_day(ms, name) for ms in moments]


@settings(deadline=None)
@given(st.sampled_from(sorted(names())), INSTANTS)
def test_verifier_finds_the_same_offset_by_itself(name: str, moment: int) -> None:
    (found,) = verified_offsets(pl.Series([moment], dtype=pl.Int64), name)

    assert (moment + found) // 60_000 % 1440 == reference.minute_of_day(moment, name)


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("Europe/Berlin", 1_711_846_800_000),  # clocks forward
        ("Europe/Berlin", 1_729_990_800_000),  # and back
        ("Australia/Lord_Howe", 1_712_415_600_000),  # by half an hour
        ("Pacific/Apia", 1_325_239_200_000),  # a day that never was
        ("Asia/Kuala_Lumpur", -2_038_200_925_000),  # local mean time, to the second
    ],
)
def test_the_second_at_which_clocks_change(name: str, moment: int) -> None:
    moments = [moment - 1000, moment - 1, moment, moment + 60_000]

    found = minutes(moments, name)

    assert found == [reference.minute_of_day(ms, name) for ms in moments]
    assert found[1] != found[2]


def test_nulls_stay_null() -> None:
    column = pl.Series([None, 0], dtype=pl.Int64)

    assert pl.select(minute_of_day(pl.lit(column), "Asia/Kolkata")).to_series().to_list() == [
        None,
        330,
    ]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("asia/kolkata", "Asia/Kolkata"),
        ("America/New York", "America/New_York"),
        ("Kolkata", "Asia/Kolkata"),
    ],
)
def test_misspelt_zone_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=rf"did you mean {nearest}\?"):
        zone(name)


def test_zone_files_of_the_host_are_not_read(tmp_path: Path) -> None:
    """A host whose zone files say something else."""
    (tmp_path / "America").mkdir()
    stale = files("tzdata").joinpath("zoneinfo", "America", "New_York").read_bytes()
    (tmp_path / "America" / "Mexico_City").write_bytes(stale)
    code = (
        "import polars as pl; from person_unify.frames.conversions import minute_of_day; "
        "print(pl.select(minute_of_day(pl.lit(1720000000000), 'America/Mexico_City')).item())"
    )

    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONTZPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(found.stdout) == reference.minute_of_day(1_720_000_000_000, "America/Mexico_City")
