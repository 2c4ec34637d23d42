"""What others hand in or put in the way: links, ledgers, journals, directories that were copied."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.faults.honesty import assert_said, assert_source, assert_tidy
from tests.faults.site import Site
from tests.faults.strace import calls_of, injecting, require_strace, thinned
from tests.faults.test_commands import migrated, out
from tests.faults.trials import SHARES, Trials
from tests.files.test_journal import hot_journal

from person_unify.files import locks

LINKED = ("new.db", "new.ledger.db", "new.checkpoints.json", "new.report.json", "new.report.html")
SIDES = ("new.db-journal", "new.db-wal", "new.ledger.db-journal", ".new.db.migrating")


def test_links_at_names_of_ours(site: Site, trials: Trials) -> None:
    """A symbolic link, dangling or not, at a name that a run writes."""
    cases = [(name, aim) for name in (*LINKED, *SIDES) for aim in ("letter", "source", "nowhere")]
    for name, aim in trials.sample(cases, quick=6):
        site.reset()
        letter = site.root / "letter"
        letter.write_text("dear")
        aims = {"letter": letter, "source": site.source, "nowhere": site.root / "nowhere"}
        path = site.target.with_name(name)
        with trials.trial(f"{name} -> {aim}"):
            path.unlink(missing_ok=True)
            os.symlink(aims[aim], path)
            # What leads from the target to the source is found before anything is opened.
            same = (name, aim) == ("new.db", "source")
            assert_said(site.run_here(), {2} if same else {1, 3})
            assert letter.read_text() == "dear"
            assert not (site.root / "nowhere").exists()
            assert path.is_symlink()
            assert_source(site)
            path.unlink()
            if name != "new.db":
                assert_said(site.run_here(), {0})
                assert_tidy(site)


EDITS = (
    "UPDATE run SET target = '{victim}'",
    "UPDATE run SET target = '../victim/letter'",
    "UPDATE run SET source = ''",
    "UPDATE run SET options = '['",
    "UPDATE run SET started = 'x'",
    "UPDATE run SET id = x'00ff'",
    "DELETE FROM run",
    "INSERT INTO run SELECT id || '2', tool_version, started + 1, finished, source, target, "
    "source_sha256, options, outcome FROM run",
    "DROP TABLE artefacts",
    "DELETE FROM artefacts",
    "UPDATE artefacts SET path = '{victim}'",
    "UPDATE artefacts SET path = '{victim}/letter' WHERE kind = 'snapshot'",
    "UPDATE artefacts SET path = '{victim}' WHERE kind = 'pre_migration'",
    "UPDATE artefacts SET path = '{source}', sha256 = '{digest}', bytes = {size} "
    "WHERE kind = 'snapshot'",
    "UPDATE artefacts SET path = '.'",
    "UPDATE artefacts SET path = x'00ff'",
    "UPDATE artefacts SET sha256 = NULL",
    "UPDATE artefacts SET bytes = -1",
    "UPDATE artefacts SET kind = 'created' WHERE kind = 'target'",
    "UPDATE artefacts SET kind = 'created' WHERE kind = 'pre_migration'",
    "UPDATE artefacts SET kind = 'created', path = 'new.db', sha256 = NULL, bytes = NULL "
    "WHERE kind = 'pre_migration'",
    "INSERT INTO artefacts VALUES ('pre_migration', '{victim}/letter', NULL, NULL)",
    "DELETE FROM artefacts WHERE kind IN ('created', 'pre_migration')",
)


def test_edited_ledger(site: Site, trials: Trials) -> None:
    """A ledger that was edited, before rollback, purge, verify and export."""
    victim = site.root / "victim"
    cases = [(edit, way) for edit in EDITS for way in ("rollback", "purge", "verify", "export")]
    for edit, way in trials.sample(cases, quick=8):
        migrated(site)
        out(site)
        victim.mkdir(exist_ok=True)
        (victim / "letter").write_text("dear")
        names = {
            "victim": str(victim),
            "source": str(site.source),
            "digest": locks.sha256(site.source),
            "size": site.source.stat().st_size,
        }
        with trials.trial(f"{way}: {edit}"):
            with closing(sqlite3.connect(site.ledger)) as connection:
                connection.execute(edit.format(**names))
                connection.commit()
            before = site.target.read_bytes()
            calls = {
                "rollback": ["rollback", str(site.target), "--force"],
                "purge": ["purge", str(site.target), "--yes", "--in", str(site.backups)],
                "verify": ["verify", str(site.source), str(site.target), "--quiet"],
                "export": ["export", str(site.ledger), str(site.root / "out"), "--format", "csv"],
            }
            outcome = site.run_here(*calls[way])
            assert "internal error" not in outcome.stderr, outcome.stderr
            assert outcome.code in (0, 3, 4), (outcome.code, outcome.stderr)
            assert (victim / "letter").read_text() == "dear"
            assert [path.name for path in victim.iterdir()] == ["letter"]
            assert_source(site)
            if way != "rollback" or outcome.code:
                assert site.target.read_bytes() == before


def test_journal_that_names_a_file(site: Site, trials: Trials) -> None:
    """A hot journal that names a file to be deleted, beside source, target or ledger."""
    cases = [
        (place, way)
        for place in ("source", "target", "ledger")
        for way in ("check", "migrate", "verify", "diff", "rollback", "purge", "export", "rebuild")
    ]
    for place, way in trials.sample(cases, quick=6):
        migrated(site)
        precious = site.root / "precious"
        precious.write_text("somebody's")
        database: Path = getattr(site, place)
        source, target = str(site.source), str(site.target)
        calls = {
            "check": ["check", source],
            "migrate": [
                *("migrate", source, str(site.root / "target" / "other.db"), "--quiet"),
                *("--backup-dir", str(site.backups)),
            ],
            "verify": ["verify", source, target, "--quiet"],
            "diff": ["diff", source, target, "users"],
            "rollback": ["rollback", target],
            "purge": ["purge", target],
            "export": ["export", str(site.ledger), str(out(site)), "--format", "csv"],
            "rebuild": ["rebuild", target, str(out(site) / "rebuilt.db"), "--quiet"],
        }
        with trials.trial(f"{way}, beside the {place}"):
            hot_journal(database, precious)
            outcome = site.run_here(*calls[way])
            assert "internal error" not in outcome.stderr, outcome.stderr
            assert outcome.code in (0, 1, 3), (outcome.code, outcome.stderr)
            assert precious.read_text() == "somebody's"
            database.with_name(f"{database.name}-journal").unlink(missing_ok=True)
            assert_source(site)


@pytest.mark.parametrize("share", SHARES)
def test_copied_run(site: Site, trials: Trials, tmp_path: Path, share: int) -> None:
    """A killed run whose directories were copied: each of the two is about its own."""
    require_strace()
    calls = thinned(calls_of(site, tmp_path / "trace"), 8)
    ways = ("--fresh", "--resume", "purge")
    for position, (call, number) in enumerate(trials.sample(calls[::12], quick=3, share=share)):
        way = ways[position % len(ways)]
        site.reset()
        with trials.trial(f"{call} {number}, then {way} in the copy"):
            outcome = site.run(prefix=injecting(call, number, "signal=SIGKILL"))
            if outcome.code == 0:
                trials.miss()
                continue
            copied = Site(tmp_path / "copied", site.pristine, site.in_place)
            shutil.rmtree(copied.root, ignore_errors=True)
            for directory in (*site.places, site.root / "pristine"):
                shutil.copytree(directory, copied.root / directory.name, copy_function=shutil.copy2)
            before = contents(site)
            if way == "purge":
                call_ = ["purge", str(copied.target), "--yes", "--in", str(copied.backups)]
            else:
                call_ = copied.arguments(way)
            assert_said(copied.run_here(*call_), {0, 3})
            assert contents(site) == before
            assert_said(site.run_here(*site.arguments("--resume")), {0, 3})
            assert_source(site)
            if site.run_here("verify", str(site.source), str(site.target), "-q").code == 0:
                assert_tidy(site)


def contents(site: Site) -> dict[str, bytes]:
    """Every file of the site but locks, which hold a process id."""
    return {
        str(path.relative_to(site.root)): path.read_bytes()
        for place in site.places
        for path in place.rglob("*")
        if path.is_file() and path.name != "lock"
    }
