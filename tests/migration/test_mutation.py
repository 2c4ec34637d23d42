"""What the code never saw is archived and logged: never lost, and never a crash (section 2).

``make test`` draws two dozen databases; ``PERSON_UNIFY_EXAMPLES=500`` draws that many.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from tests.migration.support import SMALL, old_database
from tests.strategies.strangers import Strangers, strangers

from person_unify.errors import SchemaRefused
from person_unify.pipeline import MigrateOptions, migrate, verify
from person_unify.report import Report
from person_unify.schema import quote

EXAMPLES = int(os.environ.get("PERSON_UNIFY_EXAMPLES", "24"))
TABLES = {
    **SMALL,
    "parent_children": [{"id": "l1", "patient_id": "p1", "parent_id": "r1"}],
    "consent_grants": [{"id": "g1", "patient_id": "p1", "parent_id": "r1", "status": "active"}],
    "patient_tags": [{"patient_id": "p1", "tag": "a"}, {"patient_id": "p1", "tag": "b"}],
    "patient_contacts": [{"id": "k1", "patient_id": "p1"}, {"id": "k2", "patient_id": "c1"}],
    "ieps": [{"id": "i1", "patient_id": "p1"}, {"id": "i2", "patient_id": "nobody"}],
    "peps": [{"id": "i1", "patient_id": "p1", "parent_id": "r1"}],
    "appointment_history": [{"id": "h1"}],
}


def cells_of(path: Path, table: str, columns: list[str]) -> list[tuple[Any, ...]]:
    """Storage class and bytes of the given columns, row by row."""
    listed = ", ".join(
        f"typeof({quote(c)}), CASE typeof({quote(c)}) WHEN 'real' THEN printf('%!.17g', {quote(c)})"
        f" ELSE hex(CAST({quote(c)} AS BLOB)) END"
        for c in columns
    )
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(f"SELECT {listed} FROM {quote(table)}").fetchall()


def columns_of(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT name FROM pragma_table_xinfo(?)", (table,))
        return [name for (name,) in found]


def tables_of(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
            "ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%'"
        )
        return [name for (name,) in found]


def lost_cells(source: Path, table: str, target: Path, report: Report) -> list[str]:
    """Columns of a source table with cells that neither the archive nor the target holds.

    Cells are compared as bags per column, so nothing of the tool's keys or joins is trusted.
    """
    ledger = target.with_name("new.ledger.db")
    homes = {table, *(t.target for t in report.tables if t.source == table and t.target)}
    homes |= {"persons", "parent_child_views", "clinician_patient_views"}
    lost = []
    for column in columns_of(source, table):
        missing = Counter(cells_of(source, table, [column]))
        del missing["null", ""]
        places = [(ledger, f"archive_{table}"), *((target, home) for home in homes)]
        for path, name in places:
            if column in columns_of(path, name):
                missing -= Counter(cells_of(path, name, [column]))
        if missing:
            lost.append(column)
    return lost


def migrated(source: Path, target: Path) -> Report | None:
    """The report of the run, None where it was refused before the first write."""
    try:
        return migrate(MigrateOptions(source, target, keep_backup=False))
    except SchemaRefused:
        assert not target.exists()
        return None


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(strangers())
def test_strange_tables_and_columns_are_kept_cell_by_cell(added: Strangers) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory, "old.db"), Path(directory, "new.db")
        old_database(source, TABLES)
        known = {table: columns_of(source, table) for table in tables_of(source)}
        added.add_to(source)

        report = migrated(source, target)

        if report is None:
            event("refused")
            return
        assert not verify(source, target).failed_checks
        for table in tables_of(source):
            strange = {c for c in columns_of(source, table) if c not in known.get(table, ())}
            assert not strange & set(lost_cells(source, table, target, report)), table
            if table not in known:
                assert any(table in note for note in report.drift), table
