"""Private directories: where they are, whose they are, and what is left of a killed command."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from person_unify.errors import MigrationError
from person_unify.files import private_directory
from person_unify.files.private import abandoned, temporary_root

_WORK = """
import os, sys
from pathlib import Path
from person_unify.files import private_directory
with private_directory(Path(sys.argv[1])) as directory:
    (directory / "copy.db").write_text("cells")
    print(directory, flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def test_it_is_its_owners_and_goes_with_everything_in_it(root: Path) -> None:
    before = os.umask(0)
    try:
        with private_directory() as directory:
            assert directory.parent == root
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            (directory / "deep").mkdir()
            (directory / "deep" / "file").write_text("cells")
    finally:
        os.umask(before)

    assert os.listdir(root) == []


def test_temporary_files_of_libraries_go_there(root: Path, tmp_path: Path) -> None:
    usual = tempfile.gettempdir()
    for beside, place in ((None, root), (tmp_path, tmp_path)):
        with private_directory(beside) as directory:
            assert directory.parent == place
            assert os.environ["SQLITE_TMPDIR"] == str(directory)
            with tempfile.NamedTemporaryFile() as file:
                assert Path(file.name).parent == directory

    assert tempfile.gettempdir() == usual
    assert "SQLITE_TMPDIR" not in os.environ


@pytest.mark.parametrize("what", ["not there", "a file", "read-only"])
def test_tmpdir_that_cannot_be_used_is_refused(
    what: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = root / "volume"
    if what == "a file":
        named.touch()
    if what == "read-only":
        named.mkdir()
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setenv("TMPDIR", str(named))

    with pytest.raises(MigrationError, match=f"TMPDIR names {named}, which"), private_directory():
        pass


def test_without_tmpdir_it_is_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    assert temporary_root() == Path("/tmp")


def test_what_a_killed_command_left_is_told_from_what_a_living_one_has(root: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WORK, root], stdin=-1, stdout=-1, text=True
    ) as process:
        assert process.stdout is not None
        directory = Path(process.stdout.readline().strip())
        assert list(abandoned(root)) == []
        process.communicate("")

    assert list(abandoned(root)) == [directory]


def test_what_others_put_there_is_passed_over(root: Path, tmp_path: Path) -> None:
    number = iter(range(100))

    def name() -> Path:
        return root / f".person-unify-{next(number):032x}"

    name().mkdir(mode=0o755)
    name().write_text("a file")
    name().touch(mode=0o640)
    locked = os.open(name(), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(locked, fcntl.LOCK_EX)
    name().symlink_to(tmp_path)
    name().symlink_to(root / "nowhere")
    os.mkfifo(name())
    (root / ".person-unify-notes").mkdir(mode=0o700)
    (root / os.fsdecode(b".person-unify-\xff")).mkdir(mode=0o700)
    if os.geteuid() == 0:
        foreign = name()
        foreign.mkdir(mode=0o700)
        os.chown(foreign, 12345, 12345)
        theirs = name()
        theirs.touch(mode=0o600)
        os.chown(theirs, 12345, 12345)

    assert list(abandoned(root)) == []
    assert list(abandoned(root / "nowhere")) == []
    os.close(locked)


def test_what_cannot_be_removed_at_once_is_removed_then(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rmdir, calls = os.rmdir, []

    def once(*given: Any, **named: Any) -> None:
        calls.append(given)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        rmdir(*given, **named)

    monkeypatch.setattr(os, "rmdir", once)
    with private_directory() as directory:
        (directory / "copy.db").write_text("cells")

    assert len(calls) == 2
    assert os.listdir(root) == []
