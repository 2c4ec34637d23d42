"""Names, schemas and sizes that break programs which quote carelessly or assume too much."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.faults.honesty import assert_said, assert_silent_files, assert_verified, files_of
from tests.faults.site import CANARY, PEOPLE, Outcome, Site, write_small
from tests.faults.trials import Trials
from tests.migration.support import change, query
from tests.strategies.handmade import Row

from person_unify.schema import quote

Tables = Mapping[str, Sequence[Row]]

TEN_MB = 10_000_000
CREATED = pytest.mark.parametrize("site", ["created"], indirect=True)
NAMES = (
    *("with space", "hash#", "what?", "100%25", "quote'", 'double"', "back\\slash", "-dash"),
    *("new\nline", "semi;colon&", "file:x", ":memory:", "ünïcödé 🙂", "$(id)", "*", "tab\t", "~"),
    *("esc\x1b[2J", "n" * 80),
)
IDENTIFIERS = (
    *(
        "with space",
        "quote'",
        'double"',
        "semi;colon",
        "new\nline",
        "%s",
        "?1",
        ":name",
        "@x",
        "$y",
    ),
    *("[brackets]", "back`tick", "select", "ünïcödé 🙂", "rowid", "_rowid_", "oid", "_reason"),
    *("_archived", "archive_x", "lineage", "discrepancies", "run", "main", "temp", "x" * 300),
)


@CREATED
def test_hostile_file_names(site: Site, trials: Trials) -> None:
    """A file or directory of a hostile name."""
    for name in trials.sample(NAMES, quick=4):
        site.reset()
        with trials.trial(ascii(name)):
            there = replace(site, root=site.root / name)
            there.root.mkdir()
            there.reset()
            moved(there.source, f"{name}.db")
            source, target = (
                there.source.with_name(f"{name}.db"),
                there.root / "target" / f"{name}.db",
            )
            done = there.run_here("migrate", "--quiet", "--", str(source), str(target))
            assert_said(done, {0})
            assert_silent_files(there)
            proved = there.run_here("verify", "--quiet", "--", str(source), str(target))
            assert_said(proved, {0})
            again = there.run_here("migrate", "--quiet", "--", str(source), str(target))
            assert_said(again, {3})


@CREATED
def test_a_path_that_is_no_utf8_is_refused(site: Site) -> None:
    name = os.fsdecode(b"bytes\xff.db")
    before = files_of(site)

    done = site.run_here("migrate", "--quiet", str(site.source), str(site.root / "target" / name))

    assert_said(done, {2})
    assert "not UTF-8: rename it first" in done.stderr
    assert files_of(site) == before


def moved(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


@CREATED
def test_hostile_names_in_a_shell(site: Site, trials: Trials) -> None:
    """A relative path that looks like an option."""
    for name in trials.sample(("--quiet", "-q", "--help.db"), quick=1):
        site.reset()
        with trials.trial(name):
            moved(site.source, name)
            done = subprocess.run(
                site.command("migrate", "--quiet", "--", name, "--target.db"),
                capture_output=True,
                text=True,
                check=False,
                cwd=site.source.parent,
                env={**site.environment(), "PYTHONPATH": os.pathsep.join(_absolute_path())},
            )
            assert_said(Outcome(done.returncode, done.stdout, done.stderr), {0})


def _absolute_path() -> list[str]:
    path = os.environ.get("PYTHONPATH", "")
    return [str(Path(part).absolute()) for part in path.split(os.pathsep) if part]


@CREATED
def test_hostile_identifiers(site: Site, trials: Trials) -> None:
    """A table and columns of hostile names, with rows that must reach the archive."""
    for name in trials.sample(IDENTIFIERS, quick=4):
        with trials.trial(ascii(name)):
            columns = [name, f"{name} two", "Ärger"]
            rows = [{column: f"{CANARY} {column}" for column in columns}]
            source = with_tables(site, {f"t {name}": rows, **({name: rows})})
            change(
                source,
                f"ALTER TABLE patients ADD COLUMN {quote(f'p {name}')} TEXT",
                f"UPDATE patients SET {quote(f'p {name}')} = 'x'",
            )
            assert_migrated(site, source.read_bytes())
            for table in (name, f"t {name}"):
                (row,) = query(site.ledger, f"SELECT * FROM {quote(f'archive_{table}')}")
                assert {c: row[c] for c in columns} == rows[0]


@CREATED
def test_hostile_schemas(site: Site, trials: Trials) -> None:
    """Views, triggers, generated columns, odd tables and indexes in the source."""
    for name, statements in trials.sample(list(SCHEMAS.items()), quick=4):
        with trials.trial(name):
            source = with_tables(site, {})
            change(source, *statements)
            assert_migrated(site, source.read_bytes())


SCHEMAS: Mapping[str, Sequence[str]] = {
    "views": (
        "CREATE VIEW people AS SELECT * FROM patients",
        "CREATE VIEW broken AS SELECT missing FROM nowhere",
        "CREATE VIEW persons AS SELECT id FROM patients",
    ),
    "triggers": (
        "CREATE TRIGGER watch AFTER INSERT ON patients BEGIN DELETE FROM children; END",
        "CREATE TRIGGER broken AFTER UPDATE ON users BEGIN INSERT INTO nowhere VALUES (1); END",
    ),
    "generated columns": (
        "ALTER TABLE patients ADD COLUMN full_name TEXT AS (first_name || ' ' || last_name)",
        "ALTER TABLE children ADD COLUMN city TEXT GENERATED ALWAYS AS (upper(first_name)) VIRTUAL",
        "CREATE TABLE odd (id TEXT PRIMARY KEY, a INTEGER, b INTEGER AS (a * 2) STORED, "
        "c TEXT AS (a || b))",
        "INSERT INTO odd (id, a) VALUES ('o1', 21)",
    ),
    "odd tables": (
        "CREATE TABLE without (id TEXT PRIMARY KEY, note TEXT) WITHOUT ROWID",
        "INSERT INTO without VALUES ('b', 'second'), ('a', 'first')",
        "CREATE TABLE strict_one (id INTEGER PRIMARY KEY, any_cell ANY) STRICT",
        "INSERT INTO strict_one VALUES (1, x'00'), (2, 2.5), (3, 'three')",
        "CREATE TABLE checked (a CHECK (a > 0), b DEFAULT (random()))",
        "INSERT INTO checked (a) VALUES (1)",
        "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT)",
        "INSERT INTO counted VALUES (9223372036854775807), (-9223372036854775808)",
    ),
    "odd indexes": (
        "CREATE INDEX partial ON patients (city) WHERE city IS NOT NULL",
        "CREATE UNIQUE INDEX expression ON patients (lower(id))",
        "CREATE INDEX downwards ON children (first_name COLLATE NOCASE DESC)",
        "ANALYZE",
    ),
    "full text": (
        "CREATE VIRTUAL TABLE notes USING fts5(body)",
        "INSERT INTO notes VALUES ('some words')",
    ),
    "settings": (
        "PRAGMA user_version = -1",
        "PRAGMA application_id = 99",
        "PRAGMA journal_mode = WAL",
    ),
    "small pages": ("PRAGMA page_size = 512", "VACUUM"),
    "large pages": ("PRAGMA page_size = 65536", "VACUUM"),
    "incremental": ("PRAGMA auto_vacuum = 2", "VACUUM"),
}


@CREATED
def test_hostile_sizes(site: Site, trials: Trials) -> None:
    """Cells of 10 MB, as many columns as SQLite takes."""
    for name, (tables, refused) in SIZES.items():
        with trials.trial(name):
            content = with_tables(site, tables()).read_bytes()
            if refused:
                site.reset(content)
                before = files_of(site)
                assert_said(site.run_here(), {3})
                assert files_of(site) == before
            else:
                assert_migrated(site, content)


def test_cells_of_10_mb_arrive_byte_for_byte(tmp_path: Path, pristine: Path) -> None:
    site = Site(tmp_path, pristine)
    site.reset(with_tables(site, _huge()).read_bytes())

    assert_said(site.run_here(), {0})

    contents = query(site.target, "SELECT content FROM journal_entries ORDER BY id DESC")
    (legacy,) = query(site.ledger, "SELECT note, other FROM archive_legacy")
    assert contents[0]["content"] == "ä" * (TEN_MB // 2)
    assert legacy == {"note": b"\x00" * TEN_MB, "other": "y" * TEN_MB}


def _huge() -> Tables:
    journal: list[Row] = [
        {"id": "j9", "patient_id": "p1", "content": "ä" * (TEN_MB // 2)},
        {"id": "j8", "patient_id": "p1", "content": b"\xff" * TEN_MB},
    ]
    return {
        "journal_entries": journal,
        "legacy": [{"note": b"\x00" * TEN_MB, "other": "y" * TEN_MB}],
    }


def _wide(columns: int) -> Tables:
    cells = (b"x", 1.5, "t", None, 7)
    return {
        "wide": [
            {f"c{position}": cells[position * row % 5] for position in range(columns)}
            for row in (1, 2)
        ]
    }


def _wide_patients() -> Tables:
    extra = {f"extra {position}": f"e{position}" for position in range(1900)}
    return {"patients": [{"id": "p1", "clinician_id": "u1", **extra}]}


SIZES: Mapping[str, tuple[Callable[[], Tables], bool]] = {
    "cells of 10 MB": (_huge, False),
    "1,997 columns of an unknown table": (lambda: _wide(1997), False),
    "2,000 columns of an unknown table": (lambda: _wide(2000), True),
    "1,900 unknown columns of a known table": (_wide_patients, False),
}


def with_tables(site: Site, tables: Tables) -> Path:
    """An old database of the usual people and the given tables, outside the site's directories."""
    path = site.root / "made.db"
    path.unlink(missing_ok=True)
    return write_small(path, {**PEOPLE, **tables})


def assert_migrated(site: Site, content: bytes) -> None:
    site.reset(content)
    assert_said(site.run_here(), {0})
    assert site.source.read_bytes() == site.original
    assert_silent_files(site)
    assert_verified(site)
    with closing(sqlite3.connect(site.target)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
