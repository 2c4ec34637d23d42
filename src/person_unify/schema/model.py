"""Frozen descriptions of tables, columns and keys, and the two built-in schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from typing import Any

from person_unify.schema.identifiers import Catalogue, folded


@dataclass(frozen=True, slots=True)
class Column:
    """One column as the schema declares it; ``default`` is the SQL text of its DEFAULT.

    name: as the program knows it.  written: as its file writes it, where that is another case.
    generated: whether SQLite computes its cells.
    """

    name: str
    type: str
    not_null: bool = False
    default: str | None = None
    key_position: int = 0
    written: str | None = None
    generated: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A single-column foreign key (the platform has no others)."""

    column: str
    table: str
    referenced: str
    on_delete: str


@dataclass(frozen=True)
class Table:
    """A table: columns in order, foreign keys, UNIQUE column lists and plain index column lists.

    collations: the primary key's or a UNIQUE's columns, and the collation of each, for those that
    are not all BINARY.  computed: of a target, the columns that SQLite computes, which are not
    among the others.
    """

    name: str
    columns: tuple[Column, ...]
    foreign_keys: tuple[ForeignKey, ...] = ()
    uniques: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    collations: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    computed: tuple[str, ...] = ()

    @cached_property
    def primary_key(self) -> tuple[str, ...]:
        """Names of the primary key's columns in key order; empty where the table has none."""
        keyed = sorted((c for c in self.columns if c.key_position), key=lambda c: c.key_position)
        return tuple(column.name for column in keyed)

    def collation(self, unique: tuple[str, ...]) -> tuple[str, ...]:
        """By which collation the columns of a key or UNIQUE are compared."""
        return dict(self.collations).get(unique, ("BINARY",) * len(unique))

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """All column names in declared order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column | None:
        """The column of that name in any case, or None."""
        return self._by_name.get(folded(name))

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {folded(column.name): column for column in reversed(self.columns)}

    def known(self, written: str) -> str:
        """A column's name as the program knows it, of the one that the file writes."""
        column = self.column(written)
        return written if column is None else column.name

    def written(self, name: str) -> str:
        """A column's name as the file writes it."""
        column = self.column(name)
        return name if column is None else column.written or column.name

    @property
    def respelt(self) -> dict[str, str]:
        """Column -> its name in the file, for those that the file writes in another case."""
        return {c.name: c.written for c in self.columns if c.written is not None}

    def foreign_key(self, column: str) -> ForeignKey | None:
        """The foreign key on that column, or None."""
        wanted = folded(column)
        return next((key for key in self.foreign_keys if folded(key.column) == wanted), None)

    def known_as(self, known: Table) -> Table:
        """The same table, with its columns by the names that ``known`` gives them."""
        names = {
            column.name: same.name
            for column in self.columns
            if (same := known.column(column.name)) is not None and same.name != column.name
        }
        if not names:
            return self

        def named(columns: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(names.get(column, column) for column in columns)

        return replace(
            self,
            columns=tuple(
                replace(c, name=names[c.name], written=c.name) if c.name in names else c
                for c in self.columns
            ),
            foreign_keys=tuple(
                replace(k, column=names.get(k.column, k.column)) for k in self.foreign_keys
            ),
            uniques=tuple(map(named, self.uniques)),
            indexes=tuple(map(named, self.indexes)),
            collations=tuple((named(unique), how) for unique, how in self.collations),
        )


Schema = Mapping[str, Table]
"""Tables by name; those of a file and the built-in ones are a :class:`Catalogue`."""


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


def _load(resource: str) -> Catalogue[Table]:
    raw = json.loads(files(__package__).joinpath(resource).read_text(encoding="utf-8"))
    return Catalogue({name: _table(name, table) for name, table in raw.items()})


OLD: Schema = _load("old.json")
UNIFIED: Schema = _load("unified.json")
