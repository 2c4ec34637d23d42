"""Keys of the target: rows that merge, rows that are refused, rows that get an id of their own."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from person_unify.frames.collations import collated
from person_unify.frames.model import DISCREPANCY, MAP, ROW, left_join
from person_unify.mappings import COLLISIONS, ID_MAPS, TAGS
from person_unify.mappings.bind import BoundMapping
from person_unify.mappings.spec import Copy, NewId
from person_unify.stages.transform.context import TableContext
from person_unify.stages.transform.uniques import CONSTRAINT, KEEPER, losers

_FRESH = "@fresh"


def merge(
    rows: pl.DataFrame, table: TableContext
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Rows that fall on one key of ``merge_on``: the earliest stays, the others merge into it."""
    columns = [f"@target:{name}" for name in table.bound.mapping.merge_on]
    if not columns:
        return rows, rows.clear(), pl.DataFrame(schema=DISCREPANCY)
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
    field = table.bound.mapping.merge_on[-1]
    return rows, merged, table.log(merged, "merged_tag", related_id=pl.col("@kept"), field=field)


def refuse(
    rows: pl.DataFrame, table: TableContext
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Rows whose values under a UNIQUE of the target an earlier row has taken."""
    uniques = _uniques(table, rows.columns)
    compared = [_compared(table, unique, rows.schema) for unique in uniques]
    targets = [list(columns) for columns in compared]
    columns = {name: cell for found in compared for name, cell in found.items()}
    known = rows.select(
        ROW, table.key.alias("@kept"), *(cell.alias(name) for name, cell in columns.items())
    )
    every = table.state.with_rivals(known, targets)
    lost = losers(every, targets)
    named = every.select(pl.col(ROW).alias(KEEPER), "@kept")
    if uniques and not table.state.last:
        table.state.taken.append(known.join(lost, on=ROW, how="anti"))
    refused = left_join(rows.join(lost, on=ROW, how="inner", maintain_order="left"), named, KEEPER)
    fields = {
        position: _source_column(table.bound, unique[0]) for position, unique in enumerate(uniques)
    }
    field = pl.col(CONSTRAINT).replace_strict(fields, return_dtype=pl.String)
    log = table.log(refused, "duplicate_key", related_id=pl.col("@kept"), field=field)
    return rows.join(lost, on=ROW, how="anti", maintain_order="left"), refused, log


def _compared(table: TableContext, unique: tuple[str, ...], there: pl.Schema) -> dict[str, pl.Expr]:
    """What the columns of a UNIQUE are compared by: their cells as its collations see them."""
    assert table.bound.target is not None
    found = {}
    for column, collation in zip(unique, table.bound.target.collation(unique), strict=True):
        name = f"@target:{column}"
        if collation == "BINARY" or there[name] != pl.String:
            found[name] = pl.col(name)
        else:
            found[f"@{collation}:{column}"] = collated(pl.col(name), collation)
    return found


def _uniques(table: TableContext, there: Sequence[str]) -> list[tuple[str, ...]]:
    """The UNIQUEs of the target that rows of this table could violate among themselves."""
    target = table.bound.target
    assert target is not None
    uniques = [] if _keeps_its_key(table) else [target.primary_key]
    uniques += target.uniques
    return [u for u in uniques if all(f"@target:{c}" in there for c in u)]


def _keeps_its_key(table: TableContext) -> bool:
    """Whether the file's own primary key, which is TEXT, goes over as it is: it has no doubles."""
    assert table.bound.target is not None
    key = table.reader.source.table.primary_key
    copied = {
        b.target.name
        for b in table.bound.columns
        if isinstance(b.word, Copy) and b.word.column == b.target.name and b.names is None
    }
    plain = set(table.bound.target.collation(key)) == {"BINARY"}
    return plain and key == table.bound.target.primary_key and copied.issuperset(key)


def _source_column(bound: BoundMapping, target: str) -> str | None:
    """The source column that fills a target column."""
    binding = next(b for b in bound.columns if b.target.name == target)
    return getattr(binding.word, "column", getattr(binding.word, "carries", None))


def with_new_ids(
    rows: pl.DataFrame, merged: pl.DataFrame, table: TableContext
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Ids for new records, and for PEP rows whose id an IEP row has (contract section 3).

    merged: the rows that merge into one of ``rows``.  Raises :class:`TargetError` for an earlier
    run's id that an old record of the table has.
    """
    none = pl.DataFrame(schema=DISCREPANCY)
    collisions = pl.DataFrame(schema=MAP)
    label = table.state.label
    for binding in table.bound.columns:
        if isinstance(binding.word, NewId):
            name = f"@target:{binding.target.name}"
            ids = table.registry.ids.take(f"new {table.bound.name}{label}", rows.height)
            rows = rows.with_columns(ids.alias(name))
            claims = _claims(rows, merged, table, name)
            return table.registry.ids.keep(rows, name, claims), none, collisions
    twin = table.bound.mapping.shares_ids_with
    taken = table.registry.all_ids.get(twin) if twin else None
    if taken is None:
        return rows, none, collisions
    clash = rows.filter(pl.col("@target:id").is_in(taken.implode()))
    ids = table.registry.ids.take(f"collision {table.bound.name}{label}", clash.height)
    renamed = clash.select("@target:id").with_columns(ids.alias(_FRESH))
    usual = pl.lit(table.bound.mapping.source).alias("source_table")
    claim = renamed.select(usual, pl.col("@target:id").alias("old_id"), _FRESH)
    renamed = table.registry.ids.keep(renamed, _FRESH, {COLLISIONS: claim})
    table.registry.ids.require_apart(rows["@target:id"], taken)
    collisions = renamed.rename({"@target:id": "old_id", _FRESH: "new_id"})
    rows = left_join(rows, renamed, "@target:id")
    renewed = rows.filter(pl.col(_FRESH).is_not_null())
    log = table.log(renewed, "id_collision", related_id=pl.col(_FRESH), field="id", twin=twin)
    rows = rows.with_columns(pl.coalesce(_FRESH, "@target:id").alias("@target:id"))
    return rows.drop(_FRESH), log, collisions


def _claims(
    rows: pl.DataFrame, merged: pl.DataFrame, table: TableContext, name: str
) -> dict[str, pl.DataFrame]:
    """The old records of new ones, as :meth:`FreshIds.keep` takes them; the earliest row first."""
    mapping = table.bound.mapping
    if not mapping.merge_on:
        own = ID_MAPS[mapping.source, str(mapping.target)]
        return {own: rows.select(table.key.alias("old_id"), name)}
    order = ("@created", "patient_id", "tag", ROW)
    claims = with_merged(rows, merged, table).sort(order, nulls_last=True)
    return {TAGS: claims.select("patient_id", "tag", name)}


def with_merged(rows: pl.DataFrame, merged: pl.DataFrame, table: TableContext) -> pl.DataFrame:
    """The old tags of ``rows``, then those ``merged`` into one of them, with the new id of that.

    Columns: ``@created``, ``@row``, ``@keeper``, ``patient_id``, ``tag``, ``@target:id``.
    """
    tag = table.reader.peek("tag", "TEXT").value.alias("tag")
    columns = ("@created", ROW, KEEPER, pl.col("@id").alias("patient_id"), tag)
    every = pl.concat([rows.select(columns), merged.select(columns)])
    new = rows.select(pl.col(ROW).alias(KEEPER), "@target:id")
    return every.join(new, on=KEEPER, how="inner", maintain_order="left")
