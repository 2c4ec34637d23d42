"""The verifier's SQL reads cells as the reference does."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.reference.values import Cell, day_of, iso_day
from tests.reference.values import read as reference_read

from person_unify.database import Database
from person_unify.spec import Type
from person_unify.stages.verify import cells

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
    *(None, 0, 1, 2, -1, 2**62, -(2**63), cells.LAST_INSTANT, cells.LAST_INSTANT + 1),
    *(cells.FIRST_INSTANT, cells.FIRST_INSTANT - 1, 0.0, 1.0, 0.5, 1.5, 2.5, -0.5, -1.5, 1e300),
    *(-2.5, 0.1, 1e22, 9.3e18, -9223372036854775808.0, 9223372036854774784.0, float("inf")),
    *(
        cells.FIRST_INSTANT - 0.5,
        cells.LAST_INSTANT + 0.5,
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


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A table ``s`` with the corpus in one column that has no affinity."""
    path = tmp_path / "cells.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE s (id INTEGER PRIMARY KEY, c)")
    connection.executemany("INSERT INTO s (c) VALUES (?)", [(cell,) for cell in corpus()])
    connection.execute("INSERT INTO s (c) VALUES (CAST(x'61ff' AS TEXT))")
    connection.commit()
    connection.close()
    with Database(path) as opened:
        opened.execute("CREATE TEMP TABLE verify_invalid (cell BLOB PRIMARY KEY)")
        opened.execute("INSERT INTO temp.verify_invalid VALUES (x'ff'), (x'61ff')")
        yield opened


def stored() -> list[Cell]:
    kinds = {type(None): "null", int: "integer", float: "real", str: "text", bytes: "blob"}
    found = []
    for value in corpus():
        raw = value.encode() if isinstance(value, str) else value
        found.append(Cell(kinds[type(value)], raw))  # type: ignore[arg-type]
    return [*found, Cell("text", b"a\xff")]


@pytest.mark.parametrize("type_", ["TEXT", "INTEGER", "REAL", "BOOLEAN", "DATETIME"])
def test_sql_reads_every_cell_as_the_reference_does(database: Database, type_: Type) -> None:
    value = cells.read('s."c"', type_)
    rows = database.rows(
        f"SELECT typeof(v), CASE typeof(v) WHEN 'real' THEN format('%!.17g', v) ELSE "
        f"hex(CAST(v AS BLOB)) END FROM (SELECT {value} AS v FROM s ORDER BY id LIMIT -1)"
    )

    for cell, (kind, shown) in zip(stored(), rows, strict=True):
        expected = reference_read(cell, type_).value
        if expected is None:
            assert kind == "null", (cell, kind, shown)
        elif isinstance(expected, float):
            assert kind == "real", (cell, kind)
            assert float(shown.replace("Inf", "inf")) == expected, cell
        elif type_ == "TEXT" and cell.kind == "real":
            assert float(bytes.fromhex(shown)) == pytest.approx(float(str(expected)), rel=1e-14)
        else:
            assert kind == cells.CLASSES[type_], (cell, kind, expected)
            assert bytes.fromhex(shown) == str(expected).encode(), cell


def test_sql_knows_which_instants_are_finer_than_a_millisecond(database: Database) -> None:
    finer_than = cells.finer('s."c"')
    rows = database.rows(f"SELECT {finer_than} FROM s ORDER BY id")

    for cell, (finer,) in zip(stored(), rows, strict=True):
        reading = reference_read(cell, "DATETIME")
        if reading.state == "ok" and cell.kind == "text":
            assert bool(finer) is not reading.exact, cell


def test_days_before_1970_are_the_days_that_have_begun(database: Database) -> None:
    for ms in (0, -1, 86_399_999, -86_400_000, cells.FIRST_INSTANT, cells.LAST_INSTANT):
        assert database.value(f"SELECT {cells.day(str(ms))}") == iso_day(ms)
        assert day_of(ms) == ms // 86_400_000
