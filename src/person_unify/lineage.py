"""Lineage: for every source column, where its cells go and by which rule (contract section 9)."""

from __future__ import annotations

import polars as pl

from person_unify.mappings.bind import Binding, BoundMapping, Plan
from person_unify.report import LineageLine
from person_unify.spec import ClinicianOf, Computed, Copy, Decided, Fold, NewId, Owner, Person, Via

COLUMNS = (
    "source_table",
    "source_column",
    "disposition",
    "target_table",
    "target_column",
    "rule",
)


def lineage(plan: Plan) -> pl.DataFrame:
    """One row per source column and target column it reaches, ``archived`` where there is none."""
    rows: list[tuple[str | None, ...]] = []
    seen: dict[str, set[str]] = {}
    for bound in plan.bound:
        held = seen.setdefault(bound.name, set())
        for binding in bound.columns:
            entry = _carried(bound, binding)
            if entry is not None:
                rows.append(entry)
                held.add(str(entry[1]))
    tables = {bound.name: bound.source for bound in plan.bound}
    tables.update({table.name: table for table in plan.unmapped})
    for name, table in tables.items():
        feeds = _feeds(plan, name)
        for column in table.column_names:
            if column not in seen.get(name, set()):
                rule = f"feeds {feeds[column]}" if column in feeds else "no home in the target"
                rows.append((name, column, "archived", None, None, rule))
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


def lines(plan: Plan) -> tuple[LineageLine, ...]:
    """The same as the report holds it."""
    return tuple(LineageLine(*row) for row in lineage(plan).select(COLUMNS).iter_rows())


def _carried(bound: BoundMapping, binding: Binding) -> tuple[str | None, ...] | None:
    word = binding.word
    assert bound.target is not None
    place = (bound.target.name, binding.target.name)
    if isinstance(word, Person):
        if word.column not in bound.source.column_names:
            return None
        return (bound.name, word.column, "mapped_id", *place, "person")
    if isinstance(word, Copy):
        if word.column not in bound.source.column_names:
            return None
        if binding.names is None:
            rule = "by name" if word.column == binding.target.name else "renamed"
            return (bound.name, word.column, "carried", *place, rule)
        return (bound.name, word.column, "mapped_id", *place, f"reference to {binding.names}")
    column = word.column if isinstance(word, Decided) else getattr(word, "carries", None)
    if column is None or column not in bound.source.column_names:
        return None
    rule = word.rule if isinstance(word, Decided | Computed) else ""
    return (bound.name, column, "mapped_id" if rule == "person" else "carried", *place, rule)


def _feeds(plan: Plan, source: str) -> dict[str, str]:
    """Source column -> the derived target column that it only feeds."""
    feeds: dict[str, str] = {}
    for bound in plan.bound:
        if bound.name != source or bound.target is None:
            continue
        for binding in bound.columns:
            for column in _read(binding):
                feeds.setdefault(column, f"{bound.target.name}.{binding.target.name}")
    return feeds


def _read(binding: Binding) -> list[str]:
    word = binding.word
    if isinstance(word, Fold):
        return [part.column for part in word.parts]
    if isinstance(word, Computed):
        return [read.column for read in word.reads]
    if isinstance(word, Via | Owner | ClinicianOf):
        return [word.column]
    if isinstance(word, Copy) and isinstance(word.otherwise, Copy):
        return [word.otherwise.column]
    if isinstance(word, NewId):
        return ["id"]
    return []
