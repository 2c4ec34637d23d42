"""The resolve stage in order: link, settle demographics, make views, imply grants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from person_unify.frames.model import DECISION, ROW, left_join
from person_unify.frames.registry import OLD, Registry
from person_unify.mappings.bind import BoundMapping
from person_unify.stages.resolve import caregivers, decided, demographics, grants, views
from person_unify.stages.resolve.cases import Case, Tables
from person_unify.stages.resolve.deciding import DELETED
from person_unify.stages.resolve.humans import Humans, settle_humans
from person_unify.stages.resolve.kept import keep_views
from person_unify.stages.resolve.links import (
    ALONE,
    CHILD,
    ID,
    LINK,
    NAMED,
    PATIENT,
    PERSON,
    people_of,
)
from person_unify.stages.resolve.outcomes import CLINICIAN_VIEW, Outcomes
from person_unify.stages.resolve.udids import settle_udids


@dataclass(frozen=True, slots=True)
class Core:
    """What persons, views and grants are resolved from: of each table :func:`deciding_cells`."""

    tables: Tables
    patients: pl.DataFrame
    children: pl.DataFrame
    parent_children: pl.DataFrame
    consent_grants: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the resolve stage made.

    outcomes: makes what became of each row of patients, parent_children and children.
    views: of :func:`views.make_views`.  implied: the access_grants rows without a consent.
    discrepancies: what is said of persons and pairs rather than of single cells.
    notes: ``person_id``, ``note``.
    questions: what a person may decide.  decisions: what was decided, with its ``outcome``.
    counts: the terms of the equations.
    """

    outcomes: Outcomes
    views: pl.DataFrame
    implied: pl.DataFrame
    discrepancies: tuple[pl.DataFrame, ...]
    notes: pl.DataFrame
    questions: pl.DataFrame
    decisions: pl.DataFrame
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Choices:
    """What the operator and the reviewers chose: ``run_time`` in ms, decisions of DECISION."""

    run_time: int
    implied_grants: str = "active"
    decisions: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DECISION))


def resolve(
    core: Core,
    bound: Mapping[tuple[str, str], BoundMapping],
    registry: Registry,
    choices: Choices,
) -> Resolution:
    """Resolve all persons; ``bound`` holds the core mappings by (source, target).

    Fills ``registry.people``.  Contract sections 3, 4 and the implied grants of 5.  Raises
    :class:`DecisionsRefused` where decisions cannot be carried out together.
    """
    tables, ids, decisions = core.tables, registry.ids, choices.decisions
    olds = (core.patients, core.children, core.parent_children, core.consent_grants)
    ids.require_apart(*(frame[ID] for frame in olds))
    humans = settle_humans(core.patients, core.children, tables, decisions, ids)
    registry.people = people_of(humans.records)
    udids = settle_udids(humans.records, tables, decisions, _collation_of_udids(bound))
    notes = demographics.notes(humans.differing)
    records = _settled(humans, udids.kept, notes)
    origins = records.filter(ALONE).select(PERSON, CHILD, ID)
    clinical = _with_clinician(records, registry)
    paired = views.children_with_parent(records, registry)
    missing, counts = _missing_log(records, tables), _counts(records)
    del records  # most of a run's memory
    links = views.resolve_links(core.parent_children, registry)
    made = keep_views(views.make_views(paired, links, ids), paired, links, ids)
    families = caregivers.caregiver_questions(made, origins, tables)
    made = caregivers.with_decided(made, origins, tables, decisions, families)
    implied = grants.implied(paired, clinical, core.consent_grants, registry)
    granting = grants.implied_questions(implied, tables)
    implied = grants.with_mode(implied, decisions, granting, choices.implied_grants)
    questions = pl.concat([humans.asked, udids.asked, families, granting])
    answers = decided.answered(decisions, questions)
    decided.refuse(decided.strange(answers.filter(pl.col("outcome") == "applied")))
    said = (
        *humans.log,
        *missing,
        udids.log,
        *_patient_log(clinical, paired, tables),
        demographics.mismatch_log(humans.differing, tables),
        *views.view_log(paired, links, tables),
        *caregivers.caregiver_log(made, origins, tables),
        grants.implied_log(implied, tables),
    )
    return Resolution(
        outcomes=Outcomes.of(bound, choices.run_time, made, clinical, paired, links),
        views=made,
        implied=grants.implied_rows(implied, registry, choices.run_time),
        discrepancies=tuple(frame for frame in said if frame.height),
        notes=notes,
        questions=questions,
        decisions=answers.drop("options"),
        counts=counts,
    )


def _settled(humans: Humans, udids: pl.Series, notes: pl.DataFrame) -> pl.DataFrame:
    """The records with the cells of their persons that several records settle."""
    own = humans.records.with_columns(demographics.genders(humans.records), udids.alias("@udid"))
    noted = left_join(own, notes.rename({"person_id": PERSON, "note": "@note"}), PERSON)
    return demographics.with_taken(noted, humans.taken)


def _collation_of_udids(bound: Mapping[tuple[str, str], BoundMapping]) -> str:
    """How the target compares the numbers that it wants to be unique."""
    targets = (b.target for (_, name), b in bound.items() if name == "persons" and b.target)
    return next((target.collation(("udid_number",))[0] for target in targets), "BINARY")


def _missing_log(records: pl.DataFrame, tables: Tables) -> list[pl.DataFrame]:
    """Persons of whom no record states a gender, or no birth date."""
    missing = {"gender": ("missing_gender", "@gender")}
    missing["date_of_birth"] = ("missing_birth_date", "date_of_birth")
    return [
        Case(kind, records.filter(pl.col(ALONE) & pl.col(cell).is_null()), field=name).log(tables)
        for name, (kind, cell) in missing.items()
    ]


def _with_clinician(records: pl.DataFrame, registry: Registry) -> pl.DataFrame:
    """What was settled of the patients, and their clinician.

    ``@clinician`` and a view id stand where that user exists, ``clinician_id`` is who is named.
    """
    users = registry.rows_of("users").select(
        pl.col(OLD).alias("clinician_id"), pl.col(OLD).alias("@clinician")
    )
    taken = demographics.taken_columns(records)
    settled = (ROW, ID, CHILD, PERSON, *views.PERSON_CELLS, *taken, "clinician_id", DELETED)
    frame = records.filter(~pl.col(CHILD)).select(settled)
    frame = left_join(frame, users, "clinician_id")
    ids = registry.ids
    frame = frame.with_columns(
        pl.when(pl.col("@clinician").is_not_null())
        .then(ids.take("clinician views", frame.height))
        .alias(CLINICIAN_VIEW)
    )
    named = frame.select(pl.col(ID).alias("old_id"), CLINICIAN_VIEW).drop_nulls()
    return ids.keep(frame, CLINICIAN_VIEW, {"patient_to_view": named})


def _patient_log(
    patients: pl.DataFrame, children: pl.DataFrame, tables: Tables
) -> tuple[pl.DataFrame, ...]:
    """Patients whose clinician is missing, and children whose patient is deleted."""
    unseen = patients.filter(pl.col("@clinician").is_null())
    deleted = patients.filter(DELETED).select(pl.col(ID).alias(PATIENT))
    hidden = children.join(deleted, on=PATIENT, how="semi", maintain_order="left")
    return (
        Case("orphaned_record", unseen, "clinician_id", "clinician_id").log(tables, "clinician"),
        Case("deleted_patient", hidden, PATIENT, "deleted_at").log(tables),
    )


def _counts(records: pl.DataFrame) -> dict[str, int]:
    with_patient, alone = pl.col(PATIENT).is_not_null(), pl.col(ALONE)
    lost = pl.col(LINK).is_not_null() & pl.col(NAMED).is_null() & alone
    children = records.filter(CHILD)
    counts = children.select(
        with_patient.sum().alias("linked"),
        (~with_patient & ~alone).sum().alias("merged"),
        lost.sum().alias("missing_link"),
    ).row(0, named=True)
    return {
        "patients": records.height - children.height,
        "children": children.height,
        **counts,
        "standalone": children.height - sum(counts.values()),
    }
