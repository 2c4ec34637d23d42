"""Two runs of one old database beside each other: what decisions, options or repairs changed."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from person_unify.explore.columns import COMPARED
from person_unify.explore.run import Run

_PERSON = ("origin_table", "origin_id")
_FIGURES = ("children", "parents", "clinicians", "grants", "records")
_FINDING = ("kind", "severity", "source_table", "source_id", "related_id", "field")


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs between two runs, see :data:`person_unify.explore.COMPARED`.

    Records are matched by their old ids: the new ones are drawn anew in every run.
    """

    counts: pl.DataFrame
    persons: pl.DataFrame
    discrepancies: pl.DataFrame
    decisions: pl.DataFrame


def compare(run: Run, other: Run) -> Compared:
    """Compare a run or check with a later one of the same old database."""
    return Compared(
        counts=_shaped("counts", _counts(run, other)),
        persons=_shaped("persons", _persons(run, other)),
        discrepancies=_shaped("discrepancies", _discrepancies(run, other)),
        decisions=_shaped("decisions", _decisions(run, other)),
    )


def _counts(run: Run, other: Run) -> pl.DataFrame:
    """Persons, rows loaded and kept out, and discrepancies by kind, whether they changed or not."""
    return _beside(_counted(run), _counted(other), ["what"]).with_columns(
        pl.col("before", "after").fill_null(0)
    )


def _counted(run: Run) -> pl.DataFrame:
    kinds = run.discrepancies.group_by(pl.col("kind").alias("what")).len("figure").sort("what")
    tables = run.tables
    totals = {
        "persons": run.persons.height,
        "rows loaded": tables["loaded"].sum(),
        "rows in the ledger only": tables["archived"].sum(),
    }
    figures = pl.DataFrame({"what": list(totals), "figure": list(totals.values())})
    return pl.concat([figures, kinds.cast(figures.schema)])


def _persons(run: Run, other: Run) -> pl.DataFrame:
    """The figures of each person that differ; all of them where only one run has the person."""
    before, after = (
        one.persons.unpivot(_FIGURES, index=_PERSON, variable_name="what", value_name="figure")
        for one in (run, other)
    )
    beside = _beside(before, after, [*_PERSON, "what"])
    return beside.filter(pl.col("before").ne_missing(pl.col("after")))


def _discrepancies(run: Run, other: Run) -> pl.DataFrame:
    """What one run found and the other did not, or described otherwise."""
    # The other record of a collision is the new id, which every run draws anew.
    known = pl.when(pl.col("kind") != "id_collision").then("related_id").alias("related_id")
    before, after = (
        one.discrepancies.with_columns(known)
        .with_columns(pl.int_range(pl.len()).over(_FINDING).alias("nth"))
        .select(*_FINDING, "nth", pl.col("message").alias("figure"))
        for one in (run, other)
    )
    beside = _beside(before, after, [*_FINDING, "nth"])
    change = (
        pl.when(pl.col("before").is_null())
        .then(pl.lit("new"))
        .when(pl.col("after").is_null())
        .then(pl.lit("gone"))
        .otherwise(pl.lit("changed"))
    )
    return (
        beside.filter(pl.col("before").ne_missing(pl.col("after")))
        .with_columns(change.alias("change"))
        .sort("change", *_FINDING)
    )


def _decisions(run: Run, other: Run) -> pl.DataFrame:
    """Decisions of either run whose outcome is not the same in both."""
    key = [c for c in COMPARED["decisions"] if c not in ("before", "after")]
    before, after = (
        one.decisions.select(*key, pl.col("outcome").alias("figure")) for one in (run, other)
    )
    return _beside(before, after, key).filter(pl.col("before").ne_missing(pl.col("after")))


def _beside(before: pl.DataFrame, after: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Both frames' ``figure`` as ``before`` and ``after``, matched by ``key``, NULLs equal."""
    return before.rename({"figure": "before"}).join(
        after.rename({"figure": "after"}),
        on=key,
        how="full",
        coalesce=True,
        nulls_equal=True,
        maintain_order="left_right",
    )


def _shaped(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    schema = {column: dtype for column, (dtype, _) in COMPARED[name].items()}
    return frame.select(list(schema)).cast(schema)  # type: ignore[arg-type]
