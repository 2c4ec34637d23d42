"""One source table to the rows of one target table, with everything that must be said about it.

The order is that of the contract: rows whose required references name nothing stay out first, then
rows that merge into another, then rows whose key an earlier row has taken; only then are cells of
the rows that remain logged, counted and archived.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from person_unify.frames import MAP, ROW, Outcome, SourceFrame, discrepancies
from person_unify.ids import fresh_ids
from person_unify.mappings.bind import BoundMapping, reads
from person_unify.reading import Reader
from person_unify.registry import NEW, OLD, Registry
from person_unify.spec import Copy, NewId, Person
from person_unify.stages.transform.references import (
    ORPHAN_FIELD,
    ORPHAN_ID,
    Resolved,
    mark_orphans,
    resolve,
)
from person_unify.stages.transform.soft import soft_references
from person_unify.stages.transform.uniques import CONSTRAINT, KEEPER, losers
from person_unify.stages.transform.words import Compiler

ID_MAPS = {"consent_grants": "consent_to_grant"}
"""Source tables whose rows get a new id, and the ledger map that keeps it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator chose, and the one instant of the run (ms since the epoch)."""

    run_time: int
    timezone: str = "Asia/Kolkata"
    implied_grants: str = "active"


@dataclass(frozen=True, slots=True)
class _Table:
    """What the steps below share about the table at hand."""

    bound: BoundMapping
    reader: Reader
    resolved: Resolved
    registry: Registry

    @property
    def key(self) -> pl.Expr:
        return self.reader.key_text()

    @property
    def person(self) -> pl.Expr | None:
        return pl.col(self.resolved.person) if self.resolved.person else None


def transform(
    source: SourceFrame,
    bound: BoundMapping,
    registry: Registry,
    options: Options,
    wanted: frozenset[str] = frozenset(),
) -> Outcome:
    """Make the target rows of one source table and register them for the tables that follow.

    wanted: attributes that other tables look up in this one's loaded rows.
    """
    reader = Reader(source, options.run_time, bound.mapping.created)
    reader.prepare(reads(bound))
    frame, resolved = resolve(reader.source.frame, bound, reader, registry)
    table = _Table(bound, reader, resolved, registry)
    frame = mark_orphans(frame, bound, resolved)
    orphans = frame.filter(pl.col(ORPHAN_FIELD).is_not_null())
    rows = frame.filter(pl.col(ORPHAN_FIELD).is_null())
    rows = _with_targets(rows, table, options, wanted)
    rows, merged, merge_log = _merge(rows, table)
    rows, refused, refused_log = _refuse(rows, table)
    rows, collision_log, collisions = _fresh(rows, table)
    unreadable, counted = reader.settle(rows, table.person)
    logged = [
        _orphan_log(orphans, table),
        merge_log,
        refused_log,
        collision_log,
        *unreadable,
        *_reference_log(rows, table),
        *_soft_log(rows, table),
    ]
    outs = [
        (orphans, bound.mapping.orphan_kind),
        (merged, "merged_tag"),
        (refused, "duplicate_key"),
    ]
    _register(rows, table, wanted)
    targets = [f"@target:{b.target.name}" for b in bound.columns]
    made = rows.select(targets)
    made.columns = [b.target.name for b in bound.columns]
    assert bound.target is not None
    return Outcome(
        source=bound.name,
        source_rows=source.height,
        rows={bound.target.name: made},
        discrepancies=tuple(frame for frame in logged if frame.height),
        normalisations=tuple(counted),
        archive=reader.archive(rows, None, outs),
        maps=_maps(rows, merged, collisions, table),
        not_loaded={reason: out.height for out, reason in outs if out.height},
    )


def archive_whole(source: SourceFrame, reason: str = "unmapped_table") -> Outcome:
    """Archive every row of a table that the unified schema has no home for."""
    reader = Reader(source, run_time=0)
    return Outcome(
        source=source.table.name,
        source_rows=source.height,
        archive=reader.archive(source.frame.clear(), None, [(source.frame, reason)]),
        not_loaded={reason: source.height} if source.height else {},
    )


def _with_targets(
    rows: pl.DataFrame, table: _Table, options: Options, wanted: frozenset[str]
) -> pl.DataFrame:
    compiler = Compiler(table.reader, table.resolved, options.timezone)
    made = {}
    for binding in table.bound.columns:
        value = compiler.target(binding)
        if value is not None:
            made[f"@target:{binding.target.name}"] = value
    exposed = table.bound.mapping.exposes
    rows = _look_up_exposed(rows, table, wanted)
    for name in wanted & set(exposed):
        word = exposed[name]
        if isinstance(word, Copy):
            made[f"@exposed:{name}"] = table.reader.peek(word.column, "TEXT").value
    return rows.with_columns(expression.alias(name) for name, expression in made.items())


def _look_up_exposed(rows: pl.DataFrame, table: _Table, wanted: frozenset[str]) -> pl.DataFrame:
    """Values that pass through this table from one it names itself (a goal's plan's creator)."""
    for name in wanted & set(table.bound.mapping.exposes):
        word = table.bound.mapping.exposes[name]
        if isinstance(word, Copy):
            continue
        attribute = table.registry.attribute(word.table, word.attribute)
        key = table.reader.peek(word.column, "TEXT").value
        rows = (
            rows.with_columns(key.alias(OLD))
            .join(
                attribute.rename({word.attribute: f"@exposed:{name}"}),
                on=OLD,
                how="left",
                maintain_order="left",
            )
            .drop(OLD)
        )
    return rows


def _merge(rows: pl.DataFrame, table: _Table) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Rows that fall on one key of ``merge_on``: the earliest stays, the others merge into it."""
    columns = [f"@target:{name}" for name in table.bound.mapping.merge_on]
    if not columns:
        return rows, rows.clear(), discrepancies(rows.clear(), "merged_tag")
    created = table.reader.peek(table.bound.mapping.created, "DATETIME").value
    ordered = rows.with_columns(created.alias("@created"), table.key.alias("@id")).sort(
        "@created", "@id", ROW, nulls_last=True
    )
    keeper = pl.col(ROW).first().over(columns)
    ordered = ordered.with_columns(
        keeper.alias(KEEPER), pl.col("@id").first().over(columns).alias("@kept")
    )
    rows = ordered.filter(pl.col(ROW) == pl.col(KEEPER)).sort(ROW)
    merged = ordered.filter(pl.col(ROW) != pl.col(KEEPER)).sort(ROW)
    log = discrepancies(
        merged,
        "merged_tag",
        source_table=table.bound.name,
        source_id=pl.col("@id"),
        related_id=pl.col("@kept"),
        person_id=table.person,
        field=table.bound.mapping.merge_on[-1],
        message="an earlier row of the same person has the same tag; both became one",
    )
    return rows, merged, log


def _refuse(rows: pl.DataFrame, table: _Table) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Rows whose values under a UNIQUE of the target an earlier row has taken."""
    uniques = [u for u in _uniques(table) if all(f"@target:{c}" in rows.columns for c in u)]
    lost = losers(rows, [[f"@target:{c}" for c in unique] for unique in uniques])
    named = rows.select(pl.col(ROW).alias(KEEPER), table.key.alias("@kept"))
    refused = rows.join(lost, on=ROW, how="inner", maintain_order="left").join(
        named, on=KEEPER, how="left", maintain_order="left"
    )
    fields = {
        position: _source_column(table.bound, unique[0]) for position, unique in enumerate(uniques)
    }
    log = discrepancies(
        refused,
        "duplicate_key",
        source_table=table.bound.name,
        source_id=table.key,
        related_id=pl.col("@kept"),
        person_id=table.person,
        field=pl.col(CONSTRAINT).replace_strict(fields, return_dtype=pl.String),
        message="an earlier row has taken this unique key; the row is archived whole",
    )
    return rows.join(lost, on=ROW, how="anti", maintain_order="left"), refused, log


def _uniques(table: _Table) -> list[tuple[str, ...]]:
    assert table.bound.target is not None
    return [table.bound.target.primary_key, *table.bound.target.uniques]


def _source_column(bound: BoundMapping, target: str) -> str | None:
    """The source column that fills a target column."""
    binding = next(b for b in bound.columns if b.target.name == target)
    return getattr(binding.word, "column", getattr(binding.word, "carries", None))


def _fresh(rows: pl.DataFrame, table: _Table) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Fresh ids for new records, and for PEP rows whose id an IEP row has (contract section 3)."""
    none = discrepancies(rows.clear(), "id_collision")
    collisions = pl.DataFrame(schema=MAP)
    for binding in table.bound.columns:
        if isinstance(binding.word, NewId):
            ids = fresh_ids(rows.height).alias(f"@target:{binding.target.name}")
            return rows.with_columns(ids), none, collisions
    twin = table.bound.mapping.shares_ids_with
    taken = table.registry.all_ids.get(twin) if twin else None
    if taken is None:
        return rows, none, collisions
    clash = rows.filter(pl.col("@target:id").is_in(taken.implode()))
    collisions = clash.select(
        pl.col("@target:id").alias("old_id"), fresh_ids(clash.height).alias("new_id")
    )
    rows = rows.join(
        collisions, left_on="@target:id", right_on="old_id", how="left", maintain_order="left"
    )
    log = discrepancies(
        rows.filter(pl.col("new_id").is_not_null()),
        "id_collision",
        source_table=table.bound.name,
        source_id=table.key,
        related_id=pl.col("new_id"),
        person_id=table.person,
        field="id",
        message=f"{twin} has a row with the same id; this one got a new id",
    )
    rows = rows.with_columns(pl.coalesce("new_id", "@target:id").alias("@target:id"))
    return rows.drop("new_id"), log, collisions


def _orphan_log(orphans: pl.DataFrame, table: _Table) -> pl.DataFrame:
    return discrepancies(
        orphans,
        table.bound.mapping.orphan_kind,
        source_table=table.bound.name,
        source_id=table.key,
        related_id=pl.col(ORPHAN_ID),
        person_id=table.person,
        field=pl.col(ORPHAN_FIELD),
        message="the row needs a record that does not exist or was not loaded; it is archived whole",
    )


def _reference_log(rows: pl.DataFrame, table: _Table) -> list[pl.DataFrame]:
    """Optional and loose references that name nothing, and child ids in patient columns."""
    logged = []
    for binding in table.bound.columns:
        name = binding.target.name
        if binding.strength in ("optional", "loose"):
            key, found = table.resolved.key[name], table.resolved.found[name]
            named = pl.col(key).is_not_null() & pl.col(found).is_null()
            if getattr(binding.word, "otherwise", None) == "":
                named &= pl.col(key) != ""
            logged.append(
                discrepancies(
                    rows.filter(named),
                    "dangling_reference",
                    source_table=table.bound.name,
                    source_id=table.key,
                    related_id=pl.col(key),
                    person_id=table.person,
                    field=getattr(binding.word, "column", None),
                    message="the reference names a record that does not exist or was not loaded",
                )
            )
        if isinstance(binding.word, Person) and binding.word.first == "patients":
            logged.append(_child_log(rows, table, name, binding.word.column))
    return logged


def _child_log(rows: pl.DataFrame, table: _Table, name: str, column: str) -> pl.DataFrame:
    found = table.resolved.found[name]
    return discrepancies(
        rows.filter(pl.col(f"{found}:child").fill_null(value=False)),
        "child_id_in_patient_column",
        source_table=table.bound.name,
        source_id=table.key,
        related_id=pl.col(table.resolved.key[name]),
        person_id=pl.col(found),
        field=column,
        message="the column holds a child's id; it was resolved to the child's person",
    )


def _soft_log(rows: pl.DataFrame, table: _Table) -> list[pl.DataFrame]:
    if table.registry.people is None:
        return []
    return soft_references(rows, table.bound, table.key, table.registry.people.old_ids())


def _register(rows: pl.DataFrame, table: _Table, wanted: frozenset[str]) -> None:
    name = table.bound.mapping.source
    new = "@target:id" if "@target:id" in rows.columns else None
    attributes = [
        pl.col(f"@exposed:{a}" if f"@exposed:{a}" in rows.columns else f"@target:{a}").alias(a)
        for a in sorted(wanted)
    ]
    key = table.key
    table.registry.loaded[name] = rows.select(
        key.alias(OLD), (pl.col(new) if new else key).alias(NEW), *attributes
    )
    table.registry.all_ids[name] = table.reader.source.frame.select(key).to_series()


def _maps(
    rows: pl.DataFrame, merged: pl.DataFrame, collisions: pl.DataFrame, table: _Table
) -> dict[str, pl.DataFrame]:
    mapping = table.bound.mapping
    maps = {}
    if mapping.source in ID_MAPS:
        maps[ID_MAPS[mapping.source]] = rows.select(
            table.key.alias("old_id"), pl.col("@target:id").alias("new_id")
        )
    if mapping.merge_on:
        maps["tag_to_tag"] = _tag_map(rows, merged, table)
    if collisions.height:
        maps["collision_to_id"] = collisions.select(
            pl.lit(table.bound.name).alias("source_table"), "old_id", "new_id"
        )
    return maps


def _tag_map(rows: pl.DataFrame, merged: pl.DataFrame, table: _Table) -> pl.DataFrame:
    tag = table.reader.peek("tag", "TEXT").value
    columns = [table.key.alias("patient_id"), tag.alias("tag")]
    kept = rows.select(pl.col(ROW).alias(KEEPER), pl.col("@target:id").alias("new_id"))
    every = pl.concat(
        [
            rows.select(*columns, pl.col(ROW).alias(KEEPER)),
            merged.select(*columns, pl.col(KEEPER)),
        ]
    )
    joined = every.join(kept, on=KEEPER, how="inner", maintain_order="left")
    return joined.select("patient_id", "tag", "new_id")
