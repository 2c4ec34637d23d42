"""The discrepancies of one table's references (contract sections 3 and 7)."""

from __future__ import annotations

import polars as pl

from person_unify.mappings.spec import Person
from person_unify.stages.transform.context import TableContext
from person_unify.stages.transform.references import ORPHAN_FIELD, ORPHAN_ID
from person_unify.stages.transform.soft import holders, soft_references
from person_unify.stages.transform.state import Met


def orphan_log(orphans: pl.DataFrame, table: TableContext) -> pl.DataFrame:
    """Rows that stay out because a required reference names nothing."""
    kind = table.bound.mapping.orphan_kind
    return table.log(orphans, kind, related_id=pl.col(ORPHAN_ID), field=pl.col(ORPHAN_FIELD))


def reference_log(rows: pl.DataFrame, table: TableContext) -> list[pl.DataFrame]:
    """Optional and loose references that name nothing, and child ids in patient columns."""
    logged = []
    for binding in table.bound.columns:
        name, word = binding.target.name, binding.word
        key, found = table.resolved.key.get(name, ""), table.resolved.found.get(name, "")
        field = getattr(word, "column", None)
        if binding.strength in ("optional", "loose"):
            dangling = pl.col(key).is_not_null() & pl.col(found).is_null()
            if getattr(word, "otherwise", None) == "":
                dangling &= pl.col(key) != ""
            lost = rows.filter(dangling)
            logged.append(
                table.log(lost, "dangling_reference", related_id=pl.col(key), field=field)
            )
        if isinstance(word, Person) and word.first == "patients":
            children = rows.filter(pl.col(f"{found}:child").fill_null(value=False))
            about = {"related_id": pl.col(key), "person_id": pl.col(found)}
            logged.append(table.log(children, "child_id_in_patient_column", field=field, **about))
    return logged


def soft_log(rows: pl.DataFrame, table: TableContext) -> list[pl.DataFrame]:
    """Old ids in columns that nobody resolves, told with the last part of the table.

    None before the persons are resolved.
    """
    people = table.registry.people
    if people is None:
        return []
    met = table.state.met
    for column, keys in holders(rows, table.bound, table.key, people):
        met.setdefault(column, Met()).add(keys)
    return soft_references(table.bound.name, met) if table.state.last else []
