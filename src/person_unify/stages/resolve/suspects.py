"""Persons that may be one human: the same normalised names and day of birth (section 3)."""

from __future__ import annotations

import polars as pl

from person_unify.conversions import utc_day
from person_unify.findings import ORDINARY
from person_unify.frames import discrepancies
from person_unify.names import normalised
from person_unify.reading import Reader
from person_unify.stages.resolve.links import CREATED, ID, NAMED, PERSON, Linked
from person_unify.stages.resolve.questions import facts, questions, with_facts

_SAME = ("@first", "@last", "@day")


def suspects(linked: Linked, patients: Reader, children: Reader) -> pl.DataFrame:
    """The further records of each group that may be one human.

    Columns: ``@table``, ``@id``, ``@person`` of the record, and ``@head_table``, ``@head``,
    ``@head_person`` of the group's first.  The groups are those of the
    source's own links, whatever was decided, so that a decision does not change the next question.
    """
    origins = [
        _origins(patients, linked.patients, 0),
        _origins(children, linked.children.filter(pl.col(NAMED).is_null()), 1),
    ]
    known = (
        pl.concat(origins)
        .drop_nulls(_SAME)
        .filter((pl.col("@first") != "") & (pl.col("@last") != ""))
    )
    groups = known.filter(pl.len().over(_SAME) > 1).sort(CREATED, ID, "@rank", nulls_last=True)
    heads = {ID: "@head", "@table": "@head_table", PERSON: "@head_person"}
    return groups.with_columns(
        pl.int_range(pl.len()).over(_SAME).alias("@place"),
        *(pl.col(own).first().over(_SAME).alias(head) for own, head in heads.items()),
    ).filter(pl.col("@place") > 0)


def _origins(reader: Reader, frame: pl.DataFrame, rank: int) -> pl.DataFrame:
    first, last = (normalised(reader.peek(n, "TEXT").value) for n in ("first_name", "last_name"))
    return frame.select(
        ID,
        CREATED,
        PERSON,
        pl.lit(reader.source.table.name).alias("@table"),
        pl.lit(rank).alias("@rank"),
        first.alias("@first"),
        last.alias("@last"),
        utc_day(reader.peek("date_of_birth", "DATETIME").value).alias("@day"),
    )


def suspect_questions(
    further: pl.DataFrame, linked: Linked, patients: Reader, children: Reader
) -> pl.DataFrame:
    """One human or two.  Two patients cannot be made one: a person has one clinician view."""
    table = patients.source.table.name
    of_patients = pl.sum_horizontal(pl.col("@table", "@head_table") == table)
    sides = (
        further.select("@table", ID),
        further.select(pl.col("@head_table").alias("@table"), pl.col("@head").alias(ID)),
    )
    known = facts(linked, patients, children, pl.concat(sides))
    further = with_facts(further, known, pl.col("@table"), ID, "@facts")
    further = with_facts(further, known, pl.col("@head_table"), "@head", "@head_facts")
    options = (
        pl.when(of_patients == 2)
        .then(pl.lit("separate"))
        .when(of_patients == 1)
        .then(pl.lit("separate link"))
        .otherwise(pl.lit("separate merge"))
    )
    return questions(
        further,
        "suspected_duplicate",
        options,
        [pl.col("@head_table"), pl.col("@facts"), pl.col("@head_facts")],
        source_table=pl.col("@table"),
        source_id=pl.col(ID),
        related_id=pl.col("@head"),
    )


def suspect_log(further: pl.DataFrame) -> pl.DataFrame:
    """``suspected_duplicate``: nobody is merged but by decision."""
    united = pl.col(PERSON) == pl.col("@head_person")
    return discrepancies(
        further,
        "suspected_duplicate",
        source_table=pl.col("@table"),
        source_id=pl.col(ID),
        related_id=pl.col("@head"),
        person_id=pl.col(PERSON),
        variant=pl.when(united).then(pl.lit("decided")).otherwise(pl.lit(ORDINARY)),
    )
