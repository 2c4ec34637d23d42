"""No cell of the databases is anywhere but in the databases, whatever the run does."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.migration.support import change, make_target
from tests.processes import killed, run

from person_unify.sample import SampleOptions, write_sample
from person_unify.schema import OLD, quote

CANARY = "Zaunkoenig"
LOUD = {"POLARS_VERBOSE": "1", "RUST_BACKTRACE": "full", "PYTHONDEVMODE": ""}
KEPT_KEYS = {"id", "user_id", "status", "permissions", "access_level"}


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample whose text cells all end in a word that no program says by itself.

    Left alone are ids and references, which messages may name, and what rules read.
    """
    path = tmp_path_factory.mktemp("seeded") / "old.db"
    write_sample(path, SampleOptions(persons=60, seed=3, faults=0.1))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for table in OLD.values():
            references = {key.column for key in table.foreign_keys} | set(table.primary_key)
            for column in table.columns:
                name = column.name
                if column.type != "TEXT" or name in references | KEPT_KEYS or name.endswith("_id"):
                    continue
                connection.execute(
                    f"UPDATE {quote(table.name)} SET {quote(name)} = "
                    f"{quote(name)} || ' {CANARY}' || rowid WHERE {quote(name)} IS NOT NULL"
                )
        connection.execute(
            "UPDATE children SET date_of_birth = ? WHERE rowid % 7 = 0", (f"{CANARY} soon",)
        )
        connection.commit()
    return path


@pytest.fixture
def place(seeded: Path, tmp_path: Path) -> Path:
    shutil.copy2(seeded, tmp_path / "old.db")
    (tmp_path / "tmp").mkdir()
    return tmp_path


def _run(place: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run(*arguments, TMPDIR=str(place / "tmp"), **LOUD)


def _limited(place: Path, size: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A run whose files may not grow beyond ``size`` bytes: SQLite fails in the middle of it."""
    return subprocess.run(
        [sys.executable, "-m", "person_unify", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(place / "tmp"), **LOUD},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )


def _require_silence(place: Path, *done: subprocess.CompletedProcess[str]) -> None:
    texts = {f"output {n}": d.stdout + d.stderr for n, d in enumerate(done)}
    for path in _files(place):
        if path.read_bytes()[:15] != b"SQLite format 3":
            texts[str(path)] = path.read_bytes().decode("utf-8", "replace")
    assert [name for name, text in texts.items() if CANARY.lower() in text.lower()] == []


def _files(place: Path) -> Iterator[Path]:
    return (path for path in place.rglob("*") if path.is_file())


def test_canaries_are_everywhere_in_the_source(seeded: Path) -> None:
    assert seeded.read_bytes().count(CANARY.encode()) > 5_000


def test_whole_way(place: Path) -> None:
    """As text and as JSON, with progress, with libraries that tell what they do."""
    old, new = place / "old.db", place / "new.db"

    done = [
        _run(place, "check", old),
        _run(place, "migrate", old, new),
        _run(place, "verify", old, new, "--json"),
        _run(place, "migrate", old, new, "--json"),
        _run(place, "purge", new),
    ]
    change(new, "UPDATE persons SET first_name = 'since'")
    done += [
        _run(place, "verify", old, new),
        _run(place, "rollback", new),
        _run(place, "rollback", new, "--force", "--json"),
        _run(place, "migrate", old, new, "--json"),
    ]

    assert [d.returncode for d in done] == [0, 0, 0, 3, 0, 4, 3, 0, 0]
    _require_silence(place, *done)
    assert list((place / "tmp").iterdir()) == []


def test_runs_that_fail(place: Path) -> None:
    old, new = place / "old.db", place / "new.db"
    strict = _run(place, "migrate", old, new, "--strict")
    make_target(new)
    driver = _limited(place, 1 << 20, "migrate", old, new)
    change(new, "CREATE UNIQUE INDEX u ON users (substr(password_hash, -3, 1))")
    ruled = _run(place, "migrate", old, new)
    change(old, f"UPDATE users SET id = CAST('{CANARY}' AS BLOB) WHERE rowid = 5")
    refused = _run(place, "migrate", old, new)

    done = (strict, driver, ruled, refused)
    assert [d.returncode for d in done] == [5, 1, 3, 3]
    _require_silence(place, *done)


@pytest.mark.parametrize(
    "where",
    [
        "stages.snapshot:copy_snapshot >1",
        "stages.load:Loader.finish >1",
        "run.migration:publish >1",
    ],
)
def test_run_that_is_killed(where: str, place: Path) -> None:
    """What lies about is private, and its texts are silent too."""
    done = killed(where, "migrate", place / "old.db", place / "new.db")

    staging = place / ".new.db.migrating"
    assert stat.S_IMODE(staging.stat().st_mode) == 0o700
    ours = [p for p in _files(place) if p.name != "old.db"]
    assert ours
    assert {stat.S_IMODE(path.stat().st_mode) for path in ours} == {0o600}
    texts = [p for p in ours if p.suffix == ".json"]
    assert texts
    assert [p.name for p in texts if CANARY in p.read_text()] == []
    assert CANARY not in done.stdout + done.stderr


def test_everything_written_is_its_owners_only_and_arguments_name_files_only(place: Path) -> None:
    """Also where the caller's umask is wide; looked at from outside while the run is under way."""
    old, new = place / "old.db", place / "new.db"
    before = os.umask(0o000)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "person_unify", "migrate", old, new, "-q"],
            stdout=subprocess.DEVNULL,
        )
    finally:
        os.umask(before)
    modes: set[tuple[str, int]] = set()
    arguments = b""
    with process:
        while process.poll() is None:
            for path in place.rglob("*"):
                if path.name not in ("old.db", "tmp"):
                    modes |= _mode(path)
            if Path("/proc/self/cmdline").exists():
                arguments += _cmdline(process.pid)
            time.sleep(0.02)

    assert process.returncode == 0
    assert {mode for kind, mode in modes if kind == "file"} == {0o600}
    assert {mode for kind, mode in modes if kind == "directory"} == {0o700}
    assert CANARY.encode() not in arguments


def _mode(path: Path) -> set[tuple[str, int]]:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return set()
    return {("directory" if stat.S_ISDIR(mode) else "file", stat.S_IMODE(mode))}


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
