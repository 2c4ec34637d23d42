"""Paths and URLs: whatever way leads to a file, that file is meant, no driver tries twice."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.migration.support import SMALL, old_database

from person_unify.cli.paths import existing, placed, shown
from person_unify.errors import DatabaseError
from person_unify.files.database import read_frame
from person_unify.options import MigrateOptions
from person_unify.pipeline import migrate


def run(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "person_unify", *map(str, words)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """``data/old.db``, a link to it in ``links``, and a directory to stand in."""
    for name in ("data", "links", "a/b"):
        (tmp_path / name).mkdir(parents=True)
    old_database(tmp_path / "data/old.db", SMALL)
    (tmp_path / "links/old.db").symlink_to(tmp_path / "data/old.db")
    (tmp_path / "here").symlink_to(tmp_path / "data")
    return tmp_path


WAYS = (
    "{site}/data/old.db",
    "../../data/old.db",
    "../../a/../data/./old.db",
    "../../links/old.db",
    "../../here/old.db",
    "file:../../data/old.db",
    "file:{site}/data/old.db",
    "file://{site}/data/old.db",
    "file://localhost{site}/data/old.db",
    "FILE:../../data/old.db?connection_limit=1&socket_timeout=20",
    "sqlite:///../../data/old.db",
    "sqlite:///{site}/data/old.db",
    "sqlite:////{site}/data/old.db?timeout=5",
    "sqlite:../../data/old.db",
)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_leads_to_the_file(way: str, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site / "a/b")

    assert existing(way.format(site=site)).resolve() == site / "data/old.db"
    # One that is yet to be made has the same directory, whatever its own name is.
    assert placed(way.format(site=site).replace("old.db", "new.db")).parent.resolve() in (
        site / "data",
        site / "links",
    )


def test_a_link_is_followed_to_what_is_read_and_not_to_what_is_written(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site)

    assert existing("links/old.db") == site / "data/old.db"
    assert placed("links/old.db") == site / "links/old.db"
    assert placed("here/new.db") == site / "data/new.db"


def test_a_file_that_is_called_like_a_url_comes_first(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site)
    for name in ("file:old.db", "old.db", "a b.db"):
        (site / name).write_bytes(b"")

    assert existing("file:old.db") == site / "file:old.db"
    assert existing("file:a%20b.db") == site / "a b.db"


STEPS = st.sampled_from(["..", ".", "data", "a", "b", "links", "here", "gone", "old.db"])


@given(steps=st.lists(STEPS, max_size=6))
def test_a_path_means_what_the_system_means(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.getbasetemp() / "paths"
    with suppress(FileExistsError):
        for name in ("data", "a/b", "links"):
            (base / name).mkdir(parents=True)
        (base / "data/old.db").write_bytes(b"")
        (base / "links/old.db").symlink_to("../data/old.db")
        (base / "here").symlink_to("data")
    text = os.path.join(base / "a/b", *steps)

    found = existing(text)

    assert found.is_absolute()
    assert found.exists() == os.path.exists(text)
    if os.path.exists(text):
        assert os.path.samefile(found, text)
        assert not found.is_symlink()
        assert ".." not in found.parts


def test_paths_are_shown_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sentence = f"{tmp_path}/new.db and {tmp_path}/a/b.db, not /x{tmp_path}/c nor {tmp_path}"

    assert shown(sentence) == f"new.db and a/b.db, not /x{tmp_path}/c nor {tmp_path}"


def test_commands_work_through_any_way(site: Path) -> None:
    cwd = site / "a/b"
    made = run("migrate", "file:../../data/old.db?x=1", "../../here/new.db", "-q", cwd=cwd)
    assert made.returncode == 0, made.stderr
    assert (site / "data/new.db").exists()

    url = f"sqlite:///{site}/data/old.db"
    verified = run("verify", "--source-env", "DB", "../../data/new.db", "-q", cwd=cwd, DB=url)
    exported = run("export", "../../data/new.db", "../out", "--format", "csv", cwd=cwd)
    traced = run("trace", "../../here/new.ledger.db", "patient", "p1", cwd=cwd)
    compared = run("diff", "--source-env", "DB", "../../data/new.db", "users", cwd=cwd, DB=url)

    for done in (verified, exported, traced, compared):
        assert done.returncode == 0, done.stderr
    assert (site / "a/out/run.csv").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["check", "../gone/../../data/old.db"], 3, "cannot be read: No such file"),
        (["check", "gone.db"], 3, "gone.db cannot be read: No such file"),
        (["migrate", "../../data/old.db", "gone/../new.db"], 3, "is not a directory"),
        (["export", "gone.ledger.db", "out", "--format", "csv"], 3, "does not exist"),
        (["check", "mysql://me:secret@host/db"], 2, "mysql:// names no SQLite file"),
        (["check", "postgresql://me:secret@host/db"], 2, "can be read by everybody"),
        (["leftovers", "postgresql://host/db"], 2, "postgresql:// names no SQLite file"),
        (["check", "file:?mode=ro"], 2, "without a path"),
        (["check", "--source-env", "NOTHING"], 2, "NOTHING is not set"),
        (["migrate", "--source-env", "DB", "one.db", "two.db"], 2, "one word too many"),
        (["migrate", "../../data/old.db"], 2, "Missing argument 'NEW_DB'"),
        (["migrate", "../../data/old.db", "new.db", "--dry-run"], 2, "person-unify check OLD_DB"),
    ],
)
def test_what_leads_nowhere_is_said_at_once(
    words: list[str], code: int, said: str, site: Path
) -> None:
    started = time.monotonic()
    done = run(*words, cwd=site / "a/b", DB="file:../../data/old.db")

    assert (done.returncode, said in " ".join(done.stderr.split())) == (code, True), done.stderr
    assert time.monotonic() - started < 20
    assert "secret" not in done.stderr
    assert sorted(path.name for path in (site / "data").iterdir()) == ["old.db"]


def test_swapped_databases_are_asked_about(site: Path) -> None:
    data = site / "data"
    migrate(MigrateOptions(data / "old.db", data / "new.db", keep_backup=False))

    for words in (["migrate"], ["verify"], ["diff"]):
        table = ["users"] if words == ["diff"] else []
        done = run(*words, "new.db", "old.db", *table, cwd=data)
        assert (done.returncode, "did you swap" in done.stderr) == (3, True), done.stderr


def test_a_finished_target_names_the_way_back(site: Path) -> None:
    data = site / "data"
    migrate(MigrateOptions(data / "old.db", data / "new.db", keep_backup=False))

    done = run("migrate", "old.db", "new.db", cwd=data)

    assert done.returncode == 3
    assert "rollback" in done.stderr


@pytest.mark.parametrize("kind", ["gone", "unreadable"])
def test_a_driver_that_tries_again_never_gets_what_it_cannot_open(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.db"
    if kind == "unreadable":
        if os.geteuid() == 0:
            pytest.skip("root reads everything")
        path.touch(mode=0o000)

    started = time.monotonic()
    with pytest.raises(DatabaseError, match=r"could not open t\.db"):
        read_frame(path, "SELECT 0 AS a LIMIT 0", ["SELECT 1 AS a"], ["a"])

    assert time.monotonic() - started < 5
    assert capfd.readouterr() == ("", "")


LOGGING = """
import os, threading, time
from person_unify.files.database import _connectorx
driver = _connectorx()
threading.excepthook = lambda _: None
read = lambda: driver.read_sql("sqlite:///gone/t.db", "SELECT 1")
threading.Thread(target=read, daemon=True).start()
time.sleep(2)
os._exit(os.environ.get("RUST_LOG") != "debug")
"""


def test_no_line_of_a_drivers_log_reaches_the_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGGING],
        env={**os.environ, "RUST_LOG": "debug"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert (done.stdout, done.stderr) == ("", "")


def test_another_ledger_of_that_name_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x/y").mkdir(parents=True)
    for place, email in ((tmp_path, "far@home.test"), (tmp_path / "x/y", "near@home.test")):
        users = [{**SMALL["users"][0], "email": email}, *SMALL["users"][1:]]
        old_database(place / "old.db", {**SMALL, "users": users})
        migrate(MigrateOptions(place / "old.db", place / "new.db", keep_backup=False))

    done = run("export", "../../new.ledger.db", "out", "--format", "csv", cwd=tmp_path / "x/y")

    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(tmp_path / "new.ledger.db")) as ledger:
        (run_id,) = ledger.execute("SELECT id FROM run").fetchone()
    assert run_id in (tmp_path / "x/y/out/run.csv").read_text("utf-8")
