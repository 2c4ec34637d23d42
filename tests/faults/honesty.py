"""The one set of invariants that holds after every trial, whatever the fault was."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection
from contextlib import closing
from typing import Literal

from tests.faults.site import CANARY, Outcome, Site

from person_unify.pipeline import verify
from person_unify.run.directory import ENDED, FACTS, run_directory

KILLED = -9
State = Literal["before", "complete"]
Way = Literal["--resume", "--fresh"]
WAYS: tuple[Way, Way] = ("--resume", "--fresh")
DONE = ("the target is filled and verified", "the migration is complete")
"""What an error says that came only after the commit."""
LOST_OUTPUT = "person-unify: the output could not be written: "


def assert_honest(
    site: Site,
    outcome: Outcome,
    codes: Collection[int],
    *,
    look: bool = True,
    way: Way = "--resume",
) -> None:
    """After ``outcome`` the files are what it said, and the way out that it names leads on.

    The source is byte-identical; the target is as before or complete and verified, and which of
    the two agrees with the exit code; a rerun succeeds; afterwards nothing is left lying about.
    ``look=False`` runs again before anybody opens the target, which would roll it back; ``way`` is
    the one taken where the message offers two.
    """
    assert_said(outcome, codes)
    assert_source(site)
    assert_silent_files(site)
    if look:
        assert_state(site, outcome)
    finish(site, outcome, way)
    assert_source(site)
    assert_silent_files(site)
    assert_verified(site)
    assert_tidy(site)


def assert_said(outcome: Outcome, codes: Collection[int]) -> None:
    """The exit code is one of those, with one clear line, and no cell."""
    assert outcome.code in codes, f"exit {outcome.code}: {outcome.stderr}"
    lines = [line for line in outcome.stderr.splitlines() if not line.startswith(LOST_OUTPUT)]
    if outcome.code in (0, KILLED):
        assert not lines, outcome.stderr
    else:
        assert len(lines) == 1, outcome.stderr
        assert lines[0].startswith("person-unify: "), outcome.stderr
        assert "internal error" not in lines[0], outcome.stderr
    assert CANARY.lower() not in (outcome.stdout + outcome.stderr).lower(), "a cell was printed"


def assert_source(site: Site) -> None:
    """The source is what it was, and nothing was made beside it."""
    assert site.source.read_bytes() == site.original, "the source was changed"
    beside = sorted(path.name for path in site.source.parent.iterdir())
    assert beside == [site.source.name], f"beside the source: {beside}"


def assert_silent_files(site: Site) -> None:
    """No file holds a cell but databases."""
    for path in site.root.rglob("*"):
        if path.is_file() and ".db" not in path.name:
            assert CANARY.lower().encode() not in path.read_bytes().lower(), f"a cell in {path}"


def assert_state(site: Site, outcome: Outcome) -> None:
    """The target is as before or complete, and which of the two agrees with the exit code."""
    state = state_of(site)
    if outcome.code in (0, 6):
        assert state == "complete", "success was said, and the target is as before"
    elif outcome.code != KILLED and not any(words in outcome.stderr for words in DONE):
        assert state == "before", f"exit {outcome.code}, and the target is there: {outcome.stderr}"


def state_of(site: Site) -> State:
    """What a reader of the target finds; anything between the two states fails."""
    if site.in_place:
        with closing(sqlite3.connect(site.target)) as reader:
            # Whoever reads first rolls an unfinished transaction back.
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if site.target.read_bytes() == site.pristine_target.read_bytes():
            return "before"
    elif not site.target.exists():
        return "before"
    assert_verified(site)
    return "complete"


def assert_verified(site: Site) -> None:
    """The files alone prove the migration."""
    failed = verify(site.source, site.target).failed_checks
    assert not failed, f"the target is not verified: {failed[:3]}"


def finish(site: Site, outcome: Outcome, way: Way = "--resume") -> None:
    """Take the way out that the messages name until the migration is done."""
    if outcome.code in (0, 6) or is_finished(site):
        if run_directory(site.target).exists():
            # The very last step was cut short; the next call, though refused, makes up for it.
            assert_said(site.run_here(), {3})
        return
    again = site.run_here()
    if again.code != 0:
        assert_said(again, {3})
        assert all(offered in again.stderr for offered in WAYS), again.stderr
        again = site.run_here(*site.arguments(way))
        if again.code == 3 and way == "--fresh":
            # The target is complete already: nothing can be begun anew, only finished.
            assert "--resume" in again.stderr, again.stderr
            again = site.run_here(*site.arguments("--resume"))
    assert_said(again, {0})


def is_finished(site: Site) -> bool:
    """Whether a run that was killed had come to its end: nothing is left for another to do."""
    facts = run_directory(site.target) / FACTS
    ended = not facts.exists() or ENDED in json.loads(facts.read_text("utf-8"))["phases"]
    return site.ledger.exists() and ended


def assert_tidy(site: Site, *, live: bool = False) -> None:
    """After success only what is documented is there (``live``: and what a writer has open)."""
    found = sorted(files_of(site))
    expected = [
        r"backups/old\.db\.backup-[0-9TZ.]+",
        r"source/old\.db",
        r"target/new\.checkpoints\.json",
        r"target/new\.report\.html",
        r"target/new\.report\.json",
        r"target/new\.db",
        r"target/new\.ledger\.db",
    ]
    if site.in_place:
        expected.append(r"target/new\.db\.pre-migration-[0-9TZ.]+")
    if live:
        found = [name for name in found if not re.fullmatch(r"source/old\.db-(wal|shm)", name)]
    unexpected = [name for name in found if not any(re.fullmatch(e, name) for e in expected)]
    missing = [e for e in expected if not any(re.fullmatch(e, name) for name in found)]
    assert not unexpected, f"left lying about: {unexpected}"
    assert not missing, f"missing after success: {missing}"
    assert len(found) == len(expected), f"more than one of a kind: {found}"


def files_of(site: Site) -> dict[str, bytes | None]:
    """Every file of the site with its content, and every directory."""
    return {
        str(path.relative_to(site.root)): path.read_bytes() if path.is_file() else None
        for place in site.places
        for path in place.rglob("*")
    }
