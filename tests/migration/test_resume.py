"""A run that is killed goes on as if nothing had been: same ids, same rows, nothing left over."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from tests.faults.site import write_small
from tests.migration.support import change, make_target, query
from tests.processes import killed, run

from person_unify import __version__
from person_unify.errors import MigrationError, SourceError, TargetError, UsageError
from person_unify.pipeline import MigrateOptions, migrate, verify
from person_unify.progress import PHASES, Event, Note, TableAdvanced, TableFinished
from person_unify.run.budget import Budget
from person_unify.run.directory import ENDED, Facts, RunDirectory, run_directory, this_machine
from person_unify.run.staged import BEFORE
from person_unify.stages.publish import ledger_path
from person_unify.stages.snapshot import snapshot_path

MOMENT = datetime(2026, 6, 1, 1, 2, 3, 456789, tzinfo=UTC)
TIMED = {"run", "checkpoints", "artefacts", "report"}
"""Tables of the ledger that say when and where, not what."""

Contents = dict[str, list[tuple[object, ...]]]

LOADED = "run.directory:RunDirectory.done >2"
"""Where the load phase has just ended."""

KILLS = (
    (False, "stages.snapshot:copy_snapshot >1"),
    (False, "run.directory:RunDirectory.done <1"),
    (False, "stages.load:Loader.begin >1"),
    (False, "stages.load:Loader.load >4"),
    (False, "stages.load:Loader.finish >1"),
    (False, "stages.load:Loader.commit >1"),
    (False, "run.resume_state:save >1"),
    (False, "run.directory:RunDirectory.done >2"),
    (False, "run.migration:run_checks >1"),
    (False, "run.migration:Migration._record >1"),
    (False, "run.migration:publish >1"),
    (False, "run.migration:publish >2"),
    (False, "run.directory:RunDirectory.done >4"),
    (False, "run.directory:RunDirectory.forget <1"),
    (True, "stages.load:Loader.load >3"),
    (True, "run.directory:RunDirectory.done >2"),
    (True, "run.migration:publish >1"),
    (True, "run.migration:publish >2"),
    (True, "files.copies:Exclusive.remove_spent_journal <1"),
    (True, "run.migration:put_back >1"),
)
"""Whether the target existed, and where the process dies: before ``<`` or after ``>`` a call."""


def _site(directory: Path, in_place: bool) -> MigrateOptions:
    """A small source, perhaps an empty target, and a run that has only drawn its seed yet."""
    directory.mkdir(exist_ok=True)
    source, target = write_small(directory / "old.db"), directory / "new.db"
    if in_place:
        make_target(target)
    options = MigrateOptions(source, target, resume=True)
    facts = Facts(
        id="6f0e7d3a-0000-4000-8000-000000000000",
        tool_version=__version__,
        moment=MOMENT,
        seed="ab" * 32,
        source=str(source),
        target=str(target),
        in_place=in_place,
        options=options.deciding(),
        machine=this_machine(),
        snapshot=str(snapshot_path(source, directory, MOMENT)),
    )
    claimed = RunDirectory.claim(target)
    claimed.write(facts)
    claimed.leave()
    return options


def _killed(where: str, options: MigrateOptions) -> None:
    killed(where, "migrate", options.source, options.target, "--quiet", "--resume")


def _contents(path: Path) -> Contents:
    names = [row["name"] for row in query(path, "SELECT name FROM sqlite_master")]
    with closing(sqlite3.connect(path)) as connection:
        schema = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2")
        found = {"": schema.fetchall()}
        for name in names:
            if name not in TIMED and not name.startswith("sqlite_"):
                with_rows = connection.execute(
                    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?", [name]
                )
                if with_rows.fetchone()[0]:
                    found[name] = connection.execute(f'SELECT * FROM "{name}"').fetchall()
        header = connection.execute("PRAGMA user_version").fetchall()
    return {**found, "user_version": header}


def _result(options: MigrateOptions) -> tuple[Contents, Contents]:
    assert not verify(options.source, options.target).failed_checks
    return _contents(options.target), _contents(ledger_path(options.target))


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.fixture(scope="module")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[bool], tuple[set[str], tuple[Contents, Contents]]]:
    """The files and rows of a run that nothing stopped, into a new target or in place."""

    @cache
    def of(in_place: bool) -> tuple[set[str], tuple[Contents, Contents]]:
        directory = tmp_path_factory.mktemp("uninterrupted")
        options = _site(directory, in_place)
        migrate(options)
        return _names(directory), _result(options)

    return of


@pytest.mark.parametrize(("in_place", "where"), KILLS)
def test_killed_and_resumed_is_as_if_uninterrupted(
    in_place: bool,
    where: str,
    uninterrupted: Callable[[bool], tuple[set[str], tuple[Contents, Contents]]],
    tmp_path: Path,
) -> None:
    names, result = uninterrupted(in_place)
    options = _site(tmp_path, in_place)
    before = options.source.read_bytes()
    _killed(where, options)

    left = run_directory(options.target) / "run.json"
    if left.exists() and ENDED in json.loads(left.read_text())["phases"]:
        with pytest.raises(TargetError, match="has been migrated into already"):
            migrate(replace(options, resume=False))
    elif left.exists():
        with pytest.raises(TargetError, match=r"--resume.*--fresh"):
            migrate(replace(options, resume=False))
        report = migrate(options)
        assert report.outcome == "published"

    assert _result(options) == result
    assert _names(tmp_path) == names
    assert options.source.read_bytes() == before


def test_killed_while_the_target_was_copied(tmp_path: Path) -> None:
    options = _site(tmp_path, in_place=True)
    (run_directory(options.target) / BEFORE).write_bytes(options.target.read_bytes()[:5000])

    assert migrate(options).outcome == "published"
    assert not verify(options.source, options.target).failed_checks


@pytest.mark.parametrize("in_place", [False, True], ids=["created", "in_place"])
def test_killed_again_while_resuming(in_place: bool, tmp_path: Path) -> None:
    options, whole = _site(tmp_path / "a", in_place), _site(tmp_path / "b", in_place)
    migrate(whole)

    for where in ("stages.load:Loader.load >2", "run.migration:run_checks >1"):
        _killed(where, options)
    _killed("run.migration:Migration._record >1", options)
    migrate(options)

    assert _result(options)[0] == _result(whole)[0]
    assert _names(tmp_path / "a") == _names(tmp_path / "b")


@pytest.mark.parametrize("in_place", [False, True], ids=["created", "in_place"])
def test_rows_are_not_loaded_again_after_the_load(in_place: bool, tmp_path: Path) -> None:
    options = _site(tmp_path, in_place)
    _killed(LOADED, options)
    kept = json.loads((tmp_path / "new.checkpoints.json").read_text())
    events: list[Event] = []

    report = migrate(options, events.append)

    assert [e.message for e in events if isinstance(e, Note)] == [
        "taken over: the snapshot and every row"
    ]
    assert not [e for e in events if isinstance(e, TableFinished)]
    tables = {entry["table"] for entry in kept if entry["table"]}
    assert {"users", "patients", "children"} <= tables
    assert {table.source for table in report.tables} == tables
    now = json.loads((tmp_path / "new.checkpoints.json").read_text())
    assert now[: len(kept)] == kept
    assert not report.unexplained


@pytest.mark.parametrize("table", ["users", "legacy"])
def test_stopped_between_two_parts_of_a_table(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a table is loaded again from its first row; what it had logged and archived is gone."""
    monkeypatch.setattr(Budget, "rows_at_once", lambda _, rows, *__: max(1, rows // 16))
    options, whole = _site(tmp_path / "a", False), _site(tmp_path / "b", False)
    for site in (options, whole):
        change(site.source, "INSERT INTO legacy (other) VALUES (7), (x'00'), (NULL)")
    migrate(whole)

    def stop(event: Event) -> None:
        if isinstance(event, TableAdvanced) and (event.phase, event.table) == ("load", table):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(options, stop)
    migrate(options)

    assert _result(options) == _result(whole)


def _gone(staging: Path) -> None:
    (staging / "ledger.db").unlink()


def _damaged(staging: Path) -> None:
    with (staging / "target.db").open("rb+") as file:
        file.seek(8192)
        file.write(b"\xff" * 8192)


def _forgetful(staging: Path) -> None:
    (staging / "loaded.json").write_bytes(b"")


def _after_a_power_cut(staging: Path) -> None:
    facts = json.loads((staging / "run.json").read_text())
    (staging / "run.json").write_text(json.dumps({**facts, "machine": "another boot"}))


@pytest.mark.parametrize("harm", [_gone, _damaged, _forgetful, _after_a_power_cut])
def test_staged_rows_that_are_not_intact_are_loaded_again_with_the_same_ids(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    options, whole = _site(tmp_path / "a", in_place=False), _site(tmp_path / "b", in_place=False)
    migrate(whole)
    _killed(LOADED, options)
    harm(run_directory(options.target))
    events: list[Event] = []

    migrate(options, events.append)

    assert "not intact" in "".join(e.message for e in events if isinstance(e, Note))
    assert _result(options) == _result(whole)


@pytest.mark.parametrize("in_place", [False, True], ids=["created", "in_place"])
def test_fresh_leaves_nothing_of_the_unfinished_run(in_place: bool, tmp_path: Path) -> None:
    options = _site(tmp_path, in_place)
    pristine = options.target.read_bytes() if in_place else None
    _killed("run.migration:run_checks >1", options)
    snapshot = Path(
        json.loads((run_directory(options.target) / "run.json").read_text())["snapshot"]
    )

    report = migrate(replace(options, resume=False, fresh=True))

    assert not snapshot.exists()
    assert report.started_ms > MOMENT.timestamp() * 1000
    expected = {
        "old.db",
        "new.db",
        "new.ledger.db",
        "new.report.json",
        "new.report.html",
    }
    expected |= {"new.checkpoints.json", Path(report.files["backup"]).name}
    if pristine is not None:
        copy = Path(report.files["target before"])
        assert copy.read_bytes() == pristine
        expected.add(copy.name)
    assert _names(tmp_path) == expected
    assert not verify(options.source, options.target).failed_checks


def test_fresh_takes_back_a_ledger_that_was_published_alone(tmp_path: Path) -> None:
    options = _site(tmp_path, in_place=False)
    _killed("run.migration:publish >1", options)
    assert ledger_path(options.target).exists()
    assert not options.target.exists()

    migrate(replace(options, resume=False, fresh=True))

    assert not verify(options.source, options.target).failed_checks


@pytest.mark.parametrize(
    ("in_place", "where"),
    [(False, "run.migration:publish >2"), (True, "run.migration:put_back >1")],
)
def test_fresh_does_not_undo_a_filled_target(in_place: bool, where: str, tmp_path: Path) -> None:
    options = _site(tmp_path, in_place)
    _killed(where, options)

    with pytest.raises(TargetError, match="--resume to finish it"):
        migrate(replace(options, resume=False, fresh=True))
    change(options.source, "UPDATE users SET role = 'x'")  # too late to matter

    assert migrate(options).source_changed
    assert options.target.exists()


def test_a_changed_source_is_refused_until_fresh(tmp_path: Path) -> None:
    options = _site(tmp_path, in_place=False)
    _killed("stages.load:Loader.load >2", options)
    before = _names(run_directory(options.target))
    change(options.source, "UPDATE users SET role = 'other'")

    with pytest.raises(SourceError, match=r"has changed.*--fresh"):
        migrate(options)

    assert _names(run_directory(options.target)) == before
    migrate(replace(options, resume=False, fresh=True))
    assert query(options.target, "SELECT DISTINCT role FROM users") == [{"role": "other"}]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"timezone": "UTC"}, "another timezone"),
        ({"implied_grants": "none"}, "another implied_grants"),
        ({"strict": True}, "another strict"),
    ],
)
def test_other_options_are_refused(
    changed: dict[str, str | bool], message: str, tmp_path: Path
) -> None:
    options = _site(tmp_path, in_place=False)

    with pytest.raises(TargetError, match=f"{message}.*--fresh"):
        migrate(replace(options, **changed))  # type: ignore[arg-type]


def test_another_version_is_refused(tmp_path: Path) -> None:
    options = _site(tmp_path, in_place=False)
    facts = run_directory(options.target) / "run.json"
    facts.write_text(facts.read_text().replace(f'"{__version__}"', '"0.0.9"'))

    with pytest.raises(TargetError, match=r"version 0\.0\.9.*--fresh"):
        migrate(options)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"moment": 3}', "nonsense"])
def test_facts_that_nobody_can_read_are_refused_until_fresh(text: str, tmp_path: Path) -> None:
    options = _site(tmp_path, in_place=False)
    (run_directory(options.target) / "run.json").write_text(text)

    with pytest.raises(TargetError, match="--fresh"):
        migrate(options)

    migrate(replace(options, resume=False, fresh=True))


def test_a_lost_snapshot_is_refused_until_fresh(tmp_path: Path) -> None:
    options = _site(tmp_path, in_place=False)
    _killed("stages.load:Loader.load >2", options)
    next(tmp_path.glob("old.db.backup-*")).unlink()

    with pytest.raises(SourceError, match="gone or was changed"):
        migrate(options)
    migrate(replace(options, resume=False, fresh=True))


def test_directory_that_could_not_be_removed_goes_with_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = MigrateOptions(write_small(tmp_path / "old.db"), tmp_path / "new.db")
    notes: list[str] = []

    def failing(directory: RunDirectory) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(RunDirectory, "forget", failing)
        migrate(options, lambda e: notes.append(e.message) if isinstance(e, Note) else None)
    left = run_directory(options.target).exists()

    with pytest.raises(TargetError, match="has been migrated into already"):
        migrate(options)

    assert left
    assert "could not be removed" in notes[-1]
    assert not run_directory(options.target).exists()


def test_nothing_to_resume_is_no_obstacle(tmp_path: Path) -> None:
    source = write_small(tmp_path / "old.db")

    assert migrate(MigrateOptions(source, tmp_path / "new.db", resume=True)).outcome == "published"


def test_resume_and_fresh_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exclude"):
        migrate(MigrateOptions(tmp_path / "old.db", tmp_path / "new.db", resume=True, fresh=True))


def test_second_run_is_refused_at_once_and_a_dead_ones_lock_is_not(tmp_path: Path) -> None:
    source, target = write_small(tmp_path / "old.db"), tmp_path / "new.db"
    held = RunDirectory.claim(target)
    try:
        refused = run("migrate", source, target, "--quiet")
        number = (held.path / "lock").read_text().strip()
    finally:
        held.leave()
    stale = run_directory(target)
    stale.mkdir(mode=0o700)
    (stale / "lock").write_text("1\n")

    done = run("migrate", source, target, "--quiet")

    assert refused.returncode == 3
    assert f"by another process (pid {number})" in refused.stderr
    assert (done.returncode, done.stderr) == (0, "")
    assert not stale.exists()


def test_run_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    source, target = write_small(tmp_path / "old.db"), tmp_path / "new.db"
    (tmp_path / "elsewhere").mkdir()
    run_directory(target).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(MigrationError, match="not a directory of your own"):
        migrate(MigrateOptions(source, target))

    assert _names(tmp_path / "elsewhere") == set()


def test_checkpoints_list_what_was_done(tmp_path: Path) -> None:
    source, target = write_small(tmp_path / "old.db"), tmp_path / "new.db"
    migrate(MigrateOptions(source, target))
    path = tmp_path / "new.checkpoints.json"
    entries = json.loads(path.read_text())

    keys = {"timestamp", "phase", "table", "recordsProcessed", "errors"}
    phases = [entry["phase"] for entry in entries if entry["table"] is None]
    tables = {entry["table"]: entry for entry in entries if entry["table"]}
    recorded = query(ledger_path(target), "SELECT * FROM checkpoints")
    assert all(set(entry) == keys for entry in entries)
    loaded = [entry["timestamp"] for entry in entries if entry["table"]]
    assert loaded == sorted(loaded)
    assert all(datetime.fromisoformat(moment).tzinfo is UTC for moment in loaded)
    assert phases == list(PHASES)
    assert tables["patients"]["recordsProcessed"] == 2
    assert "1 unreadable_value" in tables["users"]["errors"]
    assert [(r["phase"], r["source_table"], r["rows"]) for r in recorded] == [
        (e["phase"], e["table"], e["recordsProcessed"]) for e in entries if e["phase"] != "publish"
    ]
    assert path.stat().st_mode & 0o077 == 0


def test_run_refused_at_its_snapshot_leaves_the_checkpoints_of_another_target(
    tmp_path: Path,
) -> None:
    source = write_small(tmp_path / "old.db")
    migrate(MigrateOptions(source, tmp_path / "new.db"))
    before = (tmp_path / "new.checkpoints.json").read_bytes()
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)

    with pytest.raises(SourceError):
        migrate(MigrateOptions(tmp_path / "broken.db", tmp_path / "other.db"))

    assert (tmp_path / "new.checkpoints.json").read_bytes() == before


def test_staged_rows_loaded_again_after_a_restart_are_taken_over_by_the_next_run(
    tmp_path: Path,
) -> None:
    options = _site(tmp_path, in_place=False)
    _killed(LOADED, options)
    _after_a_power_cut(run_directory(options.target))
    _killed(LOADED, options)
    events: list[Event] = []

    migrate(options, events.append)

    assert "taken over" in "".join(e.message for e in events if isinstance(e, Note))


def test_failed_run_leaves_no_checkpoints(tmp_path: Path) -> None:
    source = write_small(tmp_path / "old.db")
    shutil.copy(source, tmp_path / "copy.db")
    before = _names(tmp_path)

    with pytest.raises(MigrationError, match="--strict"):
        migrate(MigrateOptions(source, tmp_path / "new.db", strict=True))

    assert _names(tmp_path) == before
