"""New files: whole, private, under a name that was free, and through nobody's link."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from person_unify.errors import DiskError, MigrationError, TargetError, UsageError
from person_unify.files import NewFiles, create_private, replace_private, rewrite
from person_unify.files.new import is_rewritten, rename_to_free, require_hard_links
from person_unify.files.private import abandoned

STRACE = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


@pytest.fixture(params=["unnamed", "named"])
def volume(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A volume that knows files without a name, and one that does not."""
    if request.param == "named":
        monkeypatch.setattr("person_unify.files.new._UNNAMED", os.O_RDWR | os.O_CLOEXEC)
    return str(request.param)


def _write(*paths: Path, then: Callable[[], object] = lambda: None) -> None:
    """Write files together, and do something before they get their names."""
    with NewFiles() as new:
        for path in paths:
            new.open(path).write(b"ours")
        then()


def _refusing_links(monkeypatch: pytest.MonkeyPatch, number: int = errno.EPERM) -> None:
    def refuse(*_given: object, **_named: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("volume")
def test_file_is_whole_and_its_owners_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with NewFiles() as new:
            file = new.open(tmp_path / "a")
            file.write(b"first ")
            assert not (tmp_path / "a").exists()
            file.write(b"second")
    finally:
        os.umask(before)

    assert (tmp_path / "a").read_bytes() == b"first second"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.usefixtures("volume")
@pytest.mark.parametrize("there", ["file", "directory", "link", "dangling link"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_name_that_is_taken_is_refused_and_nothing_is_touched(
    there: str, when: str, tmp_path: Path
) -> None:
    final, other = tmp_path / "final", tmp_path / "other"
    other.write_text("somebody else's")
    put: dict[str, Callable[[], object]] = {
        "file": lambda: final.write_text("mine"),
        "directory": final.mkdir,
        "link": lambda: final.symlink_to(other),
        "dangling link": lambda: final.symlink_to(tmp_path / "nowhere"),
    }
    if when == "before":
        put[there]()

    with pytest.raises(UsageError, match="exists already"):
        _write(final, then=put[there])

    assert other.read_text() == "somebody else's"
    assert {path.name for path in tmp_path.iterdir()} == {"final", "other"}
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.usefixtures("volume")
def test_overwriting_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    final, other = tmp_path / "final", tmp_path / "other"
    other.write_text("somebody else's")
    final.symlink_to(other)

    replace_private(final, b"new")

    assert (final.is_symlink(), final.read_bytes()) == (False, b"new")
    assert other.read_text() == "somebody else's"
    assert {path.name for path in tmp_path.iterdir()} == {"final", "other"}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The other name of a file that is written again and again."""
    (tmp_path / "own").mkdir()
    return tmp_path / "own" / "shown.json"


@pytest.mark.usefixtures("volume")
def test_file_is_written_again_and_known_by_its_other_name(own: Path, tmp_path: Path) -> None:
    shown = tmp_path / "new.json"
    assert not is_rewritten(shown, own)

    for content in (b"first", b"second", b"second"):
        rewrite(shown, content, own)

        assert shown.read_bytes() == content
        assert stat.S_IMODE(shown.stat().st_mode) == 0o600
        assert is_rewritten(shown, own)
        assert os.listdir(own.parent) == [own.name]


@pytest.mark.parametrize("what", ["a file", "a link", "a dangling link", "a directory", "written"])
@pytest.mark.parametrize("first", [True, False])
def test_what_has_taken_the_name_is_not_replaced(
    first: bool, what: str, own: Path, tmp_path: Path
) -> None:
    shown, other = tmp_path / "new.json", tmp_path / "other"
    other.write_text("somebody else's")
    if not first:
        rewrite(shown, b"ours", own)
        shown.unlink()
    if what == "a directory":
        shown.mkdir()
    elif what.endswith("link"):
        shown.symlink_to(own if what == "a link" and not first else tmp_path / "nowhere")
    else:
        shown.write_bytes(b"ours!" if what == "written" else b"theirs")
    before = shown.lstat()

    with pytest.raises(TargetError, match=r"new\.json appeared while the run was under way"):
        rewrite(shown, b"ours again", own)

    assert os.path.samestat(shown.lstat(), before)
    assert not is_rewritten(shown, own)


@pytest.mark.parametrize("call", ["link", "replace"])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("there", [True, False])
def test_write_that_was_cut_off_is_known_and_repeated(
    call: str, times: int, there: bool, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, calls = tmp_path / "new.json", []
    if there:
        rewrite(shown, b"first", own)
    real = getattr(os, call)

    def cut_off(*given: Any, **named: Any) -> None:
        real(*given, **named)
        calls.append(given)
        if len(calls) == times:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr(os, call, cut_off)
        rewrite(shown, b"second", own)

    assert not shown.exists() or is_rewritten(shown, own)
    rewrite(shown, b"third", own)
    assert shown.read_bytes() == b"third"
    assert os.listdir(own.parent) == [own.name]


def test_file_that_appears_in_the_last_moment_is_not_replaced(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, link = tmp_path / "new.json", os.link

    def late(*given: Any, **named: Any) -> None:
        if Path(given[1]) == shown:
            shown.write_text("theirs")
        link(*given, **named)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(TargetError, match="appeared"):
        rewrite(shown, b"ours", own)

    assert shown.read_text() == "theirs"


@pytest.mark.usefixtures("volume")
def test_no_file_appears_if_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="halfway"):
        _write(tmp_path / "a", tmp_path / "b", then=lambda: int("halfway"))

    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("volume")
def test_no_file_keeps_its_name_if_one_of_the_names_is_taken_meanwhile(tmp_path: Path) -> None:
    paths, theirs = (
        [tmp_path / name for name in "abc"],
        partial((tmp_path / "b").write_text, "theirs"),
    )

    with pytest.raises(UsageError, match="b exists already"):
        _write(*paths, then=theirs)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"b": "theirs"}


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_volume_without_hard_links(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a volume knows no files without a name either."""
    monkeypatch.setattr("person_unify.files.new._UNNAMED", os.O_RDWR | os.O_CLOEXEC)
    _refusing_links(monkeypatch, number)

    create_private(tmp_path / "a", b"whole")
    with pytest.raises(UsageError, match="exists already"):
        _write(tmp_path / "b", then=partial((tmp_path / "b").write_text, "theirs"))

    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a": "whole", "b": "theirs"}


def test_hard_links_are_tried_for_and_leave_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_hard_links(tmp_path)
    assert os.listdir(tmp_path) == []

    _refusing_links(monkeypatch)
    with pytest.raises(MigrationError, match="knows no hard links"):
        require_hard_links(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("links", [True, False])
def test_another_name_never_replaces_a_file(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    if not links:
        _refusing_links(monkeypatch)

    with pytest.raises(FileExistsError):
        rename_to_free(one, two)
    rename_to_free(one, tmp_path / "three")

    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"two": "2", "three": "1"}


@pytest.mark.usefixtures("volume")
def test_limit_on_file_sizes_leaves_nothing_and_names_the_file(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(DiskError, match=r"cannot write .*/a: File too large"):
            create_private(tmp_path / "a", b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert os.listdir(tmp_path) == []


def test_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=r"cannot write .*gone/a: No such file"):
        create_private(tmp_path / "gone" / "a", b"x")


_WRITE = """
import os, sys
from pathlib import Path
from person_unify.files import NewFiles, new
how, *paths = sys.argv[1:]
if "named" in how:
    new._UNNAMED = os.O_RDWR | os.O_CLOEXEC
with NewFiles(overwrite="overwrite" in how) as new:
    for path in paths:
        new.open(Path(path)).write(b"x" * 100_000)
"""


@STRACE
@pytest.mark.parametrize("call", ["write", "fsync", "linkat"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_killed_at_a_system_call_leaves_whole_files_or_none(
    call: str, number: int, tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in "ab"]
    kill = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]

    subprocess.run(
        ["strace", "-f", "-o", "/dev/null", *kill, sys.executable, "-c", _WRITE, "", *paths],
        check=False,
    )

    left = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    named = number - 1 if call == "linkat" else 2 * (number > 2)
    assert left == dict.fromkeys("ab"[:named], 100_000)


@STRACE
@pytest.mark.parametrize(
    ("how", "call"),
    [("overwrite", "rename,renameat,renameat2"), ("named", "linkat"), ("named overwrite", "fsync")],
)
def test_what_a_kill_leaves_under_another_name_is_found(
    how: str, call: str, tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in "ab"]
    for path in paths if "overwrite" in how else ():
        path.write_text("earlier")
    kill = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when=2"]

    subprocess.run(
        ["strace", "-f", "-o", "/dev/null", *kill, sys.executable, "-c", _WRITE, how, *paths],
        check=False,
    )

    left = list(abandoned(tmp_path))
    assert left
    for path in left:
        path.unlink()
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found.keys() <= set("ab")
    assert set(found.values()) <= {b"earlier", b"x" * 100_000}


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.usefixtures("volume")
def test_what_is_being_written_is_left_alone(overwrite: bool, tmp_path: Path) -> None:
    with NewFiles(overwrite=overwrite) as new:
        new.open(tmp_path / "a").write(b"ours")
        assert list(abandoned(tmp_path)) == []
