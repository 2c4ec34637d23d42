"""The archive of one source table as the ledger holds it, row by row beside the source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from person_unify.schema import Table
from person_unify.stages.verify.cells import STORED, Cells, Lane, alike, lane_of
from person_unify.stages.verify.context import Context
from person_unify.stages.verify.places import Places

NOT_CARRIED = "not_carried"


@dataclass(frozen=True)
class Archive:
    """One archive and where its rows belong.

    key: archive columns by which its rows are known, with the source's (None for the rowid).
    stored: the archived columns.  cells: keys, lists and reasons of all rows.  at: per archive row
    the position of its source row; of: per source row that of its archive row; null where none.
    """

    table: Table
    source: Table
    key: dict[str, str | None]
    stored: frozenset[str]
    listed: str
    reason: str
    cells: Cells
    at: pl.Series
    of: pl.Series

    @property
    def lanes(self) -> dict[str, Lane]:
        """The lanes of its columns."""
        return lanes_of(self.table, self.source)

    @cached_property
    def reasons(self) -> pl.Series:
        """Per archive row, why it is there."""
        return self.cells.columns[self.reason]

    @cached_property
    def kept_out(self) -> pl.Series:
        """Per source row, the reason for which the archive says that it was not loaded."""
        reason = self.reasons.gather(self.of)
        return reason.zip_with(reason != NOT_CARRIED, pl.Series([None], dtype=pl.String))

    @cached_property
    def lists(self) -> dict[str | None, frozenset[str] | None]:
        """What each list of archived columns names; None where it is no JSON list of texts."""
        texts = self.cells.columns[self.listed].unique().to_list()
        return {text: _names(self.source, text) for text in texts}

    def names(self, column: str, at: pl.Series) -> pl.Series:
        """Whether the lists of archive rows at some positions name a column."""
        if column in self.key:
            return alike(True, at.len())
        naming = [text for text, names in self.lists.items() if names and column in names]
        if len(naming) in (0, len(self.lists)):
            return alike(bool(naming), at.len())
        known = np.array([text in set(naming) for text in self.lists])
        return pl.Series(known[self._codes[at.to_numpy()]])

    @cached_property
    def _codes(self) -> np.ndarray[Any, Any]:
        """Per archive row, the number of its list."""
        numbers = {text: number for number, text in enumerate(self.lists)}
        texts = self.cells.columns[self.listed]
        frame = pl.DataFrame(
            {"text": list(numbers), "n": list(numbers.values())},
            schema={"text": pl.String, "n": pl.Int64},
        )
        joined = (
            texts.rename("text")
            .to_frame()
            .join(frame, on="text", how="left", nulls_equal=True, maintain_order="left")
        )
        return joined["n"].to_numpy()


def rowid_in(table: Table, source: Table) -> str | None:
    """The column of an archive that keeps the rowids of a table without a key.

    A table with a NULL in its key is known by its rowid too.
    """
    present = set(table.column_names)
    sources = {column.lower() for column in source.column_names}
    name = _own("_rowid", sources, present)
    return name if name in present - sources or not source.primary_key else None


def lanes_of(table: Table, source: Table) -> dict[str, Lane]:
    """The lanes of an archive's columns: those of the source's, and of the ledger's own."""
    found: dict[str, Lane] = {}
    rowid = rowid_in(table, source)
    for name in table.column_names:
        column = source.column(name)
        own: Lane = "integer" if name == rowid else "text"
        found[name] = own if column is None or name == rowid else lane_of(column.type)
    return found


def _names(source: Table, text: str | None) -> frozenset[str] | None:
    try:
        found = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        return None
    return frozenset(map(source.known, found))


def archive_of(context: Context, source: Table, cells: Cells) -> Archive | None:
    """The archive of a source table; None where nothing of it was archived.

    ``cells``: all rows of the source table with the columns of its key.
    """
    table = context.ledger.tables.get(f"archive_{source.name}")
    if table is None:
        return None
    table = table.known_as(source)
    key, listed, reason = asked_first(table, source)
    stored = frozenset(table.column_names) - {listed, reason, rowid_in(table, source)}
    if source.name in context.source.troubled:
        context.ledger.troubled.add(table.name)
    own = context.ledger.read(table, [*key, listed, reason], lanes=lanes_of(table, source))
    theirs = keys(cells, list(key.values()))
    mine = keys(own, list(key))
    at, of = Places(*theirs).of(*mine), Places(*mine).of(*theirs)
    return Archive(table, source, key, stored, listed, reason, own, at, of)


def asked_first(table: Table, source: Table) -> tuple[dict[str, str | None], str, str]:
    """The columns of an archive by which its rows are known, with the source's, list and reason."""
    present = set(table.column_names)
    sources = {column.lower() for column in source.column_names}
    rowid = rowid_in(table, source)
    key: dict[str, str | None] = {column: column for column in source.primary_key}
    listed, reason = _own("_archived", sources, present), _own("_reason", sources, present)
    return key if rowid is None else {rowid: None}, listed, reason


def keys(cells: Cells, columns: Sequence[str | None]) -> pl.DataFrame:
    """The cells of a key in one text each, which tells classes apart (None: the rowid)."""
    parts = []
    for number, column in enumerate(columns):
        part = "\0i" + cells.row.cast(pl.String) if column is None else spelled(cells, column)
        parts.append(part.rename(f"k{number}"))
    return pl.DataFrame(parts)


def spelled(cells: Cells, column: str) -> pl.Series:
    r"""Texts as they are; cells of other classes behind a NUL, as no text of a key begins."""
    lane = cells.columns[column]
    if lane.dtype == pl.String:
        text = lane
        if (lane < "\x01").any():
            strange = lane.str.starts_with("\0").fill_null(value=False)
            text = lane.zip_with(~strange, "\0t" + lane)
    else:
        text = f"\0{'i' if lane.dtype == pl.Int64 else 'r'}" + lane.cast(pl.String)
    odd = cells.odd.get(column)
    if odd is not None:
        letter = odd["class"].replace_strict({n: name[0] for n, name in STORED.items()})
        value = pl.select(
            pl.coalesce(
                odd["integer"].cast(pl.String),
                odd["real"].cast(pl.String),
                odd["bytes"].bin.encode("hex"),
            )
        ).to_series()
        # In place it would change the cells as they were read, which others look at, too.
        text = text.clone().scatter(odd["at"], "\0" + letter + value)
    return text.fill_null("\0n") if text.null_count() else text


def _own(name: str, sources: set[str], present: set[str]) -> str:
    """The ledger's own column: one more underscore for each source column of that name."""
    free = name
    while free in sources:
        free = f"_{free}"
    while free not in present and len(free) > len(name):
        free = free[1:]
    return free
