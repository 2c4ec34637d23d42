"""Planted damage is opened to the keys and columns that were damaged, and to no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from person_unify.errors import DatabaseError
from person_unify.evidence.diff import Asked, Comparison, differences
from person_unify.evidence.finished import archives
from person_unify.files.database import Database
from person_unify.mappings import ID_MAPS
from person_unify.schema import quote
from person_unify.stages.load import opened_to_verify
from person_unify.stages.verify import Files

from .damage import CELLS, REFERENCES, ROWS, Damage
from .damage_people import GRANTS, LEDGER, PEOPLE, VIEWS
from .support import Migrated, copied
from .together import label, together, touch_the_same, upsets_comparison

Rows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]
"""Table -> key -> column -> cell."""

DAMAGES = tuple(
    damage
    for damage in (*ROWS, *CELLS, *REFERENCES, *PEOPLE, *VIEWS, *GRANTS, *LEDGER)
    # Nothing can be compared without it, and an unfilled table has no source to compare with.
    if damage.name not in ("a ledger table missing", "a row in a table that nothing fills")
)
SPREADS = (
    "an old id as a person's id",
    "a mismatch between child and patient not logged",
)
"""Damage after which other cells are wrong too, or whose measure was taken away as well."""

UNMEASURED = "a mismatch between child and patient not logged"
"""Notes are held against the log: that of the person whose only entry is lost seems right."""

MAPS = [
    ("a merged tag that points to another tag", "minus", "patient_tags", "tags"),
    ("a tag mapped to another tag", "changed", "patient_tags", "tags"),
    ("a patient without a person", "minus", "patients", "persons"),
    ("a child that became another person", "changed", "children", "persons"),
    ("a collision map entry lost", "minus", "peps", "education_plans"),
    ("a child's view not in the map", "minus", "children", "parent_child_views"),
    ("a doubled archive row", "archive", "reports", None),
]
"""Damage that leaves every target row as it was: name, and what the comparison must say."""


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


@cache
def undamaged(migrated: Migrated) -> tuple[Rows, dict[Any, set[tuple[Any, ...]]]]:
    """All cells as they were migrated, and where the maps lead from."""
    with copied(migrated, migrated.target, migrated.ledger) as copies:
        return everything(copies.database, migrated), origins(copies.database)


@dataclass(frozen=True)
class Damaged:
    """What the statements changed, as cells; and what the comparison said of it."""

    gone: set[tuple[str, tuple[Any, ...]]]
    new: set[tuple[str, tuple[Any, ...]]]
    changed: set[tuple[str, tuple[Any, ...], str]]
    comparison: Comparison
    maps: dict[Any, set[tuple[Any, ...]]]

    def old(self, key: tuple[Any, ...]) -> set[tuple[Any, ...]]:
        """The old keys that a target key may come from: by the maps, or the same."""
        return self.maps.get(key[0], {key})


def damaged(
    migrated: Migrated,
    statements: Sequence[str],
    asked: Sequence[str] = (),
    column: str | None = None,
    limit: int = 1000,
) -> Damaged:
    """Damage the files, compare the tables that are asked or touched, and take it all back."""
    before, maps = undamaged(migrated)
    with copied(migrated, migrated.target, migrated.ledger) as copies:
        for statement in statements:
            copies.database.execute(statement)
        after = everything(copies.database, migrated)
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
        tables = asked or dict.fromkeys(
            b.name
            for b in migrated.plan.bound
            if f"archive_{b.name}" in touched or (b.target and b.target.name in touched)
        )
        copies.database.close()
        asked_ = Asked(list(tables), column, limit)
        comparison = differences(copies.files, migrated.plan, migrated.options, asked_)
    return Damaged(gone, new, changed, comparison, maps)


def origins(database: Database) -> dict[Any, set[tuple[Any, ...]]]:
    """New id -> the old keys that the ledger's maps lead to it from; an implied grant's child."""
    found: dict[Any, set[tuple[Any, ...]]] = {}
    for name in (*ID_MAPS.values(), "collision_to_id"):
        for old, new in database.rows(f"SELECT old_id, new_id FROM ledger.{name}"):
            found.setdefault(new, set()).add((old,))
    for *old, new in database.rows("SELECT patient_id, tag, new_id FROM ledger.tag_to_tag"):
        found.setdefault(new, set()).add(tuple(old))
    for child, new in database.rows(
        "SELECT d.source_id, g.id FROM ledger.discrepancies AS d JOIN main.access_grants AS g "
        "ON g.person_id = d.person_id WHERE d.kind = 'implied_grant' AND g.id NOT IN "
        "(SELECT new_id FROM ledger.consent_to_grant)"
    ):
        found.setdefault(new, set()).add((child,))
    return found


def keys_of(found: Damaged, kind: str) -> set[tuple[str | None, str | None, Any, Any]]:
    """``(target, column, source key, target key)`` of the differences of a kind."""
    return {
        (f.target, f.column, row.source_key, row.target_key)
        for f in found.comparison.found
        if f.kind == kind
        for row in f.rows
    }


def disturb_each_other(one: Damage, other: Damage) -> bool:
    """What one writes changes what has to be said of the other."""
    spread = not {one.name, other.name}.isdisjoint(SPREADS)
    return spread or touch_the_same(one, other) or upsets_comparison(one, other)


@pytest.mark.parametrize("damages", together(DAMAGES, disturb_each_other), ids=label)
def test_damages_are_opened_to_their_keys(migrated: Migrated, damages: tuple[Damage, ...]) -> None:
    """Planted together where one does not disturb the other: each cell is told by its own key."""
    there = [damage for damage in damages if migrated.faults or not damage.faulty]
    if not there:
        pytest.skip("a database without faults has no such rows")
    names = {damage.name for damage in there}
    found = damaged(migrated, [s for damage in there for s in damage.statements])

    in_target = {(t, k, c) for t, k, c in found.changed if not t.startswith("archive_")}
    changed = keys_of(found, "changed")
    named = {(target, key, column) for target, column, _, key in changed}
    silent = in_target - named
    if UNMEASURED in names:
        assert len(silent) <= 1
        assert {column for _, _, column in silent} <= {"migration_notes"}
    else:
        assert not silent
    if names.isdisjoint(SPREADS):
        assert named == in_target
        assert all(old in found.old(key) for _, _, old, key in changed)
    for table, key in found.gone:
        if not table.startswith("archive_"):
            missing = {old for target, _, old, _ in keys_of(found, "minus") if target == table}
            assert missing & found.old(key)
    extra = {(target, key) for target, _, _, key in keys_of(found, "plus")}
    new = {(t, k) for t, k in found.new if not t.startswith("archive_")}
    assert extra == new if names.isdisjoint(SPREADS) else extra <= new
    _assert_archive_is_opened(found)


def _assert_archive_is_opened(found: Damaged) -> None:
    """Every changed cell or row of an archive is named by its key, under its column."""
    cells = {
        (f.source, f.column, row.source_key)
        for f in found.comparison.found
        if f.kind in ("archive", "lost", "minus")
        for row in f.rows
    }
    for table, key, column in found.changed:
        if table.startswith("archive_"):
            own = None if column in ("_archived", "_reason") else column
            assert (table.removeprefix("archive_"), own, key) in cells
    for table, key in found.gone | found.new:
        if table.startswith("archive_"):
            assert (table.removeprefix("archive_"), None, key) in cells


@pytest.mark.parametrize(("name", "kind", "source", "target"), MAPS)
def test_damage_to_the_maps_is_opened_too(
    migrated: Migrated, name: str, kind: str, source: str, target: str | None
) -> None:
    (damage,) = (d for d in DAMAGES if d.name == name)
    if damage.faulty and not migrated.faults:
        pytest.skip("a database without faults has no such rows")

    found = damaged(migrated, damage.statements, (source,)).comparison

    assert (kind, source, target) in {(f.kind, f.source, f.target) for f in found.found}
    assert all(row.source_key or row.target_key for f in found.found for row in f.rows)


def test_a_healthy_target_has_no_difference_and_says_what_was_compared(migrated: Migrated) -> None:
    names = [*(b.name for b in migrated.plan.bound), *(t.name for t in migrated.plan.unmapped)]
    tables = list(dict.fromkeys(names))
    files = Files(migrated.source, migrated.target, migrated.ledger)
    found = differences(files, migrated.plan, migrated.options, Asked(tables))
    with opened_to_verify(migrated.target, migrated.ledger, migrated.source) as database:
        rows = sum(
            int(database.value(f"SELECT count(*) FROM source.{quote(name)}")) for name in tables
        )

    assert (found.found, found.unopened, found.total) == ((), (), 0)
    assert found.compared["source rows"] == rows
    assert min(found.compared.values()) > 0
    assert set(found.keys) == set(tables)


def test_one_column_alone(migrated: Migrated) -> None:
    changes = ("UPDATE main.contacts SET relationship = 'x', first_name = 'y'",)

    found = damaged(migrated, changes, ("patient_contacts",), column="first_name").comparison

    assert {f.column for f in found.found} == {"first_name"}
    assert {f.kind for f in found.found} == {"changed", "lost"}


def test_the_limit_bounds_the_keys_and_not_the_count(migrated: Migrated) -> None:
    changes = ("UPDATE main.contacts SET relationship = 'x'",)

    found = damaged(migrated, changes, ("patient_contacts",), limit=2).comparison

    (changed, lost) = found.found
    assert len(changed.rows) == len(lost.rows) == 2
    assert changed.count > 2
    assert found.total == changed.count + lost.count


def test_a_statement_that_fails_is_an_error_and_no_equality(migrated: Migrated) -> None:
    with pytest.raises(DatabaseError, match="could not be compared"):
        damaged(migrated, ("DROP TABLE ledger.tag_to_tag",), ("users",))
