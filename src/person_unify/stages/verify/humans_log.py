"""What the log owes humans: links, doubtful ones, defaults, doubles, families (section 8)."""

from __future__ import annotations

import polars as pl

from person_unify.stages.verify.cells import alike
from person_unify.stages.verify.context import Context
from person_unify.stages.verify.families import Families
from person_unify.stages.verify.words import PEOPLE


def owe_humans(context: Context, traits: dict[str, pl.DataFrame], mismatches: pl.DataFrame) -> None:
    """Owe what links, birth dates and equal names call for.

    traits: per table what humans are known by, as they are compared.  mismatches: ``old``,
    ``patient_old``, ``person`` and ``field`` of each field in which child and patient differ.
    """
    _owe_links(context)
    _owe_contradictions(context, mismatches)
    _owe_births(context, traits)
    _owe_duplicates(context, traits)


def _owe_links(context: Context) -> None:
    """Links to nobody or to a deleted patient, and further children of one patient."""
    people, name = context.people, context.file_name("children")
    children = people.children
    of_row = children.with_columns(by=people.person.gather(children["human"]))
    strays = of_row.filter(pl.col("named").is_null() & (pl.col("link") != ""))
    common = {"source_id": pl.col("old"), "person_id": pl.col("by")}
    field = pl.lit("linked_patient_id")
    context.owe(
        strays, "missing_linked_patient", name, related_id=pl.col("link"), field=field, **common
    )
    beside = (
        of_row.with_columns(beside=pl.coalesce("named", "patient"))
        .filter(pl.col("beside").is_not_null())
        .sort("beside", "created", "old", nulls_last=True)
        .filter(pl.int_range(pl.len()).over("beside") > 0)
    )
    beside = beside.with_columns(patient_old=people.patients["old"].gather(beside["beside"]))
    context.owe(
        beside,
        "shared_linked_patient",
        name,
        related_id=pl.col("patient_old"),
        field=field,
        **common,
    )

    hidden = of_row.join(
        people.patients.filter("deleted").select(patient="human", patient_old="old"), on="patient"
    )
    context.owe(
        hidden,
        "deleted_patient",
        name,
        related_id=pl.col("patient_old"),
        field=pl.lit("deleted_at"),
        **common,
    )


def _owe_contradictions(context: Context, mismatches: pl.DataFrame) -> None:
    """Links that nothing else bears out: both names and the day of birth differ."""
    apart = (
        mismatches.filter(pl.col("field") != "gender")
        .group_by("old", "patient_old", "person", maintain_order=True)
        .len()
        .filter(pl.col("len") == 3)
    )
    context.owe(
        apart,
        "contradicting_link",
        context.file_name("children"),
        source_id=pl.col("old"),
        related_id=pl.col("patient_old"),
        person_id=pl.col("person"),
        field=pl.lit("linked_patient_id"),
    )


def _owe_births(context: Context, traits: dict[str, pl.DataFrame]) -> None:
    """Persons whose birth date is a default."""
    people = context.people
    for usual, frame in people.sides.items():
        born = traits[usual]["date_of_birth"]
        origin = people.begins(usual)
        context.owe(
            frame.filter(born.is_null() & origin),
            "missing_birth_date",
            context.file_name(usual),
            source_id=pl.col("old"),
            person_id=pl.col("person"),
            field=pl.lit("date_of_birth"),
        )


def _owe_duplicates(context: Context, traits: dict[str, pl.DataFrame]) -> None:
    """Further persons of a group with the same names and day of birth name the group's first."""
    people = context.people
    parts = []
    for usual, frame in people.sides.items():
        unlinked = frame["named"].is_null() if usual == "children" else alike(True, frame.height)
        person = people.person.gather(frame["human"])
        parts.append(
            traits[usual]
            .select("old", "created", "^.*:folded$")
            .with_columns(person=person, usual=pl.lit(usual))
            .filter(unlinked)
        )
    names = ["first_name:folded", "last_name:folded", "date_of_birth:folded"]
    groups = (
        pl.concat(parts)
        .filter(pl.all_horizontal(pl.col(n).is_not_null() & (pl.col(n) != "") for n in names))
        .sort("created", "old", "usual", descending=[False, False, True], nulls_last=True)
        .with_columns(first=pl.col("old").first().over(names), n=pl.int_range(pl.len()).over(names))
        .filter(pl.col("n") > 0)
    )
    for usual in PEOPLE:
        context.owe(
            groups.filter(usual=usual),
            "suspected_duplicate",
            context.file_name(usual),
            source_id=pl.col("old"),
            related_id=pl.col("first"),
            person_id=pl.col("person"),
        )


def owe_families(context: Context, families: Families, seen: pl.Series) -> None:
    """Views that are not made, children that share one, and who is the primary caregiver."""
    people, name = context.people, context.file_name("children")
    children = people.children.with_columns(by=people.person.gather(people.children["human"]))
    members = families.members.filter(pl.col("link") == 0)
    without = children.join(
        members, left_on="at", right_on="row", how="anti", maintain_order="left"
    )
    common = {"source_id": pl.col("old"), "person_id": pl.col("by")}
    context.owe(
        without,
        "orphaned_record",
        name,
        related_id=pl.col("parent"),
        field=pl.lit("parent_id"),
        **common,
    )
    merged = members.join(
        families.pairs.filter(pl.col("children") > 1).select(
            "human", "parent", "child", "child_old"
        ),
        on=["human", "parent"],
    ).filter(pl.col("row") != pl.col("child"))
    merged = merged.with_columns(by=people.person.gather(merged["human"]))
    context.owe(merged, "merged_child_rows", name, related_id=pl.col("child_old"), **common)
    context.owe(
        people.patients.filter(~seen),
        "orphaned_record",
        context.file_name("patients"),
        source_id=pl.col("old"),
        related_id=pl.col("clinician"),
        person_id=pl.col("person"),
        field=pl.lit("clinician_id"),
    )
    primary = families.pairs.filter("primary").join(people.origins, on="human")
    for kind, which in (
        ("multiple_primary_caregivers", pl.col("flags") > 1),
        ("no_primary_caregiver", (pl.col("flags") == 0) & (pl.col("family") > 1)),
    ):
        for usual in PEOPLE:
            context.owe(
                primary.filter(which & (pl.col("usual") == usual)),
                kind,
                context.file_name(usual),
                source_id=pl.col("old"),
                related_id=pl.col("parent"),
                person_id=pl.col("person"),
                field=pl.lit("is_primary"),
            )
