"""The comparison finds every difference, names it, and takes no emptiness for equality."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from person_unify.mappings.bind import Plan
from person_unify.stages.rebuild import File, Rebuilder, TableComparison, compare_table

KEYED = "CREATE TABLE t (id TEXT PRIMARY KEY, a, n INTEGER, at DATETIME)"
PAIRED = "CREATE TABLE t (id TEXT, k TEXT, a, PRIMARY KEY (id, k)) WITHOUT ROWID"
UNKEYED = "CREATE TABLE t (id TEXT, a, n INTEGER, at DATETIME)"


def compared(folder: Path, create: str, left: str, right: str) -> TableComparison:
    """A table with the VALUES on the left, and an archive that holds those on the right whole."""
    for name, values in (("left", left), ("right", right)):
        with closing(sqlite3.connect(folder / f"{name}.db")) as connection:
            connection.execute(create)
            if values:
                connection.execute(f"INSERT INTO t VALUES {values}")
            info = connection.execute("PRAGMA table_info(t)").fetchall()
            named = [row[1] for row in info]
            nulls = connection.execute("SELECT 1 FROM t WHERE id IS NULL").fetchall()
            rowid = "" if any(row[5] for row in info) and not nulls else "rowid AS _rowid, "
            connection.execute(
                f"CREATE TABLE archive_t AS SELECT {rowid}*, '{json.dumps(named)}' AS _archived, "
                "'unmapped_table' AS _reason FROM t"
            )
            connection.commit()
    with File(folder / "left.db") as old, File(folder / "right.db") as ledger:
        plan = Plan((), (old.tables["t"],), (), ())
        rebuilt = Rebuilder(ledger, ledger, plan, old.tables).table("t")
        return compare_table(old.store("t"), replace(rebuilt, instants=frozenset({"at"})))


@pytest.mark.parametrize("create", [KEYED, UNKEYED])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("'x'", "'X'"),
        ("1", "1.0"),
        ("1", "'1'"),
        ("'x'", "x'78'"),
        ("''", "NULL"),
        ("NULL", "0"),
        ("9007199254740993", "9007199254740992.0"),
        ("9e999", "1e308"),
        ("CAST(x'6100' AS TEXT)", "'a'"),
        ("-0.0", "0.0"),
        ("CAST(x'ff' AS TEXT)", "CAST(x'fe' AS TEXT)"),
    ],
)
def test_a_cell_of_other_value_or_class_is_a_difference(
    create: str, left: str, right: str, tmp_path: Path
) -> None:
    found = compared(
        tmp_path,
        create,
        f"('1', {left}, 5, 7), ('2', 0, 0, 0)",
        f"('1', {right}, 5, 7), ('2', 0, 0, 0)",
    )

    assert found.outcome == "failed"
    assert (found.differing, found.columns) == (1, {"a": 1})
    assert found.keys == (("1",) if create == KEYED else ())
    assert (found.missing, found.added) == (0, 0)


@pytest.mark.parametrize("create", [KEYED, UNKEYED])
def test_equal_rows_in_another_order_are_equal(create: str, tmp_path: Path) -> None:
    rows = ["('1', x'ff', 5, 7)", "('2', 9e999, NULL, 'soon')", "('3', 'ß', 'x', NULL)"]
    other = rows if create == UNKEYED else reversed(rows)

    found = compared(tmp_path, create, ", ".join(rows), ", ".join(other))

    assert (found.outcome, found.old_rows, found.rebuilt_rows) == ("passed", 3, 3)


def test_lost_and_added_rows_are_named(tmp_path: Path) -> None:
    found = compared(
        tmp_path, PAIRED, "('a', '1', 0), ('a', '2', 0)", "('a', '2', 0), ('b', '1', 0)"
    )

    assert (found.missing, found.added, found.differing) == (1, 1, 0)
    assert found.keys == ("a, 1", "b, 1")


def test_a_doubled_row_without_key_is_a_difference(tmp_path: Path) -> None:
    row = "('1', 2, 3, 4)"

    found = compared(tmp_path, UNKEYED, row, f"{row}, {row}")

    assert (found.outcome, found.missing, found.added) == ("failed", 0, 1)


def test_null_keys_are_compared_as_well(tmp_path: Path) -> None:
    found = compared(tmp_path, KEYED, "(NULL, 1, 2, 3)", "(NULL, 2, 2, 3)")

    assert found.outcome == "failed"


def test_an_empty_table_is_not_passed(tmp_path: Path) -> None:
    assert compared(tmp_path, KEYED, "", "").outcome == "not_applicable"


@pytest.mark.parametrize("create", [KEYED, UNKEYED])
@pytest.mark.parametrize(
    ("left", "right", "outcome"),
    [
        ("'2023-11-14 22:13:20'", "1700000000000", "passed"),
        ("'2023-11-15T03:43:20.000+05:30'", "'2023-11-14T22:13:20.000Z'", "passed"),
        ("'2023-11-14 22:13:20.0001'", "1700000000000", "failed"),
        ("1700000000000.5", "1700000000000", "failed"),
        ("'2023-11-14 22:13:20'", "1700000000001", "failed"),
        ("'soon'", "NULL", "failed"),
        ("'soon'", "'never'", "failed"),
    ],
)
def test_an_instant_counts_by_its_value(
    create: str, left: str, right: str, outcome: str, tmp_path: Path
) -> None:
    found = compared(tmp_path, create, f"('1', 1, 1, {left})", f"('1', 1, 1, {right})")

    assert found.outcome == outcome


def test_tables_of_many_columns_can_be_compared(tmp_path: Path) -> None:
    names = ", ".join(f"c{n}" for n in range(1_200))
    row = ", ".join(["7"] * 1_200)
    other = f"{row[:-1]}8"

    found = compared(
        tmp_path,
        f"CREATE TABLE t (id TEXT PRIMARY KEY, {names})",
        f"('1', {row})",
        f"('1', {other})",
    )

    assert found.columns == {"c1199": 1}
