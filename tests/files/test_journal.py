"""Journals that name a super-journal: looked at, never followed."""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from person_unify.errors import SourceError, TargetError
from person_unify.files.copies import Exclusive, copy_snapshot
from person_unify.files.database import Database, read_frame
from person_unify.files.journal import forget_super_journal, require_harmless, super_journal

MAGIC = bytes.fromhex("d9d505f920a163d7")


def record(name: bytes, *, signed: bool = True) -> bytes:
    """The last record of a journal, as SQLite writes it."""
    checksum = sum(struct.unpack(f"{len(name)}{'b' if signed else 'B'}", name)) & 0xFFFFFFFF
    return struct.pack(">I", 1) + name + struct.pack(">II", len(name), checksum) + MAGIC


def hot_journal(database: Path, name: Path | None) -> None:
    """Put a hot journal beside a database: of page 1 as it is, and with a super-journal."""
    page_size = int.from_bytes(database.read_bytes()[16:18], "big")
    page = database.read_bytes()[:page_size]
    total = 12345 + sum(page[i] for i in range(page_size - 200, 0, -200))
    pages = database.stat().st_size // page_size
    head = MAGIC + struct.pack(">IIIII", 1, 12345, pages, 512, page_size)
    body = struct.pack(">I", 1) + page + struct.pack(">I", total & 0xFFFFFFFF)
    whole = head.ljust(512, b"\0") + body
    if name is not None:
        whole = whole.ljust(-(-len(whole) // 512) * 512, b"\0") + record(os.fsencode(name))
    database.with_name(f"{database.name}-journal").write_bytes(whole)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "there" / "old.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (n INTEGER)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
    return path


@given(
    name=st.binary(min_size=1, max_size=300), before=st.binary(max_size=40), signed=st.booleans()
)
def test_name_is_found_whatever_it_is(
    name: bytes, before: bytes, signed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    journal = tmp_path_factory.mktemp("j") / "j"
    journal.write_bytes(before + record(name, signed=signed))

    assert super_journal(journal) == name


@given(content=st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: b + MAGIC))
def test_what_names_nothing_is_read_without_complaint(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    journal = tmp_path_factory.mktemp("j") / "j"
    journal.write_bytes(content)

    found = super_journal(journal)

    assert found is None or content.endswith(MAGIC)


@pytest.mark.parametrize("there", [True, False])
def test_copy_settles_the_transaction_and_leaves_the_file_that_is_named(
    there: bool, database: Path, tmp_path: Path
) -> None:
    """Where the super-journal is gone the transaction was committed: page 1 stays as it is."""
    before = database.read_bytes()
    hot_journal(database, tmp_path / "precious")
    grown = before[:28] + struct.pack(">I", 9) + before[32:]  # what the transaction wrote
    database.write_bytes(grown)
    if there:
        (tmp_path / "precious").write_text("somebody's")
    names = sorted(path.name for path in database.parent.iterdir())

    if there:
        copy_snapshot(database, tmp_path / "copy.db")
        assert (tmp_path / "copy.db").read_bytes()[28:32] == before[28:32]
        assert (tmp_path / "precious").read_text() == "somebody's"
    else:
        journal = tmp_path / "journal"
        journal.write_bytes(database.with_name("old.db-journal").read_bytes())
        forget_super_journal(journal)
        assert not journal.exists()
    assert sorted(path.name for path in database.parent.iterdir()) == names
    assert database.read_bytes() == grown


def test_target_with_such_a_journal_is_refused(database: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("somebody's")
    hot_journal(database, tmp_path / "precious")

    with pytest.raises(TargetError, match="names another file, which SQLite would delete"):
        Exclusive(database)

    assert (tmp_path / "precious").read_text() == "somebody's"


def test_target_with_a_journal_of_its_own_is_undone(database: Path) -> None:
    hot_journal(database, None)

    require_harmless(database)
    with Exclusive(database):
        pass

    assert not database.with_name("old.db-journal").exists()


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_side_file_that_leads_elsewhere_is_refused(
    suffix: str, kind: str, database: Path, tmp_path: Path
) -> None:
    side = database.with_name(f"{database.name}{suffix}")
    if kind == "link":
        side.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(side)
    else:
        side.mkdir()

    with pytest.raises(TargetError, match="leads elsewhere"):
        require_harmless(database)
    if suffix != "-shm":
        with pytest.raises(SourceError, match=f"old.db{suffix}"):
            copy_snapshot(database, tmp_path / "copy.db")


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("opened", ["by its name", "by a link", "attached", "as a frame"])
def test_pipe_beside_a_database_that_is_only_read_is_not_waited_for(
    opened: str, suffix: str, database: Path, tmp_path: Path
) -> None:
    os.mkfifo(database.with_name(f"{database.name}{suffix}"))
    (tmp_path / "link.db").symlink_to(database)
    other = Database(tmp_path / "other.db")
    calls: dict[str, Callable[[], object]] = {
        "by its name": lambda: Database(database, read_only=True),
        "by a link": lambda: Database(tmp_path / "link.db", read_only=True),
        "attached": lambda: other.attach(database, "ledger", read_only=True),
        "as a frame": lambda: read_frame(database, "SELECT 1", [], ["a"], settled=False),
    }

    with other, pytest.raises(TargetError, match=f"old.db{suffix} is not a file of its own"):
        calls[opened]()


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_side_file_that_cannot_be_read_is_named(
    suffix: str, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = database.with_name(f"{database.name}{suffix}")
    side.write_bytes(b"x")
    real = os.open

    def refusing(path: str | Path, *given: int, **named: int) -> int:
        if Path(path) == side:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *given, **named)

    monkeypatch.setattr(os, "open", refusing)

    with pytest.raises(SourceError, match=f"old.db{suffix} cannot be read: Permission denied"):
        copy_snapshot(database, tmp_path / "copy.db")


def test_source_in_wal_mode_with_several_names_is_refused(database: Path, tmp_path: Path) -> None:
    (tmp_path / "other.db").hardlink_to(database)
    copy_snapshot(database, tmp_path / "copy.db")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")

    with pytest.raises(SourceError, match="several names"):
        copy_snapshot(database, tmp_path / "another.db")
