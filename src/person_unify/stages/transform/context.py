"""What the steps of the transform share about the source table at hand."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from person_unify.frames.model import Cell, discrepancies
from person_unify.frames.reading import Reader
from person_unify.frames.registry import Registry
from person_unify.mappings.bind import BoundMapping
from person_unify.stages.transform.references import Resolved
from person_unify.stages.transform.state import TableState


@dataclass(frozen=True, slots=True)
class TableContext:
    """A bound table, its reader, its resolved references, and what its parts hand on."""

    bound: BoundMapping
    reader: Reader
    resolved: Resolved
    registry: Registry
    state: TableState

    @property
    def key(self) -> pl.Expr:
        """The row's key as text, for ``source_id``."""
        return self.reader.key_text()

    @property
    def person(self) -> pl.Expr | None:
        """The person that the row is about; None where the table names none."""
        return pl.col(self.resolved.person) if self.resolved.person else None

    def log(self, rows: pl.DataFrame, kind: str, **cells: Cell) -> pl.DataFrame:
        """One discrepancy per row, about the row and its person; see :func:`discrepancies`."""
        about = {"source_id": self.key, "person_id": self.person, **cells}
        return discrepancies(rows, kind, source_table=self.bound.name, **about)
