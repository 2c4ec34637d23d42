"""Every planted defect is found, under the right name, on three databases."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from person_unify import pipeline
from person_unify.database import Database, inspect
from person_unify.mappings.bind import Plan, bind
from person_unify.sample import SampleOptions, write_sample
from person_unify.stages.extract import Extractor
from person_unify.stages.load import attach_for_verification
from person_unify.stages.verify import NAMES, Check, VerifyOptions, verify

from .damage import CELLS, REFERENCES, ROWS, Damage
from .damage_people import GRANTS, LEDGER, PEOPLE, VIEWS

DAMAGES = (*ROWS, *CELLS, *REFERENCES, *PEOPLE, *VIEWS, *GRANTS, *LEDGER)
BAD = ("failed", "error")


@dataclass(frozen=True)
class Migrated:
    """A finished migration, its plan and how it was made."""

    source: Path
    target: Path
    ledger: Path
    plan: Plan
    options: VerifyOptions
    faults: float
    started: int


DATABASES = [
    pytest.param(0.0, id="clean", marks=pytest.mark.slow),
    pytest.param(0.05, id="usual"),
    pytest.param(1.0, id="broken", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=DATABASES)
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    folder = tmp_path_factory.mktemp("migrated")
    source = folder / "old.db"
    write_sample(source, SampleOptions(persons=120, seed=5, faults=request.param))
    season(source)
    target = folder / "new.db"
    pipeline.migrate(pipeline.MigrateOptions(source, target, keep_backup=False))
    ledger = folder / "new.ledger.db"
    extractor = Extractor(source)
    with Database(target, read_only=True) as database:
        attach_for_verification(database, ledger, source)
        plan = bind(extractor.tables, inspect(database), extractor.has_rows)
        started = int(database.value("SELECT started FROM ledger.run"))
    options = VerifyOptions("Asia/Kolkata", "active", started)
    return Migrated(source, target, ledger, plan, options, request.param, started)


def season(source: Path) -> None:
    """Cells that some kinds of damage need, whatever the sample drew."""
    connection = sqlite3.connect(source)
    healthy = "patient_id IN (SELECT id FROM patients)"
    connection.execute(
        "UPDATE patient_contacts SET occupation = '' WHERE rowid = "
        f"(SELECT min(rowid) FROM patient_contacts WHERE {healthy})"
    )
    for text in (" aunt ", "an\0unt"):
        connection.execute(
            "UPDATE patient_contacts SET relationship = ? WHERE rowid = (SELECT min(rowid) FROM "
            f"patient_contacts WHERE {healthy} AND coalesce(relationship, '') <> ' aunt ')",
            (text,),
        )
    connection.commit()
    connection.close()


def checks_of(migrated: Migrated, target: Path, ledger: Path, *statements: str) -> list[Check]:
    """Verify inside a transaction that is rolled back, after some statements."""
    with Database(target) as database:
        uri = f"file:{ledger}?mode=rw".replace("'", "''")
        database.execute(f"ATTACH '{uri}' AS ledger")
        database.execute(f"ATTACH 'file:{migrated.source}?mode=ro' AS source")
        database.execute("BEGIN IMMEDIATE")
        before = database.value("SELECT total_changes()")
        for statement in statements:
            database.execute(statement)
        changed = database.value("SELECT total_changes()") - before
        assert changed or not statements or statements[0].startswith("DROP"), "nothing damaged"
        found = verify(database, migrated.plan, migrated.options, lambda _: None)
        database.execute("ROLLBACK")
    return found


def bad(checks: list[Check]) -> set[tuple[str, str | None]]:
    return {(check.name, check.table) for check in checks if check.outcome in BAD}


def test_an_untouched_migration_passes(migrated: Migrated) -> None:
    checks = checks_of(migrated, migrated.target, migrated.ledger)

    assert [check for check in checks if check.outcome in BAD] == []
    assert sum(check.outcome == "passed" for check in checks) > 200
    assert {check.name for check in checks} <= set(NAMES)
    assert all(check.detail for check in checks if check.outcome == "not_applicable")


def test_verification_leaves_no_table_behind(migrated: Migrated) -> None:
    with Database(migrated.target, read_only=True) as database:
        attach_for_verification(database, migrated.ledger, migrated.source)
        verify(database, migrated.plan, migrated.options, lambda _: None)

        assert database.rows("SELECT name FROM temp.sqlite_master") == []


def test_sessions_are_judged_by_the_time_zone_of_the_run(migrated: Migrated) -> None:
    elsewhere = replace(migrated, options=VerifyOptions("UTC", "active", migrated.started))

    checks = checks_of(elsewhere, migrated.target, migrated.ledger)

    name = next(b.name for b in migrated.plan.of("consultation_sessions"))
    assert bad(checks) == {("cells_match", name)}


def test_a_broken_index_fails_the_integrity_check(migrated: Migrated, tmp_path: Path) -> None:
    target = Path(shutil.copy(migrated.target, tmp_path / "new.db"))
    connection = sqlite3.connect(target)
    connection.execute("PRAGMA writable_schema = ON")
    changed = connection.execute(
        "UPDATE sqlite_master SET sql = replace(sql, '(\"person_id\")', '(\"contact_type\")') "
        "WHERE type = 'index' AND tbl_name = 'contacts' AND sql LIKE '%person_id%'"
    ).rowcount
    connection.commit()
    connection.close()
    assert changed == 1

    checks = checks_of(migrated, target, migrated.ledger)

    assert ("integrity", None) in bad(checks)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_damage_is_found_under_its_name(migrated: Migrated, damage: Damage) -> None:
    if damage.faulty and not migrated.faults:
        pytest.skip("a database without faults has no such rows")

    checks = checks_of(migrated, migrated.target, migrated.ledger, *damage.statements)

    found = bad(checks)
    name, table = damage.finds
    assert name in {n for n, t in found if table is None or t == table}, sorted(map(str, found))
    assert {n for n, _ in found} <= {name, *damage.also}
    assert all(
        check.outcome == "failed"
        for check in checks
        if name != "preparation" and check.outcome in BAD
    )
