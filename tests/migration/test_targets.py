"""Targets: one that Prisma made is filled as it is, one that is absent is created."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.migration.support import SMALL, Found, Migrated, change, make_target, migrated, query

from person_unify.schema import UNIFIED, Table, create_statements

PRISMA = (
    "CREATE TABLE _prisma_migrations (id TEXT PRIMARY KEY NOT NULL, checksum TEXT NOT NULL, "
    "finished_at DATETIME, migration_name TEXT NOT NULL, applied_steps_count INTEGER UNSIGNED "
    "NOT NULL DEFAULT 0)",
    "INSERT INTO _prisma_migrations VALUES ('m1', 'abc', 1700000000000, '20240101_unified', 1)",
    "ALTER TABLE persons DROP COLUMN migration_notes",
    "ALTER TABLE persons ADD COLUMN shoe_size INTEGER",
    "ALTER TABLE tags ADD COLUMN colour TEXT DEFAULT 'red'",
    "CREATE TABLE changes (what TEXT)",
    "CREATE TRIGGER watch AFTER INSERT ON persons BEGIN "
    "INSERT INTO changes VALUES ('a person'); SELECT 'a;b'; END",
    "CREATE TRIGGER strict BEFORE INSERT ON users BEGIN SELECT RAISE(ABORT, 'no users'); END",
    "CREATE VIEW everyone AS SELECT id FROM persons",
)
TABLES = {
    **SMALL,
    "patients": [{**SMALL["patients"][0], "deleted_at": None, "languages_spoken": '["mr"]'}],
    "patient_tags": [
        {"patient_id": "p1", "tag": "speech", "created_at": "2024-01-02 03:04:05.678"}
    ],
    "messages": [{"id": "m1", "conversation_id": "k1", "is_read": "TRUE"}],
    "conversations": [{"id": "k1", "patient_id": None}],
}


def _schema(path: Path) -> list[Found]:
    return query(path, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")


@pytest.fixture(scope="module")
def prisma(tmp_path_factory: pytest.TempPathFactory) -> tuple[Migrated, list[Found]]:
    """A run into a target as Prisma makes it, and the schema that the target had before."""
    directory = tmp_path_factory.mktemp("prisma")
    target = make_target(directory / "new.db", list(UNIFIED.values())[::-1])
    change(target, *PRISMA)
    target.chmod(0o640)
    before = _schema(target)
    return migrated(directory, TABLES), before


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    return migrated(tmp_path_factory.mktemp("fresh"), TABLES)


def test_target_of_prisma_keeps_its_schema(prisma: tuple[Migrated, list[Found]]) -> None:
    done, before = prisma

    assert _schema(done.target) == before
    assert stat.S_IMODE(done.target.stat().st_mode) == 0o640


def test_target_of_prisma_keeps_its_migrations(prisma: tuple[Migrated, list[Found]]) -> None:
    (row,) = prisma[0].rows("SELECT * FROM _prisma_migrations")

    assert (row["id"], row["migration_name"]) == ("m1", "20240101_unified")


def test_triggers_stay_and_do_not_fire(prisma: tuple[Migrated, list[Found]]) -> None:
    assert prisma[0].rows("SELECT * FROM changes") == []
    assert len(prisma[0].rows("SELECT id FROM users")) == 2


def test_columns_that_the_schema_does_not_know_take_their_default(
    prisma: tuple[Migrated, list[Found]],
) -> None:
    assert prisma[0].row("SELECT colour FROM tags") == {"colour": "red"}
    assert prisma[0].row("SELECT shoe_size FROM persons") == {"shoe_size": None}


@pytest.mark.parametrize("which", ["prisma", "fresh"])
def test_target_is_sound(which: str, request: pytest.FixtureRequest) -> None:
    value = request.getfixturevalue(which)
    done = value[0] if isinstance(value, tuple) else value

    assert done.rows("PRAGMA foreign_key_check") == []
    assert done.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    assert query(done.ledger, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]


@pytest.mark.parametrize("which", ["prisma", "fresh"])
def test_instants_are_milliseconds_and_booleans_are_numbers(
    which: str, request: pytest.FixtureRequest
) -> None:
    value = request.getfixturevalue(which)
    done = value[0] if isinstance(value, tuple) else value
    seen = set()
    for table in UNIFIED.values():
        for column in _numbers(table):
            types = done.rows(f'SELECT DISTINCT typeof("{column}") AS t FROM "{table.name}"')
            seen |= {row["t"] for row in types}
    assert seen == {"integer", "null"}
    assert done.row("SELECT created_at FROM tags")["created_at"] == 1_704_164_645_678
    assert done.row("SELECT is_read FROM messages")["is_read"] == 1


def _numbers(table: Table) -> list[str]:
    present = [c for c in table.columns if (table.name, c.name) != ("persons", "migration_notes")]
    return [c.name for c in present if c.type in ("DATETIME", "BOOLEAN")]


def test_absent_target_gets_the_built_in_schema(fresh: Migrated) -> None:
    statements = sorted(create_statements(UNIFIED))

    assert sorted(r["sql"] for r in _schema(fresh.target) if r["sql"]) == [
        statement.rstrip(";") for statement in statements
    ]


def test_files_are_for_their_owner_only(fresh: Migrated) -> None:
    paths = [fresh.target, fresh.ledger, Path(fresh.report.files["backup"])]

    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600] * 3


def test_nothing_but_the_results_stays(fresh: Migrated) -> None:
    expected = {
        "old.db",
        "new.db",
        "new.ledger.db",
        "new.report.json",
        "new.report.html",
    }
    expected |= {"new.checkpoints.json"}
    expected.add(Path(fresh.report.files["backup"]).name)

    assert {path.name for path in fresh.target.parent.iterdir()} == expected
