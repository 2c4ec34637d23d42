"""Demographics of the resolved persons, and where child and patient disagree (section 3)."""

from __future__ import annotations

import polars as pl

from person_unify.findings import MISMATCH_HINTS, ORDINARY
from person_unify.frames.conversions import iso_instant, utc_day
from person_unify.frames.model import left_join
from person_unify.frames.name_comparison import difference_of_form, normalised
from person_unify.stages.resolve.cases import KNOWN_BY, Case, Tables
from person_unify.stages.resolve.links import (
    ALONE,
    CHILD,
    CREATED,
    ID,
    NAMED,
    PAIRED,
    PATIENT,
    PERSON,
    earliest_first,
)

TAKE = "@take:"
"""Prefix of the columns with a child's value that was decided for its patient's person."""
_DAY_MS = 86_400_000


def genders(records: pl.DataFrame) -> pl.Series:
    """The gender of the person that each record may be the origin of, NULL if nobody states one.

    The origin's own comes first, then the first non-empty one of the children it is one with.
    """
    own = pl.when(pl.col("gender") != "").then("gender")
    first = (
        earliest_first(records.filter(~pl.col(ALONE) & own.is_not_null()))
        .group_by(PERSON)
        .agg(pl.col("gender").first().alias("@first"))
    )
    joined = left_join(records.select(PERSON, own), first, PERSON)
    return joined.select(pl.coalesce("gender", "@first").alias("@gender")).to_series()


def with_taken(records: pl.DataFrame, taken: pl.DataFrame) -> pl.DataFrame:
    """The records with the values that decisions take from children, ``@take:<field>``."""
    if not taken.height:
        return records
    of_patients = taken.with_columns(pl.lit(value=False).alias(CHILD))
    joined = left_join(records, of_patients, [CHILD, ID])
    return joined.with_columns(pl.coalesce(f"{TAKE}gender", "@gender").alias("@gender"))


def taken_columns(records: pl.DataFrame) -> list[str]:
    """The columns ``@take:<field>`` that the records have by decisions."""
    return [name for name in records.columns if name.startswith(TAKE)]


def mismatches(records: pl.DataFrame) -> pl.DataFrame:
    """One row per child beside a patient and differing field.

    Columns: ``@id``, ``@created``, ``@of_children``, ``@beside`` (the patient), ``@named``,
    ``@patient`` (NULL where a decision parted them), ``@person``, ``field``, ``child_value`` and
    ``patient_value`` as a reviewer sees them, ``child_text`` and ``patient_text`` as they are,
    ``hint`` (of :data:`MISMATCH_HINTS`).
    """
    about = (ID, CREATED, CHILD, "@beside", NAMED, PATIENT, PERSON)
    sides = records.filter(PAIRED.is_not_null()).with_columns(PAIRED.alias("@beside"))
    sides = left_join(
        sides.select(*about, *(pl.col(name).alias(f"child:{name}") for name in KNOWN_BY)),
        records.filter(~pl.col(CHILD)).select(
            pl.col(ID).alias("@beside"), *(pl.col(n).alias(f"patient:{n}") for n in KNOWN_BY)
        ),
        "@beside",
    )
    found = []
    for field in KNOWN_BY:
        child, patient = pl.col(f"child:{field}"), pl.col(f"patient:{field}")
        differs, hint = _difference(field, child, patient)
        found.append(
            sides.filter(differs).select(
                *about,
                pl.lit(field).alias("field"),
                _shown(child, field).alias("child_value"),
                _shown(patient, field).alias("patient_value"),
                child.cast(pl.String).alias("child_text"),
                patient.cast(pl.String).alias("patient_text"),
                hint.alias("hint"),
            )
        )
    return pl.concat(found)


def _difference(field: str, child: pl.Expr, patient: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Whether the two differ, and what the difference may come from."""
    if field == "date_of_birth":
        near = pl.when((child - patient).abs() < _DAY_MS).then(pl.lit("zone"))
        return utc_day(child) != utc_day(patient), near.otherwise(pl.lit("none"))
    differs = normalised(child) != normalised(patient)
    if field == "gender":
        differs &= (child != "") & (patient != "")
    return differs, difference_of_form(child, patient)


def _shown(value: pl.Expr, field: str) -> pl.Expr:
    return iso_instant(value) if field == "date_of_birth" else value


def mismatch_case(found: pl.DataFrame) -> Case:
    """The mismatches as findings."""
    return Case("demographic_mismatch", found, related="@beside", field=pl.col("field"))


def mismatch_log(found: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """``demographic_mismatch`` rows with the value that the child's person ended with.

    found: of :func:`mismatches`, with ``@decision`` (of the row) and ``@taken`` (the value, as
    shown, that a decision took from some child for the field).
    """
    parted, taken = pl.col(PATIENT).is_null(), pl.col("@taken")
    variant = (
        pl.when(parted)
        .then(pl.lit("parted"))
        .when(pl.col("@decision").is_not_null())
        .then("@decision")
        .when(taken.is_not_null())
        .then(pl.lit("other"))
        .otherwise(pl.lit(ORDINARY))
    )
    patients = pl.coalesce(taken, "patient_value")
    return mismatch_case(found).log(
        tables,
        variant,
        hint=pl.col("hint").replace_strict(MISMATCH_HINTS, return_dtype=pl.String),
        child_value=pl.col("child_value"),
        patient_value=pl.col("patient_value"),
        chosen_value=pl.when(parted).then("child_value").otherwise(patients),
    )


def contradicting(found: pl.DataFrame) -> pl.DataFrame:
    """The children that differ from the patient beside them in both names and the birth day.

    found: of :func:`mismatches`; one of the three rows of each child remains.
    """
    telling = found.filter(pl.col("field").is_in(["first_name", "last_name", "date_of_birth"]))
    return telling.filter((pl.len().over(ID) == 3) & (pl.col("field") == "date_of_birth"))


def notes(found: pl.DataFrame) -> pl.DataFrame:
    """``person_id`` and ``note``: one line per differing linked child that names the fields."""
    order = {field: position for position, field in enumerate(KNOWN_BY)}
    lines = (
        found.filter(pl.col(PATIENT).is_not_null())
        .with_columns(pl.col("field").replace_strict(order, return_dtype=pl.Int64).alias("@n"))
        .sort(CREATED, ID, "@n", nulls_last=True)
        .group_by(PERSON, ID, PATIENT, maintain_order=True)
        .agg(pl.col("field").str.join(", "))
    )
    line = pl.format("child {} differs from patient {}: {}", ID, PATIENT, "field")
    return (
        lines.select(pl.col(PERSON).alias("person_id"), line.alias("note"))
        .group_by("person_id", maintain_order=True)
        .agg(pl.col("note").str.join("\n"))
    )
