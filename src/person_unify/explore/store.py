"""Where a :class:`~person_unify.explore.Run` reads: one face for files and for memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from person_unify.frames.ledger import TABLES
from person_unify.frames.odd import Rows
from person_unify.report import Report

FATE = pl.Schema({"source_table": pl.String(), "reason": pl.String(), "rows": pl.Int64()})
"""How many rows of an old table were loaded, or are in the archive only, by reason."""

LOADED, NOT_CARRIED = "loaded", "not_carried"

RECORDS = pl.Schema({"person_id": pl.String(), "table": pl.String(), "rows": pl.Int64()})

TIMING = pl.Schema({"phase": pl.String(), "rows": pl.Int64(), "seconds": pl.Float64()})


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedCells(Rows):
    """The archive of one old table.

    frame: the key columns and the archived columns (by :func:`odd.escaped`), then the text columns
    ``archived`` (the JSON list of the columns that a row archives) and ``reason``.
    """

    key: tuple[str, ...]
    columns: tuple[str, ...]
    archived: str
    reason: str


class Store(Protocol):
    """The findings of one run or check."""

    @property
    def name(self) -> str:
        """What the findings are of, for people."""

    def table(self, name: str) -> pl.DataFrame:
        """One of the ledger's own tables, with its columns in the types that it declares."""

    def archived_tables(self) -> list[str]:
        """The old tables that have an archive."""

    def archive(self, source: str, columns: Sequence[str] | None = None) -> ArchivedCells:
        """The archive of an old table, or of some of its columns."""

    def persons(self, columns: Sequence[str]) -> Rows:
        """``id`` as text, and columns of the new ``persons``."""

    def records(self) -> pl.DataFrame:
        """:data:`RECORDS`: per new table and person, the rows that name the person."""

    def fates(self) -> pl.DataFrame:
        """:data:`FATE`: what became of the rows of every old table."""

    def timings(self) -> pl.DataFrame:
        """:data:`TIMING`: rows and seconds per phase, in order."""


def stacked(frames: Iterable[pl.DataFrame], schema: pl.Schema) -> pl.DataFrame:
    """Frames of one schema below each other, also when there are none."""
    return pl.concat([pl.DataFrame(schema=schema), *frames])


def timed(report: Report) -> pl.DataFrame:
    """:data:`TIMING` as a report tells it."""
    phases = [(p.phase, p.rows, p.seconds) for p in report.phases]
    return pl.DataFrame(phases, schema=TIMING, orient="row")


def ledger_schema(table: str) -> pl.Schema:
    """The columns of one of the ledger's own tables."""
    return pl.Schema(
        {
            name: pl.Int64() if declared.startswith("INTEGER") else pl.String()
            for name, declared in TABLES[table].items()
        }
    )
