"""What the code never saw is archived and logged: never lost, and never a crash (section 2).

``make test`` draws a dozen databases; ``PERSON_UNIFY_EXAMPLES=500`` draws that many.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import event, given
from tests.migration.support import SMALL, old_database
from tests.strategies.examples import drawn
from tests.strategies.strangers import BYSTANDERS, NewColumn, NewTable, Strangers, strangers

from person_unify.errors import SchemaRefused, SourceError
from person_unify.pipeline import MigrateOptions, migrate, verify
from person_unify.report import Report
from person_unify.schema import quote

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


def cells_of(path: Path, table: str, columns: Sequence[str]) -> dict[str, Counter[tuple[str, str]]]:
    """Storage class and bytes of every cell, a bag per column."""
    found: dict[str, Counter[tuple[str, str]]] = {column: Counter() for column in columns}
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        for start in range(0, len(columns), 500):
            group = columns[start : start + 500]
            listed = ", ".join(
                f"typeof({c}), CASE typeof({c}) WHEN 'real' THEN printf('%!.17g', {c}) "
                f"ELSE hex(CAST({c} AS BLOB)) END"
                for c in map(quote, group)
            )
            for row in connection.execute(f"SELECT {listed} FROM {quote(table)}"):
                for column, kind, cell in zip(group, row[::2], row[1::2], strict=True):
                    found[column][kind, cell] += 1
    return found


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
    missing = cells_of(source, table, columns_of(source, table))
    for path, name in ((ledger, f"archive_{table}"), *((target, home) for home in sorted(homes))):
        shared = [column for column in columns_of(path, name) if column in missing]
        for column, held in cells_of(path, name, shared).items():
            missing[column] -= held
    return [column for column, cells in missing.items() if any(kind != "null" for kind, _ in cells)]


def migrated(source: Path, target: Path) -> Report | None:
    """The report of the run, None where it was refused before the first write."""
    try:
        return migrate(MigrateOptions(source, target, keep_backup=False))
    except SchemaRefused:
        assert not target.exists()
        return None


def require_every_cell_kept(directory: Path, added: Strangers) -> Report | None:
    """Migrate with the strangers, verify anew, and find each of their cells again."""
    source, target = directory / "old.db", directory / "new.db"
    old_database(source, TABLES)
    known = {table: columns_of(source, table) for table in tables_of(source)}
    added.add_to(source)
    report = migrated(source, target)
    if report is None:
        return None
    assert not verify(source, target).failed_checks
    for table in tables_of(source):
        strange = {c for c in columns_of(source, table) if c not in known.get(table, ())}
        assert not strange & set(lost_cells(source, table, target, report)), table
        if table not in known:
            assert any(table in note for note in report.drift), table
    return report


@drawn(12, shrink=True)
@given(strangers())
def test_strange_tables_and_columns_are_kept_cell_by_cell(added: Strangers) -> None:
    with tempfile.TemporaryDirectory() as directory:
        if require_every_cell_kept(Path(directory), added) is None:
            event("refused")


def table(name: str, kind: str, columns: str, *rows: Sequence[object]) -> NewTable:
    """A table without declared types; ``columns`` are names between bars."""
    return NewTable(
        name, kind, [(c, "", "") for c in columns.split("|")], None, [list(row) for row in rows]
    )


def column(name: str, *cells: object, of: str = "patients") -> NewColumn:
    return NewColumn(of, name, "", None, list(cells))


def test_names_of_our_own_and_patterns_are_only_names(tmp_path: Path) -> None:
    names = ("@row", "@id", "@archived", "*", "^.*$", "", "_archived", "_reason", "person_id")
    added = Strangers(
        [column(name, 1, b"\xff", of=of) for name in names for of in ("patients", "ieps")],
        [
            table("keyless", "rowid", "|".join(names), [*range(9)], [None] * 9, [b"", 1.0] * 4),
            table("keyed", "without rowid", "^.*$|@row|*", [1, 2, "x"], [b"1", 2, 1.5]),
            table("hidden", "rowid", "rowid|_rowid_|oid", [1, 2, 3], [1, 2, 3], [None] * 3),
        ],
    )

    assert require_every_cell_kept(tmp_path, added)


def test_tables_called_like_ours_are_only_tables(tmp_path: Path) -> None:
    names = (
        *("notes", "notes_key", "key_of_archive_notes", "archive_notes", "archive_notes_key"),
        *("run", "lineage", "stage", "stage_0", "persons", "schools", "education_plans"),
        *("main", "source", "temp", "ledger", "verify_log", "_prisma_migrations", "", "*", 'q"'),
    )
    added = Strangers([], [table(name, "keyed", "id|v", ["a", 1]) for name in names])

    assert require_every_cell_kept(tmp_path, added)


def test_rows_whose_key_is_null_are_kept_apart(tmp_path: Path) -> None:
    added = Strangers(
        [],
        [
            table("one", "keyed", "id|v", [None, 1], [None, 2], ["a", 3], [None, 1]),
            table("two", "composite", "a|b|c", [None, 1, 1], [None, 1, 2], [1, None, b"\xff"]),
        ],
    )

    assert require_every_cell_kept(tmp_path, added)


def test_bystanders_are_ignored(tmp_path: Path) -> None:
    assert require_every_cell_kept(tmp_path, Strangers([], [], list(BYSTANDERS)))


def test_a_table_may_be_as_wide_as_its_archive_can_be(tmp_path: Path) -> None:
    names = "|".join(f"c{n}" for n in range(1_997))
    mixed: list[object] = [[None, n, str(n), b"\xff", n + 0.5][n % 5] for n in range(1_997)]

    assert require_every_cell_kept(tmp_path, Strangers([], [table("wide", "rowid", names, mixed)]))


def test_a_wider_table_is_refused_before_the_first_write(tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", TABLES)
    columns = "|".join(f"c{n}" for n in range(1_998))
    Strangers([], [table("wide", "rowid", columns)]).add_to(source)

    with pytest.raises(SourceError, match="wide has 1,998 columns and the ledger can archive"):
        migrate(MigrateOptions(source, tmp_path / "new.db"))

    assert not (tmp_path / "new.db").exists()


def test_a_missing_flag_does_not_hinder_the_check_of_unreadable_cells(tmp_path: Path) -> None:
    changed = (
        "ALTER TABLE parent_children DROP COLUMN is_primary",
        "UPDATE parent_children SET relationship_type = x'ff'",
    )

    assert require_every_cell_kept(tmp_path, Strangers(statements=list(changed)))


@pytest.mark.parametrize("key", [b"p", b"\xff", ""])
def test_keys_of_another_class_than_their_column_says(key: object, tmp_path: Path) -> None:
    """Whoever reads the cells first must leave them as they are for who comes next."""
    columns = [("k", "TEXT", ""), ("v", "", "")]
    added = NewTable("t", "keyed", columns, None, [[key, 1], ["other", b"p"]])

    assert require_every_cell_kept(tmp_path, Strangers([], [added], []))
