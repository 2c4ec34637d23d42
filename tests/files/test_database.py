"""What the tool relies on in SQLite's three drivers: one short test for each trap."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from adbc_driver_manager import _lib

from person_unify.errors import DatabaseError, SourceError
from person_unify.files.copies import copy_snapshot
from person_unify.files.database import Database, inspect, read_frame
from person_unify.stages.snapshot import take

SENTINEL = "SELECT 0 AS c0, '' AS c1 LIMIT 0"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file whose name needs quoting twice, with one row of each storage class."""
    path = tmp_path / "odd %41 #1?.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (n DATETIME, v TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, "a"), (2, "b"), (None, None)])
        connection.commit()
    return path


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with Database(path) as database:
        yield database


def test_sentinel_types_a_column_of_instants(path: Path) -> None:
    frame = read_frame(path, SENTINEL, ["SELECT n, v FROM t"], ["n", "v"])

    assert frame.sort("n", nulls_last=True).rows() == [(1, "a"), (2, "b"), (None, None)]


def test_sentinel_types_a_table_without_rows(path: Path) -> None:
    frame = read_frame(path, SENTINEL, ["SELECT n, v FROM t WHERE 0"], ["n", "v"])

    assert frame.schema == {"n": pl.Int64, "v": pl.String}
    assert frame.height == 0


@pytest.mark.parametrize(
    ("column", "cell"),
    [("n", "'soon'"), ("n", "2.5"), ("n", "x'00'"), ("v", "x'00'"), ("v", "CAST(x'ff' AS TEXT)")],
)
def test_a_cell_of_another_class_is_an_error_that_quotes_nothing(
    path: Path, column: str, cell: str
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"INSERT INTO t ({column}) VALUES ({cell})")
        connection.commit()

    with pytest.raises(DatabaseError) as caught:
        read_frame(path, SENTINEL, ["SELECT n, v FROM t"], ["n", "v"])

    assert "soon" not in str(caught.value)


def test_partitions_come_complete_in_any_order(path: Path) -> None:
    queries = [f"SELECT rowid, v FROM t WHERE rowid = {n}" for n in (1, 2, 3)]

    frame = read_frame(path, SENTINEL, queries, ["n", "v"])

    assert sorted(frame["n"]) == [1, 2, 3]


def test_reading_neither_creates_nor_touches_a_file(path: Path) -> None:
    before = path.read_bytes()
    read_frame(path, SENTINEL, ["SELECT n, v FROM t"], ["n", "v"])
    with Database(path, read_only=True) as database:
        database.rows("SELECT * FROM t")
        with pytest.raises(DatabaseError, match="readonly"):
            database.execute("DELETE FROM t")
    with pytest.raises(DatabaseError):
        Database(path.with_name("missing.db"), read_only=True)

    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_rollback_takes_ddl_and_ingested_rows_back(database: Database) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.execute("CREATE TABLE u (v TEXT)")
    database.ingest("t", pl.DataFrame({"n": [9], "v": ["z"]}))
    database.execute("ROLLBACK")

    assert database.value("SELECT count(*) FROM t") == 3
    assert database.value("SELECT count(*) FROM sqlite_master") == 1


def test_closing_takes_an_open_transaction_back(path: Path) -> None:
    with Database(path) as database:
        database.execute("BEGIN")
        database.execute("DELETE FROM t")

    with Database(path, read_only=True) as database:
        assert database.value("SELECT count(*) FROM t") == 3


def test_pragmas_take_effect_because_no_transaction_is_open(database: Database) -> None:
    database.execute("PRAGMA foreign_keys = ON")

    assert database.value("PRAGMA foreign_keys") == 1


def test_ingest_binds_by_name_and_leaves_other_columns_to_their_default(
    database: Database,
) -> None:
    database.execute("CREATE TABLE u (a TEXT, b INTEGER DEFAULT 7, c REAL)")

    database.ingest("u", pl.DataFrame({"c": [1.5, None], "a": ["x", ""]}))

    assert database.rows("SELECT a, b, c FROM u") == [("x", 7, 1.5), ("", 7, None)]


def test_ingest_stores_integers_text_and_bytes_in_their_class(database: Database) -> None:
    database.execute("CREATE TABLE u (a, b, c, d)")

    database.ingest(
        "u", pl.DataFrame({"a": [2**63 - 1], "b": ["n\x00l"], "c": [b"\xff"], "d": [1.0]})
    )

    assert database.rows("SELECT typeof(a), typeof(b), typeof(c), typeof(d) FROM u") == [
        ("integer", "text", "blob", "real")
    ]
    assert database.rows("SELECT a, hex(b) FROM u") == [(2**63 - 1, "6E006C")]


def test_ingest_of_no_rows_is_nothing(database: Database) -> None:
    database.ingest("t", pl.DataFrame(schema={"n": pl.Int64, "v": pl.String}))

    assert database.value("SELECT count(*) FROM t") == 3


def test_one_commit_spans_an_attached_file(database: Database, path: Path) -> None:
    other = path.with_name("other.db")
    database.execute(f"ATTACH '{other}' AS ledger")
    database.execute("BEGIN")
    database.execute("CREATE TABLE ledger.u (v TEXT)")
    database.ingest("u", pl.DataFrame({"v": ["x"]}), catalog="ledger")
    database.execute("ROLLBACK")

    assert database.value("SELECT count(*) FROM ledger.sqlite_master") == 0


def test_an_error_names_the_column_and_never_the_cell(database: Database) -> None:
    database.execute("CREATE TABLE u (v TEXT UNIQUE)")

    with pytest.raises(DatabaseError, match=r"load u: UNIQUE constraint failed: u\.v") as caught:
        database.ingest("u", pl.DataFrame({"v": ["secret", "secret"]}))

    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("not a database" * 99)

    with (
        pytest.raises(DatabaseError, match="not a database"),
        Database(path, read_only=True) as database,
    ):
        database.value("SELECT count(*) FROM sqlite_master")


def test_schema_as_it_stands(database: Database) -> None:
    database.execute(
        "CREATE TABLE u (a INT, \"b c\" TEXT NOT NULL DEFAULT 'x', g AS (a + 1), "
        'PRIMARY KEY ("b c", a), FOREIGN KEY (a) REFERENCES t (n) ON DELETE CASCADE)'
    )
    database.execute("CREATE UNIQUE INDEX whole ON u (a)")
    database.execute('CREATE UNIQUE INDEX partial ON u ("b c") WHERE a > 1')
    database.execute("CREATE UNIQUE INDEX expression ON u (a + 1)")
    database.execute("CREATE VIEW seen AS SELECT 1")

    tables = inspect(database)

    assert list(tables) == ["t", "u"]
    table = tables["u"]
    assert table.primary_key == ("b c", "a")
    assert table.uniques == (("a",),)
    assert [(c.name, c.type, c.not_null, c.default) for c in table.columns[:2]] == [
        ("a", "INT", False, None),
        ("b c", "TEXT", True, "'x'"),
    ]
    assert [(k.column, k.table, k.referenced) for k in table.foreign_keys] == [("a", "t", "n")]


def test_snapshot_holds_what_is_committed_in_the_write_ahead_log(path: Path) -> None:
    copy = path.with_name("copy.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("INSERT INTO t VALUES (3, 'c')")
        writer.execute("BEGIN")
        writer.execute("INSERT INTO t VALUES (4, 'd')")
        copy_snapshot(path, copy)

    with Database(copy, read_only=True) as database:
        assert database.value("SELECT count(*) FROM t") == 4
        assert database.value("PRAGMA journal_mode") == "delete"


def test_snapshot_of_a_file_that_shrank_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2048])

    with pytest.raises(SourceError, match=r"cannot be read as a database|is damaged"):
        take(path, path.parent, datetime.now(UTC))


def test_an_interrupt_that_leaves_a_statement_open_is_what_is_raised(tmp_path: Path) -> None:
    """The driver refuses to close the connection then, which is no news to who is interrupted."""
    database = Database(tmp_path / "new.db")
    statement = _lib.AdbcStatement(database._connection._conn)

    with pytest.raises(KeyboardInterrupt), database:
        raise KeyboardInterrupt

    statement.close()
    database._connection._closed = False
    database._connection.close()


def test_a_statement_left_open_otherwise_is_an_error(tmp_path: Path) -> None:
    database = Database(tmp_path / "new.db")
    statement = _lib.AdbcStatement(database._connection._conn)

    with pytest.raises(RuntimeError, match="open AdbcStatement"):
        database.close()

    statement.close()
    database.close()
