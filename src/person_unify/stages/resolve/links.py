"""Every patient and child with its person, by join on ``linked_patient_id`` (section 3)."""

from __future__ import annotations

import polars as pl

from person_unify.frames.ids import FreshIds
from person_unify.frames.model import left_join
from person_unify.frames.registry import People

ID, CREATED, PERSON, CHILD = "@id", "@created", "@person", "@of_children"
LINK, NAMED, PATIENT, ALONE = "@link", "@named", "@patient", "@alone"

PAIRED = pl.coalesce(NAMED, PATIENT)
"""The patient that a child stands beside: the one it was linked to, else the decided one."""


def link(patients: pl.DataFrame, children: pl.DataFrame, ids: FreshIds) -> pl.DataFrame:
    """The records of all humans, patients before children: every one gets its person (section 3).

    patients, children: of :func:`deciding_cells`.  Adds ``@of_children`` (which table it is of),
    ``@person``, ``@alone`` (its person comes from this record), and of children ``@link`` (what
    ``linked_patient_id`` says, if anything), ``@named`` (the patient it names) and ``@patient``
    (the patient that the child is one person with).
    """
    known = patients.with_columns(
        ids.take("persons of patients", patients.height).alias(PERSON),
        pl.lit(value=False).alias(CHILD),
        pl.lit(value=True).alias(ALONE),
    )
    said = pl.col("linked_patient_id")
    named = left_join(
        children.with_columns(
            pl.lit(value=True).alias(CHILD), pl.when(said != "").then(said).alias(LINK)
        ),
        known.select(pl.col(ID).alias(LINK), pl.col(ID).alias(NAMED), PERSON),
        LINK,
    )
    alone = named.filter(pl.col(NAMED).is_null()).select(ID)
    alone = alone.with_columns(ids.take("persons of children", alone.height).alias("@own"))
    named = left_join(named, alone, ID).with_columns(
        pl.coalesce(PERSON, "@own").alias(PERSON),
        pl.col(NAMED).alias(PATIENT),
        pl.col(NAMED).is_null().alias(ALONE),
    )
    return pl.concat([known, named.drop("@own")], how="diagonal")


def relink(records: pl.DataFrame, moves: pl.DataFrame, ids: FreshIds) -> pl.DataFrame:
    """The same records after decisions on who is whom.

    moves: a row per decided child: ``@id`` and one of ``@unlinked`` (true), ``@to_patient``,
    ``@to_child`` (the standalone child that it is one human with, which may be linked itself).
    """
    patients, children = records.filter(~pl.col(CHILD)), records.filter(CHILD)
    own = ids.take("persons of unlinked children", children.height)
    known = patients.select(pl.col(ID).alias("@to_patient"), pl.col(PERSON).alias("@theirs"))
    unlinked = pl.col("@unlinked").fill_null(value=False)
    moved = (
        left_join(left_join(children, moves, ID), known, "@to_patient")
        .with_columns(own.alias("@own"))
        .with_columns(
            pl.when(~unlinked).then(pl.coalesce("@to_patient", PATIENT)).alias(PATIENT),
            pl.when(unlinked).then("@own").otherwise(pl.coalesce("@theirs", PERSON)).alias(PERSON),
        )
    )
    heads = moved.select(
        pl.col(ID).alias("@to_child"),
        pl.col(PATIENT).alias("@head_patient"),
        pl.col(PERSON).alias("@head_person"),
    )
    moved = left_join(moved, heads, "@to_child").with_columns(
        pl.coalesce(PATIENT, "@head_patient").alias(PATIENT),
        pl.coalesce("@head_person", PERSON).alias(PERSON),
    )
    alone = pl.col(PATIENT).is_null() & pl.col("@to_child").is_null()
    moved = moved.with_columns(alone.alias(ALONE))
    return pl.concat([patients, moved.select(records.columns)])


def people_of(records: pl.DataFrame) -> People:
    """Who is who, as references to persons are looked up."""
    person = pl.col(PERSON).alias("person_id")
    patients, children = records.filter(~pl.col(CHILD)), records.filter(CHILD)
    return People(
        patients=patients.select(pl.col(ID).alias("old_id"), person),
        children=children.select(pl.col(ID).alias("old_id"), person),
        clinicians=patients.select(person, "clinician_id"),
    )


def earliest_first(frame: pl.DataFrame) -> pl.DataFrame:
    """In order of the canonical instant, missing last, then by id in byte order (section 3)."""
    return frame.sort(CREATED, ID, nulls_last=True)


def sharers(records: pl.DataFrame) -> pl.DataFrame:
    """The further children beside each patient, with ``@together``: how many are linked to it."""
    beside = records.filter(PAIRED.is_not_null()).with_columns(PAIRED.alias("@beside"))
    ordered = earliest_first(beside).with_columns(
        pl.col(PATIENT).is_not_null().sum().over("@beside").alias("@together")
    )
    return ordered.filter(pl.int_range(pl.len()).over("@beside") > 0)
