"""A finished run to deliver, and ways to see what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.migration.support import old_database, query
from tests.postgres.server import Database, binaries
from tests.strategies.handmade import Row

from person_unify.pipeline import MigrateOptions, migrate
from person_unify.postgres.address import Address, address
from person_unify.postgres.catalogue import TARGET, homes
from person_unify.postgres.rows import Columns, frames
from person_unify.postgres.server import Server as Connection
from person_unify.run.budget import Budget
from person_unify.sample import SampleOptions, write_sample
from person_unify.stages.extract import Extractor

PERSONS = 30

FURTHER = (
    "CREATE TABLE activity_notes (id text PRIMARY KEY, data jsonb NOT NULL)",
    "INSERT INTO activity_notes VALUES ('n', '{}')",
    "ALTER TABLE persons ADD COLUMN entered_by text NOT NULL DEFAULT current_user",
    "ALTER TABLE persons ADD COLUMN entered_at timestamp(3) DEFAULT CURRENT_TIMESTAMP",
)
"""What a platform may have besides: a table with rows, columns that the server fills."""


def every_version(database: str) -> pytest.MarkDecorator:
    """Run a test on a server of every version at hand; ``database``: its fixture."""
    return pytest.mark.parametrize(database, binaries(), indirect=True, ids=str)


@dataclass(frozen=True)
class Run:
    """A source and the finished run of it, in a directory of their own."""

    source: Path
    target: Path

    @property
    def ledger(self) -> Path:
        return self.target.with_name("new.ledger.db")

    def copied(self, directory: Path) -> Run:
        """The same files again, for a test to write to."""
        for path in (self.source, self.target, self.ledger):
            shutil.copy2(path, directory / path.name)
        return Run(directory / "old.db", directory / "new.db")

    def outcomes(self) -> list[str]:
        return [str(row["outcome"]) for row in query(self.ledger, "SELECT outcome FROM deliveries")]


def finished(directory: Path, faults: float = 0.0) -> Run:
    """Sample, migrate: a run whose every cell PostgreSQL can hold where there are no faults."""
    source, target = directory / "old.db", directory / "new.db"
    write_sample(source, SampleOptions(persons=PERSONS, seed=5, faults=faults))
    migrate(MigrateOptions(source, target, keep_backup=False))
    return Run(source, target)


def made(directory: Path, tables: Mapping[str, Sequence[Row]]) -> Run:
    """The finished run of a handmade source."""
    source, target = old_database(directory / "old.db", tables), directory / "new.db"
    migrate(MigrateOptions(source, target, keep_backup=False))
    return Run(source, target)


def place(database: Database, schema: str = "public") -> Address:
    return address(f"{database.url}&schema={schema}")


def rows_of(database: Database) -> int:
    """All rows of all tables of the public schema."""
    names = database.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    counts = " + ".join(f'(SELECT count(*) FROM "{name}")' for (name,) in names)
    return int(database.value(f"SELECT {counts}"))


@contextmanager
def untouched(database: Database) -> Iterator[None]:
    """Whatever is done within: the schema is as before, and as many rows are there."""
    before = database.dump(), rows_of(database)
    yield
    assert (database.dump(), rows_of(database)) == before


def fill(database: Database, source: Path) -> None:
    """Fill the old schema's tables with the rows of a file, as the platform's own move did."""
    extractor = Extractor(source)
    with Connection(place(database)) as connection:
        connection.execute("SET session_replication_role = replica")
        for name, home in homes(connection, TARGET).items():
            if name in extractor.tables:
                names = {column: column for column in home.table.column_names}
                for frame in frames(extractor, Columns(name, home.table, names), Budget()):
                    connection.copy(name, frame)
