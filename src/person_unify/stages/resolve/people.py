"""The resolve stage in order: link, settle demographics, make views, imply grants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from person_unify.frames import DECISION, ROW, discrepancies
from person_unify.mappings.bind import BoundMapping
from person_unify.reading import Reader
from person_unify.registry import OLD, Registry
from person_unify.stages.resolve import caregivers, decided, demographics, grants, views
from person_unify.stages.resolve.humans import Humans, settle_humans
from person_unify.stages.resolve.links import (
    ALONE,
    ID,
    LINK,
    NAMED,
    PATIENT,
    PERSON,
    PERSON_CELLS,
    Linked,
    link_log,
)
from person_unify.stages.resolve.outcomes import CLINICIAN_VIEW, Outcomes
from person_unify.stages.resolve.suspects import suspect_log
from person_unify.stages.resolve.udids import Udids, settle_udids, udid_log


@dataclass(frozen=True, slots=True)
class Core:
    """Readers of the deciding columns that persons, views and grants are resolved from."""

    patients: Reader
    children: Reader
    parent_children: Reader
    consent_grants: Reader


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
    run_time, decisions = choices.run_time, choices.decisions
    patients, children = core.patients, core.children
    tables = (children.source.table.name, core.parent_children.source.table.name)
    patient_table = patients.source.table.name
    humans = settle_humans(patients, children, decisions, registry.ids)
    registry.people = humans.linked.people
    differing, suspected = humans.differing, suspect_log(humans.suspects)
    notes = demographics.notes(differing)
    udids = settle_udids(humans.linked, patients, children, decisions)
    asked = [humans.asked, udids.asked]
    linked, settled_log = _settle(humans, udids, patients, children, notes)
    del humans, udids  # frames of all records, which take most of a run's memory
    origins, counts = _origins(linked, (patient_table, tables[0])), _counts(linked)
    linking_log = link_log(linked, tables[0])
    clinical = _with_clinician(linked.patients, patients, registry)
    paired = views.children_with_parent(linked, children, registry)
    del linked
    stated = views.read_links(core.parent_children, registry)
    made = views.make_views(paired, stated, registry.ids)
    families = caregivers.caregiver_questions(made, origins)
    made = caregivers.with_decided(made, origins, decisions, families)
    implied = grants.implied(paired, clinical, core.consent_grants, registry)
    granting = grants.implied_questions(implied, tables[0])
    needed = grants.with_mode(implied, decisions, granting, choices.implied_grants)
    questions = pl.concat([*asked, families, granting])
    answers = decided.answered(decisions, questions)
    decided.refuse(decided.strange(answers.filter(pl.col("outcome") == "applied")))
    said = (
        *linking_log,
        *settled_log,
        _clinician_log(clinical, patient_table),
        demographics.mismatch_log(differing, tables[0]),
        demographics.contradiction_log(demographics.contradicting(differing), tables[0]),
        _deleted_log(paired, clinical, tables[0]),
        suspected,
        *views.view_log(paired, stated, tables),
        *caregivers.caregiver_log(made, origins),
        grants.implied_log(needed, tables[0]),
    )
    return Resolution(
        outcomes=Outcomes.of(bound, run_time, made, clinical, paired, stated),
        views=made,
        implied=grants.implied_rows(needed, registry, run_time),
        discrepancies=tuple(frame for frame in said if frame.height),
        notes=notes,
        questions=questions,
        decisions=answers.drop("options"),
        counts=counts,
    )


def _settle(
    humans: Humans, udids: Udids, patients: Reader, children: Reader, notes: pl.DataFrame
) -> tuple[Linked, list[pl.DataFrame]]:
    """Add ``@gender``, ``@udid``, ``@note`` and the decided values to both frames.

    Also returns the log of what was missing or taken.
    """
    linked = humans.linked
    genders = demographics.genders(linked, patients, children)
    noted = notes.rename({"person_id": PERSON, "note": "@note"})
    frames = [
        frame.with_columns(gender.alias("@gender"), udid.alias("@udid")).join(
            noted, on=PERSON, how="left", maintain_order="left"
        )
        for frame, gender, udid in (
            (linked.patients, genders[0], udids.of_patients),
            (linked.children, genders[1], udids.of_children),
        )
    ]
    if humans.taken.height:
        frames[0] = demographics.with_taken(frames[0], humans.taken)
    log = [
        discrepancies(
            frame.filter(missing & alone),
            kind,
            source_table=reader.source.table.name,
            source_id=pl.col(ID),
            person_id=pl.col(PERSON),
            field=field,
        )
        for frame, reader, alone in (
            (frames[0], patients, pl.lit(value=True)),
            (frames[1], children, pl.col(ALONE)),
        )
        for kind, field, missing in (
            ("missing_gender", "gender", pl.col("@gender").is_null()),
            (
                "missing_birth_date",
                "date_of_birth",
                reader.peek("date_of_birth", "DATETIME").value.is_null(),
            ),
        )
    ]
    log.append(udid_log(udids.losers))
    return Linked(frames[0], frames[1], linked.people), log


def _with_clinician(frame: pl.DataFrame, reader: Reader, registry: Registry) -> pl.DataFrame:
    """What was settled of the patients, and their clinician.

    ``@clinician`` and a view id stand where that user exists, ``@clinician_key`` is who is named,
    ``@present``: never deleted.
    """
    users = registry.rows_of("users").select(
        pl.col(OLD).alias("@clinician_key"), pl.col(OLD).alias("@clinician")
    )
    frame = frame.select(
        *(ROW, ID, PERSON, *PERSON_CELLS, *demographics.taken_columns(frame)),
        reader.peek("clinician_id", "TEXT").value.alias("@clinician_key"),
        (~reader.stated("deleted_at")).alias("@present"),
    ).join(users, on="@clinician_key", how="left", maintain_order="left")
    return frame.with_columns(
        pl.when(pl.col("@clinician").is_not_null())
        .then(registry.ids.take("clinician views", frame.height))
        .alias(CLINICIAN_VIEW)
    )


def _clinician_log(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    return discrepancies(
        frame.filter(pl.col("@clinician").is_null()),
        "orphaned_record",
        source_table=table,
        source_id=pl.col(ID),
        related_id=pl.col("@clinician_key"),
        person_id=pl.col(PERSON),
        field="clinician_id",
        variant="clinician",
    )


def _deleted_log(children: pl.DataFrame, patients: pl.DataFrame, table: str) -> pl.DataFrame:
    deleted = patients.filter(~pl.col("@present")).select(pl.col(ID).alias(PATIENT))
    return discrepancies(
        children.join(deleted, on=PATIENT, how="semi", maintain_order="left"),
        "deleted_patient",
        source_table=table,
        source_id=pl.col(ID),
        related_id=pl.col(PATIENT),
        person_id=pl.col(PERSON),
        field="deleted_at",
    )


def _origins(linked: Linked, tables: tuple[str, str]) -> pl.DataFrame:
    """``@person``, ``@table``, ``@id``: the record that each person comes from."""
    alone = linked.children.filter(pl.col(ALONE))
    return pl.concat(
        frame.select(PERSON, pl.lit(table).alias("@table"), ID)
        for frame, table in zip((linked.patients, alone), tables, strict=True)
    )


def _counts(linked: Linked) -> dict[str, int]:
    counts = linked.children.select(
        pl.col(PATIENT).is_not_null().sum().alias("linked"),
        (pl.col(PATIENT).is_null() & ~pl.col(ALONE)).sum().alias("merged"),
        (pl.col(LINK).is_not_null() & pl.col(NAMED).is_null() & pl.col(ALONE))
        .sum()
        .alias("missing_link"),
    ).row(0, named=True)
    return {
        "patients": linked.patients.height,
        "children": linked.children.height,
        **counts,
        "standalone": linked.children.height - sum(counts.values()),
    }
