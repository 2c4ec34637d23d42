"""The one comparison: what source rows must have become, against what target and archive hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from person_unify.mappings.bind import Binding, BoundMapping, type_of
from person_unify.spec import NewId
from person_unify.stages.verify.archive import NOT_CARRIED, Archive, empty, same
from person_unify.stages.verify.context import Context, Rows, entries
from person_unify.stages.verify.findings import Found, Key, Kind, texts
from person_unify.stages.verify.homes import Home
from person_unify.stages.verify.reader import Cells, Range, alike, equal, mark
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
    for.  log: what the log owes the live rows of a part, which stand at some positions.
    """

    bound: BoundMapping
    home: Home
    live: pl.Series
    at: pl.Series
    decided: Mapping[str, Decided] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)
    quiet: pl.Series | None = None
    log: Callable[[Words, pl.Series], None] | None = None


@dataclass
class Side:
    """A source table with its archive, and what became of its cells.

    due: rows whose cells must be carried or archived.  whole: those of them that count as not
    carried.  key: columns that name a row.  look: what else is asked of the rows of a part.
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
    lost: dict[str, int] = field(default_factory=dict)
    verbatim: dict[str, int] = field(default_factory=dict)
    unkept: dict[str, int] = field(default_factory=dict)
    carriers: set[str] = field(default_factory=set)
    unreadable: dict[str, list[pl.Series]] = field(default_factory=dict)
    early: set[str] = field(default_factory=set)
    look: Callable[[Rows, int], None] | None = None

    def note(self, column: str, at: pl.Series) -> None:
        """Note rows, by position, whose cell of a column cannot be read."""
        if at.len():
            self.unreadable.setdefault(column, []).append(at)

    def note_early(self, rows: Rows, expected: Expected) -> None:
        """Note a column whose cells are carried as instants of January 1970 (section 1)."""
        early = expected.value.is_between(1, JANUARY_1970)
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
            self.context.owed.append(
                entries(
                    frame,
                    "unreadable_value",
                    self.name,
                    source_id=pl.col("id"),
                    person_id=None if person is None else pl.col("person"),
                    field=pl.lit(column),
                )
            )
        columns = pl.DataFrame({"column": sorted(self.early)}, schema={"column": pl.String})
        early = entries(columns, "implausible_instant", self.name, field=pl.col("column"))
        self.context.owed.append(early)

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
    """Compare a source table part by part with its target rows and its archive."""
    height, row = side.rows.height, side.rows.cells.row
    parts: Sequence[Range | None] = ranges or [None]
    for part in parts:
        start, stop = 0, height
        if part is not None:
            start = int(row.search_sorted(part[0], "left"))
            stop = int(row.search_sorted(part[1], "right"))
        if start < stop or part is None:
            _compare_part(side, start, stop, part)


def _compare_part(side: Side, start: int, stop: int, part: Range | None) -> None:
    table = side.rows.table
    cells = side.rows.cells
    if part is not None:
        cells = cells.take(pl.arange(start, stop, eager=True, dtype=pl.UInt32))
    rest = [c for c in table.column_names if c not in cells.columns]
    if rest:
        wide = side.context.source.read(table, rest, None if part is None else [part])
        cells = cells.beside(wide)
    rows = Rows(table, cells)
    carried: dict[str, pl.Series] = {}
    exact: dict[str, pl.Series] = {}
    counts = Counts()
    for arm in side.arms:
        _compare_arm(side, arm, rows, (start, stop), (carried, exact, counts))
    for (column, rule), found in counts.found.items():
        place = (side.name, column, rule)
        known = side.context.normalised
        if number := int(found.sum()):
            known[place] = known.get(place, 0) + number
    if side.look is not None:
        side.look(rows, start)
    _kept(side, rows, (start, stop), carried, exact)


_Held = tuple[dict[str, pl.Series], dict[str, pl.Series], Counts]


def _compare_arm(side: Side, arm: Arm, rows: Rows, place: tuple[int, int], held: _Held) -> None:
    start, stop = place
    carried, exact, counts = held
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
        if told.carries is not None and told.exact is not None:
            kept = told.exact
            if name in wrong:
                lost = wrong[name] & found.is_null(name) if told.mapped else wrong[name]
                kept = kept & ~lost
            _add(exact, told.carries, _spread(told.exact, spots, rows.height))
            _add(carried, told.carries, _spread(kept, spots, rows.height))
    arm.home.see(found, wrong)
    if arm.log is not None:
        arm.log(words, live + start)
    for (column, rule), those in words.counts.found.items():
        counts.add(column, rule, _spread(those, live, rows.height))


def _expectations(arm: Arm, words: Words, positions: pl.Series) -> Iterator[tuple[str, Expected]]:
    """What each target column must hold, as far as anything can be expected of it."""
    bindings = {binding.target.name: binding for binding in arm.bound.columns}
    for column in arm.home.table.columns:
        binding = bindings.get(column.name)
        if column.name in arm.decided:
            expected = arm.decided[column.name](words, positions)
        elif binding is None:
            expected = words.unfilled(column)
        elif column.name in arm.home.table.primary_key:
            expected = _as_key(words, binding)
        else:
            expected = words.expected(binding)
        if expected is not None:
            yield column.name, expected


def _as_key(words: Words, binding: Binding) -> Expected | None:
    """A key of the target: rows are found by it, so it carries the cell that it stands for."""
    word = binding.word
    column = getattr(word, "column", None)
    if isinstance(word, NewId) and not words.bound.mapping.merge_on:
        column = "id"
    if column is None or column not in words.rows.cells.columns:
        return None
    return words.carried(column, "TEXT", words.rows.value(column, "TEXT"))


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
        key = [home.cells.columns[c] for c in home.table.primary_key]
        there = self.at.filter(rows)
        self.side.tell(
            "changed",
            (home.table.name, column, ""),
            self.positions.filter(rows),
            lambda few: texts(key, there, few.len()),
            expected.carries,
        )


def _add(to: dict[str, pl.Series], column: str, rows: pl.Series) -> None:
    to[column] = to[column] | rows if column in to else rows


def _spread(values: pl.Series, at: pl.Series, height: int) -> pl.Series:
    return values if at.len() == height else mark(at.filter(values), height)


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


def _kept(
    side: Side,
    rows: Rows,
    place: tuple[int, int],
    carried: dict[str, pl.Series],
    exact: dict[str, pl.Series],
) -> None:
    """Whether each source cell that is not carried is archived, and nothing else is."""
    start, stop = place
    archive = side.archive
    due = side.due[start:stop]
    whole = None if side.whole is None else side.whole[start:stop]
    side.carriers |= set(exact)
    spots = pl.Series([], dtype=pl.UInt32)
    holds: dict[str, pl.Series] = {}
    if archive is not None:
        of = archive.of[start:stop]
        spots = of.is_not_null().arg_true().cast(pl.UInt32)
        holds = _archived(side, archive, rows, spots, of.gather(spots), start)
    filed = mark(spots, rows.height)
    incomplete = alike(False, rows.height)
    for column in rows.table.column_names:
        kept = _unless_whole(carried.get(column), whole)
        need = due if kept is None else due & ~kept
        held = holds.get(column)
        lost = need & ~held if held is not None else need
        side.compared["archived_cells"] = side.compared.get("archived_cells", 0) + int(due.sum())
        if archive is None or column not in archive.key:
            sure = _unless_whole(exact.get(column), whole)
            incomplete |= due if sure is None else due & ~sure
        number = int(lost.sum())
        if number:
            side.lost[column] = side.lost.get(column, 0) + number
            side.tell("lost", (None, column, ""), lost.arg_true() + start)
    bare = incomplete & ~filed
    if bare.any():
        side.lost["archive row"] = side.lost.get("archive row", 0) + int(bare.sum())
        if set(rows.table.column_names) - set(exact) - set(rows.table.primary_key):
            side.tell("lost", (None, None, "no archive row"), bare.arg_true() + start)


def _unless_whole(kept: pl.Series | None, whole: pl.Series | None) -> pl.Series | None:
    return kept if kept is None or whole is None else kept & ~whole


def _archived(
    side: Side, archive: Archive, rows: Rows, spots: pl.Series, of: pl.Series, start: int
) -> dict[str, pl.Series]:
    """Per column, the rows whose archive row names it and holds its cell.

    Also counts the archived cells that are not the source's.
    """
    theirs = archive.beside(side.context, rows.table, of)
    ours = rows.take(spots).cells
    out = archive.reasons.gather(of) != NOT_CARRIED
    out = out.fill_null(value=True)
    if side.whole is not None:
        out |= side.whole.gather(spots + start)
    holds = {}
    for column in rows.table.column_names:
        if column in archive.key:
            holds[column] = mark(spots, rows.height)
            continue
        listed = archive.names(column, of)
        if column in theirs.columns:
            equal = same(ours, theirs, column)
            wrong = (listed & ~equal) | (~listed & ~empty(theirs, column))
            unkept = out & ~equal
        else:
            equal = alike(False, spots.len())
            wrong, unkept = listed, out
        _count_archived(side, column, wrong, unkept, spots + start)
        holds[column] = _spread(listed & equal, spots, rows.height)
    side.compared["archive_verbatim"] = side.compared.get(
        "archive_verbatim", 0
    ) + spots.len() * len(holds)
    side.compared["archived_rows"] = side.compared.get("archived_rows", 0) + int(out.sum()) * max(
        1, len(holds)
    )
    return holds


def _count_archived(
    side: Side, column: str, wrong: pl.Series, unkept: pl.Series, positions: pl.Series
) -> None:
    for counts, rows in ((side.verbatim, wrong), (side.unkept, unkept)):
        if number := int(rows.sum()):
            counts[column] = counts.get(column, 0) + number
    either = wrong | unkept
    if either.any():
        detail = "the archived cell is not the source's"
        side.tell("archive", (None, column, detail), positions.filter(either))
