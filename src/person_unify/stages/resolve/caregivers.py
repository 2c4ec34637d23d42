"""The one primary caregiver of each person, where nobody or a reviewer can tell (section 4)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from person_unify.frames.model import left_join
from person_unify.stages.resolve import decided
from person_unify.stages.resolve.cases import Case, Tables, canonical, decided_or_not
from person_unify.stages.resolve.links import CHILD, ID, PERSON
from person_unify.stages.resolve.views import FLAGGED, PARENT

_UNSURE: Mapping[str, pl.Expr] = {
    "multiple_primary_caregivers": pl.col("@flags") > 1,
    "no_primary_caregiver": (pl.col("@flags") == 0) & (pl.col("@views") > 1),
}
"""Kind -> where the views of a person do not say who the primary caregiver is."""


def caregiver_questions(views: pl.DataFrame, origins: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Who is the primary caregiver: a question per parent of each person where nobody can tell.

    origins: the record that each person comes from.  The evidence is the whole family: its parents
    and who of them is flagged.
    """
    flag = pl.when(FLAGGED).then(pl.lit("1")).otherwise(pl.lit("0"))
    family = canonical(pl.col(PARENT), flag).str.join(",").over(PERSON).alias("@family")
    asked = []
    for kind, unsure in _UNSURE.items():
        open_ = left_join(views.filter(unsure).sort(PARENT), origins, PERSON).with_columns(family)
        case = Case(kind, open_, PARENT, "is_primary")
        asked.append(case.questions(tables, "primary", [pl.col("@family")]))
    return pl.concat(asked)


def with_decided(
    views: pl.DataFrame,
    origins: pl.DataFrame,
    tables: Tables,
    decisions: pl.DataFrame,
    asked: pl.DataFrame,
) -> pl.DataFrame:
    """The views with the primary caregivers that decisions on these questions name."""
    chosen = decided.applied(decisions, asked, "primary")
    if not chosen.height:
        return views
    what = "several parents are to be its primary caregiver"
    decided.refuse(decided.several(chosen, "primary", "source_id", what))
    named = decided.of_records(chosen, tables).select(CHILD, ID, pl.col("related_id").alias("@to"))
    named = origins.join(named, on=[CHILD, ID], how="inner").select(PERSON, "@to")
    joined = left_join(views, named, PERSON)
    is_named = pl.col("@to").is_not_null()
    return joined.with_columns(
        pl.when(is_named)
        .then((pl.col(PARENT) == pl.col("@to")).cast(pl.Int64))
        .otherwise("is_primary_caregiver")
        .alias("is_primary_caregiver"),
        pl.coalesce("@to", "@chosen").alias("@chosen"),
        is_named.alias("@decided"),
    ).drop("@to")


def caregiver_log(views: pl.DataFrame, origins: pl.DataFrame, tables: Tables) -> list[pl.DataFrame]:
    """Persons with several flagged parents, or with several views and none flagged."""
    chosen = left_join(views.filter(pl.col("is_primary_caregiver") == 1), origins, PERSON)
    variant = decided_or_not(pl.col("@decided"))
    return [
        Case(kind, chosen.filter(unsure), "@chosen", "is_primary").log(tables, variant)
        for kind, unsure in _UNSURE.items()
    ]
