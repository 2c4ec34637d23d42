"""Which cells decide who is who, so that only these are read of all rows at once."""

from __future__ import annotations

import polars as pl

from person_unify.frames.model import ROW, SourceFrame
from person_unify.frames.reading import Reader
from person_unify.frames.values import Type
from person_unify.stages.resolve.links import CREATED, ID

DELETED = "@deleted"

_OF_A_HUMAN: dict[str, Type] = {
    "first_name": "TEXT",
    "last_name": "TEXT",
    "date_of_birth": "DATETIME",
    "gender": "TEXT",
    "udid_number": "TEXT",
    "created_at": "DATETIME",
}
DECIDING: dict[str, dict[str, Type]] = {
    "patients": {**_OF_A_HUMAN, "clinician_id": "TEXT"},
    "children": {
        **_OF_A_HUMAN,
        "linked_patient_id": "TEXT",
        "parent_id": "TEXT",
        "updated_at": "DATETIME",
    },
    "parent_children": {
        "patient_id": "TEXT",
        "parent_id": "TEXT",
        "relationship_type": "TEXT",
        "is_primary": "BOOLEAN",
        "added_at": "DATETIME",
    },
    "consent_grants": {"patient_id": "TEXT", "parent_id": "TEXT"},
}
"""Source table -> the columns beside its key that persons, views and grants depend on, by type."""


STATED = {"patients": {"deleted_at": DELETED}}
"""Columns of which it only matters whether a cell states anything, and what says so."""


def deciding_columns(name: str) -> tuple[str, ...]:
    """The columns beside its key that are read of all rows of a table, named as in the contract."""
    return (*DECIDING[name], *STATED.get(name, ()))


def deciding_cells(source: SourceFrame, name: str, run_time: int) -> pl.DataFrame:
    """``@row``, ``@id`` and what decides of a table, canonical; ``name`` is the contract's.

    The columns are named as the contract does, but for ``@created`` and those of :data:`STATED`.
    """
    reader = Reader(source, run_time)
    deciding = DECIDING[name].items()
    reader.prepare([*((column, "TEXT") for column in source.key), *deciding])
    named = {"created_at": CREATED}
    return reader.source.frame.select(
        ROW,
        reader.key_text().alias(ID),
        *(reader.peek(column, t).value.alias(named.get(column, column)) for column, t in deciding),
        *(reader.stated(column).alias(says) for column, says in STATED.get(name, {}).items()),
    )
