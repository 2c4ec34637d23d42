"""The discrepancies of one table's references (contract sections 3 and 7)."""

from __future__ import annotations

import polars as pl

from person_unify.frames import discrepancies
from person_unify.spec import Person
from person_unify.stages.transform.at_hand import AtHand
from person_unify.stages.transform.parts import Met
from person_unify.stages.transform.references import ORPHAN_FIELD, ORPHAN_ID
from person_unify.stages.transform.soft import holders, soft_references


def orphan_log(orphans: pl.DataFrame, table: AtHand) -> pl.DataFrame:
    """Rows that stay out because a required reference names nothing."""
    return discrepancies(
        orphans,
        table.bound.mapping.orphan_kind,
        source_table=table.bound.name,
        source_id=table.key,
        related_id=pl.col(ORPHAN_ID),
        person_id=table.person,
        field=pl.col(ORPHAN_FIELD),
    )


def reference_log(rows: pl.DataFrame, table: AtHand) -> list[pl.DataFrame]:
    """Optional and loose references that name nothing, and child ids in patient columns."""
    logged = []
    for binding in table.bound.columns:
        name = binding.target.name
        if binding.strength in ("optional", "loose"):
            key, found = table.resolved.key[name], table.resolved.found[name]
            named = pl.col(key).is_not_null() & pl.col(found).is_null()
            if getattr(binding.word, "otherwise", None) == "":
                named &= pl.col(key) != ""
            logged.append(
                discrepancies(
                    rows.filter(named),
                    "dangling_reference",
                    source_table=table.bound.name,
                    source_id=table.key,
                    related_id=pl.col(key),
                    person_id=table.person,
                    field=getattr(binding.word, "column", None),
                )
            )
        if isinstance(binding.word, Person) and binding.word.first == "patients":
            logged.append(_child_log(rows, table, name, binding.word.column))
    return logged


def _child_log(rows: pl.DataFrame, table: AtHand, name: str, column: str) -> pl.DataFrame:
    found = table.resolved.found[name]
    return discrepancies(
        rows.filter(pl.col(f"{found}:child").fill_null(value=False)),
        "child_id_in_patient_column",
        source_table=table.bound.name,
        source_id=table.key,
        related_id=pl.col(table.resolved.key[name]),
        person_id=pl.col(found),
        field=column,
    )


def soft_log(rows: pl.DataFrame, table: AtHand) -> list[pl.DataFrame]:
    """Old ids in columns that nobody resolves, told with the last part of the table.

    None before the persons are resolved.
    """
    people = table.registry.people
    if people is None:
        return []
    met = table.parts.met
    for column, keys in holders(rows, table.bound, table.key, people):
        met.setdefault(column, Met()).add(keys)
    return soft_references(table.bound.name, met) if table.parts.last else []
