"""The rebuild's own reading of instants agrees with the reference's, and writes what it reads."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.values import Cell, read
from tests.strategies.cells import BAD_INSTANTS, INSTANTS, BadText

from person_unify.stages.rebuild import File
from person_unify.stages.rebuild.instants import exactly, written

FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999
EPOCH = datetime(1970, 1, 1)


def _read(values: Sequence[Any]) -> list[int | None]:
    """What the rebuild reads in cells of a column without a type."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE t (c)")
            for value in values:
                marks = "CAST(? AS TEXT)" if isinstance(value, BadText) else "?"
                raw = value.raw if isinstance(value, BadText) else value
                connection.execute(f"INSERT INTO t VALUES ({marks})", (raw,))
            connection.commit()
        with File(path) as file:
            frame, cells = file.store("t").scan(["c"])
        return frame.select(exactly(cells["c"])).to_series().to_list()


def _expected(value: Any) -> int | None:
    """What the row-by-row reference reads, where it loses nothing."""
    kinds = {type(None): "null", int: "integer", float: "real", str: "text", bytes: "blob"}
    if isinstance(value, BadText):
        cell = Cell("text", value.raw)
    else:
        raw = value.encode() if isinstance(value, str) else value
        cell = Cell(kinds[type(value)], raw)
    found = read(cell, "DATETIME")
    if found.state != "ok" or not found.exact:
        return None
    assert isinstance(found.value, int)
    return found.value


def test_known_forms_are_read_exactly_or_not_at_all() -> None:
    values = [*INSTANTS, *BAD_INSTANTS]

    found = _read(values)

    pairs = zip(values, found, strict=True)
    assert [(v, ms, _expected(v)) for v, ms in pairs if ms != _expected(v)] == []


TWO = st.integers(0, 99).map("{:02d}".format)
TEXTS = st.builds(
    "{}-{}-{}{}{}:{}{}{}{}".format,
    st.integers(0, 9999).map("{:04d}".format),
    st.integers(0, 13).map("{:02d}".format),
    st.integers(0, 32).map("{:02d}".format),
    st.sampled_from("Tt  _"),
    st.integers(0, 24).map("{:02d}".format),
    st.integers(0, 60).map("{:02d}".format),
    st.sampled_from(["", ":00", ":59", ":60", ":30.5", ":30.1230", ":30.1234", ":3", ":30."]),
    st.sampled_from(["", " ", "  "]),
    st.one_of(
        st.sampled_from(["", "Z", "z", "+05", "-0530", "+05:30", "+24:00", "+23:59", "+05:60"]),
        st.builds("{}{}:{}".format, st.sampled_from("+-"), TWO, TWO),
    ),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXTS, min_size=40, max_size=40))
def test_drawn_texts_are_read_as_the_reference_reads_them(texts: list[str]) -> None:
    found = _read(texts)

    pairs = zip(texts, found, strict=True)
    assert [(t, ms, _expected(t)) for t, ms in pairs if ms != _expected(t)] == []


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(FIRST, LAST), min_size=40, max_size=40))
def test_what_is_written_is_read_again(drawn: list[int]) -> None:
    instants = [FIRST, LAST, -1, 0, *drawn]

    texts = pl.select(written(pl.lit(pl.Series(instants)))).to_series().to_list()

    assert _read(texts) == instants
    for milliseconds, text in zip(instants, texts, strict=True):
        moment = EPOCH + timedelta(milliseconds=milliseconds)
        assert text == f"{moment.isoformat(timespec='milliseconds')}Z"
