"""References of a table resolved by join, and the rows they keep out (contract sections 3, 7)."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from person_unify.frames.model import left_join
from person_unify.frames.reading import Reader
from person_unify.frames.registry import NEW, OLD, Registry
from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.mappings.spec import ClinicianOf, Copy, Owner, Person, Via

ORPHAN_FIELD, ORPHAN_ID = "@orphan_field", "@orphan_id"


@dataclass(frozen=True, slots=True)
class Resolved:
    """Names of the columns that resolution added to the frame.

    found: target column -> column with the looked-up value (NULL: names nothing).
    key: target column -> column with the canonical key that was looked up.
    person: the column with the person that a row is about, if the target names one.
    """

    found: dict[str, str]
    key: dict[str, str]
    person: str | None


def resolve(
    frame: pl.DataFrame, bound: BoundMapping, reader: Reader, registry: Registry
) -> tuple[pl.DataFrame, Resolved]:
    """Add to the frame every looked-up value; rows and their order stay."""
    found: dict[str, str] = {}
    keys: dict[str, str] = {}
    person = None
    for binding in bound.columns:
        column = _column_of(binding)
        if column is None:
            continue
        key, value = f"@key:{binding.target.name}", f"@found:{binding.target.name}"
        frame = frame.with_columns(reader.peek(column, "TEXT").value.alias(key))
        frame = _joined(frame, binding, key, value, registry)
        found[binding.target.name], keys[binding.target.name] = value, key
        if binding.target.name == "person_id":
            person = value
    return frame, Resolved(found, keys, person)


def _column_of(binding: Binding) -> str | None:
    """The source column that a binding looks up, None if it looks nothing up."""
    if isinstance(binding.word, Person | Via | Owner | ClinicianOf):
        return binding.word.column
    if isinstance(binding.word, Copy) and binding.names is not None:
        return binding.word.column
    return None


def _joined(
    frame: pl.DataFrame, binding: Binding, key: str, value: str, registry: Registry
) -> pl.DataFrame:
    word = binding.word
    if isinstance(word, Person):
        people = registry.persons().lookup(word.first)
        about = {"of_child": f"{value}:child", "ambiguous": f"{value}:ambiguous"}
        table = people.rename({"old_id": key, "person_id": value, **about})
    elif isinstance(word, ClinicianOf):
        named = registry.persons().clinician_of
        table = named.select(pl.col("old_id").alias(key), pl.col("clinician_id").alias(value))
    elif isinstance(word, Via):
        attribute = registry.attribute(word.table, word.attribute)
        table = attribute.select(pl.col(OLD).alias(key), pl.col(word.attribute).alias(value))
    elif isinstance(word, Owner):
        parents = _among(_parents(registry).alias(key).to_frame(), frame, key).unique()
        table = parents.with_columns(pl.lit("parent").alias(value))
    else:
        rows = registry.rows_of(binding.names or "")
        table = rows.select(pl.col(OLD).alias(key), pl.col(NEW).alias(value))
    return left_join(frame, _among(table, frame, key), key)


def _among(table: pl.DataFrame, frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """The rows of a lookup that a frame asks for.

    A join hashes the table that it looks up, which may be of all persons, for each part of each
    table; here the part is hashed.
    """
    if table.height <= frame.height:
        return table
    return table.join(frame.select(key), on=key, how="semi")


def _parents(registry: Registry) -> pl.Series:
    """Every id and user id of a loaded parent; some stand twice."""
    ids = registry.rows_of("parents")[OLD]
    users = registry.attribute("parents", "user_id")["user_id"]
    return pl.concat([ids, users]).drop_nulls()


def mark_orphans(frame: pl.DataFrame, bound: BoundMapping, resolved: Resolved) -> pl.DataFrame:
    """Add ``@orphan_field`` (source column, NULL for rows that stay) and ``@orphan_id``.

    The person counts first, then the target's columns in order.
    """
    required = [b for b in bound.columns if b.strength == "required"]
    required.sort(key=lambda b: b.target.name != "person_id")
    field = pl.lit(None, dtype=pl.String)
    missing = pl.lit(None, dtype=pl.String)
    for binding in reversed(required):
        name = binding.target.name
        absent = pl.col(resolved.found[name]).is_null()
        column = getattr(binding.word, "column", None)
        field = pl.when(absent).then(pl.lit(column)).otherwise(field)
        missing = pl.when(absent).then(pl.col(resolved.key[name])).otherwise(missing)
    return frame.with_columns(field.alias(ORPHAN_FIELD), missing.alias(ORPHAN_ID))
