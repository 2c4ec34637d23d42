"""A run is about the directory it is in: runs that were copied, moved or stopped half-named."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from tests.migration.support import SMALL, change, old_database
from tests.processes import killed, run

from person_unify.run.purge import leftovers, purge
from person_unify.run.rollback import rollback

KILLS = {
    "taking the copy": "stages.snapshot:copy_snapshot >1",
    "the copy has its name": "stages.snapshot:rename_to_free >1",
    "loading": "stages.load:Loader.finish >1",
}


@pytest.fixture(params=["beside", "elsewhere"])
def first(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A directory to migrate in, with the copy of the source in it or in another one in it."""
    directory = tmp_path / "first"
    directory.mkdir()
    old_database(directory / "old.db", SMALL)
    if request.param == "elsewhere":
        (directory / "backups").mkdir()
    return directory


def _stopped(directory: Path, where: str) -> None:
    killed(where, *_migrate(directory))


def _migrate(directory: Path, *more: str) -> list[str | Path]:
    places = directory / "backups"
    named: list[str | Path] = ["--backup-dir", places] if places.exists() else []
    return ["migrate", directory / "old.db", directory / "new.db", "-q", *named, *more]


def _state(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def _copies(directory: Path) -> list[Path]:
    return [*directory.rglob("old.db.backup-*"), *directory.rglob(".person-unify-*")]


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("command", ["--fresh", "--resume", "purge"])
def test_copied_run_leaves_the_first_one_alone(kill: str, command: str, first: Path) -> None:
    _stopped(first, KILLS[kill])
    second = first.with_name("second")
    shutil.copytree(first, second, copy_function=shutil.copy2)
    before = _state(first)

    if command == "purge":
        purge(second / "new.db", leftovers(second / "new.db", places=[second / "backups"]))
        assert _copies(second) == []
    else:
        done = run(*_migrate(second, command))
        assert done.returncode == 0, done.stderr
        assert len(_copies(second)) == 1

    assert _state(first) == before
    done = run(*_migrate(first, "--resume"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("way", ["--fresh", "--resume"])
def test_moved_run_leaves_no_second_copy(kill: str, way: str, first: Path) -> None:
    _stopped(first, KILLS[kill])
    moved = first.rename(first.with_name("moved"))

    done = run(*_migrate(moved, way))

    assert done.returncode == 0, done.stderr
    assert len(_copies(moved)) == 1


def test_copy_of_a_run_whose_copy_of_the_source_is_elsewhere_does_not_touch_it(
    tmp_path: Path,
) -> None:
    """The target's directory alone was copied: what stands elsewhere is the first run's."""
    first, backups = tmp_path / "first", tmp_path / "backups"
    first.mkdir()
    backups.mkdir()
    source = old_database(tmp_path / "old.db", SMALL)
    call: list[str | Path] = ["migrate", source, first / "new.db", "-q", "--backup-dir", backups]
    killed(KILLS["loading"], *call)
    shutil.copytree(first, tmp_path / "second", copy_function=shutil.copy2)

    target = tmp_path / "second" / "new.db"
    purge(target, leftovers(target, places=[backups]))

    assert not list(target.parent.iterdir())
    assert len(list(backups.iterdir())) == 1
    assert run(*call, "--resume").returncode == 0


def test_finished_run_that_was_copied_is_rolled_back_in_its_place(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    old_database(first / "old.db", SMALL)
    assert run("schema", "--unified", "--into", first / "new.db").returncode == 0
    empty = (first / "new.db").read_bytes()
    assert run(*_migrate(first)).returncode == 0
    shutil.copytree(first, second, copy_function=shutil.copy2)
    before = _state(first)

    rollback(second / "new.db")
    purge(second / "new.db", leftovers(second / "new.db"))

    assert (second / "new.db").read_bytes() == empty
    assert {path.name for path in second.iterdir()} == {"old.db", "new.db"}
    assert _state(first) == before


def test_names_of_ours_that_others_took_are_refused_before_anything_is_read(
    tmp_path: Path,
) -> None:
    source, other = old_database(tmp_path / "old.db", SMALL), tmp_path / "letter.txt"
    before = source.read_bytes()
    for name in ("new.checkpoints.json", "new.report.json", "new.report.html", "new.ledger.db"):
        for aim in (other, source, tmp_path / "nowhere"):
            other.write_text("dear")
            os.symlink(aim, tmp_path / name)

            done = run("migrate", source, tmp_path / "new.db", "-q")

            assert done.returncode == 3, done.stderr
            assert name in done.stderr
            assert (other.read_text(), source.read_bytes()) == ("dear", before)
            (tmp_path / name).unlink()
            assert {p.name for p in tmp_path.iterdir()} == {"old.db", "letter.txt"}


@pytest.mark.parametrize("length", [180, 195, 196, 217, 255])
def test_name_without_room_for_what_follows_is_refused_or_leads_all_the_way_back(
    length: int, tmp_path: Path
) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    target = tmp_path / f"{'n' * (length - 3)}.db"

    done = run("migrate", source, target, "-q")

    if done.returncode:
        assert (done.returncode, "too long a name" in done.stderr) == (3, True)
        assert [p.name for p in tmp_path.iterdir()] == ["old.db"]
    else:
        change(target, "UPDATE persons SET first_name = 'since'")
        assert run("rollback", target, "--force").returncode == 0
        assert not target.exists()
    assert (done.returncode == 0) == (length < 196)
