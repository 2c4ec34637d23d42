"""What the run knows so far: which rows are loaded, under which ids, and who is which person.

The stages that make rows fill it; the ones that follow look references up in it.  "Exists" means
"is loaded" everywhere (contract section 3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from person_unify.frames.ids import FreshIds

OLD, NEW = "@old", "@new"


WORD = r"[\p{L}\p{Nd}_-]"
"""A character of a word, as soft references are searched (section 11)."""


@dataclass(frozen=True)
class People:
    """The resolved persons.

    patients, children: ``old_id``, ``person_id``.
    clinicians: ``person_id``, ``clinician_id`` of the person's patient (its text, or NULL).
    """

    patients: pl.DataFrame
    children: pl.DataFrame
    clinicians: pl.DataFrame

    def lookup(self, first: str) -> pl.DataFrame:
        """How a person reference resolves (section 3), and whether the way back is unique.

        Columns: ``old_id``, ``person_id``, ``of_child``, and ``ambiguous`` where the person alone
        does not say which id stood there: it leads back to its patient from a patient's reference,
        to its only child from a child's.
        """
        return self._patients_first if first == "patients" else self._children_first

    @cached_property
    def _patients_first(self) -> pl.DataFrame:
        children = self.children.with_columns(of_child=pl.lit(value=True), ambiguous=True)
        patients = self.patients.with_columns(of_child=pl.lit(value=False), ambiguous=False)
        return pl.concat([patients, children.join(patients, on="old_id", how="anti")])

    @cached_property
    def _children_first(self) -> pl.DataFrame:
        several = pl.len().over("person_id") > 1
        children = self.children.with_columns(of_child=pl.lit(value=True), ambiguous=several)
        patients = self.patients.with_columns(of_child=pl.lit(value=False), ambiguous=True)
        return pl.concat([children, patients.join(children, on="old_id", how="anti")])

    @cached_property
    def clinician_of(self) -> pl.DataFrame:
        """``old_id`` of a patient reference and ``clinician_id`` of the person that it names."""
        people = self.lookup("patients").select("old_id", "person_id")
        joined = people.join(self.clinicians, on="person_id", how="left")
        return joined.select("old_id", "clinician_id")

    @cached_property
    def old_ids(self) -> pl.Series:
        """Every old patient and child id that is not empty; an id of both stands twice."""
        ids = pl.concat([self.patients["old_id"], self.children["old_id"]])
        return ids.filter(ids != "")

    @cached_property
    def phrases(self) -> pl.Series:
        """The old ids that are not one word."""
        ids = self.old_ids
        return ids.filter(~ids.str.contains(f"^{WORD}+$")).unique()


@dataclass(slots=True)
class Registry:
    """ids: where the ids of new records come from.

    loaded: source table -> ``@old``, ``@new`` and the attributes that others look up.

    all_ids: source table -> every id, loaded or not, where two tables share a target.
    """

    ids: FreshIds
    loaded: dict[str, pl.DataFrame] = field(default_factory=dict)
    all_ids: dict[str, pl.Series] = field(default_factory=dict)
    people: People | None = None

    def rows_of(self, table: str) -> pl.DataFrame:
        """The loaded rows of a source table; empty where the source has no such table."""
        empty = pl.DataFrame(schema={OLD: pl.String, NEW: pl.String})
        return self.loaded.get(table, empty)

    def attribute(self, table: str, name: str, dtype: pl.DataType | None = None) -> pl.DataFrame:
        """``@old`` and one attribute (a text, but for ``dtype``) of a table's loaded rows."""
        rows = self.rows_of(table)
        if name not in rows.columns:
            rows = rows.with_columns(pl.lit(None, dtype=dtype or pl.String()).alias(name))
        return rows.select(OLD, name)

    def persons(self) -> People:
        """The resolved people; only callable after the resolve stage."""
        if self.people is None:
            raise RuntimeError("a person reference was looked up before persons were resolved")
        return self.people
