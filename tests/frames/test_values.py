"""Conversions: every odd cell, in every lane, against the reference's reading of one cell."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest
from tests.reference import values as reference
from tests.reference.values import Cell
from tests.strategies.cells import CELLS, BadText

from person_unify.frames.conversions import clock, iso_day, iso_instant, utc_day
from person_unify.frames.values import Cells, Type, cells, converted
from person_unify.stages.extract import Extractor

TYPES: tuple[Type, ...] = get_args(Type)
EVERY = [cell for listed in CELLS.values() for cell in listed]


def _stored(path: Path, declared: str, listed: list[Any]) -> list[Cell]:
    """Store the cells in a column and say what SQLite made of them."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE t (v {declared})")
        for cell in listed:
            bad = isinstance(cell, BadText)
            statement = f"INSERT INTO t VALUES ({'CAST(? AS TEXT)' if bad else '?'})"
            connection.execute(statement, [cell.raw if isinstance(cell, BadText) else cell])
        connection.commit()
        connection.text_factory = bytes
        return [
            Cell(kind.decode(), raw)
            for kind, raw in connection.execute("SELECT typeof(v), v FROM t ORDER BY rowid")
        ]


def _flags(frame: pl.DataFrame, mask: pl.Expr | None) -> list[bool]:
    if mask is None:
        return [False] * frame.height
    return [bool(flag) for flag in frame.select(mask.alias("mask")).to_series()]


def _check(frame: pl.DataFrame, read: Cells, expected: list[reference.Reading]) -> None:
    values = frame.select(read.value.alias("value")).to_series().to_list()
    assert values == [reading.value for reading in expected]
    assert _flags(frame, read.unreadable) == [r.state == "unreadable" for r in expected]
    altered = zip(_flags(frame, read.altered), expected, strict=True)
    assert all(flag != r.exact for flag, r in altered if r.state == "ok")
    for rule in {r.rule for r in expected if r.rule}:
        masks = [mask for name, mask in read.recast if name == rule]
        assert len(masks) == 1, rule
        assert _flags(frame, masks[0]) == [r.rule == rule for r in expected]
    ruled = {rule for rule, mask in read.recast if any(_flags(frame, mask))}
    assert ruled == {r.rule for r in expected if r.rule}


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("declared", ["DATETIME", "INTEGER", "REAL", "TEXT", ""])
def test_column_of_every_class_is_read_like_its_cells_one_by_one(
    declared: str, type_: Type, tmp_path: Path
) -> None:
    path = tmp_path / "cells.db"
    stored = _stored(path, declared, EVERY)
    source = Extractor(path).read("t")
    expected = [reference.read(cell, type_) for cell in stored]

    lane = source.lane("v")
    assert source.has_odd("v")
    _check(source.frame, cells("v", lane, type_, source.odd), expected)
    frame, (read,) = converted(source.frame, source.odd, [("v", lane, type_)])
    _check(frame, read, expected)


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize(
    ("declared", "listed"),
    [
        ("INTEGER", [0, 1, 2, None, -1, 2**63 - 1, -(2**63), 253_402_300_799_999]),
        ("REAL", [0.0, 1.0, 0.5, 1.5, 2.5, None, -0.25, 1e15, -math.pi]),
        ("TEXT", [c for c in EVERY if isinstance(c, str)] + [None]),
    ],
)
def test_plain_column_is_read_like_its_cells_one_by_one(
    declared: str, listed: list[Any], type_: Type, tmp_path: Path
) -> None:
    path = tmp_path / "cells.db"
    stored = _stored(path, declared, listed)
    source = Extractor(path).read("t")
    expected = [reference.read(cell, type_) for cell in stored]
    lane = source.lane("v")

    assert source.has_odd("v") is (declared == "REAL")
    _check(source.frame, cells("v", lane, type_, source.odd), expected)


def test_absent_column_is_null_in_every_row() -> None:
    frame = pl.DataFrame({"id": ["a", "b"]})

    read = cells("v", "absent", "DATETIME", pl.DataFrame())

    assert frame.select(read.value.alias("v")).to_series().to_list() == [None, None]
    assert (read.unreadable, read.altered, read.recast) == (None, None, ())


MOMENTS = [0, -1, 1, 951_782_400_000, -62_135_596_800_000, 253_402_300_799_999, 1_700_000_000_000]


def test_moments_print_like_the_reference() -> None:
    column = pl.Series(MOMENTS)

    days, instants, numbers = (
        pl.select(function(pl.lit(column))).to_series().to_list()
        for function in (iso_day, iso_instant, utc_day)
    )

    assert days == [reference.iso_day(ms) for ms in MOMENTS]
    assert instants == [reference.iso_instant(ms) for ms in MOMENTS]
    assert numbers == [reference.day_of(ms) for ms in MOMENTS]


def test_clock_wraps_at_midnight_in_both_directions() -> None:
    minutes = [0, 59, 1439, 1440, -1, -1441, 10**9]

    found = pl.select(clock(pl.lit(pl.Series(minutes)))).to_series().to_list()

    assert found == [reference.clock(n) for n in minutes]
