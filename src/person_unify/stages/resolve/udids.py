"""Who keeps a ``udid_number`` that several records state (contract section 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from person_unify.frames.collations import collated
from person_unify.frames.model import left_join
from person_unify.stages.resolve import decided
from person_unify.stages.resolve.cases import Case, Tables, decided_or_not
from person_unify.stages.resolve.links import ALONE, CHILD, CREATED, ID, PERSON

FIELD = "udid_number"
_KIND = "duplicate_udid"
_SAME = "@same"
"""What the numbers are that the target takes for one."""


@dataclass(frozen=True, slots=True)
class Udids:
    """kept: the number that each record keeps.  log: who lost theirs.  asked: the questions."""

    kept: pl.Series
    log: pl.DataFrame
    asked: pl.DataFrame


def settle_udids(
    records: pl.DataFrame, tables: Tables, decisions: pl.DataFrame, collation: str
) -> Udids:
    """Give each number to its first holder, or to the one that a decision names.

    ``collation``: how the target's UNIQUE on the numbers compares them.
    """
    number = pl.col(FIELD)
    held = _placed(
        records.filter(pl.col(ALONE) & (number != ""))
        .select(
            *(ID, CREATED, PERSON, CHILD),
            number.alias("@udid"),
            collated(number, collation).alias(_SAME),
        )
        .sort(CHILD, CREATED, ID, nulls_last=True)
    )
    asked = _questions(held, records, tables)
    taken = decided.applied(decisions, asked, "this")
    what = "several records are to keep the number that it has"
    decided.refuse(decided.several(taken, "this", "related_id", what))
    chosen = decided.of_records(taken, tables).select(CHILD, ID, pl.lit(value=True).alias("@this"))
    placed = _placed(
        left_join(held, chosen, [CHILD, ID]).sort("@this", nulls_last=True, maintain_order=True)
    ).with_columns(pl.col("@this").any().over(_SAME).fill_null(value=False).alias("@decided"))
    kept = placed.filter(pl.col("@place") == 0).select(CHILD, ID, "@udid")
    losers = Case(_KIND, placed.filter(pl.col("@place") > 0), "@keeper", FIELD)
    return Udids(
        left_join(records.select(CHILD, ID), kept, [CHILD, ID])["@udid"],
        losers.log(tables, decided_or_not(pl.col("@decided"))),
        asked,
    )


def _placed(ordered: pl.DataFrame) -> pl.DataFrame:
    """With the ``@place`` of each holder of a number, and the id of the first, who keeps it."""
    return ordered.with_columns(
        pl.int_range(pl.len()).over(_SAME).alias("@place"),
        pl.col(ID).first().over(_SAME).alias("@keeper"),
    )


def _questions(held: pl.DataFrame, records: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Whose number is it: one question per record that would lose it."""
    contested = held.filter(pl.len().over(_SAME) > 1)
    case = Case(_KIND, contested, "@keeper", FIELD)
    known = case.with_facts(records, pl.col(CHILD), ID, "@facts").frame.with_columns(
        pl.col("@facts").sort_by("@place").first().over(_SAME).alias("@theirs")
    )
    losing = replace(case, frame=known.filter(pl.col("@place") > 0))
    evidence = [pl.col("@udid"), pl.col("@facts"), pl.col("@theirs")]
    return losing.questions(tables, "earlier this", evidence)
