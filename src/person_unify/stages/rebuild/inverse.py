"""The words of a mapping read backwards: the source cells that target cells stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import and_

import polars as pl

from person_unify.frames.odd import has_text_affinity
from person_unify.mappings import ID_MAPS, MAPPINGS
from person_unify.mappings.bind import Binding, BoundMapping, Plan
from person_unify.mappings.spec import Decided, Fixed, Person, Reference
from person_unify.mappings.spec import Mapping as Words
from person_unify.schema import Table
from person_unify.stages.rebuild.columns import Column
from person_unify.stages.rebuild.instants import written
from person_unify.stages.rebuild.store import File

MAPS: dict[str, dict[str, str]] = {}
"""Tables whose rows have new ids, and the id map to each of their targets, the surest first."""
for (_source, _target), _map in ID_MAPS.items():
    MAPS.setdefault(_source, {})[_target] = _map


@dataclass(slots=True)
class Inverse:
    """Reads target cells as cells of the source; keeps the maps back as they are needed."""

    target: File
    ledger: File
    plan: Plan
    _back: dict[str, pl.DataFrame] = field(default_factory=dict)
    _ids: dict[str, pl.Series] = field(default_factory=dict)

    def held(self, bound: BoundMapping, binding: Binding, here: Column) -> Column:
        """The source cells that the cells of a target column stand for."""
        word = binding.word
        if isinstance(word, Person):
            return self._person(here, word.first)
        if isinstance(word, Decided) and word.rule == "person":
            return self._person(here, "patients")
        if binding.names is not None:
            return self._old_id(here, binding.names)
        if bound.mapping.shares_ids_with and binding.target.name == "id":
            return self._old_id(here, bound.mapping.source)
        column = bound.source.column(binding.word.holds or "")
        if binding.type == "DATETIME" and column is not None and has_text_affinity(column.type):
            return Column("text", written(here.main))
        return here

    def instants(self, table: Table) -> set[str]:
        """Columns of a source table whose cells the target holds as instants, in another form."""
        return {
            column
            for bound in self.plan.bound
            if bound.name == table.name
            for binding in bound.columns
            if binding.type == "DATETIME" and (column := binding.word.holds)
        }

    def map(self, name: str, columns: tuple[str, ...] = ("old_id", "new_id")) -> pl.DataFrame:
        """A map of the ledger, as text."""
        frame, cells = self.ledger.store(name).scan(columns)
        return frame.select(cells[column].main.alias(column) for column in columns)

    def told_by(self, mapping: Words) -> dict[str, Fixed | Reference]:
        """The target columns, with their words, that tell a mapping's rows from its rivals'."""
        rivals = [m for m in MAPPINGS if m.target == mapping.target and m.source != mapping.source]
        fixed: dict[str, Fixed | Reference] = {}
        named: dict[str, Fixed | Reference] = {}
        for column, word in mapping.columns.items():
            others = [m.columns.get(column) for m in rivals]
            if isinstance(word, Fixed) and any(isinstance(o, Fixed) and o != word for o in others):
                fixed[column] = word
            if isinstance(word, Reference) and any(
                isinstance(o, Reference) and o.table != word.table for o in others
            ):
                named[column] = word
        return fixed or named

    def belongs(
        self, words: Mapping[str, Fixed | Reference], cells: Mapping[str, Column]
    ) -> pl.Expr:
        """Whether target rows are those of the mapping that :meth:`told_by` was asked about."""
        masks = [
            cells[column].main == str(word.value)
            if isinstance(word, Fixed)
            else cells[column].main.is_in(self._ids_of(word.table).implode())
            for column, word in words.items()
        ]
        return reduce(and_, masks, pl.lit(value=True))

    def _ids_of(self, source: str) -> pl.Series:
        """The ids of the target rows that came from a source table."""
        if source not in self._ids:
            mapping = next(m for m in MAPPINGS if m.source == source)
            told = self.told_by(mapping)
            frame, cells = self.target.store(mapping.target or "").scan(["id", *told])
            mine = frame.filter(self.belongs(told, cells))
            self._ids[source] = mine.select(cells["id"].main).to_series()
        return self._ids[source]

    def _person(self, here: Column, first: str) -> Column:
        if first == "patients":
            return self._looked_up(here, "patient_to_person")
        # A child that shares its person with another does not follow from it: it was archived.
        return self._looked_up(here, "child_to_person", only=True)

    def _old_id(self, here: Column, source: str) -> Column:
        """The ids that rows of ``source`` had before they got these."""
        if source in MAPS:
            return self._looked_up(here, next(iter(MAPS[source].values())))
        back = self._collisions(self.plan.source_names.get(source, source))
        if not back.height:
            return here
        return Column(here.lane, pl.coalesce(_found(here.main, back), here.main), here.odd)

    def _collisions(self, name: str) -> pl.DataFrame:
        if "collision_to_id" not in self._back:
            columns = ("source_table", "old_id", "new_id")
            self._back["collision_to_id"] = self.map("collision_to_id", columns)
        every = self._back["collision_to_id"]
        return every.filter(pl.col("source_table") == name).unique("new_id", keep="first")

    def _looked_up(self, here: Column, map_: str, *, only: bool = False) -> Column:
        name = f"{map_}, only ones" if only else map_
        if name not in self._back:
            grouped = self.map(map_).group_by("new_id").agg(pl.col("old_id").min(), pl.len())
            self._back[name] = grouped.filter(pl.col("len") == 1) if only else grouped
        return Column("text", _found(here.main, self._back[name]))


def _found(new: pl.Expr, back: pl.DataFrame) -> pl.Expr:
    """The old id of each new one, NULL where the map has none."""
    return new.replace_strict(back["new_id"], back["old_id"], default=None, return_dtype=pl.String)
