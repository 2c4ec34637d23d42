"""The old tables held against what target and ledger give back, storage class by storage class.

Rows are paired by their primary key; where the file declares none, by the rowid that the archive
keeps, and else by what names a row in the target.  Instants may differ in form as long as both say
the same millisecond.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from person_unify.frames.odd import ROW
from person_unify.stages.rebuild.builder import Rebuilt
from person_unify.stages.rebuild.columns import Column, pairs
from person_unify.stages.rebuild.instants import exactly
from person_unify.stages.rebuild.store import Store

Outcome = Literal["passed", "failed", "not_applicable", "error"]
_KEYS = 5


@dataclass(frozen=True, slots=True)
class TableComparison:
    """How a rebuilt table differs from the old one.

    missing, added: rows without a counterpart.  differing: rows that are in both and differ.
    columns: column -> cells that differ.  keys: of up to five such rows, never other cells.
    problem: why the two could not be compared.
    """

    table: str
    old_rows: int
    rebuilt_rows: int
    missing: int = 0
    added: int = 0
    differing: int = 0
    columns: Mapping[str, int] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    problem: str = ""

    @property
    def outcome(self) -> Outcome:
        """A table without a row on either side proves nothing."""
        if self.problem:
            return "error"
        if self.missing or self.added or self.differing:
            return "failed"
        return "passed" if self.old_rows else "not_applicable"

    @property
    def equal(self) -> int:
        """Rows of the old table that came back as they were."""
        return self.old_rows - self.missing - self.differing

    def said(self) -> str:
        """What differs, in counts, columns and keys."""
        if self.outcome == "not_applicable":
            return "the table has no row"
        if self.problem:
            return self.problem
        return "; ".join(self._said())

    def _said(self) -> Iterator[str]:
        if self.missing:
            yield f"{self.missing} rows missing"
        if self.added:
            yield f"{self.added} rows too many"
        if self.differing:
            columns = ", ".join(f"{name} {count}" for name, count in self.columns.items())
            yield f"{self.differing} rows differ ({columns})"
        if self.keys:
            yield f"for example {', '.join(self.keys)}"


Tell = Callable[[str, pl.DataFrame], None]
"""Hears of the rows (``old`` and ``new``) whose cells of a column differ."""


class Comparison:
    """An old table held against what was made of it, some rows after others.

    Rows are ``old`` by their ``@row`` and ``new`` by their place.
    """

    def __init__(self, old: Store, rebuilt: Rebuilt, tell: Tell | None = None) -> None:
        """Pair the rows; both have the same columns.  Raises :class:`DatabaseError`."""
        self._old, self._rebuilt, self._tell = old, rebuilt, tell
        self._rows = pl.DataFrame(schema={ROW: pl.Int64})
        self._paired = pl.DataFrame(schema={"old": pl.Int64, "new": pl.Int64})
        self._columns: Counter[str] = Counter()
        self._differing = 0
        self._keys: list[str] = []
        if not old.empty or rebuilt.rows.height:
            self._rows, cells = old.scan(self._names)
            once = self._pairs(cells).unique("old", keep="first").unique("new", keep="first")
            self._paired = once.sort("old")

    def compare(self, rows: tuple[int, int] | None = None) -> None:
        """Compare the cells of the old rows in a range of ``@row``, or of all.

        Raises :class:`DatabaseError`.
        """
        paired = self._paired
        if rows is not None:
            old = paired["old"]
            start, stop = old.search_sorted(rows[0], "left"), old.search_sorted(rows[1], "right")
            paired = paired[start:stop]
        for start in range(0, paired.height, self._old.rows_at_once):
            wrong, counts = self._compared(paired.slice(start, self._old.rows_at_once))
            self._differing += wrong.height
            self._columns.update(counts)
            self._keys += self._shown(wrong.head(_KEYS))

    def result(self) -> TableComparison:
        """What was found.  Raises :class:`DatabaseError`."""
        table, paired = self._old.table, self._paired
        missing = self._rows.join(paired, left_on=ROW, right_on="old", how="anti")
        every = pl.DataFrame({"new": pl.int_range(self._rebuilt.rows.height, eager=True)})
        added = every.join(paired, on="new", how="anti")
        for rows in (missing.select(old=ROW), added):
            self._keys += self._shown(rows.head(_KEYS))
        return TableComparison(
            table.name,
            self._rows.height,
            self._rebuilt.rows.height,
            missing.height,
            added.height,
            self._differing,
            {c: self._columns[c] for c in table.column_names if self._columns[c]},
            tuple(self._keys[:_KEYS]),
        )

    @property
    def _keyed(self) -> bool:
        """Whether the rows have a key of their own; one with NULLs in it is none."""
        archive = self._rebuilt.archive
        return bool(self._old.table.primary_key) and (archive is None or archive.rowid is None)

    @property
    def _names(self) -> tuple[str, ...]:
        """The columns by which rows are paired that no rowid pairs."""
        if self._keyed:
            return self._old.table.primary_key
        found = self._rebuilt.identity if self._rebuilt.bounds else ()
        return found or self._old.table.column_names

    def _pairs(self, names: Mapping[str, Column]) -> pl.DataFrame:
        """``old`` and ``new``: which rows belong together; names: cells beside the old rows."""
        rows = self._rebuilt.rows.with_row_index("new").cast({"new": pl.Int64})
        by_rowid = pl.DataFrame(schema={"old": pl.Int64, "new": pl.Int64})
        if not self._keyed:
            rowids = rows.select(self._rebuilt.rowids().alias("old"), "new").drop_nulls()
            by_rowid = rowids.join(self._rows, left_on="old", right_on=ROW, how="semi")
            rows = rows.filter(pl.col("a").is_null())
        free = self._rows.join(by_rowid, left_on=ROW, right_on="old", how="anti")
        rows, cells = self._rebuilt.cells(rows, names)
        found = pairs((free, list(names.values())), (rows, list(cells.values())))
        by_name = found.select(
            free[ROW].gather(found["left"]).alias("old"), rows["new"].gather(found["right"])
        )
        return pl.concat([by_rowid, by_name])

    def _compared(self, paired: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
        """The paired rows that differ, and in how many each column does."""
        columns = self._old.table.column_names
        frame, old = self._old.rows(paired, "old", columns, "o.")
        mine, new = self._rebuilt.cells(self._rebuilt.rows[paired["new"]], columns)
        frame = frame.hstack(mine)
        names = {c: f"d{position}" for position, c in enumerate(columns)}
        differs = frame.select((~old[c].same(new[c])).alias(names[c]) for c in columns)
        counts = dict(zip(columns, differs.sum().row(0), strict=True))
        by_value = []
        for column in columns:
            if counts[column] and column in self._rebuilt.instants:
                flag = differs[names[column]]
                same = frame.filter(flag).select(exactly(old[column]).eq(exactly(new[column])))
                places = flag.arg_true().filter(same.to_series().fill_null(value=False))
                by_value.append(flag.scatter(places, values=False))
        differs = differs.with_columns(by_value)
        counts = dict(zip(columns, differs.sum().row(0), strict=True))
        counts = {column: count for column, count in counts.items() if count}
        if self._tell is not None:
            for column in counts:
                self._tell(column, paired.filter(differs[names[column]]))
        wrong = paired.filter(differs.select(pl.any_horizontal(pl.all())).to_series())
        return wrong, counts

    def _shown(self, rows: pl.DataFrame) -> list[str]:
        """The keys of rows, ``old`` where they are there, else ``new``, for people."""
        names = self._old.table.primary_key
        if not names or not rows.height:
            return []
        if "old" in rows.columns:
            frame, cells = self._old.rows(rows, "old", names, "o.")
        else:
            frame, cells = self._rebuilt.cells(self._rebuilt.rows[rows["new"]], names)
        held = [cells[name].by_class() for name in names]
        shown = frame.select(
            part.alias(f"{position}.{n}")
            for position, cell in enumerate(held)
            for n, part in enumerate(cell)
        )
        return [", ".join(_texts(row[1::3], row[2::3])) for row in shown.iter_rows()]


def compare_table(old: Store, rebuilt: Rebuilt) -> TableComparison:
    """Compare an old table with what was made of it; both have the same columns.

    Raises :class:`DatabaseError`.
    """
    comparison = Comparison(old, rebuilt)
    comparison.compare()
    return comparison.result()


def _texts(numbers: tuple[int | None, ...], stored: tuple[bytes | None, ...]) -> Iterator[str]:
    for number, text in zip(numbers, stored, strict=True):
        yield str(number) if text is None else text.decode("utf-8", "backslashreplace")
