"""Decisions put to the questions that they answer, and what they ask for (contract section 3).

A decision has an effect only where its question is still asked and its evidence is that of today.
Whatever cannot be carried out together is refused, all of it at once, before anything is written.
"""

from __future__ import annotations

import polars as pl

from person_unify.errors import DecisionsRefused
from person_unify.frames.model import DECISION, QUESTION_KEY, left_join
from person_unify.stages.resolve.cases import KNOWN_BY, Tables
from person_unify.stages.resolve.demographics import TAKE
from person_unify.stages.resolve.links import CHILD, ID, PATIENT, PERSON

_SHOWN = 20
_TWO_PATIENTS = (
    "two patients cannot be made one person, because the unified schema allows one clinician view "
    "per person"
)


def answered(decisions: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """The decisions with their ``outcome`` and the ``options`` that their question has today."""
    now = asked.select(*QUESTION_KEY, "options", pl.col("evidence").alias("@evidence"))
    joined = left_join(decisions, now, QUESTION_KEY, nulls_equal=True)
    outcome = (
        pl.when(pl.col("@evidence").is_null())
        .then(pl.lit("not_needed"))
        .when(pl.col("@evidence") == pl.col("evidence"))
        .then(pl.lit("applied"))
        .otherwise(pl.lit("stale"))
    )
    return joined.with_columns(outcome.alias("outcome")).select(*DECISION, "outcome", "options")


def applied(decisions: pl.DataFrame, asked: pl.DataFrame, *chosen: str) -> pl.DataFrame:
    """The decisions that hold, of the ``chosen`` words only if any are given."""
    holding = answered(decisions, asked).filter(pl.col("outcome") == "applied")
    return holding.filter(pl.col("decision").is_in(chosen)) if chosen else holding


def refuse(problems: list[str]) -> None:
    """Raise :class:`DecisionsRefused` that lists the problems, if there are any."""
    if problems:
        more = len(problems) - _SHOWN
        listed = [*problems[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        raise DecisionsRefused(
            "the decisions cannot be carried out together, nothing was written; change these "
            "answers:",
            listed,
        )


def strange(holding: pl.DataFrame) -> list[str]:
    """Decisions that their question does not allow."""
    wrong = holding.filter(~pl.col("options").str.split(" ").list.contains(pl.col("decision")))
    return [
        f"{row['kind']} {row['source_table']} {row['source_id']}: {row['decision']} is not possible"
        + (f": {_TWO_PATIENTS}" if row["options"] == "separate" else "")
        + f" (possible: {row['options'].replace(' ', ', ')})"
        for row in wrong.iter_rows(named=True)
    ]


def moves(holding: pl.DataFrame, children: str) -> pl.DataFrame:
    """Who is whom by decision: ``@id`` (a child), ``@unlinked``, ``@to_patient``, ``@to_child``.

    holding: the decisions that hold.  children: the table's name.  A row per child and destination.
    """
    of_child = pl.col("source_table") == children
    word, kind = pl.col("decision"), pl.col("kind")
    suspected = kind == "suspected_duplicate"
    destination = (
        pl.when(~suspected).then("link_to").when(of_child).then("related_id").otherwise("source_id")
    )
    return (
        holding.filter(word.is_in(["unlink", "link", "merge"]))
        .select(
            pl.when(suspected & ~of_child).then("related_id").otherwise("source_id").alias(ID),
            (word == "unlink").alias("@unlinked"),
            pl.when(word == "link").then(destination).alias("@to_patient"),
            pl.when(word == "merge").then("related_id").alias("@to_child"),
        )
        .unique(maintain_order=True)
    )


def contradicting_moves(
    holding: pl.DataFrame, moved: pl.DataFrame, records: pl.DataFrame, children: str
) -> list[str]:
    """Children sent to two places, or moved by one answer and kept in place by another."""
    torn = moved.filter(pl.len().over(ID) > 1)[ID].unique().sort().to_list()
    problems = [f"child {child}: is to be one with several records" for child in torn]
    staying = holding.filter(
        (pl.col("source_table") == children)
        & pl.col("decision").is_in(["child", "patient", "same", "standalone"])
    )
    for child, words in (
        staying.join(moved, left_on="source_id", right_on=ID, how="semi")
        .group_by("source_id", maintain_order=True)
        .agg(pl.col("decision").unique(maintain_order=True).str.join(", "))
        .sort("source_id")
        .iter_rows()
    ):
        problems.append(
            f"child {child}: is unlinked, linked or merged by one decision, and kept where it is "
            f"by another ({words})"
        )
    known = records.filter(~pl.col(CHILD)).select(pl.col(ID).alias("@to_patient"))
    nobody = moved.drop_nulls("@to_patient").join(known, on="@to_patient", how="anti")
    problems += [
        f"child {child}: is to be linked to {patient}, which is no patient"
        for child, patient in nobody.select(ID, "@to_patient").sort(ID).iter_rows()
    ]
    return problems


def of_records(holding: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """The decisions with the record that each is about: ``@of_children``, ``@id``."""
    of_children = pl.col("source_table") == tables.children
    return holding.with_columns(of_children.alias(CHILD), pl.col("source_id").alias(ID))


def united_although_separate(
    holding: pl.DataFrame, further: pl.DataFrame, tables: Tables
) -> list[str]:
    """Records that one decision keeps apart and others make one."""
    apart = holding.filter(pl.col("decision") == "separate").select(CHILD, ID)
    one = further.filter(pl.col(PERSON) == pl.col("@head_person"))
    return [
        f"{table} {old} and {head}: are kept apart by one decision and made one by others"
        for table, old, head in one.join(apart, on=[CHILD, ID], how="semi")
        .select(tables.of_record.alias("@table"), ID, "@head")
        .iter_rows()
    ]


def values(
    holding: pl.DataFrame, found: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """The mismatches with what was decided about them, the values to take, and contradictions.

    found: of :func:`demographics.mismatches`.  The first frame adds ``@decision`` and ``@taken``
    (as shown); the second has ``@id`` of a patient and a column ``@take:<field>`` per field.
    """
    said = holding.filter(pl.col("kind") == "demographic_mismatch").select(
        pl.col("source_id").alias(ID),
        pl.col("related_id").alias("@beside"),
        "field",
        pl.col("decision").alias("@decision"),
    )
    found = left_join(found, said, [ID, "@beside", "field"])
    together = pl.col(PATIENT).is_not_null()
    spot = ("@beside", "field")
    takes = found.filter(together & (pl.col("@decision") == "child"))
    chosen = takes.unique(spot, keep="first", maintain_order=True)
    kept = found.filter(together & (pl.col("@decision") == "patient"))
    torn = takes.filter(pl.col("child_text").n_unique().over(spot) > 1)
    torn = pl.concat([torn, takes.join(kept, on=spot, how="semi")])
    problems = [
        f"patient {patient} {field}: several values are to be taken"
        for patient, field in torn.select(spot).unique().sort(spot).iter_rows()
    ]
    shown = chosen.select(*spot, pl.col("child_value").alias("@taken"))
    taken = chosen.select(pl.col("@beside").alias(ID)).unique(maintain_order=True)
    for field in KNOWN_BY:
        value = pl.col("child_text")
        if field == "date_of_birth":
            value = value.cast(pl.Int64)
        own = chosen.filter(pl.col("field") == field)
        taken = taken.join(
            own.select(pl.col("@beside").alias(ID), value.alias(f"{TAKE}{field}")),
            on=ID,
            how="left",
        )
    return left_join(found, shown, spot), taken, problems


def several(holding: pl.DataFrame, word: str, by: str, what: str) -> list[str]:
    """Sentences for each ``by`` that ``word`` answers more than once, where it may once only."""
    chosen = holding.filter(pl.col("decision") == word)
    torn = chosen.filter(pl.len().over("source_table", by) > 1)
    return [
        f"{table} {old}: {what}"
        for table, old in torn.select("source_table", by).unique().sort(by).iter_rows()
    ]
