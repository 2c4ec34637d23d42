"""Grants that a link implies although no consent row speaks of it (contract section 5)."""

from __future__ import annotations

import polars as pl

from person_unify.frames.model import left_join
from person_unify.frames.registry import OLD, Registry
from person_unify.stages.resolve.cases import Case, Tables
from person_unify.stages.resolve.decided import applied
from person_unify.stages.resolve.deciding import DELETED
from person_unify.stages.resolve.links import (
    CHILD,
    CREATED,
    ID,
    PATIENT,
    PERSON,
    earliest_first,
)
from person_unify.stages.resolve.views import PAIR, PARENT

PERMISSIONS = '{"view": true, "edit": false, "assessments": true, "reports": true, "iep": false}'
"""The old schema's default permissions."""


def implied(
    children: pl.DataFrame, patients: pl.DataFrame, consents: pl.DataFrame, registry: Registry
) -> pl.DataFrame:
    """The earliest linked child of each (parent, person) that needs a grant.

    children: with ``@parent``; patients: with ``@clinician`` (NULL if missing) and ``@deleted``.
    consents: of :func:`deciding_cells`.  Returns ``@id``, ``@of_children``, ``@patient``,
    ``@person``, ``@parent``, ``@clinician``, and ``@closed``: whether the account of either is.
    """
    entitled = patients.filter(~pl.col(DELETED)).drop_nulls("@clinician")
    linked = (
        children.select(ID, CHILD, PATIENT, PERSON, PARENT, CREATED)
        .drop_nulls([PATIENT, PARENT])
        .join(entitled.select(pl.col(ID).alias(PATIENT), "@clinician"), on=PATIENT, how="inner")
    )
    people = (
        registry.persons()
        .lookup("patients")
        .select(pl.col("old_id").alias("patient_id"), pl.col("person_id").alias(PERSON))
    )
    spoken = consents.rename({"parent_id": PARENT}).join(people, on="patient_id", how="inner")
    first = earliest_first(linked.join(spoken, on=PAIR, how="anti")).unique(
        PAIR, keep="first", maintain_order=True
    )
    closed = registry.attribute("users", "closed", pl.Boolean()).filter("closed")[OLD].implode()
    users = registry.attribute("parents", "user_id").rename({OLD: PARENT})
    either = pl.col("@clinician").is_in(closed) | pl.col("user_id").is_in(closed)
    return (
        left_join(first, users, PARENT)
        .with_columns(either.fill_null(value=False).alias("@closed"))
        .drop("user_id", CREATED)
    )


def _case(needed: pl.DataFrame) -> Case:
    return Case("implied_grant", needed, PATIENT, "linked_patient_id")


def implied_questions(needed: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """What to make of each grant that a link implies; the evidence is who is concerned.

    Nobody is asked about a closed account: it gets nothing.
    """
    evidence = [pl.col(PARENT), pl.col("@clinician")]
    open_ = _case(needed.filter(~pl.col("@closed")))
    return open_.questions(tables, "active pending none", evidence)


def with_mode(
    needed: pl.DataFrame, decisions: pl.DataFrame, asked: pl.DataFrame, mode: str
) -> pl.DataFrame:
    """Add ``@mode``, what becomes of each grant, and ``@decided``, whether a decision said so."""
    said = applied(decisions, asked).select(
        pl.col("source_id").alias(ID),
        pl.col("related_id").alias(PATIENT),
        pl.col("decision").alias("@said"),
    )
    joined = left_join(needed, said, [ID, PATIENT])
    return joined.with_columns(
        pl.when("@closed")
        .then(pl.lit("none"))
        .otherwise(pl.col("@said").fill_null(mode))
        .alias("@mode"),
        pl.col("@said").is_not_null().alias("@decided"),
    ).drop("@said")


def implied_rows(needed: pl.DataFrame, registry: Registry, run_time: int) -> pl.DataFrame:
    """The access_grants rows for them; none where ``@mode`` is ``none``."""
    needed = needed.filter(pl.col("@mode") != "none")
    parents = registry.attribute("parents", "user_id")
    emails = registry.attribute("users", "email")
    mails = parents.join(emails.rename({OLD: "user_id"}), on="user_id", how="left")
    frame = left_join(needed, mails.select(pl.col(OLD).alias(PARENT), "email"), PARENT)
    now = pl.lit(run_time, dtype=pl.Int64)
    email = pl.col("email").fill_null("")
    notes = pl.format("Implied by the link of child {} to patient {}", ID, PATIENT)
    return frame.select(
        registry.ids.take("implied grants", frame.height).alias("id"),
        pl.lit("parent").alias("grantor_type"),
        pl.col(PARENT).alias("grantor_id"),
        pl.lit("clinician").alias("grantee_type"),
        pl.col("@clinician").alias("grantee_id"),
        pl.col(PERSON).alias("person_id"),
        pl.lit(PERMISSIONS).alias("permissions"),
        pl.lit("view").alias("access_level"),
        pl.col("@mode").alias("status"),
        now.alias("granted_at"),
        pl.when(pl.col("@mode") == "active").then(now).alias("activated_at"),
        email.alias("granted_by_name"),
        email.alias("granted_by_email"),
        notes.alias("notes"),
    )


def implied_log(needed: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """``implied_grant``, once per grant, on the earliest child."""
    return _case(needed).log(
        tables,
        pl.when("@closed").then(pl.lit("closed")).otherwise("@mode"),
        decided=pl.when(pl.col("@decided")).then(pl.lit(", by decision")).otherwise(pl.lit("")),
    )
