"""Rollback: the target as it was before the run, however often it takes."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.migration.support import change, make_target, migrated, query
from tests.processes import holding, killed, run

from person_unify.errors import DatabaseError, TargetError
from person_unify.files.copies import Exclusive
from person_unify.pipeline import MigrateOptions, migrate
from person_unify.run.directory import run_directory
from person_unify.run.purge import leftovers
from person_unify.run.rollback import rollback


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run into a target that was created."""
    return migrated(tmp_path_factory.mktemp("made")).target.parent


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run into a target that was there, with a mode of its own, beside a copy of it."""
    directory = tmp_path_factory.mktemp("filled")
    target = make_target(directory / "new.db")
    change(target, "CREATE TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; END")
    target.chmod(0o640)
    shutil.copy2(target, directory / "before")
    migrated(directory)
    return directory


def _moved(directory: Path, to: Path) -> Path:
    """The files of a run, carried to another place; returns the target."""
    shutil.copytree(directory, to, dirs_exist_ok=True, copy_function=shutil.copy2)
    change(
        to / "new.ledger.db", f"UPDATE artefacts SET path = replace(path, '{directory}', '/gone')"
    )
    return to / "new.db"


@pytest.fixture
def created(made: Path, tmp_path: Path) -> Path:
    return _moved(made, tmp_path)


@pytest.fixture
def in_place(filled: Path, tmp_path: Path) -> Path:
    return _moved(filled, tmp_path)


def _names(target: Path) -> set[str]:
    """Names beside the target, without the instants in them."""
    marks = (".backup-", ".rolled-back-", ".pre-migration-")
    return {
        next((name.split(mark)[0] + mark + "*" for mark in marks if mark in name), name)
        for name in (path.name for path in target.parent.iterdir())
    }


ASIDE = {
    *("old.db", "old.db.backup-*", "new.ledger.db.rolled-back-*"),
    *("new.report.json.rolled-back-*", "new.report.html.rolled-back-*"),
    "new.checkpoints.json.rolled-back-*",
}


def test_created_target_is_removed_and_its_ledger_kept(created: Path) -> None:
    ledger = created.with_name("new.ledger.db").read_bytes()

    done = rollback(created)

    assert not done.restored
    assert _names(created) == ASIDE
    assert done.kept[-1].read_bytes() == ledger


def test_target_in_place_is_what_it_was_byte_for_byte(in_place: Path) -> None:
    before, inode = in_place.with_name("before"), in_place.stat().st_ino
    assert in_place.read_bytes() != before.read_bytes()

    done = rollback(in_place)

    assert done.restored
    assert in_place.read_bytes() == before.read_bytes()
    assert (in_place.stat().st_ino, stat.S_IMODE(in_place.stat().st_mode)) == (inode, 0o640)
    assert _names(in_place) == {*ASIDE, "before", "new.db", "new.db.pre-migration-*"}


@pytest.mark.parametrize("kind", ["created", "in_place"])
def test_migration_after_a_rollback(kind: str, request: pytest.FixtureRequest) -> None:
    target: Path = request.getfixturevalue(kind)
    rollback(target)

    migrate(MigrateOptions(target.with_name("old.db"), target))

    assert len(query(target, "SELECT id FROM persons")) == 1
    assert target.with_name("new.ledger.db").exists()


@pytest.mark.parametrize("kind", ["created", "in_place"])
def test_changed_target_is_refused_and_with_force_kept(
    kind: str, request: pytest.FixtureRequest
) -> None:
    target: Path = request.getfixturevalue(kind)
    change(target, "UPDATE persons SET first_name = 'written since'")
    names, changed = _names(target), target.read_bytes()

    with pytest.raises(TargetError, match="--force"):
        rollback(target)
    assert (_names(target), target.read_bytes()) == (names, changed)

    done = rollback(target, force=True)

    (kept,) = (path for path in done.kept if path.name.startswith("new.db"))
    assert kept.read_bytes() == changed
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert target.exists() == (kind == "in_place")
    if target.exists():
        assert target.read_bytes() == target.with_name("before").read_bytes()


def test_what_is_only_in_the_log_counts_as_a_change(created: Path) -> None:
    with holding(
        created,
        "PRAGMA journal_mode = WAL",
        "UPDATE persons SET first_name = 'in the log'",
    ) as platform:
        platform.kill()
        platform.wait()
    assert created.with_name("new.db-wal").stat().st_size

    with pytest.raises(TargetError, match="--force"):
        rollback(created)

    rollback(created, force=True)
    assert not {name for name in _names(created) if name.startswith("new.db-")}


def test_target_in_wal_mode_comes_back_in_wal_mode(tmp_path: Path) -> None:
    target = make_target(tmp_path / "new.db")
    change(target, "PRAGMA journal_mode = WAL")
    before = target.read_bytes()
    migrated(tmp_path)
    assert query(target, "PRAGMA journal_mode") == [{"journal_mode": "wal"}]

    rollback(target)

    after = target.read_bytes()
    # The header counts changes, and by which SQLite: one more, to the rollback journal and back.
    assert {n for n in range(len(before)) if before[n] != after[n]} <= {
        *range(24, 28),
        *range(92, 100),
    }
    assert query(target, "PRAGMA journal_mode") == [{"journal_mode": "wal"}]
    assert query(target, "SELECT count(*) AS n FROM persons") == [{"n": 0}]


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "PRAGMA journal_mode = WAL"])
def test_target_in_use_is_refused(statement: str, created: Path) -> None:
    names = _names(created)
    with (
        holding(created, statement, "SELECT * FROM users"),
        pytest.raises(TargetError, match="in use by another program"),
    ):
        rollback(created, force=True, wait=0.2)

    assert _names(created) == names


def _lose(path: str) -> Callable[[Path], object]:
    return lambda target: next(target.parent.glob(path)).unlink()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no ledger": (_lose("new.ledger.db"), "no run to roll back"),
    "no backup": (_lose("new.db.pre-*"), "without it the target cannot be put back"),
    "no target": (_lose("new.db"), "is gone; what it was before"),
    "spoilt backup": (
        lambda target: os.truncate(next(target.parent.glob("*.pre-*")), 4096),
        "is not what the run wrote",
    ),
    "ledger of nothing": (
        lambda target: change(target.with_name("new.ledger.db"), "DELETE FROM run"),
        "records no finished run",
    ),
    "unfinished run": (lambda target: _unfinished(target), "is unfinished"),
}


def _unfinished(target: Path) -> None:
    run_directory(target).mkdir()
    (run_directory(target) / "run.json").write_text("{}")


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_rolled_back_is_left_alone(damage: str, in_place: Path) -> None:
    spoil, message = DAMAGES[damage]
    spoil(in_place)
    before = {p.name: p.read_bytes() for p in in_place.parent.iterdir() if p.is_file()}

    with pytest.raises(TargetError, match=message):
        rollback(in_place, force=True)

    assert {p.name: p.read_bytes() for p in in_place.parent.iterdir() if p.is_file()} == before


EDITS = {
    "another target": "UPDATE run SET target = 'prod.db'",
    "a path as target": "UPDATE run SET target = '../new.db'",
    "several runs": "INSERT INTO run SELECT id || 'x', tool_version, started, finished, source, "
    "target, source_sha256, options, outcome FROM run",
    "no backup named": "DELETE FROM artefacts WHERE kind = 'pre_migration'",
    "created and filled": "INSERT INTO artefacts VALUES ('created', 'new.db', NULL, NULL)",
    "created instead": "UPDATE artefacts SET kind = 'created' WHERE kind = 'pre_migration'",
    "created, as if it had been": "UPDATE artefacts SET kind = 'created', path = 'new.db', "
    "sha256 = NULL, bytes = NULL WHERE kind = 'pre_migration'",
    "a copy without digest": "UPDATE artefacts SET sha256 = NULL WHERE kind = 'snapshot'",
    "no copy of the source": "DELETE FROM artefacts WHERE kind = 'snapshot'",
    "a kind of its own": "UPDATE artefacts SET kind = 'victim' WHERE kind = 'source'",
    "twice": "INSERT INTO artefacts SELECT * FROM artefacts",
    "no name": "UPDATE artefacts SET path = '' WHERE kind = 'pre_migration'",
    "no text": "UPDATE artefacts SET path = x'00ff' WHERE kind = 'pre_migration'",
    "no digest": "UPDATE artefacts SET sha256 = 'x' WHERE kind = 'target'",
    "no size": "UPDATE artefacts SET bytes = 'x' WHERE kind = 'target'",
    "a view": "ALTER TABLE artefacts RENAME TO held; CREATE VIEW artefacts AS SELECT * FROM held",
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("command", [rollback, leftovers])
def test_edited_ledger_is_refused_before_anything_goes(
    edit: str, command: Callable[[Path], object], in_place: Path
) -> None:
    change(in_place.with_name("new.ledger.db"), *EDITS[edit].split("; "))
    before = {p.name: p.read_bytes() for p in in_place.parent.iterdir() if p.is_file()}

    with pytest.raises(TargetError, match=r"new\.ledger\.db (is|was|says|has)"):
        command(in_place)

    assert {p.name: p.read_bytes() for p in in_place.parent.iterdir() if p.is_file()} == before


@pytest.mark.parametrize("kind", ["created", "in_place"])
@pytest.mark.parametrize("command", [rollback, leftovers])
def test_another_name_with_the_same_ledger_is_refused(
    kind: str, command: Callable[[Path], object], request: pytest.FixtureRequest
) -> None:
    target: Path = request.getfixturevalue(kind)
    names = _names(target)

    with pytest.raises(TargetError, match=r"is about new\.db, not about new"):
        command(target.with_name("new"))

    assert _names(target) == names


def test_created_target_that_was_moved_away_is_refused(created: Path) -> None:
    created.rename(created.with_name("prod.db"))
    names = _names(created)

    with pytest.raises(TargetError, match="was moved or removed since the run"):
        rollback(created, force=True)

    assert _names(created) == names


@pytest.mark.parametrize("longer", [0, 1, 4096, 40960])
@pytest.mark.parametrize("header", [True, False])
def test_target_put_back_but_for_its_end_or_header_is_finished(
    longer: int, header: bool, in_place: Path
) -> None:
    """What SQLite leaves when it is killed between its commit and cutting the file off."""
    before = in_place.with_name("before").read_bytes()
    head = before[:24] + b"1234" + before[28:] if header else before
    in_place.write_bytes(head + b"x" * longer)

    rollback(in_place)

    assert in_place.read_bytes() == before


def test_run_that_could_not_note_what_it_left_needs_force(created: Path) -> None:
    """The gap between the commit and the note in the ledger."""
    change(created.with_name("new.ledger.db"), "DELETE FROM artefacts WHERE kind = 'target'")

    with pytest.raises(TargetError, match="--force"):
        rollback(created)
    rollback(created, force=True)

    assert not created.exists()


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("created", "files.locks:sync >1"),
        ("created", "files.copies:Exclusive.remove >1"),
        ("created", "run.rollback:stamp >1"),
        ("in_place", "files.copies:Exclusive.put_back <1"),
        ("in_place", "files.copies:closing >1"),
        ("in_place", "files.locks:reading <5"),
        ("in_place", "files.copies:Exclusive.put_back >1"),
        ("in_place", "files.locks:sync >2"),
    ],
)
def test_killed_rollback_is_finished_by_the_next(
    kind: str, where: str, request: pytest.FixtureRequest
) -> None:
    target: Path = request.getfixturevalue(kind)

    killed(where, "rollback", target)
    rollback(target)

    assert {n for n in _names(target) if "ledger" in n} == {"new.ledger.db.rolled-back-*"}
    assert not [n for n in _names(target) if n.endswith(("-journal", "-wal", "-shm"))]
    if kind == "created":
        assert not target.exists()
    else:
        assert target.read_bytes() == target.with_name("before").read_bytes()


@pytest.mark.parametrize("first", [b"", b"\0", b"\xd9"])
def test_journal_that_a_failing_disk_left(
    first: bytes, in_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cleared it goes; with its header it would undo the rollback, so that this is no success."""
    journal = in_place.with_name("new.db-journal")
    put_back = Exclusive.put_back

    def failing(held: Exclusive, backup: Path) -> None:
        put_back(held, backup)
        journal.write_bytes(first)

    monkeypatch.setattr(Exclusive, "put_back", failing)
    if first == b"\xd9":
        with pytest.raises(DatabaseError, match="run rollback again"):
            rollback(in_place)
        monkeypatch.undo()
    rollback(in_place)

    assert not journal.exists()
    assert in_place.read_bytes() == in_place.with_name("before").read_bytes()


def test_evidence_of_another_target_stays(created: Path) -> None:
    others = [
        created.with_name(f"new.v2.{ending}")
        for ending in ("report.json", "report.html", "checkpoints.json", "ledger.db")
    ]
    for path in others:
        path.write_text("of another run")

    rollback(created)

    assert [path.read_text() for path in others] == ["of another run"] * 4


def test_command_says_what_it_did_and_why_not(created: Path) -> None:
    done, again = run("rollback", created, "--json"), run("rollback", created)

    result = json.loads(done.stdout)
    assert (done.returncode, result["restored"], len(result["kept"])) == (0, False, 4)
    assert all(Path(path).exists() for path in result["kept"])
    assert again.returncode == 3
    assert "no run to roll back" in again.stderr
