"""Copies: the source stays without a trace, a copy is one instant, a target comes back whole."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.processes import holding, refused

from person_unify.errors import SourceError, TargetError
from person_unify.files import locks
from person_unify.files.copies import Exclusive, copy_snapshot

Trace = dict[str, tuple[bytes, int, int]]


def _trace(directory: Path) -> Trace:
    """Bytes, time of the last write and mode of every file."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
        for path in directory.iterdir()
    }


def _rows(path: Path) -> list[int]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An old database in a directory of its own, so that whatever appears beside it is seen."""
    path = tmp_path / "there" / "old.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (n INTEGER, filling TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, "x" * 500) for n in range(200)])
        connection.commit()
    return path


def _dead_writer(source: Path, *statements: str) -> None:
    """A program that dies in the middle of what it does."""
    script = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for statement in sys.argv[2:]: c.execute(statement)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, source, *statements], check=False)
    assert done.returncode == -signal.SIGKILL


WAL = ("PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0")
STATES = {
    "rollback journal": (),
    "log closed": ("PRAGMA journal_mode = WAL",),
    "log with pages": (*WAL, "INSERT INTO t (n) VALUES (200)"),
    "log and unfinished": (
        *(*WAL, "INSERT INTO t (n) VALUES (200)", "PRAGMA cache_size = 1", "BEGIN"),
        "UPDATE t SET n = -1",
    ),
    "hot journal": ("PRAGMA cache_size = 1", "BEGIN", "UPDATE t SET n = -1, filling = 'gone'"),
}


@pytest.mark.parametrize("state", STATES)
def test_copy_is_what_was_committed_and_the_source_is_untouched(
    state: str, source: Path, tmp_path: Path
) -> None:
    if state == "log closed":
        with closing(sqlite3.connect(source)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    elif STATES[state]:
        _dead_writer(source, *STATES[state])
    names = {path.name for path in source.parent.iterdir()}
    assert ("old.db-wal" in names) == ("with pages" in state or "unfinished" in state)
    assert ("old.db-journal" in names) == (state == "hot journal")
    before = _trace(source.parent)
    copy = tmp_path / "copy.db"

    copy_snapshot(source, copy)

    assert _trace(source.parent) == before
    assert _rows(copy) == list(range(201 if "log " in state and state != "log closed" else 200))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.db", "there"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_copy_of_a_quiet_source_is_equal_byte_for_byte(source: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("CREATE TABLE later (v)")  # a schema cookie that a backup would count up
        connection.execute("DROP TABLE later")

    copy_snapshot(source, tmp_path / "copy.db")

    assert (tmp_path / "copy.db").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_open_transaction_of_another_program_is_not_in_the_copy(
    mode: str, source: Path, tmp_path: Path
) -> None:
    statements = (f"PRAGMA journal_mode = {mode}", "BEGIN IMMEDIATE", "DELETE FROM t")
    with holding(source, *statements):
        before = _trace(source.parent)

        copy_snapshot(source, tmp_path / "copy.db")

        assert _trace(source.parent) == before
    assert _rows(tmp_path / "copy.db") == list(range(200))


def test_source_reached_through_a_link_brings_its_log_along(source: Path, tmp_path: Path) -> None:
    _dead_writer(source, *STATES["log with pages"])
    link = tmp_path / "link.db"
    link.symlink_to(source)

    copy_snapshot(link, tmp_path / "copy.db")

    assert len(_rows(tmp_path / "copy.db")) == 201


_BUSY = """
import random, sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
c.execute("PRAGMA journal_mode = " + sys.argv[2])
c.execute("PRAGMA synchronous = OFF")
c.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, n INTEGER, filling TEXT)")
c.executemany("INSERT INTO accounts VALUES (?, 100, ?)", [(i, "x" * 2000) for i in range(500)])
print("ready", flush=True)
while True:
    a, b = random.sample(range(500), 2)
    c.execute("BEGIN IMMEDIATE")
    c.execute("UPDATE accounts SET n = n - 1 WHERE id = ?", (a,))
    c.execute("UPDATE accounts SET n = n + 1 WHERE id = ?", (b,))
    c.execute("COMMIT")
    time.sleep(0.001)
"""


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_source_that_is_written_500_times_a_second_gives_one_instant_or_is_refused(
    mode: str, tmp_path: Path
) -> None:
    """Every transaction moves an amount from one account to another: the sum tells."""
    source = tmp_path / "busy.db"
    caught = 0
    with subprocess.Popen(
        [sys.executable, "-c", _BUSY, source, mode], stdout=subprocess.PIPE, text=True
    ) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            for attempt in range(12):
                copy = tmp_path / f"copy{attempt}.db"
                try:
                    copy_snapshot(source, copy)
                except SourceError:
                    continue
                with closing(sqlite3.connect(copy)) as connection:
                    assert connection.execute("SELECT sum(n) FROM accounts").fetchone() == (50_000,)
                    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                caught += 1
            assert writer.poll() is None
        finally:
            writer.kill()
    # A log only grows while it is copied; a rollback journal makes the reader wait for its turn.
    assert caught == 12 if mode == "WAL" else caught


def test_locked_source_is_waited_for(source: Path, tmp_path: Path) -> None:
    with holding(source, "BEGIN EXCLUSIVE") as other:
        with pytest.raises(SourceError, match="locked by another program"):
            copy_snapshot(source, tmp_path / "copy.db", wait=0.3)
        assert not (tmp_path / "copy.db").exists()
        assert other.stdin is not None
        other.stdin.close()
        copy_snapshot(source, tmp_path / "copy.db", wait=30)
        other.stdin = None

    assert len(_rows(tmp_path / "copy.db")) == 200


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("state", STATES)
def test_source_is_never_opened_for_writing(state: str, source: Path, tmp_path: Path) -> None:
    """What the system calls say, whatever the files look like afterwards."""
    if STATES[state]:
        _dead_writer(source, *STATES[state])
    script = "import sys; from pathlib import Path\n"
    script += "from person_unify.files.copies import copy_snapshot\n"
    script += "copy_snapshot(Path(sys.argv[1]), Path(sys.argv[2]))"
    calls = "trace=open,openat,creat,unlink,unlinkat,rename,truncate,link,linkat"

    done = subprocess.run(
        ["strace", "-f", "-y", "-e", calls, sys.executable, "-c", script, source, tmp_path / "c"],
        capture_output=True,
        text=True,
        check=True,
    )

    touched = [line for line in done.stderr.splitlines() if str(source) in line]
    assert touched
    assert [line for line in touched if "O_RDONLY" not in line] == []


@pytest.fixture
def changed(source: Path) -> tuple[Path, Path]:
    """A file that has been written since its backup was made, and that backup."""
    backup = source.with_name("backup.db")
    locks.copy(source, backup)
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("UPDATE t SET n = n + 1000")
        connection.execute("CREATE TABLE more AS SELECT * FROM t, (SELECT 1 UNION SELECT 2)")
        connection.commit()
    source.chmod(0o640)
    return source, backup


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_put_back_gives_the_same_file_the_same_bytes(mode: str, changed: tuple[Path, Path]) -> None:
    target, backup = changed
    with closing(sqlite3.connect(target)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    before = target.stat()

    with Exclusive(target) as held:
        held.put_back(backup)

        assert "locked" in refused(target, "SELECT * FROM t")

    assert target.read_bytes() == backup.read_bytes()
    assert (target.stat().st_ino, target.stat().st_mode) == (before.st_ino, before.st_mode)
    assert sorted(p.name for p in target.parent.iterdir()) == ["backup.db", "old.db"]


def test_backup_in_wal_mode_is_read_without_side_files(changed: tuple[Path, Path]) -> None:
    target, backup = changed
    with closing(sqlite3.connect(backup)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    before = backup.read_bytes()

    with Exclusive(target) as held:
        held.put_back(backup)

    assert (target.read_bytes(), backup.read_bytes()) == (before, before)
    assert len(_rows(target)) == 200


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("nth", range(1, 14, 3))
def test_killed_while_putting_back(nth: int, changed: tuple[Path, Path]) -> None:
    """Whoever opens the file next finds the one content or the other, and a rerun finishes."""
    target, backup = changed
    both = [_rows(target), _rows(backup)]
    script = (
        "import sys; from pathlib import Path; from person_unify.files.copies import Exclusive\n"
    )
    script += "with Exclusive(Path(sys.argv[1])) as held: held.put_back(Path(sys.argv[2]))"
    # Killed at the nth sync, unlink or write into the file itself.
    kill: list[str | Path] = [
        "-P",
        target,
        "-P",
        f"{target}-journal",
        "-e",
        "trace=pwrite64,fdatasync,unlink",
    ]
    kill += ["-e", f"inject=pwrite64,fdatasync,unlink:signal=KILL:when={nth}"]

    subprocess.run(
        ["strace", "-f", *kill, sys.executable, "-c", script, target, backup],
        capture_output=True,
        check=False,
    )

    assert _rows_after_recovery(target) in both
    with Exclusive(target) as held:
        held.put_back(backup)
    assert target.read_bytes() == backup.read_bytes()


def _rows_after_recovery(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return _rows(path)


@pytest.mark.parametrize(
    "statements",
    [("BEGIN IMMEDIATE",), ("PRAGMA journal_mode = WAL", "SELECT * FROM t"), ("SELECT * FROM t",)],
)
def test_file_in_use_is_not_taken(statements: tuple[str, ...], source: Path) -> None:
    before = os.stat(source).st_ino
    with holding(source, *statements):
        if statements == ("SELECT * FROM t",) and not locks.open_elsewhere(source):
            pytest.skip("this system does not tell who has a file open")
        with pytest.raises(TargetError, match="in use by another program"):
            Exclusive(source, wait=0.2)

    with Exclusive(source, wait=5):
        assert os.stat(source).st_ino == before
