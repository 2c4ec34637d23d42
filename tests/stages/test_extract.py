"""Extract: order, lanes and exactness of cells, whatever the table is called and looks like."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from person_unify.errors import SourceError
from person_unify.frames import lanes, ranges
from person_unify.frames.model import ODD, ROW
from person_unify.stages.extract import Extractor


def _made(path: Path, *statements: str) -> Extractor:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return Extractor(path)


def test_rows_come_in_order_of_the_rowid_however_they_are_partitioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "_FEW", 0)
    monkeypatch.setattr(ranges, "_ROWS_PER_PARTITION", 3)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99) "
    made = _made(
        tmp_path / "old.db",
        "CREATE TABLE t (v INTEGER)",
        f"INSERT INTO t (rowid, v) {many} SELECT 1000 - 7 * i, i FROM n",
    )

    source = made.read("t")

    assert source.frame["v"].to_list() == list(range(99, 0, -1))
    assert source.frame[ROW].is_sorted()


@pytest.mark.parametrize(
    ("declared", "cells", "lane", "odd"),
    [
        ("DATETIME", "(1), (NULL)", "integer", []),
        ("BOOLEAN", "(1), (0)", "integer", []),
        ("TEXT", "('a'), (NULL)", "text", []),
        ("REAL", "(1.5), (2)", "text", [0, 1]),
        ("DATETIME", "(NULL)", "integer", []),
        ("TEXT", "('a'), (x'61')", "text", [1]),
        ("DATETIME", "(1), ('soon')", "integer", [1]),
        ("DATETIME", "(1), (1.5)", "integer", [1]),
        ("TEXT", "(CAST(x'ff' AS TEXT))", "text", [0]),
        ("", "(1)", "text", [0]),
        ("INTEGER", "(9223372036854775807)", "integer", []),
    ],
)
@pytest.mark.parametrize("few", [0, 1_000])
def test_lane_of_a_column_and_its_odd_cells(
    declared: str,
    cells: str,
    lane: str,
    odd: list[int],
    few: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "_FEW", few)
    made = _made(
        tmp_path / "old.db", f"CREATE TABLE t (v {declared})", f"INSERT INTO t VALUES {cells}"
    )

    source = made.read("t")

    assert source.lane("v") == lane
    assert source.frame[ODD].is_not_null().arg_true().to_list() == odd
    assert source.has_odd("v") is bool(odd)
    assert source.frame["v"].gather(odd).null_count() == source.odd.height == len(odd)


def test_one_bad_column_leaves_the_others_in_their_lane(tmp_path: Path) -> None:
    made = _made(
        tmp_path / "old.db",
        "CREATE TABLE t (a TEXT, b DATETIME, c TEXT)",
        "INSERT INTO t VALUES ('x', 'soon', 'y')",
    )

    source = made.read("t")

    assert source.lanes == {"a": "text", "b": "integer", "c": "text"}
    assert [c for c in source.lanes if source.has_odd(c)] == ["b"]


@pytest.mark.parametrize(
    "name", ['we"ird', "per%cent %s", "?1", "new\nline", "quote'", "select", "ünïcode", "a.b", " "]
)
def test_odd_names_of_tables_and_columns(name: str, tmp_path: Path) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    made = _made(
        tmp_path / "old.db",
        f"CREATE TABLE {quoted} ({quoted} TEXT)",
        f"INSERT INTO {quoted} VALUES ('x')",
    )

    assert made.read(name).frame[name].to_list() == ["x"]


def test_table_without_rowid_comes_in_order_of_its_key(tmp_path: Path) -> None:
    made = _made(
        tmp_path / "old.db",
        "CREATE TABLE t (k TEXT PRIMARY KEY) WITHOUT ROWID",
        "INSERT INTO t VALUES ('b'), ('a')",
    )

    assert made.read("t").frame["k"].to_list() == ["a", "b"]


def test_more_columns_than_one_result_holds(tmp_path: Path) -> None:
    columns = [f"c{n}" for n in range(900)]
    made = _made(
        tmp_path / "old.db",
        f"CREATE TABLE t ({', '.join(columns)})",
        f"INSERT INTO t VALUES ({', '.join('1' for _ in columns)})",
    )

    assert len(made.read("t").lanes) == 900


def test_some_columns_only(tmp_path: Path) -> None:
    made = _made(tmp_path / "old.db", "CREATE TABLE t (a TEXT, b TEXT, c TEXT)")

    assert list(made.read("t", ("c", "a", "gone")).lanes) == ["a", "c"]


def test_foreign_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="UTF-16le"):
        _made(tmp_path / "old.db", "PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (v TEXT)")


ROWIDS = st.one_of(
    st.sets(st.integers(-20, 60), max_size=40),
    st.sets(st.integers(-(2**63), 2**63 - 1), max_size=12),
)


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(rowids=ROWIDS, most=st.integers(1, 9), odd=st.integers(0, 40))
def test_parts_are_the_table(rowids: set[int], most: int, odd: int) -> None:
    with TemporaryDirectory() as directory:
        made = _made(
            Path(directory) / "old.db",
            "CREATE TABLE t (v TEXT)",
            *(
                f"INSERT INTO t (rowid, v) VALUES ({rowid}, {'7.5' if n == odd else 'NULL'})"
                for n, rowid in enumerate(sorted(rowids))
            ),
            "UPDATE t SET v = x'00' WHERE v IS NOT NULL",
        )

        parts = list(made.parts("t", most))
        whole = made.read("t")

        assert [last for _, last in parts] == [False] * (len(parts) - 1) + [True]
        assert all(source.height <= most for source, _ in parts)
        assert [row for source, _ in parts for row in source.frame[ROW]] == sorted(rowids)
        assert whole.frame[ROW].to_list() == sorted(rowids)
        held = [source.frame[ODD].is_not_null().sum() for source, _ in parts]
        assert held == [source.odd.height for source, _ in parts]
        assert sum(held) == whole.odd.height == (odd < len(rowids))


def test_table_without_a_rowid_comes_in_one_part(tmp_path: Path) -> None:
    made = _made(
        tmp_path / "old.db",
        "CREATE TABLE t (k TEXT PRIMARY KEY) WITHOUT ROWID",
        "INSERT INTO t VALUES ('b'), ('a'), ('c')",
    )

    ((source, last),) = made.parts("t", 1)

    assert last
    assert source.frame["k"].to_list() == ["a", "b", "c"]


def test_bytes_of_text_are_an_average_of_both_ends(tmp_path: Path) -> None:
    made = _made(
        tmp_path / "old.db",
        "CREATE TABLE t (a TEXT, b BLOB)",
        "CREATE TABLE bare (a TEXT)",
        "INSERT INTO t VALUES ('abcd', x'0000'), (NULL, zeroblob(1000))",
    )

    assert made.text_bytes("t") == 503
    assert made.text_bytes("bare") == 0
