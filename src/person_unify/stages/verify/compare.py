"""The one comparison: what source rows must have become, against what the target holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import polars as pl

from person_unify.mappings.bind import BoundMapping, type_of
from person_unify.stages.verify.archive import Archive
from person_unify.stages.verify.cells import Cells, equal, mark
from person_unify.stages.verify.context import Context, Note, Rows
from person_unify.stages.verify.findings import Found, Key, Kind, texts
from person_unify.stages.verify.held import EVERY, Range
from person_unify.stages.verify.homes import Home, lanes_of
from person_unify.stages.verify.reading import DAY_MS
from person_unify.stages.verify.words import Counts, Expected, Words

JANUARY_1970 = 31 * DAY_MS - 1

Decided = Callable[[Words, pl.Series], Expected | None]
"""What a settled column must hold in some rows of a part, which stand at these positions."""


@dataclass
class Arm:
    """One target row of each live source row: where it is, and what it must hold.

    live: source rows that have one.  at: its position, null where it is missing.  decided: by
    target column what is not a word of its own.  checks: the check that a target column's cells
    belong to, ``cells_match`` if it is not named.  quiet: rows whose target row another one speaks
    for.  log: what the log owes the live rows of a part, which stand at some positions, and whose
    unreadable cells it notes.
    """

    bound: BoundMapping
    home: Home
    live: pl.Series
    at: pl.Series
    decided: Mapping[str, Decided] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)
    quiet: pl.Series | None = None
    log: Callable[[Words, pl.Series, Note], None] | None = None


@dataclass
class Side:
    """A source table with its archive, and what became of its cells.

    due: rows that are in the target, or should be.  whole: those of them that are archived whole
    as well.  key: columns that name a row.  look: what else is asked of the rows of a part.
    """

    context: Context
    usual: str
    rows: Rows
    archive: Archive | None
    arms: Sequence[Arm]
    due: pl.Series
    whole: pl.Series | None = None
    key: Sequence[pl.Series] = ()
    wrong: dict[tuple[str, str], int] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, list[pl.Series]] = field(default_factory=dict)
    early: set[str] = field(default_factory=set)
    look: Callable[[Side, Rows, int], None] | None = None

    def own(self, column: str | None) -> str | None:
        """A column's name, if the file has it."""
        return column if column and self.rows.table.column(column) is not None else None

    def note(self, column: str, at: pl.Series) -> None:
        """Note rows, by position, whose cell of a column cannot be read."""
        if at.len():
            self.unreadable.setdefault(column, []).append(at)

    def note_early(self, rows: Rows, expected: Expected) -> None:
        """Note a column whose cells are carried as instants of January 1970 (section 1)."""
        early = expected.value.is_between(1, JANUARY_1970)
        if expected.own is not None:
            early &= expected.own
        column = expected.carries
        if early.any() and column is not None and column not in self.early:
            declared = rows.value(column, "DATETIME")
            if (early & (declared == expected.value)).any():
                self.early.add(column)

    def owe_cells(self, ids: pl.Series, person: pl.Series | None) -> None:
        """Owe the log each cell and each column that was noted."""
        for column, spots in self.unreadable.items():
            at = pl.concat([spot.cast(pl.UInt32) for spot in spots]).unique()
            frame = pl.DataFrame({"id": ids.gather(at)})
            if person is not None:
                frame = frame.with_columns(person=person.gather(at))
            self.context.owe(
                frame,
                "unreadable_value",
                self.name,
                source_id=pl.col("id"),
                person_id=None if person is None else pl.col("person"),
                field=pl.lit(column),
            )
        columns = pl.DataFrame({"column": sorted(self.early)}, schema={"column": pl.String})
        self.context.owe(columns, "implausible_instant", self.name, field=pl.col("column"))

    @property
    def name(self) -> str:
        """The source table's name in the file."""
        return self.rows.table.name

    def tell(
        self,
        kind: Kind,
        place: tuple[str | None, str | None, str],
        at: pl.Series,
        to: Callable[[pl.Series], Sequence[Key]] | None = None,
        also: str | None = None,
    ) -> None:
        """Name source rows at some positions, with what ``to`` says of the target's.

        place: target table, column, and what the kind alone does not say.
        """
        target, column, detail = place
        like = Found(kind, self.name, target, column, detail, 0, (), also)

        def keys(limit: int) -> list[tuple[Key | None, Key | None]]:
            few = at.head(limit)
            there = to(few) if to else [None] * few.len()
            return list(zip(texts(self.key, few, limit), there, strict=True))

        self.context.answers.tell(like, at.len(), keys)


def compare(side: Side, ranges: Sequence[Range] | None) -> None:
    """Compare a source table part by part with its target rows, and back."""
    row, inverse = side.rows.cells.row, side.context.inverse
    every = ranges or [EVERY]
    starts = (int(row.search_sorted(first, "left")) for first, _ in every)
    stops = (int(row.search_sorted(last, "right")) for _, last in every)
    parts = [part for part in zip(starts, stops, every, strict=True) if part[0] < part[1]]
    if parts:
        _read_ahead(side, *parts[0][:2])
    inverse.begin(side.name, side)
    for (start, stop, part), following in zip_longest(parts, parts[1:]):
        if following is not None:
            _read_ahead(side, *following[:2])
        _compare_part(side, start, stop)
        inverse.compare(side.name, part)


def _read_ahead(side: Side, start: int, stop: int) -> None:
    """Have the rows of a part, and the target rows that they lead to, read beside."""
    context, rows = side.context, side.rows
    context.source.read_part_ahead(context.beside, rows.table, rows.cells.row[start:stop])
    for arm in side.arms:
        home, at = arm.home, arm.at[start:stop].filter(arm.live[start:stop]).drop_nulls()
        row = home.row.gather(at)
        home.file.read_part_ahead(context.beside, home.table, row, lanes_of(home.table))
    archive = side.archive
    if archive is not None:
        row = archive.cells.row.gather(archive.of[start:stop].drop_nulls())
        context.ledger.read_part_ahead(context.beside, archive.table, row, archive.lanes)


def _compare_part(side: Side, start: int, stop: int) -> None:
    table, row = side.rows.table, side.rows.cells.row[start:stop]
    rows = Rows(table, side.context.source.read_part(table, table.column_names, row))
    counts = Counts()
    for arm in side.arms:
        _compare_arm(side, arm, rows, (start, stop), counts)
    for (column, rule), found in counts.found.items():
        place = (side.name, column, rule)
        known = side.context.normalised
        if number := int(found.sum()):
            known[place] = known.get(place, 0) + number
    if side.look is not None:
        side.look(side, rows, start)


def _compare_arm(side: Side, arm: Arm, rows: Rows, place: tuple[int, int], counts: Counts) -> None:
    start, stop = place
    live = arm.live[start:stop].arg_true().cast(pl.UInt32)
    words = Words(side.context, arm.bound, rows.take(live))
    at = arm.at[start:stop].gather(live)
    there = None if not at.null_count() else at.is_not_null()
    spots = live if there is None else live.filter(there)
    pair = _Pair(side, arm, spots + start, at.drop_nulls())
    found = arm.home.read(pair.columns, pair.at)
    wrong: dict[str, pl.Series] = {}
    for name, expected in _expectations(arm, words, live + start):
        told = expected.only(there)
        if name in found.columns:
            flawed = pair.differing(told, found, name)
            if flawed is not None:
                wrong[name] = flawed
        if expected.carries is not None and type_of(arm.home.column(name)) == "DATETIME":
            side.note_early(words.rows, expected)
    arm.home.see(found, wrong)
    if arm.log is not None:
        arm.log(words, live + start, side.note)
    for (column, rule), those in words.counts.found.items():
        every = those.len() == rows.height
        counts.add(column, rule, those if every else mark(live.filter(those), rows.height))


def _expectations(arm: Arm, words: Words, positions: pl.Series) -> Iterator[tuple[str, Expected]]:
    """What each target column must hold, as far as anything can be expected of it.

    Not of its key, by which the row was found.
    """
    bindings = {binding.target.name: binding for binding in arm.bound.columns}
    for column in arm.home.table.columns:
        binding = bindings.get(column.name)
        if column.name in arm.home.table.primary_key:
            continue
        if column.name in arm.decided:
            expected = arm.decided[column.name](words, positions)
        elif binding is None:
            expected = words.unfilled(column)
        else:
            expected = words.expected(binding)
        if expected is not None:
            yield column.name, expected


@dataclass(frozen=True)
class _Pair:
    """Source rows (by position) and their target rows."""

    side: Side
    arm: Arm
    positions: pl.Series
    at: pl.Series

    @property
    def columns(self) -> list[str]:
        key = self.arm.home.table.primary_key
        return [c for c in self.arm.home.table.column_names if c not in key]

    def differing(self, expected: Expected, found: Cells, column: str) -> pl.Series | None:
        """Where a target cell is not what it must be, counted and told; None where all are."""
        side, arm = self.side, self.arm
        check = arm.checks.get(column, arm.checks.get("*", "cells_match"))
        side.compared[check] = side.compared.get(check, 0) + self.positions.len()
        if expected.truth is not None:
            self._tell(
                column, _differs(replace(expected, value=expected.truth), found, column), expected
            )
        flawed = _differs(expected, found, column)
        if flawed is None:
            return None
        loud = flawed if arm.quiet is None else flawed & ~arm.quiet.gather(self.positions)
        label = (check, f"{arm.home.table.name}.{column}")
        side.wrong[label] = side.wrong.get(label, 0) + int(loud.sum())
        if expected.truth is None:
            self._tell(column, loud, expected)
        return flawed

    def _tell(self, column: str, rows: pl.Series | None, expected: Expected) -> None:
        if rows is None:
            return
        home = self.arm.home
        there = self.at.filter(rows)
        self.side.tell(
            "changed",
            (home.table.name, column, ""),
            self.positions.filter(rows),
            lambda few: home.named(there, few.len()),
            self.side.own(expected.carries),
        )


def _differs(expected: Expected, found: Cells, column: str) -> pl.Series | None:
    """Where a target cell is not what it must be; None where all are."""
    cells = found.columns[column]
    if expected.anything:
        wrong = found.is_null(column)
    elif expected.value.dtype != cells.dtype:
        wrong = expected.value.is_not_null() | ~found.is_null(column)
    else:
        wrong = ~equal(expected.value, cells)
        if cells.dtype == pl.Float64:
            sign = (expected.value == 0.0) & ((1.0 / expected.value) != (1.0 / cells))
            wrong |= sign.fill_null(value=False)
        if expected.printed is not None and wrong.any():
            wrong &= ~(_nearly(expected.value, cells) & expected.printed)
    odd = found.odd.get(column)
    if odd is not None:
        wrong = wrong.scatter(odd["at"], True)
    return wrong if wrong.any() else None


def _nearly(one: pl.Series, other: pl.Series) -> pl.Series:
    """Whether two printed numbers agree but for the last digits, where SQLite releases disagree."""
    left, right = (s.cast(pl.Float64, strict=False) for s in (one, other))
    return ((left - right).abs() <= right.abs() * 1e-14).fill_null(value=False)
