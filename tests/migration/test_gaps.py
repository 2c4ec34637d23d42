"""The protocol of docs/SAFETY.md: a run killed after each step, and how it is finished."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.migration.support import SMALL, change, make_target, old_database, query
from tests.processes import holding, killed, run

from person_unify import custody
from person_unify.errors import TargetError
from person_unify.pipeline import MigrateOptions, migrate, verify
from person_unify.progress import Event, Note
from person_unify.rollback import rollback
from person_unify.rundir import run_directory

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
    assert report["target"]["sha256"] in (custody.sha256(target), None)
    assert report["source"]["sha256"] == report["source_sha256_after"] == custody.sha256(source)
    assert len(list(target.parent.glob("old.db.backup-*"))) == 1


CREATED = {
    "snapshot taken": ("pipeline:take >1", set()),
    "rows committed": ("stages.load:Loader.commit >1", set()),
    "hashes noted": ("stages.load:Loader.finish_seal >1", set()),
    "ledger named": ("stages.publish:os.link >1", {"new.ledger.db"}),
    "target named": ("stages.publish:os.link >2", {"new.ledger.db", "new.db"}),
    "report written": (
        "migration:Migration._published >1",
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
    "target locked": ("stages.load:Loader._lock >1", False),
    "target backed up": ("stages.load:Loader.back_up >1", False),
    "rows written": ("stages.load:Loader.finish >1", False),
    "backup named": ("stages.publish:os.link >1", False),
    "committed": ("stages.load:Loader.commit >1", True),
    "hashes noted": ("stages.load:Loader.finish_seal >1", True),
    "ledger named": ("stages.publish:os.link >2", True),
    "report written": ("migration:Migration._published >1", True),
}


@pytest.mark.parametrize("gap", IN_PLACE)
def test_target_in_place_killed_after(gap: str, source: Path, target: Path) -> None:
    where, committed = IN_PLACE[gap]
    before = make_target(target).read_bytes()
    killed(where, "migrate", source, target, "-q")
    # The platform opens the target before anybody has done anything about the run.
    change(target, "SELECT count(*) FROM persons")
    assert (target.read_bytes() == before) == (not committed)

    migrate(MigrateOptions(source, target, resume=True))

    _in_order(source, target)
    rollback(target, force=gap == "committed")
    assert target.read_bytes() == before


@pytest.mark.parametrize("gap", ["backup named", "committed"])
def test_target_in_place_started_anew_after(gap: str, source: Path, target: Path) -> None:
    """What is not committed is discarded without a trace; what is committed is not discarded."""
    where, committed = IN_PLACE[gap]
    make_target(target)
    killed(where, "migrate", source, target, "-q")

    if committed:
        with pytest.raises(TargetError, match="--resume"):
            migrate(MigrateOptions(source, target, fresh=True))
    migrate(MigrateOptions(source, target, resume=committed, fresh=not committed))

    _in_order(source, target)
    assert len(list(target.parent.glob("new.db.pre-migration-*"))) == 1


def test_another_program_that_writes_right_after_the_commit_spoils_the_proof(
    source: Path, target: Path
) -> None:
    """Then nobody can say what the run left, and a rollback asks for --force."""
    make_target(target)
    killed("stages.load:Loader.commit >1", "migrate", source, target, "-q")
    change(target, "UPDATE persons SET first_name = 'since'")
    migrate(MigrateOptions(source, target, resume=True))

    with pytest.raises(TargetError, match="--force"):
        rollback(target)
    assert rollback(target, force=True).restored


@pytest.mark.parametrize("synced", [False, True])
def test_restarted_machine_after_the_commit_of_a_created_target(
    synced: bool, source: Path, target: Path
) -> None:
    """Pages that nothing has synced may be gone: rows are loaded anew, and with the same ids."""
    where = "migration:Migration._publish <1" if synced else "stages.load:Loader.commit >1"
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
        "from person_unify import migration\n"
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
        assert noted[kind] == (custody.sha256(path), path.stat().st_size)
    assert noted["source_after"][0] == noted["source"][0] == noted["snapshot"][0]
    _in_order(source, target)
