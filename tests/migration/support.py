"""What the tests of the whole share: one call to migrate, plain sqlite3 to look at the result."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.strategies.handmade import Row, write

from person_unify.pipeline import MigrateOptions, migrate
from person_unify.report import Report
from person_unify.schema import UNIFIED, Table, create_index, create_table

Found = Mapping[str, Any]

SMALL: Mapping[str, Sequence[Row]] = {
    "users": [{"id": "u1", "email": "u1@example.org"}, {"id": "u2", "email": "u2@example.org"}],
    "parents": [{"id": "r1", "user_id": "u2"}],
    "patients": [{"id": "p1", "clinician_id": "u1"}],
    "children": [{"id": "c1", "parent_id": "r1", "linked_patient_id": "p1"}],
}
"""A linked child with everyone around it: the least that makes a person, both views and a grant."""


def old_database(path: Path, tables: Mapping[str, Sequence[Row]]) -> Path:
    """Write an old database with the given rows."""
    return write(path, **dict(tables))  # type: ignore[arg-type]


def query(path: Path, statement: str, *parameters: Any) -> list[Found]:
    """Rows of a finished database, read-only, by column name."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(statement, parameters)]


def change(path: Path, *statements: str) -> None:
    """Run statements on a database and commit."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def make_target(path: Path, tables: Iterable[Table] = tuple(UNIFIED.values())) -> Path:
    """An empty database with the given tables and their indexes."""
    with closing(sqlite3.connect(path)) as connection:
        for table in tables:
            connection.execute(create_table(table))
            for statement in create_index(table):
                connection.execute(statement)
        connection.commit()
    return path


@dataclass(frozen=True)
class Migrated:
    """The files of a finished run, and questions about old records."""

    source: Path
    target: Path
    ledger: Path
    report: Report

    def rows(self, statement: str, *parameters: Any) -> list[Found]:
        return query(self.target, statement, *parameters)

    def row(self, statement: str, *parameters: Any) -> Found:
        (found,) = self.rows(statement, *parameters)
        return found

    def new_id(self, map_: str, old: str) -> str:
        (found,) = query(self.ledger, f"SELECT new_id FROM {map_} WHERE old_id = ?", old)
        return str(found["new_id"])

    def mapped(self, map_: str) -> set[str]:
        return {row["old_id"] for row in query(self.ledger, f"SELECT old_id FROM {map_}")}

    def person(self, old: str) -> Found:
        """The person that an old patient or child became."""
        map_ = "patient_to_person" if old.startswith("p") else "child_to_person"
        return self.row("SELECT * FROM persons WHERE id = ?", self.new_id(map_, old))

    def of_person(self, table: str, old: str) -> list[Found]:
        statement = f"SELECT * FROM {table} WHERE person_id = ? ORDER BY rowid"
        return self.rows(statement, self.person(old)["id"])

    def logged(self, kind: str, source_id: str | None = None) -> list[Found]:
        """Discrepancies of a kind, of one source row if given."""
        return query(
            self.ledger,
            "SELECT * FROM discrepancies WHERE kind = ? AND (? IS NULL OR source_id = ?)",
            *(kind, source_id, source_id),
        )

    def archived(self, table: str, where: str = "1") -> list[Found]:
        return query(self.ledger, f'SELECT * FROM "archive_{table}" WHERE {where}')


def migrated(
    directory: Path,
    tables: Mapping[str, Sequence[Row]] = SMALL,
    before: Sequence[str] = (),
    **options: Any,
) -> Migrated:
    """Write an old database into ``directory``, run some SQL on it, and migrate it there."""
    source, target = directory / "old.db", directory / "new.db"
    old_database(source, tables)
    change(source, *before)
    report = migrate(MigrateOptions(source, target, **options))
    return Migrated(source, target, directory / "new.ledger.db", report)
