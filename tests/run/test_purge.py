"""Purge: everything of a run but its results, listed first and removed when asked for."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.strace import require_strace
from tests.migration.support import SMALL, change, make_target, migrated, old_database, query
from tests.processes import holding, killed, run

from person_unify.errors import TargetError
from person_unify.files import private_directory
from person_unify.run.directory import run_directory
from person_unify.run.purge import leftovers, purge
from person_unify.run.rollback import rollback

RESULTS = {
    *("old.db", "new.db", "new.ledger.db"),
    *("new.report.json", "new.report.html", "new.checkpoints.json"),
}


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def _kinds(target: Path) -> list[str]:
    return [found.kind for found in leftovers(target)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run into a target that was there."""
    directory = tmp_path_factory.mktemp("finished")
    make_target(directory / "new.db")
    return migrated(directory).target


@pytest.fixture
def target(
    finished: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    # What processes of other tests leave in the common one would be listed too.
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
    shutil.copytree(finished.parent, tmp_path, dirs_exist_ok=True)
    here = f"UPDATE artefacts SET path = replace(path, '{finished.parent}', '{tmp_path}')"
    change(tmp_path / "new.ledger.db", here)
    return tmp_path / "new.db"


def test_copies_are_listed_and_nothing_is_removed_by_listing(target: Path) -> None:
    before = _names(target.parent)

    found = leftovers(target)

    assert [f.kind for f in found] == ["copy of the source", "target before the run"]
    assert [f.bytes for f in found] == [f.path.stat().st_size for f in found]
    assert _names(target.parent) == before


def test_results_stay(target: Path) -> None:
    persons = query(target, "SELECT * FROM persons")

    purge(target, leftovers(target))

    assert _names(target.parent) == RESULTS
    assert query(target, "SELECT * FROM persons") == persons
    assert leftovers(target) == []


def test_ledger_goes_only_when_asked_for(target: Path) -> None:
    purge(target, leftovers(target, with_ledger=True))

    assert _names(target.parent) == {"old.db", "new.db"}


NAMES = ("new.report.json", "new.report.html", "new.checkpoints.json")


def _foreign(path: Path, what: str) -> None:
    """Have something stand under a name of the run's that is not the run's."""
    if what == "empty":
        path.write_bytes(b"")
    elif what == "another run's":
        path.write_bytes(
            re.sub(rb"\d", lambda digit: b"%d" % (9 - int(digit[0])), path.read_bytes())
        )
    elif what == "no text":
        path.write_bytes(b"\xff" * 9)
    elif what == "nested":
        path.write_text("[" * 99_999)
    elif what == "a link":
        path.symlink_to(path.rename(path.with_name("moved")))
    else:
        path.unlink()
        (path / "photos").mkdir(parents=True)


@pytest.mark.parametrize("rolled_back", [False, True])
@pytest.mark.parametrize(
    "what", ["a directory", "a link", "another run's", "empty", "no text", "nested"]
)
def test_what_only_has_the_name_of_a_report_stays_and_is_named(
    what: str, rolled_back: bool, target: Path
) -> None:
    for name in NAMES:
        _foreign(target.with_name(name), what)

    if rolled_back:
        done = rollback(target)
        assert {path.name for path in done.left} == set(NAMES)
    else:
        found = leftovers(target, with_ledger=True)
        purge(target, found)
        assert {f.path.name for f in found if f.state == "unproven"} == set(NAMES)

    assert set(NAMES) < _names(target.parent)
    assert not target.with_name("new.ledger.db").exists()


def test_ledger_that_is_a_link_stays_and_is_named(target: Path) -> None:
    ledger = target.with_name("new.ledger.db")
    ledger.symlink_to(ledger.rename(target.with_name("moved")))

    found = leftovers(target, with_ledger=True)
    purge(target, found)

    assert [f.kind for f in found if f.state == "unproven"] == ["ledger"]
    assert ledger.is_symlink()
    assert ledger.exists()


@pytest.mark.parametrize("what", ["a directory", "a link", "another run's"])
def test_what_only_has_the_name_of_what_a_rollback_kept_stays(what: str, target: Path) -> None:
    rollback(target)
    kept = [next(target.parent.glob(f"{name}.rolled-back-*")) for name in NAMES]
    for path in kept:
        _foreign(path, what)

    purge(target, leftovers(target))

    assert all(os.path.lexists(path) for path in kept)
    assert not list(target.parent.glob("new.ledger.db*"))


def _point_at(path: Path, target: Path, kind: str = "snapshot") -> None:
    """Have the ledger name another file as a copy that its run made."""
    change(
        target.with_name("new.ledger.db"),
        f"UPDATE artefacts SET path = '{path}' WHERE kind = '{kind}'",
    )


@pytest.mark.parametrize("kind", ["snapshot", "pre_migration"])
@pytest.mark.parametrize("victim", ["letter.txt", "photos", "old.db", "new.db"])
def test_path_in_a_ledger_is_not_followed(victim: str, kind: str, target: Path) -> None:
    (target.parent / "letter.txt").write_text("dear")
    (target.parent / "photos").mkdir()
    _point_at(target.parent / victim, target, kind)
    before = _names(target.parent)

    with contextlib.suppress(TargetError):
        purge(target, leftovers(target))

    assert {*RESULTS, "letter.txt", "photos"} <= _names(target.parent) <= before


@pytest.mark.parametrize("what", ["changed", "a link", "a directory", "another run's"])
def test_file_of_that_name_that_is_not_the_copy_stays(what: str, target: Path) -> None:
    (copy,) = target.parent.glob("old.db.backup-*")
    if what == "changed":
        copy.write_bytes(copy.read_bytes()[:-1] + b"x")
    elif what == "another run's":
        copy = copy.rename(copy.with_name("old.db.backup-20200101T000000.000000Z"))
    else:
        copy.rename(target.parent / "moved")
        copy.mkdir() if what == "a directory" else copy.symlink_to("moved")

    found = leftovers(target)

    assert "copy of the source" not in [leftover.kind for leftover in found]


def test_copy_in_another_directory_is_told_and_removed_where_that_is_named(
    target: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("backups")
    (copy,) = target.parent.glob("old.db.backup-*")
    moved = copy.rename(elsewhere / copy.name)
    _point_at(moved, target)

    told = run("purge", target, "--yes").stdout
    assert f"in another directory: {moved}; --in {elsewhere} lists it" in told
    assert moved.exists()

    assert run("purge", target, "--yes", "--in", elsewhere).returncode == 0
    assert not moved.exists()


def test_what_a_rollback_kept_is_listed_and_removed(target: Path) -> None:
    change(target, "UPDATE persons SET first_name = 'since'")
    rollback(target, force=True)

    assert set(_kinds(target)) == {
        "copy of the source",
        "target before the run",
        "target that was rolled back",
        "report of a run rolled back",
        "ledger of a run rolled back",
    }
    purge(target, leftovers(target))
    assert _names(target.parent) == {"old.db", "new.db"}


def test_files_of_another_target_are_left_alone(target: Path) -> None:
    others = ["new.db2.pre-migration-20260101T000000.000000Z", "new.ledger.db2.rolled-back-x"]
    others += ["other.db.pre-migration-20260101T000000.000000Z", "anew.db.rolled-back-x"]
    for name in others:
        target.with_name(name).write_text("somebody else's")

    purge(target, leftovers(target))

    assert _names(target.parent) == {*RESULTS, *others}


@pytest.mark.parametrize(
    "where", ["stages.snapshot:copy_snapshot >1", "stages.load:Loader.finish >1"]
)
@pytest.mark.parametrize("exists", [False, True])
def test_killed_run_is_listed_and_discarded(where: str, exists: bool, tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    target = tmp_path / "new.db"
    if exists:
        make_target(target)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    killed(where, "migrate", source, target, "-q")

    kinds = _kinds(target)
    purge(target, leftovers(target))

    assert "unfinished run" in kinds
    assert {"copy of the source", "working files of a killed command"} & set(kinds)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_run_that_is_complete_is_not_discarded(tmp_path: Path) -> None:
    source, target = old_database(tmp_path / "old.db", SMALL), make_target(tmp_path / "new.db")
    killed("run.migration:put_back >1", "migrate", source, target, "-q")

    with pytest.raises(TargetError, match="--resume"):
        leftovers(target)

    assert run("migrate", source, target, "-q", "--resume").returncode == 0
    purge(target, leftovers(target))
    assert _names(tmp_path) == RESULTS


_KILLED = """
import os, sys
from pathlib import Path
from person_unify.files import private_directory
with private_directory(Path(sys.argv[1])) as directory:
    (directory / "copy.db").write_text("cells")
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("place", ["temporary", "beside the target"])
def test_what_killed_commands_worked_on_is_found(
    place: str, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    where = temporary if place == "temporary" else target.parent
    (where / ".person-unify-notes").mkdir()
    subprocess.run([sys.executable, "-c", _KILLED, where], check=False)
    with private_directory(where) as working:
        assert _kinds(target).count("working files of a killed command") == 1
        purge(target, leftovers(target))
        assert working.exists()

    assert [p.name for p in where.iterdir() if p.name.startswith(".")] == [".person-unify-notes"]


def test_what_a_killed_export_left_beside_the_file_that_it_was_to_replace_is_found(
    target: Path, tmp_path: Path
) -> None:
    require_strace()
    place = tmp_path / "out"
    words: list[str | Path] = [
        "export",
        target,
        place,
        "--format",
        "csv",
        "--table",
        "run",
        "--overwrite",
    ]
    assert run(*words).returncode == 0
    before = (place / "run.csv").read_bytes()
    kill = ["-e", "trace=rename,renameat,renameat2", "-e", "inject=all:signal=KILL:when=1"]
    subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", "/dev/null", *kill),
            *(sys.executable, "-m", "person_unify", *map(str, words)),
        ],
        check=False,
    )
    assert len(list(place.iterdir())) == 2

    found = leftovers(target, places=[place])
    purge(target, found)

    assert [entry.kind for entry in found if entry.path.parent == place] == [
        "working files of a killed command"
    ]
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {"run.csv": before}


def test_command_lists_and_removes(target: Path) -> None:
    listed = run("purge", target)
    names = re.findall(r"\S+\.(?:backup|pre-migration)-\S+Z", listed.stdout)

    assert (listed.returncode, listed.stderr) == (0, "")
    assert len(names) == 2
    assert all(Path(name).exists() for name in names)
    assert listed.stdout.endswith("nothing removed; --yes removes these for good\n")

    assert "removed 2" in run("purge", target, "--yes").stdout
    assert not any(Path(name).exists() for name in names)
    assert run("purge", target).stdout == "nothing is left of any run\n"


def test_run_under_way_is_left_alone(tmp_path: Path) -> None:
    source, target = old_database(tmp_path / "old.db", SMALL), make_target(tmp_path / "new.db")
    with (
        holding(target, "BEGIN IMMEDIATE"),
        subprocess.Popen(
            [sys.executable, "-m", "person_unify", "migrate", source, target, "--busy-timeout=60"],
            stderr=subprocess.PIPE,
            text=True,
        ) as under_way,
    ):
        while not (run_directory(target) / "run.json").exists():
            assert under_way.poll() is None
        with pytest.raises(TargetError, match="another process"):
            leftovers(target)
        under_way.terminate()
        under_way.communicate(timeout=60)
