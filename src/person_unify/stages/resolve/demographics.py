"""Demographics of the resolved persons, and where child and patient disagree (section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from person_unify.conversions import iso_instant, utc_day
from person_unify.frames import discrepancies
from person_unify.names import normalised
from person_unify.reading import Reader
from person_unify.stages.resolve.links import CREATED, ID, PATIENT, PERSON, Linked, earliest_first

FIELDS = ("first_name", "last_name", "date_of_birth", "gender")
_DAY_MS = 86_400_000


def genders(linked: Linked, patients: Reader, children: Reader) -> tuple[pl.Series, pl.Series]:
    """Gender of each patient's person and of each child's own: NULL where nobody states one.

    A patient's own comes first, then the first non-empty one of its linked children.
    """
    stated = children.value("gender", "TEXT")
    candidates = linked.children.with_columns(pl.when(stated != "").then(stated).alias("@gender"))
    first = (
        earliest_first(candidates.filter(pl.col(PATIENT).is_not_null()).drop_nulls("@gender"))
        .group_by(PATIENT)
        .agg(pl.col("@gender").first())
    )
    own = patients.value("gender", "TEXT")
    of_patients = (
        linked.patients.with_columns(pl.when(own != "").then(own).alias("@own"))
        .join(first, left_on=ID, right_on=PATIENT, how="left", maintain_order="left")
        .select(pl.coalesce("@own", "@gender"))
        .to_series()
    )
    return of_patients, candidates["@gender"]


@dataclass(frozen=True, slots=True)
class Udids:
    """Who keeps which ``udid_number``: a column per frame, and the losers.

    losers: ``@table``, ``@id``, ``@person``, ``@keeper``.
    """

    of_patients: pl.Series
    of_children: pl.Series
    losers: pl.DataFrame


def udids(linked: Linked, patients: Reader, children: Reader) -> Udids:
    """Give each ``udid_number`` to the earliest record that has it, patients before children."""
    frames = [
        frame.select(
            pl.lit(rank).alias("@rank"),
            pl.lit(reader.source.table.name).alias("@table"),
            ID,
            CREATED,
            PERSON,
            _stated(reader, frame).alias("@udid"),
        )
        for rank, (reader, frame) in enumerate(
            ((patients, linked.patients), (children, linked.children))
        )
    ]
    ordered = pl.concat(frames).drop_nulls("@udid").sort("@rank", CREATED, ID, nulls_last=True)
    placed = ordered.with_columns(
        pl.int_range(pl.len()).over("@udid").alias("@place"),
        pl.col(ID).first().over("@udid").alias("@keeper"),
    )
    losers = placed.filter(pl.col("@place") > 0)
    kept = placed.filter(pl.col("@place") == 0).select("@rank", ID, pl.col("@udid").alias("@kept"))
    columns = [
        frame.join(kept, on=["@rank", ID], how="left", maintain_order="left")["@kept"]
        for frame in frames
    ]
    return Udids(columns[0], columns[1], losers)


def _stated(reader: Reader, frame: pl.DataFrame) -> pl.Expr:
    """The record's own udid, where the record is the origin of a person."""
    value = reader.peek("udid_number", "TEXT").value
    stated = value != ""
    if PATIENT in frame.columns:
        stated &= pl.col(PATIENT).is_null()
    return pl.when(stated).then(value)


def udid_log(losers: pl.DataFrame) -> pl.DataFrame:
    """``duplicate_udid``: records that lost their number to an earlier one."""
    return discrepancies(
        losers,
        "duplicate_udid",
        source_table=pl.col("@table"),
        source_id=pl.col(ID),
        related_id=pl.col("@keeper"),
        person_id=pl.col(PERSON),
        field="udid_number",
        message="an earlier patient has the same number and keeps it; it is archived here",
    )


def mismatches(linked: Linked, patients: Reader, children: Reader) -> pl.DataFrame:
    """One row per linked child and differing field.

    Columns: ``@id``, ``@created``, ``@patient``, ``@person``, ``field``, ``child_value``,
    ``patient_value``, ``near`` (birth dates less than 24 hours apart).
    """
    sides = linked.children.filter(pl.col(PATIENT).is_not_null()).select(
        ID, CREATED, PATIENT, PERSON, *_compared(children, "child")
    )
    sides = sides.join(
        linked.patients.select(pl.col(ID).alias(PATIENT), *_compared(patients, "patient")),
        on=PATIENT,
        how="left",
        maintain_order="left",
    )
    found = []
    for field in FIELDS:
        child, patient = pl.col(f"child:{field}"), pl.col(f"patient:{field}")
        differs, near, shown = _difference(field, child, patient)
        found.append(
            sides.filter(differs).select(
                ID,
                CREATED,
                PATIENT,
                PERSON,
                pl.lit(field).alias("field"),
                shown(child).alias("child_value"),
                shown(patient).alias("patient_value"),
                near.alias("near"),
            )
        )
    return pl.concat(found)


def _compared(reader: Reader, side: str) -> list[pl.Expr]:
    return [
        reader.peek(field, "DATETIME" if field == "date_of_birth" else "TEXT").value.alias(
            f"{side}:{field}"
        )
        for field in FIELDS
    ]


def _same(value: pl.Expr) -> pl.Expr:
    return value


def _difference(
    field: str, child: pl.Expr, patient: pl.Expr
) -> tuple[pl.Expr, pl.Expr, Callable[[pl.Expr], pl.Expr]]:
    """Whether the two differ, whether the instants are near, and how a reviewer sees them."""
    never = pl.lit(value=False)
    if field == "date_of_birth":
        near = (child - patient).abs() < _DAY_MS
        return utc_day(child) != utc_day(patient), near, iso_instant
    if field == "gender":
        differs = (normalised(child) != normalised(patient)) & (child != "") & (patient != "")
        return differs, never, _same
    return normalised(child) != normalised(patient), never, _same


def mismatch_log(found: pl.DataFrame, table: str) -> pl.DataFrame:
    """``demographic_mismatch`` rows; the patient's value is the chosen one."""
    hint = pl.when(pl.col("near")).then(
        pl.lit("; the two instants are less than 24 hours apart: a time zone may be the cause")
    )
    message = (
        pl.lit("child and patient differ in ")
        + pl.col("field")
        + pl.lit("; the patient's value was taken")
        + hint.otherwise(pl.lit(""))
    )
    return discrepancies(
        found,
        "demographic_mismatch",
        source_table=table,
        source_id=pl.col(ID),
        related_id=pl.col(PATIENT),
        person_id=pl.col(PERSON),
        field=pl.col("field"),
        child_value=pl.col("child_value"),
        patient_value=pl.col("patient_value"),
        chosen_value=pl.col("patient_value"),
        message=message,
    )


def notes(found: pl.DataFrame) -> pl.DataFrame:
    """``person_id`` and ``note``: one line per differing child that names the fields."""
    order = {field: position for position, field in enumerate(FIELDS)}
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


def suspected_duplicates(linked: Linked, patients: Reader, children: Reader) -> pl.DataFrame:
    """Persons with equal normalised names and the same UTC day of birth: all kept, none merged."""
    origins = []
    for rank, (reader, frame) in enumerate(
        (
            (patients, linked.patients),
            (children, linked.children.filter(pl.col(PATIENT).is_null())),
        )
    ):
        first, last = (
            normalised(reader.peek(n, "TEXT").value) for n in ("first_name", "last_name")
        )
        origins.append(
            frame.select(
                ID,
                CREATED,
                PERSON,
                pl.lit(reader.source.table.name).alias("@table"),
                pl.lit(rank).alias("@rank"),
                first.alias("@first"),
                last.alias("@last"),
                utc_day(reader.peek("date_of_birth", "DATETIME").value).alias("@day"),
            )
        )
    same = ("@first", "@last", "@day")
    known = (
        pl.concat(origins)
        .drop_nulls(same)
        .filter((pl.col("@first") != "") & (pl.col("@last") != ""))
    )
    groups = known.filter(pl.len().over(same) > 1).sort(CREATED, ID, "@rank", nulls_last=True)
    groups = groups.with_columns(
        pl.int_range(pl.len()).over(same).alias("@place"),
        pl.col(ID).first().over(same).alias("@head"),
    )
    return discrepancies(
        groups.filter(pl.col("@place") > 0),
        "suspected_duplicate",
        source_table=pl.col("@table"),
        source_id=pl.col(ID),
        related_id=pl.col("@head"),
        person_id=pl.col(PERSON),
        message="another person has the same name and day of birth; both were kept",
    )
