"""One source table to the rows of one target table, with everything that must be said about it.

The order is that of the contract: rows whose required references name nothing stay out first, then
rows that merge into another, then rows whose key an earlier row has taken; only then are cells of
the rows that remain logged, counted and archived.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import polars as pl

from person_unify.frames.archive import assemble
from person_unify.frames.model import Archive, Outcome, SourceFrame, left_join
from person_unify.frames.reading import Reader, implausible_log
from person_unify.frames.registry import NEW, OLD, Registry
from person_unify.mappings import COLLISIONS, ID_MAPS, TAGS
from person_unify.mappings.bind import BoundMapping
from person_unify.mappings.identity import identity
from person_unify.mappings.reads import reads
from person_unify.mappings.spec import Computed, Copy, Via
from person_unify.stages.transform.context import TableContext
from person_unify.stages.transform.expressions import Compiler
from person_unify.stages.transform.keys import merge, refuse, with_merged, with_new_ids
from person_unify.stages.transform.logs import orphan_log, reference_log, soft_log
from person_unify.stages.transform.references import ORPHAN_FIELD, mark_orphans, resolve
from person_unify.stages.transform.state import TableState


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator chose, and the one instant of the run (ms since the epoch)."""

    run_time: int
    timezone: str = "Asia/Kolkata"
    implied_grants: str = "active"


@dataclass(frozen=True, slots=True)
class Task:
    """One source table on its way through the transform, and what its parts hand on.

    wanted: attributes that other tables look up in this one's loaded rows.
    remembered: whether they look its ids up; twin: whether one shares its target.
    """

    bound: BoundMapping
    registry: Registry
    options: Options
    wanted: frozenset[str] = frozenset()
    remembered: bool = False
    twin: bool = False
    state: TableState = field(default_factory=TableState)


def transform(source: SourceFrame, task: Task, *, last: bool = True) -> Outcome:
    """Make the target rows of the next part of a source table, in source order.

    With the ``last`` part the table is registered for those that follow.
    """
    bound, state = task.bound, task.state
    state.begin(last)
    frame, table = _opened(source, task)
    orphans = frame.filter(pl.col(ORPHAN_FIELD).is_not_null())
    rows = frame.filter(pl.col(ORPHAN_FIELD).is_null())
    rows = _with_targets(rows, table, task)
    rows, merged, merge_log = merge(rows, table)
    rows, refused, refused_log = refuse(rows, table)
    rows, collision_log, collisions = with_new_ids(rows, merged, table)
    unreadable, counted = table.reader.settle(rows, table.person)
    state.early.update(table.reader.implausible(rows))
    logged = [
        orphan_log(orphans, table),
        merge_log,
        refused_log,
        collision_log,
        *unreadable,
        *reference_log(rows, table),
        *soft_log(rows, table),
        *(implausible_log(bound.name, state.early) if last else ()),
    ]
    outs = [
        (orphans, bound.mapping.orphan_kind),
        (merged, "merged_tag"),
        (refused, "duplicate_key"),
    ]
    _remember(rows, table, task)
    if last:
        state.register(task.registry, bound.mapping.source)
    return Outcome(
        source=bound.name,
        source_rows=source.height,
        rows=_target_rows(rows, bound),
        discrepancies=tuple(frame for frame in logged if frame.height),
        normalisations=tuple(counted),
        archive=_archive(rows, outs, table),
        maps=_maps(rows, merged, collisions, table),
        not_loaded={reason: out.height for out, reason in outs if out.height},
    )


def _opened(source: SourceFrame, task: Task) -> tuple[pl.DataFrame, TableContext]:
    """The source rows with their references resolved and the orphans among them marked."""
    bound, registry = task.bound, task.registry
    reader = Reader(source, task.options.run_time, bound.mapping.created)
    reader.prepare(reads(bound))
    frame, resolved = resolve(reader.source.frame, bound, reader, registry)
    return mark_orphans(frame, bound, resolved), TableContext(
        bound, reader, resolved, registry, task.state
    )


def _archive(
    rows: pl.DataFrame, outs: list[tuple[pl.DataFrame, str]], table: TableContext
) -> Archive | None:
    """What the target does not hold, so that each row can be put together again."""
    source, bound = table.reader.source, table.bound
    beside = [c for c in identity(bound, source.key) if c not in source.table.primary_key]
    return assemble(source, table.reader.lost, rows, None, outs, beside)


def _target_rows(rows: pl.DataFrame, bound: BoundMapping) -> dict[str, pl.DataFrame]:
    assert bound.target is not None
    names = [b.target.name for b in bound.columns]
    return {bound.target.name: rows.select(pl.col(f"@target:{n}").alias(n) for n in names)}


def archive_whole(source: SourceFrame, reason: str = "unmapped_table") -> Outcome:
    """Archive every row of a table, or of a part of it, that the unified schema has no home for."""
    return Outcome(
        source=source.table.name,
        source_rows=source.height,
        archive=assemble(source, {}, source.frame.clear(), None, [(source.frame, reason)]),
        not_loaded={reason: source.height} if source.height else {},
    )


def known_by_row(source: SourceFrame) -> SourceFrame:
    """Without its primary key, for a table with NULLs in it: SQLite lets such rows repeat."""
    columns = tuple(replace(column, key_position=0) for column in source.table.columns)
    return replace(source, table=replace(source.table, columns=columns))


def _with_targets(rows: pl.DataFrame, table: TableContext, task: Task) -> pl.DataFrame:
    compiler = Compiler(table.reader, table.resolved, task.options.timezone)
    made = {}
    for binding in table.bound.columns:
        value = compiler.target(binding)
        if value is not None:
            made[f"@target:{binding.target.name}"] = value
    exposed = table.bound.mapping.exposes
    for name in task.wanted & set(exposed):
        word, shown = exposed[name], f"@exposed:{name}"
        if isinstance(word, Copy):
            made[shown] = table.reader.peek(word.column, "TEXT").value
        elif isinstance(word, Computed):
            made[shown] = compiler.computed(word)
        elif isinstance(word, Via):
            # It passes through this table from one that it names itself (a goal's plan's creator).
            attribute = table.registry.attribute(word.table, word.attribute)
            keyed = rows.with_columns(table.reader.peek(word.column, "TEXT").value.alias(OLD))
            rows = left_join(keyed, attribute.rename({word.attribute: shown}), OLD).drop(OLD)
    return rows.with_columns(expression.alias(name) for name, expression in made.items())


def _remember(rows: pl.DataFrame, table: TableContext, task: Task) -> None:
    """Keep of this part what the registry is to know of the table."""
    key = table.key
    if task.remembered:
        new = pl.col("@target:id") if "@target:id" in rows.columns else key
        attributes = [
            pl.col(f"@exposed:{a}" if f"@exposed:{a}" in rows.columns else f"@target:{a}").alias(a)
            for a in sorted(task.wanted)
        ]
        loaded = rows.select(key.alias(OLD), new.alias(NEW), *attributes)
        table.state.loaded.append(loaded)
    if task.twin:
        table.state.ids.append(table.reader.source.frame.select(key).to_series())


def _maps(
    rows: pl.DataFrame, merged: pl.DataFrame, collisions: pl.DataFrame, table: TableContext
) -> dict[str, pl.DataFrame]:
    mapping = table.bound.mapping
    maps = {}
    own = ID_MAPS.get((mapping.source, str(mapping.target)))
    if own is not None:
        maps[own] = rows.select(table.key.alias("old_id"), pl.col("@target:id").alias("new_id"))
    if mapping.merge_on:
        # Where the file does not say that they are unique, a row may be there twice.
        every = with_merged(rows, merged, table).rename({"@target:id": "new_id"})
        maps[TAGS] = every.select("patient_id", "tag", "new_id").unique(maintain_order=True)
    if collisions.height:
        maps[COLLISIONS] = collisions.select(
            pl.lit(table.bound.name).alias("source_table"), "old_id", "new_id"
        )
    return maps
