"""Who keeps a ``udid_number`` that several records state (contract section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from person_unify.findings import ORDINARY
from person_unify.frames import discrepancies
from person_unify.reading import Reader
from person_unify.stages.resolve import decided
from person_unify.stages.resolve.links import ALONE, CREATED, ID, PERSON, Linked
from person_unify.stages.resolve.questions import facts, questions, with_facts

FIELD = "udid_number"


@dataclass(frozen=True, slots=True)
class Udids:
    """Who keeps which ``udid_number``: a column per frame, and the losers.

    losers: ``@table``, ``@id``, ``@person``, ``@keeper``, ``@decided`` (a decision chose the
    keeper).  asked: the questions.
    """

    of_patients: pl.Series
    of_children: pl.Series
    losers: pl.DataFrame
    asked: pl.DataFrame


def holders(linked: Linked, patients: Reader, children: Reader) -> pl.DataFrame:
    """The records that state a number, the one that keeps it first.

    Columns: ``@rank``, ``@table``, ``@id``, ``@created``, ``@person``, ``@udid``, and ``@keeper``,
    ``@place`` within the number.
    """
    frames = []
    for rank, (reader, frame) in enumerate(
        ((patients, linked.patients), (children, linked.children))
    ):
        stating = frame.with_columns(_stated(reader, frame).alias("@udid")).drop_nulls("@udid")
        frames.append(
            stating.select(
                pl.lit(rank).alias("@rank"),
                pl.lit(reader.source.table.name).alias("@table"),
                ID,
                CREATED,
                PERSON,
                "@udid",
            )
        )
    return _placed(pl.concat(frames).sort("@rank", CREATED, ID, nulls_last=True))


def _placed(ordered: pl.DataFrame) -> pl.DataFrame:
    return ordered.with_columns(
        pl.int_range(pl.len()).over("@udid").alias("@place"),
        pl.col(ID).first().over("@udid").alias("@keeper"),
    )


def _stated(reader: Reader, frame: pl.DataFrame) -> pl.Expr:
    """The record's own udid, where the record is the origin of a person."""
    value = reader.peek(FIELD, "TEXT").value
    stated = value != ""
    if ALONE in frame.columns:
        stated &= pl.col(ALONE)
    return pl.when(stated).then(value)


def udid_questions(
    held: pl.DataFrame, linked: Linked, patients: Reader, children: Reader
) -> pl.DataFrame:
    """Whose number is it: one question per record that would lose it."""
    contested = held.filter(pl.len().over("@udid") > 1)
    known = facts(linked, patients, children, contested.select("@table", ID))
    contested = with_facts(contested, known, pl.col("@table"), ID, "@facts").with_columns(
        pl.col("@facts").sort_by("@place").first().over("@udid").alias("@theirs")
    )
    return questions(
        contested.filter(pl.col("@place") > 0),
        "duplicate_udid",
        "earlier this",
        [pl.col("@udid"), pl.col("@facts"), pl.col("@theirs")],
        source_table=pl.col("@table"),
        source_id=pl.col(ID),
        related_id=pl.col("@keeper"),
        field=FIELD,
    )


def settle_udids(
    linked: Linked, patients: Reader, children: Reader, decisions: pl.DataFrame
) -> Udids:
    """Give each number to its first holder, or to the one that a decision names."""
    held = holders(linked, patients, children)
    asked = udid_questions(held, linked, patients, children)
    taken = decided.applied(decisions, asked, "this")
    what = "several records are to keep the number that it has"
    decided.refuse(decided.several(taken, "this", "related_id", what))
    chosen = taken.select(
        pl.col("source_table").alias("@table"),
        pl.col("source_id").alias(ID),
        pl.lit(value=True).alias("@chosen"),
    )
    ordered = held.join(chosen, on=["@table", ID], how="left", maintain_order="left").sort(
        "@chosen", nulls_last=True, maintain_order=True
    )
    placed = _placed(ordered).with_columns(
        pl.col("@chosen").any().over("@udid").fill_null(value=False).alias("@decided")
    )
    kept = placed.filter(pl.col("@place") == 0).select("@rank", ID, pl.col("@udid").alias("@kept"))
    columns = [
        frame.select(ID, pl.lit(rank).alias("@rank")).join(
            kept, on=["@rank", ID], how="left", maintain_order="left"
        )["@kept"]
        for rank, frame in enumerate((linked.patients, linked.children))
    ]
    return Udids(columns[0], columns[1], placed.filter(pl.col("@place") > 0), asked)


def udid_log(losers: pl.DataFrame) -> pl.DataFrame:
    """``duplicate_udid``: records that lost their number to another one."""
    variant = pl.when(pl.col("@decided")).then(pl.lit("decided")).otherwise(pl.lit(ORDINARY))
    return discrepancies(
        losers,
        "duplicate_udid",
        source_table=pl.col("@table"),
        source_id=pl.col(ID),
        related_id=pl.col("@keeper"),
        person_id=pl.col(PERSON),
        field=FIELD,
        variant=variant,
    )
