"""Finished migrations to damage, and one call that verifies them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from person_unify import pipeline
from person_unify.files.database import Database, inspect
from person_unify.mappings.bind import Plan, bind
from person_unify.sample import SampleOptions, write_sample
from person_unify.stages.extract import Extractor
from person_unify.stages.load import opened_to_verify
from person_unify.stages.verify import Check, Files, VerifyOptions, reader, verify

BAD = ("failed", "error")
ROWS_OF_SMALL_TABLES = 60
BYTES_OF_PARTS = 50_000


@dataclass(frozen=True, eq=False)
class Migrated:
    """A finished migration, its plan and how it was made.

    in_parts: it is verified as a database is whose tables are too large to be in memory at once.
    """

    source: Path
    target: Path
    ledger: Path
    plan: Plan
    options: VerifyOptions
    faults: float
    started: int
    in_parts: bool


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
    return Migrated(source, target, ledger, plan, options, faults, started, faults == 1.0)


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


@dataclass(frozen=True)
class Copies:
    """Private copies of a migration's target and ledger, open to be damaged."""

    migrated: Migrated
    database: Database
    files: Files

    def checks(self) -> list[Check]:
        """Verify them as they stand."""
        self.database.close()
        migrated = self.migrated
        if not migrated.in_parts:
            return verify(self.files, migrated.plan, migrated.options, lambda _: None)
        with patch.object(reader, "SMALL", ROWS_OF_SMALL_TABLES):
            files = replace(self.files, part=BYTES_OF_PARTS)
            return verify(files, migrated.plan, migrated.options, lambda _: None)


@contextmanager
def copied(migrated: Migrated, target: Path, ledger: Path) -> Iterator[Copies]:
    """Copies of the files of a migration, with the source attached to look things up in."""
    with TemporaryDirectory() as folder:
        files = Files(migrated.source, Path(folder) / "new.db", Path(folder) / "new.ledger.db")
        for path, copy in ((target, files.target), (ledger, files.ledger)):
            shutil.copyfile(path, copy)
        database = opened(migrated, files)
        try:
            yield Copies(migrated, database, files)
        finally:
            database.close()


def opened(migrated: Migrated, files: Files) -> Database:
    """Open copies for a damage: target as ``main``, the ledger and the source by their names."""
    database = Database(files.target)
    database.execute("PRAGMA synchronous = OFF")
    database.attach(files.ledger, "ledger")
    database.attach(migrated.source, "source", settled=True)
    return database


def checks_of(
    migrated: Migrated, target: Path, ledger: Path, *damages: Sequence[str]
) -> list[Check]:
    """Verify copies after damages, each some statements."""
    with copied(migrated, target, ledger) as copies:
        for statements in damages:
            before = copies.database.value("SELECT total_changes()")
            for statement in statements:
                copies.database.execute(statement)
            changed = copies.database.value("SELECT total_changes()") - before
            of_schema = statements[0].startswith(("DROP", "CREATE"))
            assert changed or of_schema, "nothing damaged"
        return copies.checks()


def bad(checks: list[Check]) -> set[tuple[str, str | None]]:
    return {(check.name, check.table) for check in checks if check.outcome in BAD}
