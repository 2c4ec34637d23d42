"""Demographics of the resolved persons, and where child and patient disagree (section 3)."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from person_unify.conversions import iso_instant, utc_day
from person_unify.findings import MISMATCH_HINTS, ORDINARY
from person_unify.frames import discrepancies
from person_unify.names import difference_of_form, normalised
from person_unify.reading import Reader
from person_unify.stages.resolve.links import (
    ALONE,
    CREATED,
    ID,
    NAMED,
    PAIRED,
    PATIENT,
    PERSON,
    Linked,
    earliest_first,
)
from person_unify.stages.resolve.questions import KNOWN_BY

TAKE = "@take:"
"""Prefix of the columns with a child's value that was decided for its patient's person."""
_DAY_MS = 86_400_000


def genders(linked: Linked, patients: Reader, children: Reader) -> tuple[pl.Series, pl.Series]:
    """Gender of each patient's person and of each child's own: NULL where nobody states one.

    The origin's own comes first, then the first non-empty one of the children it is one with.
    """
    stated = children.peek("gender", "TEXT").value
    candidates = linked.children.with_columns(pl.when(stated != "").then(stated).alias("@gender"))
    first = (
        earliest_first(candidates.filter(~pl.col(ALONE)).drop_nulls("@gender"))
        .group_by(PERSON)
        .agg(pl.col("@gender").first().alias("@first"))
    )
    own = patients.peek("gender", "TEXT").value
    of_patients = linked.patients.with_columns(pl.when(own != "").then(own).alias("@gender"))
    found = [
        frame.join(first, on=PERSON, how="left", maintain_order="left")
        .select(pl.coalesce("@gender", "@first"))
        .to_series()
        for frame in (of_patients, candidates)
    ]
    return found[0], found[1]


def with_taken(frame: pl.DataFrame, taken: pl.DataFrame) -> pl.DataFrame:
    """The patients with the values that decisions take from children, ``@take:<field>``."""
    joined = frame.join(taken, on=ID, how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce(f"{TAKE}gender", "@gender").alias("@gender"))


def taken_columns(patients: pl.DataFrame) -> list[str]:
    """The columns ``@take:<field>`` that the patients have by decisions."""
    return [name for name in patients.columns if name.startswith(TAKE)]


def mismatches(linked: Linked, patients: Reader, children: Reader) -> pl.DataFrame:
    """One row per child beside a patient and differing field.

    Columns: ``@id``, ``@created``, ``@beside`` (the patient), ``@named``, ``@patient`` (NULL where
    a decision parted them), ``@person``, ``field``, ``child_value`` and ``patient_value`` as a
    reviewer sees them, ``child_text`` and ``patient_text`` as they are, ``hint`` (of
    :data:`MISMATCH_HINTS`).
    """
    sides = linked.children.filter(PAIRED.is_not_null()).select(
        ID,
        CREATED,
        PAIRED.alias("@beside"),
        NAMED,
        PATIENT,
        PERSON,
        *_compared(children, "child"),
    )
    sides = sides.join(
        linked.patients.select(pl.col(ID).alias("@beside"), *_compared(patients, "patient")),
        on="@beside",
        how="left",
        maintain_order="left",
    )
    found = []
    for field in KNOWN_BY:
        child, patient = pl.col(f"child:{field}"), pl.col(f"patient:{field}")
        differs, hint, shown = _difference(field, child, patient)
        found.append(
            sides.filter(differs).select(
                ID,
                CREATED,
                "@beside",
                NAMED,
                PATIENT,
                PERSON,
                pl.lit(field).alias("field"),
                shown(child).alias("child_value"),
                shown(patient).alias("patient_value"),
                child.cast(pl.String).alias("child_text"),
                patient.cast(pl.String).alias("patient_text"),
                hint.alias("hint"),
            )
        )
    return pl.concat(found)


def _compared(reader: Reader, side: str) -> list[pl.Expr]:
    return [
        reader.peek(field, "DATETIME" if field == "date_of_birth" else "TEXT").value.alias(
            f"{side}:{field}"
        )
        for field in KNOWN_BY
    ]


def _same(value: pl.Expr) -> pl.Expr:
    return value


def _difference(
    field: str, child: pl.Expr, patient: pl.Expr
) -> tuple[pl.Expr, pl.Expr, Callable[[pl.Expr], pl.Expr]]:
    """Whether the two differ, what the difference may come from, and how a reviewer sees them."""
    if field == "date_of_birth":
        near = pl.when((child - patient).abs() < _DAY_MS).then(pl.lit("zone"))
        return utc_day(child) != utc_day(patient), near.otherwise(pl.lit("none")), iso_instant
    differs = normalised(child) != normalised(patient)
    if field == "gender":
        differs &= (child != "") & (patient != "")
    return differs, difference_of_form(child, patient), _same


def mismatch_log(found: pl.DataFrame, table: str) -> pl.DataFrame:
    """``demographic_mismatch`` rows with the value that the child's person ended with.

    found: of :func:`mismatches`, with ``@decision`` (of the row) and ``@taken`` (the value, as
    shown, that a decision took from some child for the field).
    """
    parted = pl.col(PATIENT).is_null()
    variant = (
        pl.when(parted)
        .then(pl.lit("parted"))
        .when(pl.col("@decision").is_not_null())
        .then("@decision")
        .when(pl.col("@taken").is_not_null())
        .then(pl.lit("other"))
        .otherwise(pl.lit(ORDINARY))
    )
    chosen = (
        pl.when(parted)
        .then("child_value")
        .otherwise(pl.coalesce("@taken", pl.col("patient_value")))
    )
    return discrepancies(
        found,
        "demographic_mismatch",
        source_table=table,
        source_id=pl.col(ID),
        related_id=pl.col("@beside"),
        person_id=pl.col(PERSON),
        field=pl.col("field"),
        child_value=pl.col("child_value"),
        patient_value=pl.col("patient_value"),
        chosen_value=chosen,
        variant=variant,
        hint=pl.col("hint").replace_strict(MISMATCH_HINTS, return_dtype=pl.String),
    )


def contradicting(found: pl.DataFrame) -> pl.DataFrame:
    """The children that differ from the patient beside them in both names and the birth day.

    found: of :func:`mismatches`; one of the three rows of each child remains.
    """
    telling = found.filter(pl.col("field").is_in(["first_name", "last_name", "date_of_birth"]))
    return telling.filter((pl.len().over(ID) == 3) & (pl.col("field") == "date_of_birth"))


def contradiction_log(contradicted: pl.DataFrame, table: str) -> pl.DataFrame:
    """``contradicting_link``: children of whom only the link says that they are their patient."""
    parted = pl.col(PATIENT).is_null()
    return discrepancies(
        contradicted,
        "contradicting_link",
        source_table=table,
        source_id=pl.col(ID),
        related_id=pl.col("@beside"),
        person_id=pl.col(PERSON),
        field="linked_patient_id",
        variant=pl.when(parted).then(pl.lit("parted")).otherwise(pl.lit(ORDINARY)),
    )


def notes(found: pl.DataFrame) -> pl.DataFrame:
    """``person_id`` and ``note``: one line per differing linked child that names the fields."""
    found = found.filter(pl.col(PATIENT).is_not_null())
    order = {field: position for position, field in enumerate(KNOWN_BY)}
    lines = (
        found.with_columns(pl.col("field").replace_strict(order, return_dtype=pl.Int64).alias("@n"))
        .sort(CREATED, ID, "@n", nulls_last=True)
        .group_by(PERSON, ID, PATIENT, maintain_order=True)
        .agg(pl.col("field").str.join(", "))
    )
    line = (
        pl.lit("child ")
        + pl.col(ID)
        + pl.lit(" differs from patient ")
        + pl.col(PATIENT)
        + ": "
        + pl.col("field")
    )
    return (
        lines.select(pl.col(PERSON).alias("person_id"), line.alias("note"))
        .group_by("person_id", maintain_order=True)
        .agg(pl.col("note").str.join("\n"))
    )
