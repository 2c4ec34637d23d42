"""What a person may decide, each question with the evidence that an answer is keyed to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import polars as pl

from person_unify.frames import QUESTION
from person_unify.reading import Reader
from person_unify.stages.resolve.links import ID, Linked
from person_unify.values import Type

KNOWN_BY = ("first_name", "last_name", "date_of_birth", "gender")
"""What a reviewer knows a human by."""


def canonical(*parts: pl.Expr) -> pl.Expr:
    """One text that tells the parts apart whatever they hold: ``3:Ann,-,2:id`` (``-`` is NULL).

    >>> pl.select(canonical(pl.lit("a,1:"), pl.lit(None, dtype=pl.String))).item()
    '4:a,1:,-'
    """
    spelled = [
        pl.when(part.is_null())
        .then(pl.lit("-"))
        .otherwise(part.str.len_bytes().cast(pl.String) + ":" + part)
        for part in parts
    ]
    return pl.concat_str(spelled, separator=",")


def known_by(reader: Reader) -> pl.Expr:
    """The canonical text of what a record is known by; instants as ms since the epoch."""
    return canonical(*(compared(reader, field) for field in KNOWN_BY))


def compared(reader: Reader, field: str) -> pl.Expr:
    """One of :data:`KNOWN_BY` as text, NULL where it cannot be read."""
    type_: Type = "DATETIME" if field == "date_of_birth" else "TEXT"
    return reader.peek(field, type_).value.cast(pl.String)


def facts(linked: Linked, patients: Reader, children: Reader, wanted: pl.DataFrame) -> pl.DataFrame:
    """``@table``, ``@id``, ``@facts``: what the wanted records (by the first two) are known by."""
    return pl.concat(
        frame.with_columns(pl.lit(reader.source.table.name).alias("@table"))
        .join(wanted, on=["@table", ID], how="semi")
        .select("@table", ID, known_by(reader).alias("@facts"))
        for reader, frame in ((patients, linked.patients), (children, linked.children))
    )


def with_facts(
    frame: pl.DataFrame, known: pl.DataFrame, table: str | pl.Expr, id_: str, name: str
) -> pl.DataFrame:
    """Add to the frame, as ``name``, what the record of that table and id is known by."""
    where = pl.lit(table) if isinstance(table, str) else table
    return (
        frame.with_columns(where.alias("@in"))
        .join(
            known.rename({"@table": "@in", ID: id_, "@facts": name}),
            on=["@in", id_],
            how="left",
            maintain_order="left",
        )
        .drop("@in")
    )


def questions(
    frame: pl.DataFrame,
    kind: str | pl.Expr,
    options: str | pl.Expr,
    evidence: Iterable[pl.Expr],
    **key: str | pl.Expr | None,
) -> pl.DataFrame:
    """One question per row of ``frame``; ``key`` gives the columns that name it.

    The evidence is hashed together with the key, so that an answer cannot wander.
    """

    def column(value: str | pl.Expr | None) -> pl.Expr:
        if isinstance(value, pl.Expr):
            return value
        return pl.repeat(value, pl.len(), dtype=pl.String)

    named = {"kind": column(kind), **{name: column(value) for name, value in key.items()}}
    every = [column(named.get(name)) for name in list(QUESTION)[:5]]
    asked = frame.select(
        *(value.alias(name) for name, value in zip(QUESTION, every, strict=False)),
        column(options).alias("options"),
        canonical(*every, *evidence).alias("evidence"),
    )
    # No library hashes a frame's texts by SHA-256; there is one per question, not one per row.
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in asked["evidence"]]
    return asked.with_columns(pl.Series("evidence", digests, dtype=pl.String))
