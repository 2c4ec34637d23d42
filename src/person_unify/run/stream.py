"""Every source table in load order, read and transformed one after the other, in parts.

The pipeline pulls outcomes from here: the migration loads them, the check only counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter
from typing import TypeAlias

import polars as pl

from person_unify.allocators import give_memory_back
from person_unify.frames.decisions import Decisions
from person_unify.frames.keyed import empty_source, require_distinct, require_keys, with_key
from person_unify.frames.model import Outcome, SourceFrame, renamed_fields
from person_unify.frames.registry import Registry
from person_unify.mappings import CORE_TABLES
from person_unify.mappings.bind import BoundMapping, Plan
from person_unify.mappings.spec import Via, Word
from person_unify.progress import Note, Planned, TableProgress
from person_unify.run.budget import Budget
from person_unify.run.clock import Clock
from person_unify.schema import OLD, Table
from person_unify.stages.extract import Extractor
from person_unify.stages.resolve import (
    REPRESENTED,
    Choices,
    Core,
    Outcomes,
    Resolution,
    Tables,
    deciding_cells,
    deciding_columns,
    resolve,
)
from person_unify.stages.transform import Options, Task, archive_whole, known_by_row, transform

FIRST = ("users", "parents")
"""Tables whose loaded rows decide which views can be made."""


Spent: TypeAlias = tuple[str, int, float]
"""A phase, rows and seconds of work."""


@dataclass(frozen=True, slots=True)
class PartResult:
    """What became of a source table or of one part of it, and the work that it took.

    last: whether no further part of the table follows.
    """

    outcome: Outcome
    spent: tuple[Spent, ...]
    last: bool

    def taken(self, clock: Clock) -> Outcome:
        """The outcome, its work counted."""
        _count(self.spent, clock)
        return self.outcome


def _count(spent: Iterable[Spent], clock: Clock) -> None:
    for phase, rows, seconds in spent:
        clock.add(phase, rows, seconds)


@dataclass(slots=True)
class Stream:
    """Reads and transforms the tables of one snapshot, large ones in parts.

    :meth:`first` comes first, and is taken to its end; then :meth:`people`, then
    :meth:`represented`, then :meth:`rest`.
    looked_up: the source tables whose ids other tables ask the registry for.  twins: those whose
    ids a table with the same target asks for.
    """

    extractor: Extractor
    plan: Plan
    options: Options
    clock: Clock
    registry: Registry
    decisions: Decisions = field(default_factory=Decisions)
    budget: Budget = field(default_factory=Budget)
    phases: tuple[str, ...] = ("extract", "resolve", "transform")
    looked_up: frozenset[str] = field(init=False)
    twins: frozenset[str] = field(init=False)
    _spent: list[Spent] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Find the source tables whose ids other tables ask the registry for."""
        names = {name for b in self.plan.bound for c in b.columns if (name := c.names)}
        vias = {word.table for word in self._words() if isinstance(word, Via)}
        twins = (b.mapping.shares_ids_with for b in self.plan.bound)
        self.twins = frozenset(name for name in twins if name)
        self.looked_up = frozenset({*FIRST, *names, *vias, *self.twins})

    def first(self) -> Iterator[PartResult]:
        """Users and parents, who decide which views can be made."""
        names = {*(b.name for b in self.plan.bound), *(t.name for t in self.plan.unmapped)}
        rows = sum(map(self.extractor.count, names))
        self.clock.progress(Planned(rows, len(names), self.phases))
        core = (self.plan.source_names.get(table) for table in CORE_TABLES)
        people = sum(self.extractor.count(name) for name in core if name)
        verified = rows if "verify" in self.phases else 0
        if warning := self.budget.too_small_for(people, verified):
            self.clock.progress(Note(warning))
        for source in FIRST:
            for bound in self.plan.of(source):
                yield from self._transformed(bound)

    def people(self) -> Resolution:
        """The resolved persons, from the columns that decide; raises SourceError for bad keys."""
        tables = Tables(*(self.plan.source_names.get(table, table) for table in CORE_TABLES))
        core = Core(tables, *(self._core(table) for table in (*CORE_TABLES, "consent_grants")))
        started = perf_counter()
        bound = {
            (b.mapping.source, b.target.name): b
            for b in self.plan.bound
            if b.mapping.source in CORE_TABLES and b.target is not None
        }
        choices = Choices(self.options.run_time, self.options.implied_grants, self._decided())
        resolution = self._resolution_as_written(resolve(core, bound, self.registry, choices))
        del core
        give_memory_back()
        resolved = resolution.counts["patients"] + resolution.counts["children"]
        self._spent.append(("resolve", resolved, perf_counter() - started))
        _count(self._all_spent(), self.clock)
        return resolution

    def _decided(self) -> pl.DataFrame:
        """The decisions, with columns named as mappings name them."""
        ours = {
            table: {written: name for name, written in columns.items()}
            for table, columns in self.plan.respelt.items()
        }
        return renamed_fields(self.decisions.frame(), ours)

    def _resolution_as_written(self, found: Resolution) -> Resolution:
        """The same with the source's columns named as its file writes them."""
        names = self.plan.respelt
        return replace(
            found,
            discrepancies=tuple(renamed_fields(frame, names) for frame in found.discrepancies),
            questions=renamed_fields(found.questions, names),
            decisions=renamed_fields(found.decisions, names),
        )

    def _as_written(self, found: Outcome) -> Outcome:
        """The same with the source's columns named as its file writes them."""
        names = self.plan.respelt.get(found.source)
        if names is None:
            return found
        return replace(
            found,
            discrepancies=tuple(
                renamed_fields(frame, {found.source: names}) for frame in found.discrepancies
            ),
            normalisations=tuple(
                (names.get(column, column), rule, n) for column, rule, n in found.normalisations
            ),
        )

    def represented(self, outcomes: Outcomes) -> Iterator[PartResult]:
        """What became of every patient, parent link and child, in parts; to be taken to the end."""
        for source in REPRESENTED:
            name = self.plan.source_names.get(source)
            if name is not None:
                rows = self._rows_at_once(self.extractor.tables[name])
                make = partial(_represented, outcomes, source)
                yield from self._made(name, rows, make, thrifty=True)

    def rest(self) -> Iterator[PartResult]:
        """Every other table, one after the other, in load order.

        May run ahead of who takes them, in another thread: the clock is left to that one.
        """
        for bound in self.plan.bound:
            if bound.mapping.source in (*FIRST, *CORE_TABLES):
                continue
            if bound.target is None:
                yield from self._archived(bound.source)
            else:
                yield from self._transformed(bound)
        for table in self.plan.unmapped:
            yield from self._archived(table)

    def _all_spent(self) -> tuple[Spent, ...]:
        spent, self._spent = self._spent, []
        return tuple(spent)

    def _parts(
        self, name: str, rows: int | None, *, thrifty: bool = False
    ) -> Iterator[tuple[SourceFrame, bool]]:
        """A table in parts of at most so many rows, or whole; each with whether it is the last.

        Who takes a part lets go of it before it asks for the next one.  ``thrifty``: memory goes
        back after each part already, as what resolving persons took is still about.
        """
        told = TableProgress(self.clock.progress, "extract", name)
        started = perf_counter()
        for frame, last in self.extractor.parts(name, rows):
            seconds = perf_counter() - started
            self._spent.append(("extract", frame.height, seconds))
            told.advance(frame.height, seconds, last=last)
            yield frame, last
            del frame
            if last or thrifty:
                give_memory_back()
            started = perf_counter()

    def _core(self, table: str) -> pl.DataFrame:
        """The deciding cells of all rows; these are counted when they are read in full."""
        known = OLD[table]
        name = self.plan.source_names.get(table)
        if name is None:
            return deciding_cells(empty_source(known), table, self.options.run_time)
        key = (*self.extractor.tables[name].primary_key, *known.primary_key)
        started = perf_counter()
        source = with_key(self.extractor.read(name, (*key, *deciding_columns(table))), known)
        self._spent.append(("extract", 0, perf_counter() - started))
        if table in CORE_TABLES:
            require_keys(source, whole=True)
            require_distinct(source)
        cells = deciding_cells(source, table, self.options.run_time)
        del source
        give_memory_back()
        return cells

    def _transformed(self, bound: BoundMapping) -> Iterator[PartResult]:
        source = bound.mapping.source
        known = OLD.get(source, bound.target)
        task = Task(
            bound,
            self.registry,
            self.options,
            self._wanted(source),
            remembered=source in self.looked_up,
            twin=source in self.twins,
        )
        rows = self._rows_at_once(bound.source) if _comes_apart(bound, known) else None

        def make(frame: SourceFrame, last: bool) -> Outcome:
            part = with_key(frame, known)
            require_keys(part, whole=last and not task.state.number)
            if source == "consent_grants" and rows is None:
                require_distinct(part)
            return transform(part, task, last=last)

        yield from self._made(bound.name, rows, make)

    def _made(
        self,
        name: str,
        rows: int | None,
        make: Callable[[SourceFrame, bool], Outcome],
        *,
        thrifty: bool = False,
    ) -> Iterator[PartResult]:
        """What became of a table: ``make`` tells it of a part, and hears whether it is the last.

        rows, thrifty: see :meth:`_parts`.
        """
        if not self.extractor.count(name):
            yield self._nothing(name)
            return
        told = TableProgress(self.clock.progress, "transform", name)
        for frame, last in self._parts(name, rows, thrifty=thrifty):
            started = perf_counter()
            outcome = self._as_written(make(frame, last))
            seconds = perf_counter() - started
            self._spent.append(("transform", frame.height, seconds))
            told.advance(frame.height, seconds, last=last)
            yield PartResult(outcome, self._all_spent(), last)
            del frame, outcome

    def _nothing(self, name: str) -> PartResult:
        """What became of a table without rows: as if the file did not have it (section 2)."""
        for phase in ("extract", "transform"):
            TableProgress(self.clock.progress, phase, name, 0).advance(0, 0.0, last=True)
        return PartResult(Outcome(name, 0), (), last=True)

    def _archived(self, table: Table) -> Iterator[PartResult]:
        if not self.extractor.count(table.name):
            yield self._nothing(table.name)
            return
        by_row = self.extractor.has_null_key(table.name)
        for frame, last in self._parts(table.name, self._rows_at_once(table)):
            source = known_by_row(frame) if by_row else frame
            yield PartResult(archive_whole(source), self._all_spent(), last)
            del frame, source

    def _rows_at_once(self, table: Table) -> int:
        rows = self.extractor.count(table.name)
        text = self.extractor.text_bytes(table.name)
        return self.budget.rows_at_once(rows, len(table.columns), text)

    def _wanted(self, source: str) -> frozenset[str]:
        """Attributes of a source table's rows that other tables look up."""
        wanted = {w.attribute for w in self._words() if isinstance(w, Via) and w.table == source}
        # The e-mail of the parent's user stands in an implied grant, whose ends must be open.
        wanted |= {"users": {"email", "closed"}, "parents": {"user_id"}}.get(source, set())
        return frozenset(wanted)

    def _words(self) -> Iterator[Word]:
        """Every word by which a table fills a column or hands a value on."""
        for bound in self.plan.bound:
            yield from (binding.word for binding in bound.columns)
            yield from bound.mapping.exposes.values()


def _represented(outcomes: Outcomes, source: str, frame: SourceFrame, last: bool) -> Outcome:
    """What became of a part of ``source``."""
    return outcomes.made(source, with_key(frame, OLD[source]), last=last)


def _comes_apart(bound: BoundMapping, known: Table | None) -> bool:
    """Whether the rows of a table can be transformed in parts.

    What is told of a row may depend on later ones where rows merge; and only where the file itself
    declares the key by which others name a row is it known to have no doubles.
    """
    declared = bound.source.primary_key
    usual = known.primary_key if known is not None else ()
    return bool(declared) and declared == usual and not bound.mapping.merge_on
