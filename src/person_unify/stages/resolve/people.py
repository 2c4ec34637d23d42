"""The resolve stage in order: link, settle demographics, make views, imply grants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from person_unify.frames import Outcome, SourceFrame, discrepancies
from person_unify.mappings.bind import BoundMapping
from person_unify.mappings.reads import reads
from person_unify.reading import Reader
from person_unify.registry import OLD, Registry
from person_unify.stages.resolve import demographics, grants, outcomes, views
from person_unify.stages.resolve.links import ID, LINK, PATIENT, PERSON, Linked, link, link_log
from person_unify.values import Type


@dataclass(frozen=True, slots=True)
class Core:
    """The four source tables that persons, views and grants are resolved from."""

    patients: SourceFrame
    children: SourceFrame
    parent_children: SourceFrame
    consent_grants: SourceFrame


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the resolve stage made.

    outcomes: of patients, children and parent_children, in this order.
    views, implied: rows of parent_child_views, and the access_grants rows without a consent.
    discrepancies: what is said of persons and pairs rather than of single cells.
    notes: ``person_id``, ``note``.
    counts: the terms of the equations.
    """

    outcomes: tuple[Outcome, ...]
    views: pl.DataFrame
    implied: pl.DataFrame
    discrepancies: tuple[pl.DataFrame, ...]
    notes: pl.DataFrame
    counts: Mapping[str, int]


def resolve(
    core: Core,
    bound: Mapping[tuple[str, str], BoundMapping],
    registry: Registry,
    run_time: int,
    implied_grants: str,
) -> Resolution:
    """Resolve all persons; ``bound`` holds the core mappings by (source, target).

    Fills ``registry.people``.  Contract sections 3, 4 and the implied grants of 5.
    """
    patients = _reader(core.patients, "patients", bound, run_time)
    children = _reader(core.children, "children", bound, run_time)
    links = _reader(core.parent_children, "parent_children", bound, run_time)
    consents = _reader(core.consent_grants, "consent_grants", bound, run_time)
    linked = link(patients, children, registry.ids)
    registry.people = linked.people
    differing = demographics.mismatches(linked, patients, children)
    notes = demographics.notes(differing)
    linked, settled_log = _settle(linked, patients, children, notes)
    clinical = _with_clinician(linked.patients, patients, registry)
    stated = views.read_links(links, registry)
    paired = views.children_with_parent(linked, children, registry)
    made = views.make_views(paired, stated, children, registry.ids)
    needed = grants.implied(paired, clinical, consents, registry)
    implied = grants.implied_rows(needed, registry, run_time, implied_grants)
    tables = (core.children.table.name, core.parent_children.table.name)
    said = (
        *link_log(linked, core.children),
        *settled_log,
        _clinician_log(clinical, core.patients.table.name),
        demographics.mismatch_log(differing, tables[0]),
        demographics.suspected_duplicates(linked, patients, children),
        *views.view_log(paired, stated, tables),
        *views.caregiver_log(made, _origins(linked, (core.patients.table.name, tables[0]))),
        grants.implied_log(needed, tables[0], implied_grants),
    )
    settled = outcomes.Settled(bound, made)
    patients_out = outcomes.of_patients(clinical, patients, settled)
    children_out, child_cells = outcomes.of_children(paired, children, settled)
    links_out, link_cells = outcomes.of_links(stated, links, settled)
    return Resolution(
        outcomes=(patients_out, children_out, links_out),
        views=outcomes.view_rows(settled, child_cells, link_cells),
        implied=implied,
        discrepancies=tuple(frame for frame in said if frame.height),
        notes=notes,
        counts=_counts(linked),
    )


def _reader(
    frame: SourceFrame, source: str, bound: Mapping[tuple[str, str], BoundMapping], run_time: int
) -> Reader:
    reader = Reader(frame, run_time)
    reader.prepare(_reads(source, bound))
    return reader


def _reads(source: str, bound: Mapping[tuple[str, str], BoundMapping]) -> list[tuple[str, Type]]:
    """What this stage reads of a table: its mappings' columns, and what decides who is who."""
    found = [read for (name, _), b in bound.items() if name == source for read in reads(b)]
    return found + [read for name, read in _DECIDING if name == source]


_DECIDING: tuple[tuple[str, tuple[str, Type]], ...] = (
    ("patients", ("clinician_id", "TEXT")),
    ("children", ("first_name", "TEXT")),
    ("children", ("last_name", "TEXT")),
    ("children", ("date_of_birth", "DATETIME")),
    ("children", ("linked_patient_id", "TEXT")),
    ("children", ("parent_id", "TEXT")),
    ("parent_children", ("patient_id", "TEXT")),
    ("parent_children", ("parent_id", "TEXT")),
    ("parent_children", ("is_primary", "BOOLEAN")),
    ("consent_grants", ("patient_id", "TEXT")),
    ("consent_grants", ("parent_id", "TEXT")),
)


def _settle(
    linked: Linked, patients: Reader, children: Reader, notes: pl.DataFrame
) -> tuple[Linked, list[pl.DataFrame]]:
    """Add ``@gender``, ``@udid`` and ``@note`` to both frames; log what was missing or taken."""
    genders = demographics.genders(linked, patients, children)
    udids = demographics.udids(linked, patients, children)
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
    log = [
        discrepancies(
            frame.filter(pl.col("@gender").is_null() & alone),
            "missing_gender",
            source_table=reader.source.table.name,
            source_id=pl.col(ID),
            person_id=pl.col(PERSON),
            field="gender",
            message="no record states a gender; the person got 'unknown'",
        )
        for frame, reader, alone in (
            (frames[0], patients, pl.lit(value=True)),
            (frames[1], children, pl.col(PATIENT).is_null()),
        )
    ]
    log.append(demographics.udid_log(udids.losers))
    return Linked(frames[0], frames[1], linked.people), log


def _with_clinician(frame: pl.DataFrame, reader: Reader, registry: Registry) -> pl.DataFrame:
    """Add ``@clinician`` and a view id where that user exists, and ``@present``: never deleted."""
    users = registry.rows_of("users").select(
        pl.col(OLD).alias("@clinician_key"), pl.col(OLD).alias("@clinician")
    )
    frame = frame.with_columns(
        reader.peek("clinician_id", "TEXT").value.alias("@clinician_key"),
        (~reader.stated("deleted_at")).alias("@present"),
    ).join(users, on="@clinician_key", how="left", maintain_order="left")
    return frame.with_columns(
        pl.when(pl.col("@clinician").is_not_null())
        .then(registry.ids.take("clinician views", frame.height))
        .alias(outcomes.CLINICIAN_VIEW)
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
        message="the clinician does not exist; the patient became a person without this view",
    )


def _origins(linked: Linked, tables: tuple[str, str]) -> pl.DataFrame:
    """``@person``, ``@table``, ``@id``: the record that each person comes from."""
    alone = linked.children.filter(pl.col(PATIENT).is_null())
    return pl.concat(
        frame.select(PERSON, pl.lit(table).alias("@table"), ID)
        for frame, table in zip((linked.patients, alone), tables, strict=True)
    )


def _counts(linked: Linked) -> dict[str, int]:
    named = pl.col(LINK).is_not_null()
    linked_children = linked.children.select(pl.col(PATIENT).is_not_null().sum()).item()
    missing = linked.children.select((named & pl.col(PATIENT).is_null()).sum()).item()
    return {
        "patients": linked.patients.height,
        "children": linked.children.height,
        "linked": linked_children,
        "missing_link": missing,
        "standalone": linked.children.height - linked_children - missing,
    }
