"""The one primary caregiver of each person, where nobody or a reviewer can tell (section 4)."""

from __future__ import annotations

import polars as pl

from person_unify.findings import ORDINARY
from person_unify.frames import discrepancies
from person_unify.stages.resolve import decided
from person_unify.stages.resolve.links import ID, PERSON
from person_unify.stages.resolve.questions import canonical, questions
from person_unify.stages.resolve.views import FLAGGED, PARENT

_SEVERAL, _NONE = "multiple_primary_caregivers", "no_primary_caregiver"


def caregiver_questions(views: pl.DataFrame, origins: pl.DataFrame) -> pl.DataFrame:
    """Who is the primary caregiver: a question per parent of each person where nobody can tell.

    The evidence is the whole family: its parents and who of them is flagged.
    """
    unsure = (pl.col("@flags") > 1) | ((pl.col("@flags") == 0) & (pl.col("@views") > 1))
    open_ = (
        views.filter(unsure)
        .sort(PARENT)
        .join(origins, on=PERSON, how="left", maintain_order="left")
    )
    flag = pl.when(FLAGGED).then(pl.lit("1")).otherwise(pl.lit("0"))
    open_ = open_.with_columns(
        canonical(pl.col(PARENT), flag).str.join(",").over(PERSON).alias("@family")
    )
    several = pl.col("@flags") > 1
    kind = pl.when(several).then(pl.lit(_SEVERAL)).otherwise(pl.lit(_NONE))
    return questions(
        open_,
        kind,
        "primary",
        [pl.col("@family")],
        source_table=pl.col("@table"),
        source_id=pl.col(ID),
        related_id=pl.col(PARENT),
        field="is_primary",
    )


def with_decided(
    views: pl.DataFrame, origins: pl.DataFrame, decisions: pl.DataFrame, asked: pl.DataFrame
) -> pl.DataFrame:
    """The views with the primary caregivers that decisions on these questions name."""
    chosen = decided.applied(decisions, asked, "primary")
    if not chosen.height:
        return views
    what = "several parents are to be its primary caregiver"
    decided.refuse(decided.several(chosen, "primary", "source_id", what))
    named = origins.join(
        chosen.select(
            pl.col("source_table").alias("@table"),
            pl.col("source_id").alias(ID),
            pl.col("related_id").alias("@named"),
        ),
        on=["@table", ID],
        how="inner",
    ).select(PERSON, "@named")
    joined = views.join(named, on=PERSON, how="left", maintain_order="left")
    is_named = pl.col("@named").is_not_null()
    return joined.with_columns(
        pl.when(is_named)
        .then((pl.col(PARENT) == pl.col("@named")).cast(pl.Int64))
        .otherwise("is_primary_caregiver")
        .alias("is_primary_caregiver"),
        pl.coalesce("@named", "@chosen").alias("@chosen"),
        is_named.alias("@decided"),
    ).drop("@named")


def caregiver_log(views: pl.DataFrame, origins: pl.DataFrame) -> list[pl.DataFrame]:
    """Persons with several flagged parents, or with several views and none flagged.

    origins: ``@person``, ``@table``, ``@id``: the record each person comes from.
    """
    chosen = views.filter(pl.col("is_primary_caregiver") == 1).join(
        origins, on=PERSON, how="left", maintain_order="left"
    )
    about: dict[str, str | pl.Expr | None] = {
        "source_table": pl.col("@table"),
        "source_id": pl.col(ID),
        "related_id": pl.col("@chosen"),
        "person_id": pl.col(PERSON),
        "field": "is_primary",
    }
    return [
        discrepancies(
            chosen.filter(pl.col("@flags") > 1),
            _SEVERAL,
            variant=_decided(),
            **about,
        ),
        discrepancies(
            chosen.filter((pl.col("@flags") == 0) & (pl.col("@views") > 1)),
            _NONE,
            variant=_decided(),
            **about,
        ),
    ]


def _decided() -> pl.Expr:
    return pl.when(pl.col("@decided")).then(pl.lit("decided")).otherwise(pl.lit(ORDINARY))
