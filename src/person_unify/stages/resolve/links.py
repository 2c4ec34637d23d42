"""One mapping frame: every patient and child to its person, by join on ``linked_patient_id``."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from person_unify.findings import ORDINARY
from person_unify.frames import discrepancies
from person_unify.ids import FreshIds
from person_unify.reading import Reader
from person_unify.registry import People

ID, CREATED, PERSON = "@id", "@created", "@person"
LINK, NAMED, PATIENT, ALONE = "@link", "@named", "@patient", "@alone"
PERSON_CELLS = ("@gender", "@udid", "@note")
"""Cells of a person that are settled from all its records."""

PAIRED = pl.coalesce(NAMED, PATIENT)
"""The patient that a child stands beside: the one it was linked to, else the decided one."""


@dataclass(frozen=True, slots=True)
class Linked:
    """The source frames of patients and children, joined by what links them.

    patients, children: with ``@id``, ``@created``, ``@person``; children also with ``@link`` (what
    ``linked_patient_id`` says, if anything), ``@named`` (the patient it names), ``@patient`` (the
    patient that the child is one person with) and ``@alone`` (the child is its person's origin).
    """

    patients: pl.DataFrame
    children: pl.DataFrame
    people: People


def link(patients: Reader, children: Reader, ids: FreshIds) -> Linked:
    """Give every patient, and every child that is not linked to one, a person (section 3)."""
    known = _keyed(patients)
    known = known.with_columns(ids.take("persons of patients", known.height).alias(PERSON))
    said = children.peek("linked_patient_id", "TEXT").value
    named = _keyed(children).with_columns(pl.when(said != "").then(said).alias(LINK))
    named = named.join(
        known.select(pl.col(ID).alias(LINK), pl.col(ID).alias(PATIENT), PERSON),
        on=LINK,
        how="left",
        maintain_order="left",
    )
    alone = named.filter(pl.col(PATIENT).is_null()).select(ID)
    alone = alone.with_columns(ids.take("persons of children", alone.height).alias("@own"))
    named = named.join(alone, on=ID, how="left", maintain_order="left")
    named = named.with_columns(
        pl.coalesce(PERSON, "@own").alias(PERSON),
        pl.col(PATIENT).alias(NAMED),
        pl.col(PATIENT).is_null().alias(ALONE),
    ).drop("@own")
    return _linked(patients, known, named)


def _linked(patients: Reader, known: pl.DataFrame, named: pl.DataFrame) -> Linked:
    clinician = patients.peek("clinician_id", "TEXT").value
    people = People(
        patients=known.select(pl.col(ID).alias("old_id"), pl.col(PERSON).alias("person_id")),
        children=named.select(pl.col(ID).alias("old_id"), pl.col(PERSON).alias("person_id")),
        clinicians=known.select(pl.col(PERSON).alias("person_id"), clinician.alias("clinician_id")),
    )
    return Linked(known, named, people)


def relink(linked: Linked, moves: pl.DataFrame, patients: Reader, ids: FreshIds) -> Linked:
    """The same records after decisions on who is whom.

    moves: a row per decided child: ``@id`` and one of ``@unlinked`` (true), ``@to_patient``,
    ``@to_child`` (the standalone child that it is one human with, which may be linked itself).
    """
    own = ids.take("persons of unlinked children", linked.children.height)
    known = linked.patients.select(pl.col(ID).alias("@to_patient"), pl.col(PERSON).alias("@theirs"))
    moved = (
        linked.children.join(moves, on=ID, how="left", maintain_order="left")
        .join(known, on="@to_patient", how="left", maintain_order="left")
        .with_columns(own.alias("@own"))
    )
    unlinked = pl.col("@unlinked").fill_null(value=False)
    moved = moved.with_columns(
        pl.when(~unlinked).then(pl.coalesce("@to_patient", PATIENT)).alias(PATIENT),
        pl.when(unlinked).then("@own").otherwise(pl.coalesce("@theirs", PERSON)).alias(PERSON),
    )
    heads = moved.select(
        pl.col(ID).alias("@to_child"),
        pl.col(PATIENT).alias("@head_patient"),
        pl.col(PERSON).alias("@head_person"),
    )
    moved = moved.join(heads, on="@to_child", how="left", maintain_order="left").with_columns(
        pl.coalesce(PATIENT, "@head_patient").alias(PATIENT),
        pl.coalesce("@head_person", PERSON).alias(PERSON),
    )
    alone = pl.col(PATIENT).is_null() & pl.col("@to_child").is_null()
    children = moved.with_columns(alone.alias(ALONE)).select(linked.children.columns)
    return _linked(patients, linked.patients, children)


def _keyed(reader: Reader) -> pl.DataFrame:
    return reader.source.frame.with_columns(
        reader.key_text().alias(ID), reader.peek("created_at", "DATETIME").value.alias(CREATED)
    )


def earliest_first(frame: pl.DataFrame) -> pl.DataFrame:
    """In order of the canonical instant, missing last, then by id in byte order (section 3)."""
    return frame.sort(CREATED, ID, nulls_last=True)


def sharers(linked: Linked) -> pl.DataFrame:
    """The further children beside each patient, with ``@together``: how many are linked to it."""
    beside = linked.children.filter(PAIRED.is_not_null()).with_columns(PAIRED.alias("@beside"))
    ordered = earliest_first(beside).with_columns(
        pl.col(PATIENT).is_not_null().sum().over("@beside").alias("@together")
    )
    return ordered.filter(pl.int_range(pl.len()).over("@beside") > 0)


def strays(linked: Linked) -> pl.DataFrame:
    """The children whose ``linked_patient_id`` names no patient."""
    return linked.children.filter(pl.col(LINK).is_not_null() & pl.col(NAMED).is_null())


def link_log(linked: Linked, table: str) -> list[pl.DataFrame]:
    """Links that name no patient, and patients that several children are linked to.

    table: the name of the children's.
    """
    about: dict[str, str | pl.Expr | None] = {
        "source_table": table,
        "source_id": pl.col(ID),
        "person_id": pl.col(PERSON),
        "field": "linked_patient_id",
    }
    lost = pl.when(~pl.col(ALONE)).then(pl.lit("decided")).otherwise(pl.lit(ORDINARY))
    shared = (
        pl.when(pl.col(PATIENT).is_null())
        .then(pl.lit("parted"))
        .when(pl.col("@together") == 1)
        .then(pl.lit("alone"))
        .otherwise(pl.lit(ORDINARY))
    )
    return [
        discrepancies(
            strays(linked),
            "missing_linked_patient",
            **about,
            related_id=pl.col(LINK),
            variant=lost,
        ),
        discrepancies(
            sharers(linked),
            "shared_linked_patient",
            **about,
            related_id=pl.col("@beside"),
            variant=shared,
        ),
    ]
