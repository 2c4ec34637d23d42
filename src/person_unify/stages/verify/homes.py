"""The target's tables: which of their rows were accounted for, and what was seen in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from person_unify.mappings.bind import type_of
from person_unify.schema import Column, Table
from person_unify.stages.verify.archive import keys
from person_unify.stages.verify.cells import Cells, Lane, alike, mark, present
from person_unify.stages.verify.findings import Key, texts
from person_unify.stages.verify.places import Places
from person_unify.stages.verify.reader import File
from person_unify.stages.verify.reading import CLASSES, FIRST_INSTANT, LAST_INSTANT


@dataclass
class Home:
    """One target table: where its rows are, which of them a source row claims, what they hold.

    row: their rowids (or ranks).  keys: of their keys; ids: of the first column of these.
    flaws: column -> cells that are not in their canonical form.  held: column -> hashes of the
    distinct texts of references.
    """

    file: File
    table: Table
    row: pl.Series
    keys: Places
    ids: Places
    claimed: pl.Series
    flaws: dict[str, int] = field(default_factory=dict)
    held: dict[str, list[pl.Series]] = field(default_factory=dict)

    @classmethod
    def of(cls, file: File, table: Table) -> Home:
        """Read the keys of a target table."""
        columns = table.primary_key or table.column_names[:1]
        cells = file.read(table, columns, lanes=lanes_of(table), whole=False)
        claimed = alike(False, cells.height, pl.Boolean())
        spelled, first = keys(cells, columns), cells.columns[columns[0]]
        of_rows = Places(*spelled)
        plain = len(columns) == 1 and spelled["k0"].equals(first)
        ids = of_rows if plain else Places(first)
        return cls(file, table, cells.row, of_rows, ids, claimed)

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.row.len()

    def column(self, name: str) -> Column:
        """A column of the table."""
        found = self.table.column(name)
        assert found is not None
        return found

    def key_texts(self) -> pl.Series:
        """The cells of the first column of the key, read anew."""
        name = (self.table.primary_key or self.table.column_names)[0]
        cells = self.file.read(self.table, [name], lanes=lanes_of(self.table), whole=False)
        return cells.columns[name]

    def places(self, wanted: pl.DataFrame) -> pl.Series:
        """The positions of the rows with some keys; null where there is none."""
        return self.keys.of(*wanted)

    def claim(self, at: pl.Series) -> None:
        """Note that source rows account for the rows at some positions."""
        if at.len():
            self.claimed = self.claimed | mark(at, self.height)

    def named(self, at: pl.Series, limit: int) -> list[Key]:
        """The keys of the first rows at some positions, as texts."""
        few = at.head(limit).cast(pl.UInt32)
        columns = self.table.primary_key
        cells = self.read(columns, few)
        shown = [cells.columns[name] for name in columns]
        return texts(shown, pl.arange(0, few.len(), eager=True), limit)

    def read(self, columns: Sequence[str], at: pl.Series) -> Cells:
        """Columns of the rows at some positions."""
        row = self.row.gather(at)
        return self.file.read_part(self.table, columns, row, lanes_of(self.table))

    def see(self, found: Cells, wrong: dict[str, pl.Series] | None = None) -> None:
        """Judge the form of cells (where they are ``wrong``), and remember references.

        A cell that is what it must be is in its canonical form.
        """
        for column in self.table.columns:
            if column.name not in found.columns:
                continue
            asked = None if wrong is None else wrong.get(column.name)
            if wrong is None or asked is not None:
                flawed = ~_fits(found, column.name, type_of(column), column.not_null)
                number = int((flawed if asked is None else flawed & asked).sum())
                self.flaws[column.name] = self.flaws.get(column.name, 0) + number
            if self.table.foreign_key(column.name) or column.name == "person_id":
                texts = found.columns[column.name].drop_nulls()
                if texts.dtype == pl.String and texts.len():
                    self.held.setdefault(column.name, []).append(texts.hash().unique())

    def finish(self) -> None:
        """See the rows that nothing accounts for."""
        rest = (~self.claimed).arg_true()
        if rest.len():
            self.see(self.read(self.table.column_names, rest.cast(pl.UInt32)))

    def references(self, column: str) -> pl.Series:
        """Hashes of the distinct texts of a reference."""
        found = self.held.get(column)
        return pl.concat(found).unique() if found else pl.Series([], dtype=pl.UInt64)


def lanes_of(table: Table) -> dict[str, Lane]:
    """The lanes that the canonical form of a target's columns asks for."""
    return {c.name: CLASSES[type_of(c)] for c in table.columns}  # type: ignore[misc]


def _fits(found: Cells, column: str, type_: str, not_null: bool) -> pl.Series:
    values = found.columns[column]
    fits = present(values)
    if type_ == "BOOLEAN":
        fits &= ((values == 0) | (values == 1)).fill_null(value=False)
    elif type_ == "DATETIME":
        inside = (values >= FIRST_INSTANT) & (values <= LAST_INSTANT)
        fits &= inside.fill_null(value=False)
    return fits if not_null else fits | found.is_null(column)
