"""The archive of one old table as the ledger holds it: what it keeps, and of which rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from person_unify.errors import TargetError
from person_unify.frames.odd import ROW, promised
from person_unify.schema import Table
from person_unify.stages.rebuild.store import File, Store

_NOT_CARRIED = "not_carried"


@dataclass(frozen=True, slots=True)
class Archived:
    """The archive rows of a table.

    rowid: the column of the archive that keeps the rowid, where the file declares no key.
    rows: ``@row``, ``counterpart`` (the target holds the rest of the row), ``whole`` (the archive
    holds all of it) and ``list`` (the JSON list of the columns that it archives).
    named: column -> the lists that name it.
    """

    store: Store
    columns: frozenset[str]
    rowid: str | None
    rows: pl.DataFrame
    named: Mapping[str, tuple[str, ...]]

    def takes(self, column: str) -> pl.Expr:
        """Whether the archive has the cell of a column, for rows with ``whole`` and ``list``."""
        listed = pl.col("list").is_in(self.named[column]).fill_null(value=False)
        return pl.col("whole") | listed

    def cells(self, table: Table) -> int:
        """How many cells of the table are archived."""
        counts = self.rows.group_by("list", "whole").len()
        sizes = Counter(text for lists in self.named.values() for text in lists)
        return sum(
            count * (len(table.columns) if whole else sizes[text])
            for text, whole, count in counts.iter_rows()
        )


def read_archive(ledger: File, table: Table) -> Archived | None:
    """Look at the archive of a table; None where it has none.

    Raises :class:`TargetError` where a list is no JSON.
    """
    name = f"archive_{table.name}"
    if name not in ledger.tables:
        return None
    columns = ledger.tables[name].known_as(table).column_names
    # The ledger's own names give way to those of the source; list and reason come last.
    listed, reason = columns[-2:]
    rowid = next((column for column in columns[:-2] if table.column(column) is None), None)
    lanes = {column.name: promised(column.type) for column in table.columns}
    own = {listed: "text", reason: "text", **({rowid: "integer"} if rowid else {})}
    store = ledger.store(name, lanes | own, table)  # type: ignore[arg-type]
    frame, cells = store.scan([listed, reason])
    frame = frame.select(ROW, cells[listed].main.alias("list"), cells[reason].main.alias("reason"))
    lists = {text: _names(text, table) for text in frame["list"].unique().to_list()}
    everything = set(table.column_names) - set(table.primary_key)
    complete = [text for text, names in lists.items() if everything <= names]
    counterpart = pl.col("reason").eq_missing(_NOT_CARRIED)
    rows = frame.select(
        ROW,
        "list",
        counterpart.alias("counterpart"),
        whole=~counterpart | pl.col("list").is_in(complete),
    )
    return Archived(
        store,
        frozenset(columns) - {listed, reason, rowid},
        rowid,
        rows,
        {c: tuple(t for t, names in lists.items() if c in names) for c in table.column_names},
    )


def _names(text: str | None, table: Table) -> frozenset[str]:
    try:
        return frozenset(map(table.known, json.loads(text or "")))
    except (ValueError, TypeError, AttributeError) as error:
        raise TargetError(
            f"the ledger's archive of {table.name} has a row that does not say what it archives: "
            "the ledger has been changed since the run"
        ) from error
