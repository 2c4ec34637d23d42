"""One SQLite library per file at a time: the trap itself, and that nobody walks into it."""

from __future__ import annotations

import ast
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.processes import holding, refused

import person_unify
from person_unify.files import locks
from person_unify.files.copies import Exclusive, copy_snapshot
from person_unify.files.database import Database, read_frame
from person_unify.files.locks import HeldElsewhere

WRITE = "INSERT INTO t VALUES ('other')"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (v TEXT)")
        connection.commit()
    return path


def test_closing_a_file_drops_the_lock_that_a_library_holds_on_it(path: Path) -> None:
    """The trap: were it gone one day, the accounts could go too."""
    with Database(path) as database:
        database.execute("BEGIN EXCLUSIVE")
        assert "locked" in refused(path, WRITE)

        path.open("rb").close()

        assert refused(path, WRITE) == ""


def test_another_library_drops_it_too(path: Path) -> None:
    with Database(path) as database:
        database.execute("BEGIN EXCLUSIVE")

        sqlite3.connect(path).close()

        assert refused(path, WRITE) == ""


def test_a_descriptor_beside_a_library_stays_open_and_the_lock_holds(path: Path) -> None:
    with Database(path) as database:
        database.execute("BEGIN EXCLUSIVE")
        before = locks.sha256(path, beside=True)
        locks.copy(path, path.with_name("copy.db"), beside=True)

        assert "locked" in refused(path, WRITE)

        database.execute("COMMIT")

    assert refused(path, WRITE) == ""
    assert locks.sha256(path.with_name("copy.db")) == before


TOUCHES: dict[str, Callable[[Path], object]] = {
    "hash": locks.sha256,
    "sync": locks.sync,
    "copy": lambda path: locks.copy(path, path.with_name("copy.db")),
    "Python": Exclusive,
    "snapshot": lambda path: copy_snapshot(path, path.with_name("copy.db")),
    "connectorx": lambda path: read_frame(path, "SELECT '' AS v LIMIT 0", [], ["v"]),
    "immutable": lambda path: Database(path, settled=True),
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_nothing_else_touches_a_file_that_a_library_has(
    touch: Callable[[Path], object], path: Path
) -> None:
    alias = path.with_name("alias.db")
    alias.hardlink_to(path)
    with Database(path) as database:
        database.execute("BEGIN EXCLUSIVE")
        for name in (path, alias):
            with pytest.raises(HeldElsewhere):
                touch(name)

        assert "locked" in refused(path, WRITE)


def test_nothing_else_touches_an_attached_file(path: Path) -> None:
    with Database(path.with_name("main.db")) as database:
        database.attach(path, "other")
        with pytest.raises(HeldElsewhere):
            locks.sha256(path)

    locks.sha256(path)


def test_a_library_may_open_its_file_again(path: Path) -> None:
    with Database(path) as database:
        with Database(path, read_only=True) as again:
            assert again.value("SELECT count(*) FROM t") == 0
        with pytest.raises(HeldElsewhere):
            locks.sha256(path)
        database.execute("DELETE FROM t")

    locks.sha256(path)


def test_everybody_may_read_a_settled_file(path: Path) -> None:
    with Database(path, settled=True) as database:
        read_frame(path, "SELECT '' AS v LIMIT 0", ["SELECT v FROM t"], ["v"])
        locks.sha256(path)

        assert database.value("SELECT count(*) FROM t") == 0
        with pytest.raises(HeldElsewhere):
            Database(path)


def test_a_settled_file_is_read_without_locks(path: Path) -> None:
    """What has no lock cannot lose one."""
    with Database(path, settled=True) as database:
        database.execute("BEGIN")
        database.rows("SELECT * FROM t")

        assert refused(path, "BEGIN EXCLUSIVE") == ""


def test_a_file_that_cannot_be_opened_is_not_kept(path: Path) -> None:
    path.write_text("no database" * 100)
    with pytest.raises(person_unify.errors.DatabaseError), Database(path) as database:
        database.rows("SELECT * FROM t")

    locks.sha256(path)


def test_somebody_else_who_has_a_file_open_is_noticed(path: Path) -> None:
    assert not locks.open_elsewhere(path)
    with path.open("rb"):
        if not locks.open_elsewhere(path):
            pytest.skip("this system does not tell who has a file open")
    with holding(path, "SELECT * FROM t"):
        assert locks.open_elsewhere(path)

    assert not locks.open_elsewhere(path)


MAY_OPEN = {"files.locks", "sample.writer", "cli.streams", "run.directory", "frames.timezones"}
MAY_OPEN |= {
    "files.journal",
    "files.new",
    "files.private",
    "files.received",
    "review.xlsx",
}  # never a database


def test_databases_are_opened_and_copied_where_accounts_are_kept() -> None:
    """``open``, ``read_bytes`` and ``shutil.copy…`` end in a close; ``read_text`` reads JSON."""
    root = Path(person_unify.__file__).parent
    found = set()
    for file in root.rglob("*.py"):
        module = ".".join(file.relative_to(root).with_suffix("").parts)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name == "new.open":
                    continue  # a file of our own that nobody has yet
                if name == "open" or name.endswith(
                    (".open", ".read_bytes", ".write_bytes", ".copy2", ".copyfile", ".copytree")
                ):
                    found.add((module, name))

    assert {(m, n) for m, n in found if m not in MAY_OPEN} == {("files.copies", "os.open")}
