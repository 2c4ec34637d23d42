"""The protocol of docs/OPERATING.md: a run killed after each step, and how it is finished."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.migration.support import SMALL, change, make_target, old_database, query
from tests.processes import holding, killed, run

from person_unify.errors import TargetError
from person_unify.files import locks
from person_unify.files.header import fingerprint
from person_unify.files.journal import SIDE_FILES
from person_unify.pipeline import MigrateOptions, migrate, verify
from person_unify.progress import Event, Note
from person_unify.run.directory import run_directory
from person_unify.run.rollback import rollback

EMPTY = {"n": 0}
COUNT = "SELECT count(*) AS n FROM persons"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return old_database(tmp_path / "old.db", SMALL)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new.db"


def _in_order(source: Path, target: Path) -> None:
    """Everything that a run is to leave is there, private, whole, and told apart by its hashes."""
    names = {path.name for path in target.parent.iterdir() if ".backup-" not in path.name}
    known = {"old.db", "new.db", "new.ledger.db"}
    known |= {"new.report.json", "new.report.html", "new.checkpoints.json"}
    known |= {path.name for path in target.parent.glob("new.db.pre-migration-*")}
    assert names == known
    assert target.stat().st_nlink == 1
    assert query(target, COUNT) == [{"n": 1}]
    assert verify(source, target).failed_checks == ()
    report = json.loads(target.with_name("new.report.json").read_text())
    assert report["target"]["sha256"] in (locks.sha256(target), None)
    assert report["source"]["sha256"] == report["source_sha256_after"] == locks.sha256(source)
    assert len(list(target.parent.glob("old.db.backup-*"))) == 1


CREATED = {
    "snapshot taken": ("run.beginning:take >1", set()),
    "rows written": ("stages.load:Loader.finish >1", set()),
    "rows committed": ("stages.load:Loader.commit >1", set()),
    "load noted": ("run.directory:RunDirectory.done >2", set()),
    "verified": ("run.migration:run_checks >1", set()),
    "hashes noted": ("run.migration:Migration._record >1", set()),
    "ledger named": ("run.migration:publish >1", {"new.ledger.db"}),
    "target named": ("run.migration:publish >2", {"new.ledger.db", "new.db"}),
    "report written": (
        "run.migration:Migration._published >1",
        {"new.ledger.db", "new.db", "new.report.json"},
    ),
}


@pytest.mark.parametrize("gap", CREATED)
def test_created_target_killed_after(gap: str, source: Path, target: Path) -> None:
    where, there = CREATED[gap]
    killed(where, "migrate", source, target, "-q")
    names = {path.name for path in target.parent.iterdir()}
    assert names & {"new.db", "new.ledger.db", "new.report.json"} == there
    assert run_directory(target).stat().st_mode & 0o777 == 0o700

    with pytest.raises(TargetError, match="--resume"):
        migrate(MigrateOptions(source, target))
    migrate(MigrateOptions(source, target, resume=True))

    _in_order(source, target)
    rollback(target)
    assert not target.exists()


@pytest.mark.parametrize("gap", ["ledger named", "target named"])
def test_directory_that_was_copied_meanwhile_has_lost_its_links(
    gap: str, source: Path, target: Path
) -> None:
    """To a larger disk, say: two names of one file have become two files."""
    killed(CREATED[gap][0], "migrate", source, target, "-q")
    copied = target.parent.with_name("copied")
    shutil.copytree(target.parent, copied)
    shutil.rmtree(target.parent)
    copied.rename(target.parent)

    migrate(MigrateOptions(source, target, resume=True))

    _in_order(source, target)


IN_PLACE = {
    "target copied": ("run.unfinished:copy_target >1", False),
    "rows written": ("stages.load:Loader.finish >1", False),
    "rows committed": ("stages.load:Loader.commit >1", False),
    "verified": ("run.migration:run_checks >1", False),
    "hashes noted": ("run.migration:Migration._record >1", False),
    "ledger named": ("run.migration:publish >1", False),
    "backup named": ("run.migration:publish >2", False),
    "put back": ("stages.publish:Exclusive.put_back >1", True),
    "report written": ("run.migration:Migration._published >1", True),
}


@pytest.mark.parametrize("gap", IN_PLACE)
def test_target_in_place_killed_after(gap: str, source: Path, target: Path) -> None:
    where, put_back = IN_PLACE[gap]
    before = make_target(target).read_bytes()
    killed(where, "migrate", source, target, "-q")
    # The platform opens the target before anybody has done anything about the run.
    change(target, "SELECT count(*) FROM persons")
    assert (target.read_bytes() == before) == (not put_back)

    migrate(MigrateOptions(source, target, resume=True))

    _in_order(source, target)
    rollback(target)
    assert target.read_bytes() == before


@pytest.mark.parametrize("gap", ["rows committed", "ledger named", "backup named", "put back"])
def test_target_in_place_started_anew_after(gap: str, source: Path, target: Path) -> None:
    """What is not put back is discarded without a trace; what is put back is not discarded."""
    where, put_back = IN_PLACE[gap]
    make_target(target)
    killed(where, "migrate", source, target, "-q")

    if put_back:
        with pytest.raises(TargetError, match="--resume"):
            migrate(MigrateOptions(source, target, fresh=True))
    migrate(MigrateOptions(source, target, resume=put_back, fresh=not put_back))

    _in_order(source, target)
    assert len(list(target.parent.glob("new.db.pre-migration-*"))) == 1


def test_another_program_that_writes_right_after_the_put_back_spoils_the_proof(
    source: Path, target: Path
) -> None:
    """Then the target is no more what the run left, and a rollback asks for --force."""
    make_target(target)
    killed(IN_PLACE["put back"][0], "migrate", source, target, "-q")
    change(target, "UPDATE persons SET first_name = 'since'")
    with pytest.raises(TargetError, match="--resume to finish it"):
        migrate(MigrateOptions(source, target, fresh=True))
    migrate(MigrateOptions(source, target, resume=True))
    assert query(target, "SELECT first_name FROM persons") == [{"first_name": "since"}]

    with pytest.raises(TargetError, match="--force"):
        rollback(target)
    assert rollback(target, force=True).restored


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("nth", [2, 7, 30])
def test_killed_in_the_middle_of_the_put_back(
    nth: int, mode: str, source: Path, target: Path
) -> None:
    """SQLite's journal brings back what was there for whoever opens it; a resumed run finishes."""
    make_target(target)
    change(target, f"PRAGMA journal_mode = {mode}")
    before, inode = target.read_bytes(), target.stat().st_ino
    calls = "pwrite64,fdatasync,unlink,ftruncate"
    watched = [part for side in ("", *SIDE_FILES) for part in ("-P", f"{target}{side}")]
    kill = ["-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={nth}"]
    program = [sys.executable, "-m", "person_unify", "migrate", str(source), str(target), "-q"]
    subprocess.run(["strace", "-f", *watched, *kill, *program], capture_output=True, check=False)

    with closing(sqlite3.connect(target)) as platform:
        assert platform.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (rows,) = platform.execute("SELECT count(*) FROM persons").fetchone()
    assert rows or fingerprint(target) == fingerprint_of(before, target)
    migrate(MigrateOptions(source, target, resume=True))

    _in_order(source, target)
    assert (target.stat().st_ino, query(target, "PRAGMA journal_mode")) == (
        inode,
        [{"journal_mode": mode.lower()}],
    )


def fingerprint_of(content: bytes, beside: Path) -> str:
    """Of a database that is no more, written once more."""
    path = beside.with_name("kept")
    path.write_bytes(content)
    found = fingerprint(path)
    path.unlink()
    return found


@pytest.mark.parametrize("resumed", [False, True])
def test_target_that_others_wrote_to_meanwhile_is_refused(
    resumed: bool, source: Path, target: Path
) -> None:
    """Before the put-back, that is: what they wrote stays, and is not written over."""
    make_target(target)
    other = "import sqlite3\n" if resumed else _WRITING
    if resumed:
        killed(IN_PLACE["backup named"][0], "migrate", source, target, "-q")
        change(target, "CREATE TABLE theirs (x)")
    program = f"{other}from person_unify.cli import main\nmain()\n"
    arguments = ["migrate", str(source), str(target), "-q", *(["--resume"] if resumed else [])]
    refused = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )

    assert refused.returncode == 3, refused.stderr
    assert ("has changed since" if resumed else "was changed by another") in refused.stderr
    assert query(target, COUNT) == [EMPTY]
    assert query(target, "SELECT name FROM sqlite_master WHERE name = 'theirs'")
    assert run_directory(target).exists() == resumed
    migrate(MigrateOptions(source, target, fresh=True))
    assert query(target, COUNT) == [{"n": 1}]
    assert query(target, "SELECT name FROM sqlite_master WHERE name = 'theirs'")
    _in_order(source, target)


_WRITING = """
import sqlite3, sys
from person_unify.run import migration
real = migration.run_checks
def checks(*given):
    with sqlite3.connect(sys.argv[3]) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    return real(*given)
migration.run_checks = checks
"""


def test_target_that_is_locked_when_it_is_to_be_put_back_waits_for_resume(
    source: Path, target: Path
) -> None:
    make_target(target)
    killed(IN_PLACE["backup named"][0], "migrate", source, target, "-q")
    with holding(target, "BEGIN IMMEDIATE"):
        options = ("-q", "--resume", "--busy-timeout", "0.2")
        refused = run("migrate", source, target, *options)
    assert refused.returncode == 3
    assert "in use by another program" in refused.stderr
    assert query(target, COUNT) == [EMPTY]

    migrate(MigrateOptions(source, target, resume=True))

    _in_order(source, target)


@pytest.mark.parametrize("synced", [False, True])
def test_restarted_machine_after_the_commit_of_a_created_target(
    synced: bool, source: Path, target: Path
) -> None:
    """Pages that nothing has synced may be gone: rows are loaded anew, and with the same ids."""
    where = "run.migration:Migration._publish <1" if synced else CREATED["load noted"][0]
    killed(where, "migrate", source, target, "-q")
    facts = run_directory(target) / "run.json"
    facts.write_text(
        json.dumps({**json.loads(facts.read_text()), "machine": "before the power cut"})
    )
    notes: list[Event] = []

    migrate(MigrateOptions(source, target, resume=True), notes.append)

    said = " ".join(event.message for event in notes if isinstance(event, Note))
    assert ("taken over" if synced else "loaded again") in said
    _in_order(source, target)


def test_locked_target_is_waited_for(source: Path, target: Path) -> None:
    make_target(target)
    with holding(target, "BEGIN IMMEDIATE") as other:
        refused = run("migrate", source, target, "-q", "--busy-timeout", "0.2")
        assert refused.returncode == 3
        assert "in use by another program" in refused.stderr
        assert not run_directory(target).exists()
        assert other.stdin is not None
        other.stdin.close()
        other.stdin = None
        done = run("migrate", source, target, "-q", "--busy-timeout", "60")

    assert done.returncode == 0
    _in_order(source, target)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_source_that_changed_is_told_by_its_own_exit_code(
    mode: str, source: Path, target: Path
) -> None:
    """The run is complete all the same; in WAL mode only the log has changed."""
    change(source, f"PRAGMA journal_mode = {mode}")
    script = (
        "import sqlite3\n"
        "from person_unify.run import migration\n"
        "from person_unify.cli import main\n"
        "real_now = migration.sha256_now\n"
        "def now(path):\n"
        f"    global kept; kept = sqlite3.connect({str(source)!r}, isolation_level=None)\n"
        "    kept.execute(\"UPDATE users SET email = 'new@example.org' WHERE id = 'u1'\")\n"
        "    return real_now(path)\n"
        "migration.sha256_now = now\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "migrate", source, target, "-q", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 6, done.stderr
    assert "has changed since its snapshot" in done.stderr
    report = json.loads(target.with_name("new.report.json").read_text())
    assert report["source_changed"]
    assert query(target, COUNT) == [{"n": 1}]
    assert query(target, "SELECT email FROM users WHERE id = 'u1'") == [{"email": "u1@example.org"}]


def test_hashes_stand_in_report_and_ledger(source: Path, target: Path) -> None:
    assert run("migrate", source, target, "-q").returncode == 0

    noted = {
        row["kind"]: (row["sha256"], row["bytes"])
        for row in query(target.with_name("new.ledger.db"), "SELECT * FROM artefacts")
    }
    snapshot = next(target.parent.glob("old.db.backup-*"))
    for kind, path in (("source", source), ("snapshot", snapshot), ("target", target)):
        assert noted[kind] == (locks.sha256(path), path.stat().st_size)
    assert noted["source_after"][0] == noted["source"][0] == noted["snapshot"][0]
    _in_order(source, target)
