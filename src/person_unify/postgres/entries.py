"""Rows whose texts may be too long for an index of a PostgreSQL target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from person_unify.frames.model import Outcome
from person_unify.mappings.bind import Plan
from person_unify.schema import Table

ENTRY_BYTES = 2_704
"""What an entry of PostgreSQL's indexes may have, once it is compressed."""


@dataclass(slots=True)
class LongEntries:
    """Counts rows whose texts may be too long for an index of a PostgreSQL target."""

    tables: dict[str, Table] = field(default_factory=dict)
    rows: dict[tuple[str, tuple[str, ...]], int] = field(default_factory=dict)

    def see(self, found: object) -> None:
        """Hear of a check's plan, and look at the rows of its outcomes."""
        if isinstance(found, Plan):
            self.tables = {b.target.name: b.target for b in found.bound if b.target is not None}
        elif isinstance(found, Outcome):
            self._look(found.rows)

    def _look(self, rows: Mapping[str, pl.DataFrame]) -> None:
        for name in rows.keys() & self.tables.keys():
            table, frame = self.tables[name], rows[name]
            for columns in (table.primary_key, *table.uniques, *table.indexes):
                texts = [pl.col(c) for c in columns if frame.schema.get(c) == pl.String]
                if not texts:
                    continue
                size = pl.sum_horizontal(text.str.len_bytes().fill_null(0) for text in texts)
                count = frame.select((size > ENTRY_BYTES).sum()).item()
                if count:
                    key = (name, columns)
                    self.rows[key] = self.rows.get(key, 0) + int(count)

    def notes(self) -> Iterator[str]:
        """A sentence per index."""
        for (table, columns), rows in self.rows.items():
            yield (
                f"{rows:,} rows of {table} may be too long for PostgreSQL's index on "
                f"{', '.join(columns)}: an entry has {ENTRY_BYTES:,} bytes"
            )
