"""Persons that may be one human: the same normalised names and day of birth (section 3)."""

from __future__ import annotations

import polars as pl

from person_unify.frames.conversions import utc_day
from person_unify.frames.name_comparison import normalised
from person_unify.stages.resolve.cases import Case, Tables, decided_or_not
from person_unify.stages.resolve.links import CHILD, CREATED, ID, NAMED, PERSON

_SAME = ("@first", "@last", "@day")
_HEAD = {ID: "@head", CHILD: "@head_of_children", PERSON: "@head_person"}


def suspects(records: pl.DataFrame) -> Case:
    """The further records of each group that may be one human, with ``@head…`` of its first.

    The groups are those of the source's own links, whatever was decided, so that a decision does
    not change the next question.
    """
    first, last = (normalised(pl.col(name)) for name in ("first_name", "last_name"))
    known = (
        records.filter(pl.col(NAMED).is_null())
        .select(
            *(ID, CREATED, PERSON, CHILD),
            first.alias("@first"),
            last.alias("@last"),
            utc_day(pl.col("date_of_birth")).alias("@day"),
        )
        .drop_nulls(_SAME)
        .filter((pl.col("@first") != "") & (pl.col("@last") != ""))
    )
    groups = known.filter(pl.len().over(_SAME) > 1).sort(CREATED, ID, CHILD, nulls_last=True)
    further = groups.with_columns(
        pl.int_range(pl.len()).over(_SAME).alias("@place"),
        *(pl.col(own).first().over(_SAME).alias(head) for own, head in _HEAD.items()),
    ).filter(pl.col("@place") > 0)
    return Case("suspected_duplicate", further, related="@head")


def suspect_questions(further: Case, records: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """One human or two.  Two patients cannot be made one: a person has one clinician view."""
    head = pl.col("@head_of_children")
    known = further.with_facts(records, pl.col(CHILD), ID, "@facts")
    known = known.with_facts(records, head, "@head", "@head_facts")
    options = (
        pl.when(pl.col(CHILD) & head)
        .then(pl.lit("separate merge"))
        .when(pl.col(CHILD) | head)
        .then(pl.lit("separate link"))
        .otherwise(pl.lit("separate"))
    )
    of_head = pl.when(head).then(pl.lit(tables.children)).otherwise(pl.lit(tables.patients))
    evidence = [of_head, pl.col("@facts"), pl.col("@head_facts")]
    return known.questions(tables, options, evidence)


def suspect_log(further: Case, tables: Tables) -> pl.DataFrame:
    """``suspected_duplicate``: nobody is merged but by decision."""
    united = pl.col(PERSON) == pl.col("@head_person")
    return further.log(tables, decided_or_not(united))
