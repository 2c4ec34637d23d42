"""Finished migrations to damage, and one call that verifies them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from person_unify import pipeline
from person_unify.database import Database, inspect
from person_unify.mappings.bind import Plan, bind
from person_unify.sample import SampleOptions, write_sample
from person_unify.stages.extract import Extractor
from person_unify.stages.load import opened_to_verify
from person_unify.stages.verify import Check, VerifyOptions, verify

BAD = ("failed", "error")


@dataclass(frozen=True, eq=False)
class Migrated:
    """A finished migration, its plan and how it was made."""

    source: Path
    target: Path
    ledger: Path
    plan: Plan
    options: VerifyOptions
    faults: float
    started: int


def migrate_sample(folder: Path, faults: float) -> Migrated:
    """Make and migrate a sample of that many faults."""
    source = folder / "old.db"
    write_sample(source, SampleOptions(persons=120, seed=5, faults=faults))
    season(source)
    target = folder / "new.db"
    pipeline.migrate(pipeline.MigrateOptions(source, target, keep_backup=False))
    ledger = folder / "new.ledger.db"
    extractor = Extractor(source)
    with opened_to_verify(target, ledger, source) as database:
        plan = bind(extractor.tables, inspect(database), extractor.has_rows)
        started = int(database.value("SELECT started FROM ledger.run"))
    options = VerifyOptions("Asia/Kolkata", "active", started)
    return Migrated(source, target, ledger, plan, options, faults, started)


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


@contextmanager
def attached(migrated: Migrated, target: Path, ledger: Path) -> Iterator[Database]:
    """The files of a migration in a transaction that is rolled back."""
    with Database(target) as database:
        uri = f"file:{ledger}?mode=rw".replace("'", "''")
        database.execute(f"ATTACH '{uri}' AS ledger")
        database.execute(f"ATTACH 'file:{migrated.source}?mode=ro' AS source")
        database.execute("BEGIN IMMEDIATE")
        yield database
        database.execute("ROLLBACK")


def checks_of(
    migrated: Migrated, target: Path, ledger: Path, *damages: Sequence[str]
) -> list[Check]:
    """Verify after damages, each some statements, whose changes are rolled back."""
    with attached(migrated, target, ledger) as database:
        for statements in damages:
            before = database.value("SELECT total_changes()")
            for statement in statements:
                database.execute(statement)
            changed = database.value("SELECT total_changes()") - before
            of_schema = statements[0].startswith(("DROP", "CREATE"))
            assert changed or of_schema, "nothing damaged"
        return verify(database, migrated.plan, migrated.options, lambda _: None)


def bad_inside(migrated: Migrated, database: Database) -> set[tuple[str, str | None]]:
    """The checks that fail on an attached migration as it stands."""
    return bad(verify(database, migrated.plan, migrated.options, lambda _: None))


def bad(checks: list[Check]) -> set[tuple[str, str | None]]:
    return {(check.name, check.table) for check in checks if check.outcome in BAD}
