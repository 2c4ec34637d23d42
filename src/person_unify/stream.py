"""Every source table in load order, read and transformed one after the other.

The pipeline pulls outcomes from here: the migration loads them, the check only counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TypeAlias

import polars as pl

from person_unify.clock import Clock
from person_unify.decisions import Decisions
from person_unify.errors import SourceError
from person_unify.frames import ROW, Outcome, SourceFrame
from person_unify.mappings import CORE_TABLES
from person_unify.mappings.bind import BoundMapping, Plan
from person_unify.progress import TableFinished, TableStarted
from person_unify.reading import Reader
from person_unify.registry import Registry
from person_unify.schema import OLD, Table
from person_unify.spec import Via, Word
from person_unify.stages.extract import Extractor
from person_unify.stages.resolve import Choices, Core, Resolution, resolve
from person_unify.stages.transform import Options, archive_whole, transform
from person_unify.values import Lane

FIRST = ("users", "parents")
"""Tables whose loaded rows decide which views can be made."""


Spent: TypeAlias = tuple[str, int, float]
"""A phase, rows and seconds of work."""


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one source table, and the work that it took."""

    outcome: Outcome
    spent: tuple[Spent, ...]

    def taken(self, clock: Clock) -> Outcome:
        """The outcome, its work counted."""
        _count(self.spent, clock)
        return self.outcome


def _count(spent: Iterable[Spent], clock: Clock) -> None:
    for phase, rows, seconds in spent:
        clock.add(phase, rows, seconds)


@dataclass(slots=True)
class Stream:
    """Reads and transforms the tables of one snapshot.

    After :meth:`opening` the persons are resolved and nothing has been handed out to load yet.
    looked_up: the source tables whose ids other tables ask the registry for.
    """

    extractor: Extractor
    plan: Plan
    options: Options
    clock: Clock
    registry: Registry
    decisions: Decisions = field(default_factory=Decisions)
    looked_up: frozenset[str] = field(init=False)
    _spent: list[Spent] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Find the source tables whose ids other tables ask the registry for."""
        names = {name for b in self.plan.bound for c in b.columns if (name := c.names)}
        vias = {word.table for word in self._words() if isinstance(word, Via)}
        twins = {name for b in self.plan.bound if (name := b.mapping.shares_ids_with)}
        self.looked_up = frozenset({*FIRST, *names, *vias, *twins})

    def opening(self) -> tuple[list[Outcome], Resolution]:
        """Users, parents and the resolved persons; raises :class:`SourceError` for bad keys."""
        first = [self._transformed(bound) for source in FIRST for bound in self.plan.of(source)]
        core = Core(*(self._core(table) for table in (*CORE_TABLES, "consent_grants")))
        started = perf_counter()
        bound = {
            (b.mapping.source, b.target.name): b
            for b in self.plan.bound
            if b.mapping.source in CORE_TABLES and b.target is not None
        }
        choices = Choices(
            self.options.run_time, self.options.implied_grants, self.decisions.frame()
        )
        resolution = resolve(core, bound, self.registry, choices)
        people = resolution.counts["patients"] + resolution.counts["children"]
        self._spent.append(("resolve", people, perf_counter() - started))
        _count(self._spent, self.clock)
        self._spent.clear()
        present = [o for o in resolution.outcomes if o.source in self.extractor.tables]
        return [*first, *present], resolution

    @property
    def later(self) -> tuple[BoundMapping | Table, ...]:
        """What follows the opening, in load order."""
        opened = (*FIRST, *CORE_TABLES)
        bound = (b for b in self.plan.bound if b.mapping.source not in opened)
        return (*bound, *self.plan.unmapped)

    def rest(self, skip: int = 0) -> Iterator[Made]:
        """Every other table, one at a time, but for the first ``skip`` of them.

        May run ahead of who takes them, in another thread: the clock is left to that one.
        """
        for each in self.later[skip:]:
            if isinstance(each, Table):
                outcome = self._archived(each)
            elif each.target is None:
                outcome = self._archived(each.source)
            else:
                outcome = self._transformed(each)
            spent, self._spent = self._spent, []
            yield Made(outcome, tuple(spent))

    def _read(self, name: str, columns: tuple[str, ...] | None = None) -> SourceFrame:
        self.clock.progress(TableStarted("extract", name))
        started = perf_counter()
        frame = self.extractor.read(name, columns)
        seconds = perf_counter() - started
        self._spent.append(("extract", frame.height, seconds))
        self.clock.progress(TableFinished("extract", name, frame.height, seconds))
        return frame

    def _core(self, table: str) -> SourceFrame:
        name = self.plan.source_names.get(table)
        if name is None:
            return _empty(OLD[table])
        if table == "consent_grants":
            columns = ("id", "parent_id", "patient_id")
            return self.extractor.read(name, columns)
        source = _keyed(self._read(name), OLD[table])
        _require_keys(source)
        _require_distinct(source)
        return source

    def _transformed(self, bound: BoundMapping) -> Outcome:
        source = _keyed(self._read(bound.name), OLD.get(bound.mapping.source, bound.target))
        _require_keys(source)
        if bound.mapping.source == "consent_grants":
            _require_distinct(source)
        started = perf_counter()
        outcome = transform(
            source, bound, self.registry, self.options, self._wanted(bound.mapping.source)
        )
        if bound.mapping.source not in self.looked_up:
            self.registry.forget(bound.mapping.source)
        seconds = perf_counter() - started
        self._spent.append(("transform", source.height, seconds))
        self.clock.progress(TableFinished("transform", bound.name, source.height, seconds))
        return outcome

    def _archived(self, table: Table) -> Outcome:
        return archive_whole(self._read(table.name))

    def _wanted(self, source: str) -> frozenset[str]:
        """Attributes of a source table's rows that other tables look up."""
        wanted = {w.attribute for w in self._words() if isinstance(w, Via) and w.table == source}
        # The e-mail of the parent's user stands in an implied grant; both ends must be known.
        wanted |= {"users": {"email"}, "parents": {"user_id"}}.get(source, set())
        return frozenset(wanted)

    def _words(self) -> Iterator[Word]:
        """Every word by which a table fills a column or hands a value on."""
        for bound in self.plan.bound:
            yield from (binding.word for binding in bound.columns)
            yield from bound.mapping.exposes.values()


def _empty(table: Table) -> SourceFrame:
    """A table that the file does not have: no rows, every column in the lane it would have."""
    lanes: dict[str, Lane] = {
        c.name: "text" if c.type == "TEXT" else "integer" for c in table.columns
    }
    dtypes: dict[str, pl.DataType] = {"text": pl.String(), "integer": pl.Int64()}
    schema = {ROW: pl.Int64(), **{name: dtypes[lane] for name, lane in lanes.items()}}
    return SourceFrame(table, pl.DataFrame(schema=schema), lanes)


def _keyed(source: SourceFrame, known: Table | None) -> SourceFrame:
    """The frame with the key of its table, also where the file declares none."""
    usual = known.primary_key if known is not None else ()
    return replace(source, usual_key=tuple(c for c in usual if c in source.lanes))


def _require_keys(source: SourceFrame) -> None:
    """Refuse a primary key that is NULL, not TEXT, or not valid UTF-8 (contract section 2)."""
    reader = Reader(source, run_time=0)
    for column in source.key:
        if source.lane(column) == "text":
            bad = source.frame[column].null_count()
        elif source.lane(column) == "mixed":
            stored = pl.col(column).struct.field("class")
            read = reader.peek(column, "TEXT").value
            bad = source.frame.select(((stored != 3) | read.is_null()).sum()).item()
        else:
            bad = source.height
        if bad:
            raise SourceError(
                f"{source.table.name} has {bad} rows whose primary key {column} is NULL, not TEXT "
                "or not valid UTF-8: give those rows proper ids first"
            )


def _require_distinct(source: SourceFrame) -> None:
    ids = source.frame.select(Reader(source, run_time=0).key_text()).to_series()
    repeated = ids.len() - ids.n_unique()
    if repeated:
        raise SourceError(
            f"{source.table.name} has {repeated} repeated ids, and what an id became is kept by "
            "its id: give those rows ids of their own first"
        )
