"""The inverse: every source row again, from target and ledger alone (contract section 9).

The rebuild's own frames, made of what this verification has read, and held against the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import polars as pl

from person_unify.errors import MigrationError, TargetError
from person_unify.frames import odd
from person_unify.mappings.bind import Plan
from person_unify.schema import Table
from person_unify.stages import rebuild
from person_unify.stages.rebuild.compare import Comparison, Tell
from person_unify.stages.rebuild.store import Store
from person_unify.stages.verify.archive import lanes_of
from person_unify.stages.verify.cells import ODD, Cells, Lane, decoded, lane_of
from person_unify.stages.verify.check import Check
from person_unify.stages.verify.compare import Side
from person_unify.stages.verify.findings import Answers
from person_unify.stages.verify.held import EVERY, Range
from person_unify.stages.verify.homes import lanes_of as lanes_of_target
from person_unify.stages.verify.reader import File


@dataclass(frozen=True, slots=True)
class _Reads:
    """What a rebuild reads of a table, from what this verification holds."""

    file: File
    table: Table
    own: Mapping[str, Lane]

    @property
    def lanes(self) -> Mapping[str, odd.Lane]:
        """The rebuild's lanes: to it every REAL is odd."""
        return {name: "integer" if lane == "integer" else "text" for name, lane in self.own.items()}

    def read(self, columns: Sequence[str], *_: object) -> odd.Rows:
        """Columns of every row."""
        return _framed(self.file.read(self.table, columns, lanes=self.own), columns)

    def at(self, columns: Sequence[str], row: pl.Series) -> odd.Rows:
        """Columns of the rows of some rowids, which are ascending."""
        return _framed(self.file.read_part(self.table, columns, row, self.own), columns)


def _framed(cells: Cells, columns: Sequence[str]) -> odd.Rows:
    """Cells as the rebuild has them: rows by their numbers, odd cells as rows of one frame."""
    named: dict[str, pl.Series] = {}
    apart: dict[str, pl.DataFrame] = {}
    for number, column in enumerate(columns):
        lane, found = cells.columns[column], cells.odd.get(column)
        if lane.dtype == pl.Float64:
            lane, found = _of_reals(lane, found)
        named[f"c{number}"] = lane
        if found is not None and found.height:
            apart[column] = found
    rows = {odd.ROW: cells.row, odd.ODD: odd.places(cells.height), **named}
    if not apart:
        return odd.Rows(pl.DataFrame(rows))
    at = np.unique(np.concatenate([found["at"].to_numpy() for found in apart.values()]))
    fields = []
    for column, found in apart.items():
        spots = np.full(at.size, -1, dtype=np.int64)
        spots[np.searchsorted(at, found["at"].to_numpy())] = np.arange(found.height)
        own = pl.Series(spots).set(pl.Series(spots < 0), None)
        here = (pl.col(f).gather(own).alias(odd.odd_field(column, f)) for f in odd.STORED)
        fields += found.select(here).get_columns()
    rows[odd.ODD] = odd.places(cells.height, pl.Series(at))
    return odd.Rows(pl.DataFrame(rows), pl.DataFrame(fields))


def _of_reals(
    reals: pl.Series, others: pl.DataFrame | None
) -> tuple[pl.Series, pl.DataFrame | None]:
    """The texts of a column of REALs, and its other cells, the REALs among them."""
    at = reals.is_not_null().arg_true().cast(pl.UInt32)
    known = {"at": at, "class": odd.REAL, "integer": None, "real": reals.gather(at), "bytes": None}
    found = pl.DataFrame(known, schema=ODD)
    texts = pl.Series([None], dtype=pl.String).new_from_index(0, reals.len())
    if others is None:
        return texts, found
    text = decoded(others["bytes"])
    plain = (others["class"] == odd.TEXT) & text.is_not_null()
    texts = texts.scatter(others["at"].filter(plain), text.filter(plain))
    return texts, pl.concat([found, others.filter(~plain)]).sort("at")


class _Shared(Store):
    """A table as this verification reads it."""

    reader: _Reads

    @property
    def small(self) -> bool:
        """Whether all rows may be in memory together."""
        return self.reader.file.ranges(self.table) is None

    @property
    def empty(self) -> bool:
        """Whether the table has no row."""
        return self.reader.file.counts[self.table.name] == 0

    def _named(self, wanted: pl.Series, columns: Sequence[str]) -> odd.Rows:
        return self.reader.at(columns, wanted.drop_nulls().unique().sort())


class _SharedFile(rebuild.File):
    """A file that this verification has open; archives are read in the lanes of their source."""

    def __init__(
        self, file: File, lanes: Callable[[Table, Table | None], Mapping[str, Lane]]
    ) -> None:
        """lanes: of a table, which is the archive of another if that is given."""
        self.path, self.tables, self._file, self._lanes = file.path, file.tables, file, lanes

    def store(
        self, name: str, lanes: Mapping[str, odd.Lane] | None = None, known: Table | None = None
    ) -> Store:
        """A table of the file; raises :class:`TargetError` where there is none of that name."""
        del lanes
        table = self.tables.get(name)
        if table is None:
            raise TargetError(f"{self.path.name} has no table {name}: it has been changed")
        table = table if known is None else table.known_as(known)
        ranges = self._file.ranges(table)
        at_once = max(1, self._file.counts[table.name] // len(ranges or [None]))
        return _Shared(_Reads(self._file, table, self._lanes(table, known)), table, None, at_once)

    def ranges(self, name: str) -> Sequence[Range]:
        """The parts in which a table is best read."""
        return self._file.ranges(self.tables[name]) or [EVERY]


def _declared(table: Table, _: Table | None) -> dict[str, Lane]:
    return {column.name: lane_of(column.type) for column in table.columns}


def _of_ledger(table: Table, source: Table | None) -> Mapping[str, Lane]:
    return _declared(table, None) if source is None else lanes_of(table, source)


class Inverse:
    """Gives the source back, table by table, and knows of which tables it has told."""

    def __init__(self, files: tuple[File, File, File], plan: Plan, answers: Answers) -> None:
        """Source, target and ledger, open, and the plan by which they were made."""
        source, target, ledger = files
        self.source = _SharedFile(source, _declared)
        there = _SharedFile(target, lambda table, _: lanes_of_target(table))
        kept = _SharedFile(ledger, _of_ledger)
        self.rebuilder = rebuild.Rebuilder(there, kept, plan, source.tables)
        self.answers = answers
        self.told: set[str] = set()
        self._going: dict[str, Comparison] = {}

    def begin(self, name: str, side: Side | None = None) -> None:
        """Pair the rows of a table of the source with those that target and ledger give back.

        side: names the rows of what differs.  What keeps them from being compared is an answer.
        """
        with self._guarded(name):
            rebuilt = self.rebuilder.table(name)
            tell = None if side is None else _telling(side, rebuilt)
            self._going[name] = Comparison(self.source.store(name), rebuilt, tell)

    def compare(self, name: str, rows: Range) -> None:
        """Compare the cells of the rows in a range, best while they are held."""
        if name in self._going:
            with self._guarded(name):
                self._going[name].compare(rows)

    def end(self, name: str) -> None:
        """Tell how a table differs."""
        if name in self._going:
            with self._guarded(name):
                self.tell(self._going.pop(name).result())
            self.told.add(name)

    def check(self, name: str, side: Side | None = None) -> None:
        """All of it, for a table that nothing else is asked of."""
        self.begin(name, side)
        for part in self.source.ranges(name):
            self.compare(name, part)
        self.end(name)

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        try:
            yield
        except TargetError as error:  # target or ledger is not what a run leaves behind
            self._stop(name)
            self.answers.checks.append(Check("rebuild", name, None, None, "failed", str(error)))
        except MigrationError as error:
            self._stop(name)
            self.tell(rebuild.TableComparison(name, 0, 0, problem=str(error)))

    def _stop(self, name: str) -> None:
        self._going.pop(name, None)
        self.told.add(name)

    def tell(self, found: rebuild.TableComparison) -> None:
        """Add a comparison as a check."""
        rows, equal = (None, None) if found.problem else (found.old_rows, found.equal)
        said = found.said()
        self.answers.checks.append(Check("rebuild", found.table, rows, equal, found.outcome, said))


def _telling(side: Side, rebuilt: rebuild.Rebuilt) -> Tell:
    """Name rows whose cell of a column does not come back, by where it should have come from."""

    def tell(column: str, rows: pl.DataFrame) -> None:
        positions = side.rows.cells.row.search_sorted(rows["old"])
        archive = rebuilt.archive
        taken = pl.col("whole") if archive is None else archive.takes(column)
        archived = rebuilt.rows[rows["new"]].select(taken).to_series()
        detail = "the archived cell is not the source's"
        side.tell("archive", (None, column, detail), positions.filter(archived))
        side.tell("lost", (None, column, ""), positions.filter(~archived))

    return tell
