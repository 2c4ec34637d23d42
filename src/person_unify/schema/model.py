"""Frozen descriptions of tables, columns and keys, and the two built-in schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """One column as the schema declares it; ``default`` is the SQL text of its DEFAULT."""

    name: str
    type: str
    not_null: bool = False
    default: str | None = None
    key_position: int = 0


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A single-column foreign key (the platform has no others)."""

    column: str
    table: str
    referenced: str
    on_delete: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table: columns in order, foreign keys, UNIQUE column lists and plain index column lists."""

    name: str
    columns: tuple[Column, ...]
    foreign_keys: tuple[ForeignKey, ...] = ()
    uniques: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Names of the primary key's columns in key order; empty where the table has none."""
        keyed = sorted((c for c in self.columns if c.key_position), key=lambda c: c.key_position)
        return tuple(column.name for column in keyed)

    @property
    def column_names(self) -> tuple[str, ...]:
        """All column names in declared order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column | None:
        """The column of that exact name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def foreign_key(self, column: str) -> ForeignKey | None:
        """The foreign key on that column, or None."""
        return next((key for key in self.foreign_keys if key.column == column), None)


Schema = Mapping[str, Table]


def _table(name: str, raw: Mapping[str, Any]) -> Table:
    columns = tuple(
        Column(
            name=column["name"],
            type=column["type"],
            not_null=column.get("not_null", False),
            default=None if column.get("default") is None else str(column["default"]),
            key_position=column.get("primary_key", 0),
        )
        for column in raw["columns"]
    )
    keys = []
    for key in raw.get("foreign_keys", ()):
        table, _, referenced = key["references"].partition(".")
        keys.append(ForeignKey(key["column"], table, referenced, key["on_delete"]))
    return Table(
        name=name,
        columns=columns,
        foreign_keys=tuple(keys),
        uniques=tuple(tuple(unique) for unique in raw.get("unique", ())),
        indexes=tuple(tuple(index) for index in raw.get("indexes", ())),
    )


def _load(resource: str) -> dict[str, Table]:
    raw = json.loads(files(__package__).joinpath(resource).read_text(encoding="utf-8"))
    return {name: _table(name, table) for name, table in raw.items()}


OLD: Schema = _load("old.json")
UNIFIED: Schema = _load("unified.json")
