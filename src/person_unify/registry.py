"""What the run knows so far: which rows are loaded, under which ids, and who is which person.

The stages that make rows fill it; the ones that follow look references up in it.  "Exists" means
"is loaded" everywhere (contract section 3).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from person_unify.ids import FreshIds

OLD, NEW = "@old", "@new"


@dataclass(frozen=True, slots=True)
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
        patients_first = pl.lit(value=first == "patients")
        patients = self.patients.with_columns(
            of_child=pl.lit(value=False), ambiguous=~patients_first
        )
        several = patients_first | (pl.len().over("person_id") > 1)
        children = self.children.with_columns(of_child=pl.lit(value=True), ambiguous=several)
        pair = (patients, children) if first == "patients" else (children, patients)
        return pl.concat([pair[0], pair[1].join(pair[0], on="old_id", how="anti")])

    def old_ids(self) -> pl.Series:
        """Every old patient and child id that is not empty."""
        ids = pl.concat([self.patients["old_id"], self.children["old_id"]]).unique()
        return ids.filter(ids != "")


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

    def forget(self, table: str) -> None:
        """Let go of a table that nobody looks up: its ids may be most of what a run remembers."""
        self.loaded.pop(table, None)
        self.all_ids.pop(table, None)

    def rows_of(self, table: str) -> pl.DataFrame:
        """The loaded rows of a source table; empty where the source has no such table."""
        empty = pl.DataFrame(schema={OLD: pl.String, NEW: pl.String})
        return self.loaded.get(table, empty)

    def attribute(self, table: str, name: str) -> pl.DataFrame:
        """``@old`` and one attribute of the loaded rows of a source table."""
        rows = self.rows_of(table)
        if name not in rows.columns:
            rows = rows.with_columns(pl.lit(None, dtype=pl.String).alias(name))
        return rows.select(OLD, name)

    def persons(self) -> People:
        """The resolved people; only callable after the resolve stage."""
        if self.people is None:
            raise RuntimeError("a person reference was looked up before persons were resolved")
        return self.people
