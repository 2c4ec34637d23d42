"""Binding the mappings to real schemas, before a row is read (contract section 2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from person_unify.errors import SourceError, TargetError
from person_unify.mappings.bind import Plan, bind
from person_unify.mappings.spec import Copy
from person_unify.schema import OLD, UNIFIED, Column, Schema, Table


def _without(table: Table, *columns: str) -> Table:
    return replace(table, columns=tuple(c for c in table.columns if c.name not in columns))


def _with(table: Table, *columns: Column) -> Table:
    return replace(table, columns=(*table.columns, *columns))


def _bound(
    source: Schema | None = None, target: Schema | None = None, full: tuple[str, ...] = ()
) -> Plan:
    chosen = dict(OLD if source is None else source)
    return bind(chosen, dict(UNIFIED if target is None else target), lambda name: name in full)


def test_every_old_table_is_bound_once_and_nothing_is_missing() -> None:
    plan = _bound()

    assert {b.mapping.source for b in plan.bound} == set(OLD)
    assert (plan.unmapped, plan.missing) == ((), ())


def test_every_required_target_column_is_filled() -> None:
    for bound in _bound().bound:
        if bound.target is not None:
            filled = {binding.target.name for binding in bound.columns}
            required = {c.name for c in bound.target.columns if c.not_null and c.default is None}
            assert required <= filled, bound.name


def test_rows_are_loaded_after_the_rows_that_they_name() -> None:
    plan = _bound()
    order = [bound.mapping.source for bound in plan.bound]
    for bound in plan.bound:
        for binding in bound.columns:
            if binding.names is not None and binding.strength == "required":
                assert order.index(binding.names) <= order.index(bound.mapping.source), bound.name


def test_neither_patients_nor_children() -> None:
    with pytest.raises(SourceError, match="not an old-schema database"):
        _bound({"users": OLD["users"]})


def test_missing_tables_are_empty() -> None:
    plan = _bound({"patients": OLD["patients"]})

    assert {b.mapping.source for b in plan.bound} == {"patients"}
    assert set(plan.missing) == set(OLD) - {"patients"}


def test_short_name_stands_for_the_usual_one() -> None:
    source = {n: t for n, t in OLD.items() if n != "patient_tags"}
    source["tags"] = replace(OLD["patient_tags"], name="tags")

    plan = _bound(source)

    assert plan.source_names["patient_tags"] == "tags"
    assert [b.name for b in plan.of("patient_tags")] == ["tags"]


@pytest.mark.parametrize(
    ("full", "chosen"), [((), "patient_tags"), (("tags",), "tags"), (("patient_tags",), None)]
)
def test_of_two_names_the_one_with_rows_counts(full: tuple[str, ...], chosen: str | None) -> None:
    source = {**OLD, "tags": replace(OLD["patient_tags"], name="tags")}

    plan = _bound(source, full=full)

    assert plan.source_names["patient_tags"] == (chosen or "patient_tags")


def test_two_names_with_rows_are_refused() -> None:
    source = {**OLD, "tags": replace(OLD["patient_tags"], name="tags")}

    with pytest.raises(SourceError, match="patient_tags and tags"):
        _bound(source, full=("tags", "patient_tags"))


def test_unknown_column_reaches_the_first_target_that_has_it() -> None:
    children = _with(OLD["children"], Column("nickname", "TEXT", False, None, 0))

    plan = _bound({**OLD, "children": children})

    homes = [
        bound.target.name
        for bound in plan.of("children")
        for binding in bound.columns
        if bound.target is not None and binding.word == Copy("nickname")
    ]
    assert homes == ["parent_child_views"]


def test_every_problem_of_a_target_is_named_at_once() -> None:
    target = {n: t for n, t in UNIFIED.items() if n not in ("messages", "reports")}
    target["tags"] = _with(UNIFIED["tags"], Column("colour", "TEXT", True, None, 0))
    target["persons"] = _without(UNIFIED["persons"], "city")

    with pytest.raises(TargetError) as caught:
        _bound(target=target)

    for problem in (
        *("table messages is missing", "table reports is missing"),
        *("column tags.colour is required", "column persons.city is missing"),
    ):
        assert str(caught.value).count(problem) == 1


def test_target_of_prisma_has_no_migration_notes() -> None:
    target = {**UNIFIED, "persons": _without(UNIFIED["persons"], "migration_notes")}

    assert _bound(target=target).bound


def test_table_by_convention_and_table_that_nobody_knows() -> None:
    legacy = Table("legacy", (Column("id", "TEXT", True, None, 1),), (), ())
    migrations = Table("_prisma_migrations", legacy.columns, (), ())
    source = {**OLD, "teachers": UNIFIED["teachers"], "schools": UNIFIED["schools"]}

    plan = _bound({**source, "legacy": legacy, "_prisma_migrations": migrations})

    names = [bound.name for bound in plan.bound]
    assert names.index("schools") < names.index("teachers")
    assert {table.name for table in plan.unmapped} == {"legacy", "_prisma_migrations"}


def test_table_by_convention_needs_the_key_and_the_required_columns() -> None:
    source = {**OLD, "schools": _without(UNIFIED["schools"], "name")}

    assert [table.name for table in _bound(source).unmapped] == ["schools"]
