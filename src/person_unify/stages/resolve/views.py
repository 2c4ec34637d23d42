"""parent_child_views: one row per (person, parent) that children or links state (section 4)."""

from __future__ import annotations

import polars as pl

from person_unify.frames.ids import FreshIds
from person_unify.frames.model import ROW, left_join
from person_unify.frames.registry import OLD, Registry
from person_unify.stages.resolve.cases import Case, Tables
from person_unify.stages.resolve.links import (
    ALONE,
    CHILD,
    CREATED,
    ID,
    NAMED,
    PATIENT,
    PERSON,
)

PERSON_CELLS = ("@gender", "@udid", "@note")
"""Cells of a person that are settled from all its records."""

PARENT, PARENT_KEY, VIEW = "@parent", "@parent_key", "@view"
ADDED, RELATION, FLAGGED, SPEAKS = "@added", "@relation", "@flagged", "@speaks"
ORPHAN_FIELD, ORPHAN_ID, OF_CHILD = "@orphan_field", "@orphan_id", "@of_child"
CHILDREN = "@children"
PAIR = (PERSON, PARENT)
TEXTS = ("medical_history", "current_concerns", "developmental_notes")


def resolve_links(links: pl.DataFrame, registry: Registry) -> pl.DataFrame:
    """Resolve both ends of every parent link, and find which row of a pair speaks.

    links: of :func:`deciding_cells`.  Returns ``@row``, ``@id``, ``@patient_key``, ``@person``,
    ``@parent``, ``@of_child``, ``@added``, ``@relation``, ``@flagged``, what :func:`_in_pairs`
    adds, and of a row with an end that does not exist ``@orphan_field`` and ``@orphan_id``.
    """
    people = registry.persons().lookup("patients").drop("ambiguous")
    named = {"patient_id": "@patient_key", "parent_id": PARENT_KEY, "added_at": ADDED}
    frame = left_join(
        links.rename({**named, "relationship_type": RELATION}),
        people.rename({"old_id": "@patient_key", "person_id": PERSON, "of_child": OF_CHILD}),
        "@patient_key",
    )
    nobody = pl.col(PERSON).is_null()
    missing = (
        pl.when(nobody)
        .then(pl.lit("patient_id"))
        .when(pl.col(PARENT).is_null())
        .then(pl.lit("parent_id"))
    )
    frame = _with_parent(frame, registry).with_columns(
        (pl.col("is_primary") == 1).fill_null(value=False).alias(FLAGGED),
        missing.alias(ORPHAN_FIELD),
        pl.when(nobody).then("@patient_key").otherwise(PARENT_KEY).alias(ORPHAN_ID),
    )
    return _in_pairs(frame.drop("is_primary", PARENT_KEY), ADDED)


def _in_pairs(frame: pl.DataFrame, instant: str) -> pl.DataFrame:
    """Place the rows among those of their pair, the earliest first, where both ends exist.

    Adds ``@speaks`` on the earliest, ``@rows`` (how many they are) and ``@head`` (its id).
    """
    paired = pl.col(PERSON).is_not_null() & pl.col(PARENT).is_not_null()
    # The other cells stay behind while the rows are put in order.
    ordered = frame.select(ROW, instant, ID, *PAIR).sort(instant, ID, nulls_last=True)
    placed = ordered.with_columns(
        (paired & (pl.int_range(pl.len()).over(PAIR) == 0)).alias(SPEAKS),
        pl.when(paired).then(pl.len().over(PAIR)).alias("@rows"),
        pl.when(paired).then(pl.col(ID).first().over(PAIR)).alias("@head"),
    )
    return frame.hstack(placed.sort(ROW).select(SPEAKS, "@rows", "@head"))


def _with_parent(frame: pl.DataFrame, registry: Registry) -> pl.DataFrame:
    """Add ``@parent``: the parent that ``@parent_key`` names, NULL where none is loaded."""
    parents = registry.rows_of("parents").select(
        pl.col(OLD).alias(PARENT_KEY), pl.col(OLD).alias(PARENT)
    )
    return left_join(frame, parents, PARENT_KEY)


def children_with_parent(records: pl.DataFrame, registry: Registry) -> pl.DataFrame:
    """The children in source order, with the pair that each of them states.

    Only what was settled of them, and ``@parent`` where it exists, ``@parent_key`` (who is named),
    ``@updated``, and what :func:`_in_pairs` adds.
    """
    settled = records.filter(CHILD).select(
        *(ROW, ID, CREATED, PERSON, CHILD, NAMED, PATIENT, ALONE, *PERSON_CELLS),
        pl.col("parent_id").alias(PARENT_KEY),
        pl.col("updated_at").alias("@updated"),
    )
    return _in_pairs(_with_parent(settled, registry), CREATED)


def make_views(children: pl.DataFrame, links: pl.DataFrame, ids: FreshIds) -> pl.DataFrame:
    """One row per pair: ``@view``, ``@person``, ``@parent``, the settled cells by target name.

    ``@children`` counts the child rows of the pair, whose texts are joined when they are read.
    """
    said = _of_children(children)
    loaded = links.filter(pl.col(ORPHAN_FIELD).is_null())
    linked = loaded.group_by(PAIR, maintain_order=True).agg(
        pl.col(ADDED).sort_by(~pl.col(SPEAKS)).first(),
        pl.col(RELATION).sort_by(~pl.col(SPEAKS)).first(),
        pl.col(FLAGGED).any(),
        pl.lit(value=True).alias("@linked"),
    )
    pairs = pl.concat([said.select(PAIR), linked.select(PAIR)]).unique(maintain_order=True)
    views = left_join(left_join(pairs, said, PAIR), linked, PAIR)
    added = pl.coalesce(ADDED, "@created_first", pl.lit(ids.run_time, dtype=pl.Int64))
    views = views.with_columns(
        ids.take("parent views", views.height).alias(VIEW),
        pl.col(FLAGGED).fill_null(value=False),
        pl.col(CHILDREN).fill_null(0),
        pl.col(RELATION).fill_null("parent").alias("relationship_type"),
        added.alias("added_at"),
        pl.coalesce("@updated_last", added).alias("updated_at"),
    )
    return _with_primary(views)


def _of_children(children: pl.DataFrame) -> pl.DataFrame:
    """Per pair, what its children say of when, and how many they are."""
    return (
        children.filter(pl.col(PARENT).is_not_null())
        .select(*PAIR, CREATED, ID, "@updated")
        .sort(CREATED, ID, nulls_last=True)
        .group_by(PAIR, maintain_order=True)
        .agg(
            pl.len().alias(CHILDREN),
            pl.col(CREATED).first().alias("@child_created"),
            pl.col(ID).first().alias("@child"),
            pl.col(CREATED).drop_nulls().first().alias("@created_first"),
            pl.col(ID).filter(pl.col(CREATED).is_not_null()).first().alias("@supplier"),
            pl.col("@updated").max().alias("@updated_last"),
        )
    )


def joined_texts(several: pl.DataFrame) -> pl.DataFrame:
    """Per pair, the texts of its children, joined by a blank line (section 4).

    several: ``@person``, ``@parent``, ``@created``, ``@id`` and the texts, a row per child.
    """
    return (
        several.sort(CREATED, ID, nulls_last=True)
        .group_by(PAIR, maintain_order=True)
        .agg(
            pl.when((pl.col(text) != "").any())
            .then(
                pl.col(text).filter(pl.col(text) != "").unique(maintain_order=True).str.join("\n\n")
            )
            .alias(text)
            for text in TEXTS
        )
    )


def _with_primary(views: pl.DataFrame) -> pl.DataFrame:
    """Exactly one primary caregiver per person; ``@flags`` and ``@views`` count the person's.

    ``@chosen`` is that parent, ``@decided`` whether a decision named it.
    """
    flagged = pl.col(FLAGGED)
    unflagged_only = {
        "@order_child": pl.col("@child").is_null(),
        "@order_created": pl.col("@child_created"),
        "@order_id": pl.col("@child"),
    }
    ordered = views.with_columns(
        (~flagged).alias("@order_flag"),
        *(pl.when(~flagged).then(key).alias(name) for name, key in unflagged_only.items()),
    ).sort("@order_flag", *unflagged_only, ADDED, PARENT, nulls_last=True)
    return ordered.with_columns(
        (pl.int_range(pl.len()).over(PERSON) == 0).cast(pl.Int64).alias("is_primary_caregiver"),
        pl.col(PARENT).first().over(PERSON).alias("@chosen"),
        pl.col(FLAGGED).sum().over(PERSON).alias("@flags"),
        pl.len().over(PERSON).alias("@views"),
        pl.lit(value=False).alias("@decided"),
    ).sort(VIEW)


def view_log(children: pl.DataFrame, links: pl.DataFrame, tables: Tables) -> list[pl.DataFrame]:
    """Merged children, missing ends and child ids."""
    paired, loaded = pl.col(PARENT).is_not_null(), pl.col(ORPHAN_FIELD).is_null()
    further, lone = children.filter(paired & ~pl.col(SPEAKS)), children.filter(~paired)
    orphans, named = links.filter(~loaded), links.filter(loaded & pl.col(OF_CHILD))
    return [
        Case("merged_child_rows", further, "@head").log(tables),
        Case("orphaned_record", lone, PARENT_KEY, "parent_id").log(tables, "parent"),
        Case("orphaned_record", orphans, ORPHAN_ID, pl.col(ORPHAN_FIELD)).log(
            tables, "link", source_table=tables.parent_children
        ),
        Case("child_id_in_patient_column", named, "@patient_key", "patient_id").log(
            tables, source_table=tables.parent_children
        ),
    ]
