"""Bad input: one sentence that names the cause and the way out, and every file as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.migration.support import SMALL, change, make_target, old_database, query
from tests.strategies.handmade import Row

from person_unify.errors import (
    MigrationError,
    SourceError,
    StrictStop,
    TargetError,
    TargetInUse,
    UsageError,
    VerificationFailed,
)
from person_unify.pipeline import CheckOptions, MigrateOptions, check, migrate
from person_unify.report import CheckResult
from person_unify.run import migration
from person_unify.run.acceptance import run_checks
from person_unify.schema import UNIFIED

TWO_PARENTS: dict[str, list[Row]] = {
    "users": [{"id": "u1"}, {"id": "u2"}, {"id": "u3"}],
    "parents": [{"id": "r1", "user_id": "u2"}, {"id": "r2", "user_id": "u3"}],
    "patients": [{"id": "p1", "clinician_id": "u1"}],
    "parent_children": [
        {"id": "l1", "parent_id": "r1", "patient_id": "p1"},
        {"id": "l2", "parent_id": "r2", "patient_id": "p1"},
    ],
}


class Place(NamedTuple):
    """A directory with a good source, and the path of a target that is not there."""

    source: Path
    target: Path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(old_database(tmp_path / "old.db", SMALL), tmp_path / "new.db")


def _state(directory: Path) -> dict[str, bytes | str | None]:
    """Every file below a directory with its bytes, links as their goal, directories as None."""
    state: dict[str, bytes | str | None] = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.is_symlink():
            state[name] = os.readlink(path)
        else:
            state[name] = path.read_bytes() if path.is_file() else None
    return state


@contextmanager
def _refused(
    place: Place, kind: type[MigrationError], *words: str, code: int = 3
) -> Iterator[None]:
    """The body raises exactly that kind, in one sentence, and leaves every file as it was."""
    before = _state(place.source.parent)
    with pytest.raises(MigrationError) as caught:
        yield
    message = str(caught.value)
    assert caught.type is kind, message
    assert caught.value.exit_code == code
    assert "\n" not in message
    assert not message.endswith(".")
    for word in words:
        assert word in message
    assert _state(place.source.parent) == before


def _run(place: Place, **options: object) -> None:
    migrate(MigrateOptions(place.source, place.target, **options))  # type: ignore[arg-type]


# The source


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9000])


def _damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5000:20000] = b"\xa5" * 15000
    path.write_bytes(content)


def _misindexed(path: Path) -> None:
    """Change one letter of an id in an index, which quick_check does not compare with the rows."""
    with closing(sqlite3.connect(path)) as connection:
        page_size = connection.execute("PRAGMA page_size").fetchone()[0]
        root, some_id = connection.execute(
            "SELECT rootpage, (SELECT max(id) FROM patients) FROM sqlite_master "
            "WHERE type = 'index' AND tbl_name = 'patients' AND sql IS NULL ORDER BY rootpage"
        ).fetchone()
    content = bytearray(path.read_bytes())
    place = content.index(some_id.encode(), (root - 1) * page_size, root * page_size)
    content[place + len(some_id) - 1] ^= 1
    path.write_bytes(content)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


SOURCES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no database": (lambda p: p.write_bytes(b"name;born\nAsha;2014\n" * 99), ("not an SQLite",)),
    "empty file": (lambda p: p.write_bytes(b""), ("not an SQLite",)),
    "encrypted": (lambda p: p.write_bytes(os.urandom(8192)), ("is encrypted", "give the")),
    "header only": (lambda p: p.write_bytes(b"SQLite format 3\x00"), ("old.db",)),
    "truncated": (_truncated, ("old.db",)),
    "damaged": (_damaged, ("old.db",)),
    "misindexed": (_misindexed, ("its indexes do not agree", "REINDEX")),
    "missing": (lambda p: p.unlink(), ("cannot be read", "No such file")),
    "directory": (_directory, ("is not a file", "give the path")),
}


@pytest.mark.parametrize("name", SOURCES)
def test_source_that_cannot_be_read(name: str, place: Place) -> None:
    spoil, words = SOURCES[name]
    spoil(place.source)

    with _refused(place, SourceError, *words):
        _run(place)


def test_database_that_is_not_an_old_one(place: Place) -> None:
    place.source.unlink()
    make_target(place.source)

    with _refused(place, SourceError, "not an old-schema database", "patients", "children"):
        _run(place)


def test_database_without_any_table(place: Place) -> None:
    place.source.unlink()
    change(place.source, "PRAGMA user_version = 7")

    with _refused(place, SourceError, "not an old-schema database"):
        _run(place)


UNREADABLE = """
import os, sys
from pathlib import Path
from person_unify.pipeline import CheckOptions, MigrateOptions, check, migrate
from person_unify.errors import MigrationError
if os.getuid() == 0:
    os.setuid(65534)
try:
    migrate(MigrateOptions(Path(sys.argv[1]), Path(sys.argv[2])))
except MigrationError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("spoilt", ["source", "directory"])
def test_no_permission(spoilt: str, place: Place) -> None:
    directory = place.source.parent
    if os.getuid() == 0:
        # The user that the subprocess becomes must find its way to the files.
        for parent in directory.parents:
            if Path(tempfile.gettempdir()) in parent.parents:
                parent.chmod(0o711)
    directory.chmod(0o777 if spoilt == "source" else 0o555)
    place.source.chmod(0o000 if spoilt == "source" else 0o444)
    before = _state(directory)
    try:
        result = subprocess.run(
            [sys.executable, "-c", UNREADABLE, place.source, place.target],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
    finally:
        directory.chmod(0o700)

    if "ModuleNotFoundError" in result.stderr or "init_fs_encoding" in result.stderr:
        pytest.skip("an unprivileged user cannot read this checkout")
    expected = "cannot be read: permission denied" if spoilt == "source" else "cannot write into"
    assert expected in result.stdout, result.stderr
    assert result.stdout.count("\n") == 1
    assert _state(directory) == before


@pytest.mark.parametrize("value", [None, 7, b"p2", "CAST(x'ff' AS TEXT)"])
def test_primary_key_that_is_no_text(value: object, place: Place) -> None:
    place.source.unlink()
    old_database(place.source, {**SMALL, "patients": [*SMALL["patients"], {"id": "p2"}]})
    change(
        place.source,
        "CREATE TABLE copied AS SELECT * FROM patients",
        "DROP TABLE patients",
        "CREATE TABLE patients (id BLOB PRIMARY KEY, clinician_id TEXT, first_name TEXT, "
        "last_name TEXT, date_of_birth DATETIME)",
        "INSERT INTO patients SELECT id, clinician_id, first_name, last_name, date_of_birth "
        "FROM copied",
        "DROP TABLE copied",
    )
    with closing(sqlite3.connect(place.source)) as connection:
        if isinstance(value, str):
            connection.execute(f"UPDATE patients SET id = {value} WHERE id = 'p2'")
        else:
            connection.execute("UPDATE patients SET id = ? WHERE id = 'p2'", [value])
        connection.commit()

    with _refused(place, SourceError, "patients has 1 rows", "primary key id", "proper ids"):
        _run(place)


def test_repeated_id_of_a_human(place: Place) -> None:
    change(
        place.source,
        "CREATE TABLE copied AS SELECT * FROM patients",
        "DROP TABLE patients",
        "CREATE TABLE patients AS SELECT * FROM copied UNION ALL SELECT * FROM copied",
        "DROP TABLE copied",
    )

    with _refused(place, SourceError, "patients has 1 repeated ids"):
        _run(place)


def test_rows_under_both_names_of_a_table(place: Place) -> None:
    place.source.unlink()
    contact = {"id": "k1", "patient_id": "p1"}
    old_database(place.source, {**SMALL, "patient_contacts": [contact], "contacts": [contact]})

    with _refused(place, SourceError, "both patient_contacts and contacts", "move the rows"):
        _run(place)


@pytest.mark.parametrize(
    ("table", "column"), [("users", "email"), ("parents", "user_id"), ("refresh_tokens", "token")]
)
def test_missing_column_that_must_be_unique(table: str, column: str, place: Place) -> None:
    place.source.unlink()
    old_database(place.source, {**SMALL, "refresh_tokens": [{"id": "t1", "user_id": "u1"}]})
    change(place.source, f"ALTER TABLE {table} DROP COLUMN {column}")

    with _refused(place, SourceError, f"{table} has rows but no column {column}", "add the column"):
        _run(place)


@pytest.mark.parametrize("table", ["patients", "children", "users"])
def test_missing_key_column(table: str, place: Place) -> None:
    place.source.unlink()
    old_database(place.source, {**SMALL, table: []})
    change(
        place.source,
        f"DROP TABLE {table}",
        f"CREATE TABLE {table} (email TEXT)",
        f"INSERT INTO {table} VALUES ('somebody')",
    )

    with _refused(place, SourceError, f"{table} has rows but no column id", "add the column"):
        _run(place)


@pytest.mark.parametrize("without", ["patients", "children", None])
def test_source_without_a_person(without: str | None, place: Place) -> None:
    place.source.unlink()
    old_database(place.source, {**SMALL, "patients": [], "children": []})
    change(place.source, *([f"DROP TABLE {without}"] if without else []))

    with _refused(place, SourceError, "no row of patients or children", "--allow-empty"):
        _run(place)
    with _refused(place, SourceError, "no row of patients or children", "--allow-empty"):
        check(CheckOptions(place.source))

    assert check(CheckOptions(place.source, allow_empty=True)).outcome
    _run(place, allow_empty=True)
    assert place.target.exists()


def test_encoding_other_than_utf8(place: Place) -> None:
    place.source.unlink()
    change(place.source, "PRAGMA encoding = 'UTF-16le'", "CREATE TABLE patients (id TEXT)")

    with _refused(place, SourceError, "UTF-16le", "UTF-8"):
        _run(place)


# The call


def test_source_is_the_target(place: Place) -> None:
    with _refused(place, UsageError, "same file", "path of its own", code=2):
        _run(Place(place.source, place.source))


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_source_is_the_target_by_another_name(link: str, place: Place) -> None:
    getattr(place.target, link)(place.source)

    with _refused(place, UsageError, "same file", code=2):
        _run(place)


@pytest.mark.parametrize(
    "name",
    [
        *("Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "Europe/Berln"),
        *("localtime", "posixrules", "right/UTC", "Factory", "Europe", "zone.tab", "UTC\0"),
    ],
)
def test_unknown_time_zone(name: str, place: Place) -> None:
    with _refused(place, UsageError, "time zone", "Asia/Kolkata", code=2):
        _run(place, timezone=name)


# The target


def test_target_is_not_empty(place: Place) -> None:
    make_target(place.target)
    columns = "id, email, password_hash, role, status, updated_at"
    change(place.target, f"INSERT INTO users ({columns}) VALUES ('u9', '', '', '', '', 0)")

    with _refused(place, TargetError, "not empty", "users", "path that does not exist"):
        _run(place)


def test_target_is_an_empty_file(place: Place) -> None:
    place.target.touch()

    with _refused(place, TargetError, "unified schema"):
        _run(place)


def test_target_is_not_a_database(place: Place) -> None:
    place.target.write_text("not a database" * 99)

    with _refused(place, TargetError, "is not an SQLite database", "choose another path"):
        _run(place)


def test_target_is_a_directory(place: Place) -> None:
    place.target.mkdir()

    with _refused(place, TargetError, "is not a file"):
        _run(place)


def test_target_lacks_a_table(place: Place) -> None:
    make_target(place.target, [t for t in UNIFIED.values() if t.name not in ("tags", "messages")])

    with _refused(place, TargetError, "table tags is missing", "table messages is missing"):
        _run(place)


def test_target_has_a_required_column_that_nothing_fills(place: Place) -> None:
    make_target(place.target, [t for t in UNIFIED.values() if t.name != "tags"])
    change(
        place.target,
        "CREATE TABLE tags (id TEXT PRIMARY KEY, person_id TEXT, tag TEXT, added_by TEXT, "
        "added_by_type TEXT, created_at DATETIME, colour TEXT NOT NULL)",
    )

    with _refused(place, TargetError, "tags.colour is required and nothing fills it"):
        _run(place)


def test_target_lacks_a_column(place: Place) -> None:
    make_target(place.target)
    change(place.target, "ALTER TABLE persons DROP COLUMN city")

    with _refused(place, TargetError, "persons.city is missing"):
        _run(place)


def test_target_is_locked(place: Place) -> None:
    make_target(place.target)
    script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
    script += "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, place.target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with _refused(place, TargetInUse, "in use by another program", "run again"):
            _run(place, busy_timeout=0.2)
        other.communicate("")


def _one_parent_target(path: Path) -> None:
    make_target(path)
    change(path, "CREATE UNIQUE INDEX one_parent ON parent_child_views (person_id)")


def test_unique_person_of_parent_views(place: Place) -> None:
    place.source.unlink()
    old_database(place.source, TWO_PARENTS)
    _one_parent_target(place.target)

    with _refused(place, TargetError, "1 persons have several", "--relax-unique"):
        _run(place)


def test_relax_unique_drops_the_index(place: Place) -> None:
    place.source.unlink()
    old_database(place.source, TWO_PARENTS)
    _one_parent_target(place.target)

    _run(place, relax_unique=True)

    assert len(query(place.target, "SELECT id FROM parent_child_views")) == 2
    assert not query(place.target, "SELECT 1 FROM sqlite_master WHERE name = 'one_parent'")


def test_unique_person_that_nobody_breaks_stays(place: Place) -> None:
    _one_parent_target(place.target)

    _run(place, relax_unique=True)

    assert query(place.target, "SELECT 1 FROM sqlite_master WHERE name = 'one_parent'")


def test_ledger_exists(place: Place) -> None:
    place.target.with_name("new.ledger.db").write_text("an earlier run")

    with _refused(place, TargetError, "new.ledger.db exists already", "move it away"):
        _run(place)


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_leftover_of_another_database(suffix: str, place: Place) -> None:
    place.target.with_name(f"new.db{suffix}").write_text("left over")

    with _refused(place, TargetError, f"new.db{suffix}", "move it away"):
        _run(place)


def test_directory_of_the_target_is_missing(place: Place) -> None:
    with _refused(place, TargetError, "not a directory", "create it"):
        _run(Place(place.source, place.target.parent / "nowhere" / "new.db"))


def test_disk_too_small(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(place.source.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    with _refused(place, MigrationError, "1000 bytes free", "free some space", code=1):
        _run(place)


def test_backup_directory_is_missing(place: Place) -> None:
    with _refused(place, MigrationError, "the backup", "choose another", code=1):
        _run(place, backup_dir=place.source.parent / "nowhere")


# What only shows at the end


@pytest.mark.parametrize("exists", [False, True])
def test_strict_publishes_nothing(exists: bool, place: Place) -> None:
    place.source.unlink()
    old_database(place.source, {**SMALL, "journal_entries": [{"id": "j1", "patient_id": "gone"}]})
    if exists:
        make_target(place.target)

    with _refused(place, StrictStop, "1 discrepancies of severity error", "--strict", code=5):
        _run(place, strict=True)


@pytest.mark.parametrize("exists", [False, True])
def test_failed_verification_publishes_nothing(
    exists: bool, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = CheckResult("persons_count", "persons", 2, 1, "failed", "planted")
    monkeypatch.setattr(migration, "run_checks", lambda *_: [found])
    if exists:
        make_target(place.target)

    with _refused(place, VerificationFailed, "persons_count", "nothing was published", code=4):
        _run(place)


def test_target_that_appears_during_the_run_is_not_touched(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:

    def checks(*given: object) -> list[CheckResult]:
        place.target.write_text("somebody else's")
        return run_checks(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(migration, "run_checks", checks)
    before = _state(place.source.parent)

    with pytest.raises(TargetError, match="appeared"):
        _run(place)

    assert _state(place.source.parent) == {**before, "new.db": b"somebody else's"}


def test_source_in_use_by_a_writer_is_migrated_as_committed(place: Place) -> None:
    """A write-ahead log that is not checkpointed belongs to the database."""
    with closing(sqlite3.connect(place.source, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE patients SET city = 'Pune'")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE patients SET city = 'Nowhere'")
        before = place.source.read_bytes()

        _run(place)

        assert place.source.read_bytes() == before
    assert query(place.target, "SELECT city FROM persons") == [{"city": "Pune"}]
