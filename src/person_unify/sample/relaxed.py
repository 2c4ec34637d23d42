"""The old schema as worn databases have it: nothing enforced but the primary keys."""

from __future__ import annotations

from dataclasses import replace

from person_unify.schema import Column, Schema

UNTYPED = frozenset(
    {
        ("appointments", "date"),
        ("assessments", "total_score"),
        ("goal_progress_updates", "progress_percentage"),
        ("iep_goals", "current_progress"),
        ("ieps", "placement_percentage"),
        ("patient_contacts", "is_primary_contact"),
        ("patient_contacts", "pin_code"),
        ("patients", "pin_code"),
        ("patients", "middle_name"),
        ("screening_responses", "answer_value"),
        ("users", "email_verified"),
    }
)
"""Columns without a declared type, as some tools leave them: they hold integers as text, integral
REALs and numbers among texts, which SQLite's affinity would turn back anywhere else."""


def relaxed(schema: Schema) -> Schema:
    """The schema without NOT NULL and UNIQUE (a UNIQUE becomes a plain index) outside the keys."""
    return {
        name: replace(
            table,
            columns=tuple(_relaxed(name, column) for column in table.columns),
            uniques=(),
            indexes=tuple(dict.fromkeys((*table.uniques, *table.indexes))),
        )
        for name, table in schema.items()
    }


def _relaxed(table: str, column: Column) -> Column:
    if column.key_position:
        return column
    type_ = "" if (table, column.name) in UNTYPED else column.type
    return replace(column, type=type_, not_null=False)
