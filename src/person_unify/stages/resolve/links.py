"""One mapping frame: every patient and child to its person, by join on ``linked_patient_id``."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from person_unify.frames import SourceFrame, discrepancies
from person_unify.ids import FreshIds
from person_unify.reading import Reader
from person_unify.registry import People

ID, CREATED, PERSON = "@id", "@created", "@person"
LINK, PATIENT = "@link", "@patient"


@dataclass(frozen=True, slots=True)
class Linked:
    """The source frames of patients and children, joined by what links them.

    patients, children: with ``@id``, ``@created``, ``@person``; children also with ``@link`` (what
    ``linked_patient_id`` says, if anything) and ``@patient`` (the patient it names).
    """

    patients: pl.DataFrame
    children: pl.DataFrame
    people: People


def link(patients: Reader, children: Reader, ids: FreshIds) -> Linked:
    """Give every patient, and every child that is not linked to one, a person (section 3)."""
    known = _keyed(patients)
    known = known.with_columns(ids.take("persons of patients", known.height).alias(PERSON))
    said = children.value("linked_patient_id", "TEXT")
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
    named = named.with_columns(pl.coalesce(PERSON, "@own").alias(PERSON)).drop("@own")
    clinician = patients.peek("clinician_id", "TEXT").value
    people = People(
        patients=known.select(pl.col(ID).alias("old_id"), pl.col(PERSON).alias("person_id")),
        children=named.select(pl.col(ID).alias("old_id"), pl.col(PERSON).alias("person_id")),
        clinicians=known.select(pl.col(PERSON).alias("person_id"), clinician.alias("clinician_id")),
    )
    return Linked(known, named, people)


def _keyed(reader: Reader) -> pl.DataFrame:
    return reader.source.frame.with_columns(
        reader.key_text().alias(ID), reader.peek("created_at", "DATETIME").value.alias(CREATED)
    )


def earliest_first(frame: pl.DataFrame) -> pl.DataFrame:
    """In order of the canonical instant, missing last, then by id in byte order (section 3)."""
    return frame.sort(CREATED, ID, nulls_last=True)


def link_log(linked: Linked, children: SourceFrame) -> list[pl.DataFrame]:
    """Links that name no patient, and patients that several children are linked to."""
    about: dict[str, str | pl.Expr | None] = {
        "source_table": children.table.name,
        "source_id": pl.col(ID),
        "person_id": pl.col(PERSON),
        "field": "linked_patient_id",
    }
    lost = linked.children.filter(pl.col(LINK).is_not_null() & pl.col(PATIENT).is_null())
    ordered = earliest_first(linked.children.filter(pl.col(PATIENT).is_not_null()))
    further = ordered.filter(pl.int_range(pl.len()).over(PATIENT) > 0)
    return [
        discrepancies(
            lost,
            "missing_linked_patient",
            **about,
            related_id=pl.col(LINK),
            message="the linked patient does not exist; the child became a person of its own",
        ),
        discrepancies(
            further,
            "shared_linked_patient",
            **about,
            related_id=pl.col(PATIENT),
            message="another child is linked to the same patient; both became one person",
        ),
    ]
