"""Planted damage is opened to the keys and columns that were damaged, and to no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from person_unify.database import Database
from person_unify.finished import archives
from person_unify.lineage import ID_MAPS
from person_unify.schema import quote
from person_unify.stages.verify.differences import Comparison, differences

from .damage import CELLS, REFERENCES, ROWS, Damage
from .damage_people import GRANTS, LEDGER, PEOPLE, VIEWS
from .test_damage import DATABASES, Migrated, migrated

__all__ = ["migrated"]

Rows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]
"""Table -> key -> column -> cell."""

DAMAGES = (*ROWS, *CELLS, *REFERENCES, *PEOPLE, *VIEWS, *GRANTS, *LEDGER)


def rows_of(database: Database, catalog: str, table: str, key: Sequence[str]) -> Any:
    columns = [
        name
        for (name,) in database.rows(
            f"SELECT name FROM pragma_table_info('{table}', '{catalog}') ORDER BY cid"
        )
    ]
    cells = ", ".join(
        f"typeof({quote(c)}) || ' ' || coalesce(hex(CAST({quote(c)} AS BLOB)), '')" for c in columns
    )
    keys = ", ".join(f"CAST({quote(c)} AS TEXT)" for c in key)
    found = database.rows(f"SELECT {keys}, {cells} FROM {catalog}.{quote(table)}")
    return {row[: len(key)]: dict(zip(columns, row[len(key) :], strict=True)) for row in found}


def everything(database: Database, migrated: Migrated) -> Rows:
    """All cells of the target and of the archives."""
    targets = {b.target for b in migrated.plan.bound if b.target is not None}
    found = {t.name: rows_of(database, "main", t.name, t.primary_key) for t in targets}
    for name, archive in archives(database).items():
        found[f"archive_{name}"] = rows_of(database, "ledger", f"archive_{name}", archive.key)
    return found


@dataclass(frozen=True)
class Damaged:
    """What the statements changed, as cells; and what the comparison said of it."""

    gone: set[tuple[str, tuple[Any, ...]]]
    new: set[tuple[str, tuple[Any, ...]]]
    changed: set[tuple[str, tuple[Any, ...], str]]
    comparison: Comparison
    maps: dict[str, dict[str, set[str]]]

    def old(self, target: str, key: tuple[Any, ...]) -> set[tuple[Any, ...]]:
        """The old keys that a target key may come from."""
        for map_, news in self.maps.items():
            if target in map_ and key[0] in news:
                return {(old,) for old in news[key[0]]}
        return {key}


def damaged(migrated: Migrated, statements: Sequence[str]) -> Damaged:
    with Database(migrated.target) as database:
        database.execute(f"ATTACH 'file:{migrated.ledger}?mode=rw' AS ledger")
        database.execute(f"ATTACH 'file:{migrated.source}?mode=ro' AS source")
        database.execute("BEGIN IMMEDIATE")
        before = everything(database, migrated)
        maps = {
            f"{source} {target}": reversed_map(database, name)
            for (source, target), name in ID_MAPS.items()
        }
        maps["pep education_plans education_goals"] = reversed_map(database, "collision_to_id")
        for statement in statements:
            database.execute(statement)
        after = everything(database, migrated)
        changed = {
            (table, key, column)
            for table, rows in before.items()
            for key, cells in rows.items()
            for column, cell in cells.items()
            if key in after[table] and after[table][key][column] != cell
        }
        gone = {(t, key) for t, rows in before.items() for key in rows.keys() - after[t].keys()}
        new = {(t, key) for t, rows in after.items() for key in rows.keys() - before[t].keys()}
        touched = {t for t, *_ in (*changed, *gone, *new)}
        tables = [
            name
            for name in dict.fromkeys(b.name for b in migrated.plan.bound)
            if f"archive_{name}" in touched
            or any(
                b.target and b.target.name in touched for b in migrated.plan.bound if b.name == name
            )
        ]
        comparison = differences(database, migrated.plan, migrated.options, tables, limit=1000)
        database.execute("ROLLBACK")
    return Damaged(gone, new, changed, comparison, maps)


def reversed_map(database: Database, name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for old, new in database.rows(f"SELECT old_id, new_id FROM ledger.{name}"):
        found.setdefault(new, set()).add(old)
    return found


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_damage_is_opened_to_its_keys(migrated: Migrated, damage: Damage) -> None:
    if damage.faulty and not migrated.faults:
        pytest.skip("a database without faults has no such rows")
    found = damaged(migrated, damage.statements)
    print(found.gone, found.new, found.changed)
    for f in found.comparison.found:
        print(f)
    print(found.comparison.unopened)
    assert 0
