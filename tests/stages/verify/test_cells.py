"""The verifier reads cells as the reference does, in a column of whatever type."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import polars as pl
import pytest
from tests.reference.values import Cell, day_of, iso_day
from tests.reference.values import read as reference_read

from person_unify.mappings.spec import Type
from person_unify.stages.verify.cells import Cells
from person_unify.stages.verify.reader import File
from person_unify.stages.verify.reading import FIRST_INSTANT, LAST_INSTANT, day, read

INSTANTS = (
    *("2020-03-15", "2020-02-30", "2000-02-29", "1900-02-29", "2020-3-15", "2020-03-15 ", ""),
    *("2020-03-15 10:00", "2020-03-15T10:00Z", "2020-03-15t10:00z", "2020-03-15 10:00 Z"),
    *("2020-03-15 10:00:00", "2020-03-15T10:00:00.5", "2020-03-15 10:00:00.1239+05:30"),
    *("2020-03-15 10:00:00.1230000 -0530", "2020-03-15 10:00:00.0005Z", "2020-03-15 10:00+05"),
    *("2020-03-15 10:00:00  Z", "2020-03-15 10:00:00.Z", "2020-03-15Z", "2020-03-15 24:00"),
    *(
        "2020-03-15 10:60",
        "2020-03-15 10:00:60",
        "2020-03-15 10:00+24:00",
        "2020-03-15 10:00+05:60",
    ),
    *("0000-12-31 23:00:00-02:00", "0001-01-01 00:00:00+00:01", "9999-12-31T23:59:59.999Z"),
    *("9999-12-31 23:59-01", "0000-01-01", "0001-01-01", "1969-12-31T23:59:59.999Z", "now"),
    *(
        "2020-03-15 10:00:00 ",
        "2020-03-15T10:00:00.000000001Z",
        "2020-03-15\x00",
        "12:00",
        "2458923.5",
    ),
    *(
        "2020-03-15T10:00:00.123Z\x00x",
        "2020-03-15T10:00:00.12٣Z",
        "\uff12020-03-15",
        "2020-03-15 10:00:00+5",
    ),
    *(
        "2020-13-01",
        "2020-00-10",
        "2020-01-00",
        "+020-03-15",
        "2020-03-15X10:00",
        "2020-03-15 1a:00",
    ),
)
NUMBERS = (
    *("7", "+07", "-0", " 7", "7 ", "7.0", "", "+", "-", "1e3", "9223372036854775807", "true"),
    *("9223372036854775808", "-9223372036854775808", "-9223372036854775809", "0x1", "1.", ".5"),
    *("000000000000000000000000012", "1.5E-3", "1e", "1e+", "--1", "1.5.2", "7\x00", "٣", "TRUE"),
    *("False", "tru", "1", "0", "01", "nan", "inf", "-1.25e+2"),
)
PLAIN: tuple[object, ...] = (
    *(None, 0, 1, 2, -1, 2**62, -(2**63), LAST_INSTANT, LAST_INSTANT + 1),
    *(FIRST_INSTANT, FIRST_INSTANT - 1, 0.0, 1.0, 0.5, 1.5, 2.5, -0.5, -1.5, 1e300),
    *(-2.5, 0.1, 1e22, 9.3e18, -9223372036854775808.0, 9223372036854774784.0, float("inf")),
    *(
        FIRST_INSTANT - 0.5,
        LAST_INSTANT + 0.5,
        123456789.125,
        b"ok",
        b"\xff",
        b"",
        b"a\x00b",
    ),
    *("a\x00b", "é😀"),
)


def corpus() -> list[object]:
    rng = random.Random(7)
    made = [
        "".join(rng.choice("0123456789-: TtZz+.") for _ in range(rng.randrange(8, 30)))
        for _ in range(100)
    ]
    mutated = []
    for text in INSTANTS:
        for _ in range(6):
            if text:
                at = rng.randrange(len(text))
                mutated.append(text[:at] + rng.choice("0129-: TZ+.") + text[at + 1 :])
    return [*PLAIN, *INSTANTS, *NUMBERS, *made, *mutated]


@pytest.fixture(params=["", "TEXT", "DATETIME", "INTEGER", "REAL"])
def read_cells(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Cells, list[Cell]]:
    """The corpus in a column of that declared type: as the verifier reads it, and as it is."""
    path = tmp_path / "cells.db"
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE s (id INTEGER PRIMARY KEY, c {request.param})")
    connection.executemany("INSERT INTO s (c) VALUES (?)", [(cell,) for cell in corpus()])
    connection.execute("INSERT INTO s (c) VALUES (CAST(x'61ff' AS TEXT))")
    connection.commit()
    rows = connection.execute(
        "SELECT typeof(c), CASE WHEN typeof(c) = 'text' THEN CAST(c AS BLOB) ELSE c END "
        "FROM s ORDER BY id"
    ).fetchall()
    connection.close()
    file = File(path, settled=True)
    cells = file.read(file.tables["s"], ["c"])
    file.close()
    return cells, [Cell(*row) for row in rows]


@pytest.mark.parametrize("type_", ["TEXT", "INTEGER", "REAL", "BOOLEAN", "DATETIME"])
def test_cells_are_read_as_the_reference_reads_them(
    read_cells: tuple[Cells, list[Cell]], type_: Type
) -> None:
    cells, stored = read_cells
    reading = read(cells, "c", type_)
    unreadable, altered = (
        [False] * len(stored) if mask is None else mask.to_list()
        for mask in (reading.unreadable, reading.altered)
    )

    for row, cell in enumerate(stored):
        expected, value = reference_read(cell, type_), reading.value[row]
        if type_ == "TEXT" and cell.kind == "real":
            assert float(value) == pytest.approx(float(str(expected.value)), rel=1e-14)
        else:
            assert value == expected.value, cell
        assert unreadable[row] is (expected.state == "unreadable"), cell
        assert altered[row] is (expected.state == "ok" and not expected.exact), cell
        rules = [rule for rule, mask in reading.recast.items() if mask[row]]
        assert rules == ([expected.rule] if expected.rule else []), cell


def test_days_before_1970_are_the_days_that_have_begun() -> None:
    instants = [0, -1, 86_399_999, -86_400_000, FIRST_INSTANT, LAST_INSTANT]
    days = day(pl.Series(instants))

    for ms, shown in zip(instants, days, strict=True):
        assert shown == iso_day(ms)
        assert day_of(ms) == ms // 86_400_000
