"""Mappings for tables that nobody wrote one for, by the names of their columns (section 2)."""

from __future__ import annotations

from person_unify.mappings import MAPPINGS
from person_unify.mappings.spec import Copy, Mapping, Person, Word
from person_unify.schema import Schema, Table, folded


def by_convention(table: Table, target: Schema) -> Mapping | None:
    """Same-named columns of a same-named table; None where the target has no room for the table.

    ``patient_id`` or ``child_id`` becomes ``person_id``.  The mapping names the table as the target
    does, by which other tables refer to it, however the file writes it.
    """
    home = target.get(table.name)
    mapped = {mapping.target for mapping in MAPPINGS}
    if home is None or home.name in mapped or folded(table.name).startswith("_prisma"):
        return None
    columns: dict[str, Word] = {}
    for column in home.columns:
        same = table.column(column.name)
        if column.name == "person_id" and table.column("patient_id"):
            columns[column.name] = Person("patient_id")
        elif column.name == "person_id" and table.column("child_id"):
            columns[column.name] = Person("child_id", "children")
        elif same or column.default == "CURRENT_TIMESTAMP":
            # SQLite would write that default as text, where the target holds milliseconds.
            columns[column.name] = Copy(same.name if same else column.name)
        elif column.not_null and column.default is None:
            return None
    if not home.primary_key or not set(home.primary_key) <= set(columns):
        return None
    return Mapping(home.name, home.name, columns)
