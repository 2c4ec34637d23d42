"""The archive of one old table as the ledger holds it: what it keeps, and of which rows."""

from __future__ import annotations

import json
from dataclasses import dataclass

import polars as pl

from person_unify.database import Database
from person_unify.errors import TargetError
from person_unify.schema import Table, quote
from person_unify.stages.rebuild.objects import Places

LISTS, COMPLETE = "rebuild_lists", "rebuild_complete"
_NOT_CARRIED = "'not_carried'"


@dataclass(frozen=True, slots=True)
class Archived:
    """Archive rows ``a`` of a table.

    rowid: the column that keeps the rowid, where the file declares no key.  always, sometimes:
    columns that every, or only some, of the rows with counterparts archive.  cells: archived in
    all.
    """

    name: str
    columns: frozenset[str]
    listed: str
    reason: str
    rowid: str | None
    always: frozenset[str]
    sometimes: frozenset[str]
    cells: int

    @property
    def whole(self) -> str:
        """Whether the archive holds the row whole, so that nothing else is needed."""
        complete = f"(SELECT list FROM temp.{COMPLETE})"
        return f"(a.{self.reason} <> {_NOT_CARRIED} OR a.{self.listed} IN {complete})"

    @property
    def beside(self) -> str:
        """Whether the row has a counterpart in the target."""
        return f"a.{self.reason} = {_NOT_CARRIED}"

    def cell(self, column: str, held: str | None, key: tuple[str, ...]) -> str:
        """The source cell: the archived one if there is one, else what the target holds."""
        stored = f"a.{quote(column)}" if column in self.columns else "NULL"
        if held is None:
            return stored
        if column in key:
            return f"coalesce({stored}, {held})"
        if column in self.always:
            return f"CASE WHEN a.{self.reason} IS NULL THEN {held} ELSE {stored} END"
        if column not in self.sometimes:
            return held
        # A cell is there only if the row archives it; whether a NULL was archived says the list.
        named = f"(SELECT list FROM temp.{LISTS} WHERE named = {literal(column)})"
        return (
            f"CASE WHEN {stored} IS NOT NULL THEN {stored} "
            f"WHEN a.{self.listed} IN {named} THEN NULL ELSE {held} END"
        )


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def read_archive(database: Database, places: Places, table: Table) -> Archived | None:
    """Look at the archive of a table; None where it has none.

    Makes ``temp.rebuild_lists`` (named, list) and ``temp.rebuild_complete`` (list) for it.  Raises
    :class:`TargetError` where a list is no JSON.
    """
    name = f"archive_{table.name}"
    catalog = quote(places.ledger)
    columns = [
        column
        for (column,) in database.rows(
            f"SELECT name FROM pragma_table_info({literal(name)}, {literal(places.ledger)}) "
            "ORDER BY cid"
        )
    ]
    if not columns:
        return None
    # The ledger's own names give way to those of the source; list and reason come last.
    listed, reason = map(quote, columns[-2:])
    rowid = next((column for column in columns[:-2] if table.column(column) is None), None)
    archive = f"{catalog}.{quote(name)}"
    counts = database.rows(
        f"SELECT {listed}, {reason} = {_NOT_CARRIED}, count(*) FROM {archive} GROUP BY 1, 2"
    )
    lists = {text: _names(text, table) for text, _, _ in counts}
    everything = set(table.column_names) - set(table.primary_key)
    complete = [text for text, names in lists.items() if everything <= names]
    beside = [lists[text] for text, kept, _ in counts if kept and text not in complete]
    _write_lists(database, {text: lists[text] for text, kept, _ in counts if kept}, complete)
    cells = sum(
        int(count) * (len(lists[text]) if kept and text not in complete else len(table.columns))
        for text, kept, count in counts
    )
    always = frozenset.intersection(*beside) if beside else frozenset()
    some = frozenset().union(*beside) - always
    own = {columns[-1], columns[-2], rowid}
    return Archived(
        archive,
        frozenset(map(table.known, columns)) - own,
        listed,
        reason,
        rowid,
        always,
        some,
        cells,
    )


def _names(text: str, table: Table) -> frozenset[str]:
    try:
        return frozenset(map(table.known, json.loads(text)))
    except (ValueError, TypeError) as error:
        raise TargetError(
            f"the ledger's archive of {table.name} has a row that does not say what it archives: "
            "the ledger has been changed since the run"
        ) from error


def _write_lists(database: Database, lists: dict[str, frozenset[str]], complete: list[str]) -> None:
    for name, columns in ((LISTS, "named TEXT, list TEXT"), (COMPLETE, "list TEXT")):
        database.execute(f"DROP TABLE IF EXISTS temp.{name}")
        database.execute(f"CREATE TEMP TABLE {name} ({columns})")
    pairs = [(column, text) for text, names in lists.items() for column in names]
    frame = pl.DataFrame(pairs, schema=["named", "list"], orient="row")
    database.ingest(LISTS, frame, catalog="temp")
    database.execute(f"CREATE INDEX temp.{LISTS}_named ON {LISTS} (named)")
    database.ingest(COMPLETE, pl.DataFrame({"list": complete}), catalog="temp")
