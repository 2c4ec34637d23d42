"""Frames that no file holds as they are: joined, counted and judged from those that it does."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from person_unify.explore.cells import as_type, filled
from person_unify.explore.columns import HIDDEN, schema_of
from person_unify.explore.store import LOADED, Store, stacked
from person_unify.frames.model import MAP
from person_unify.frames.odd import Rows
from person_unify.mappings import MAP_KEYS
from person_unify.schema import OLD, UNIFIED, Catalogue

_ISO = "%Y-%m-%dT%H:%M:%S%.fZ"
_VIEWS = {
    "parent_child_views": "parents",
    "clinician_patient_views": "clinicians",
    "access_grants": "grants",
}
_NOT_COMPARED = {"id", "created_at", "updated_at", "deleted_at"}

LIKELY = (
    "time zone: under a day",
    "day and month swapped",
    "only the day differs",
    "only the month differs",
    "only the year differs",
    "no simple slip",
)
"""How two differing dates of birth may be explained, from the likeliest slip to none."""


def identity(store: Store) -> pl.DataFrame:
    """``person_id``, ``first_name``, ``last_name``, ``date_of_birth`` (UTC day) of every person."""
    persons = store.persons(["first_name", "last_name", "date_of_birth"])
    born = as_type(persons, "date_of_birth", "DATETIME")
    return persons.frame.select(
        pl.col("id").alias("person_id"),
        *(as_type(persons, name, "TEXT").alias(name) for name in ("first_name", "last_name")),
        born.cast(pl.Datetime("ms")).cast(pl.Date).alias("date_of_birth"),
    )


def hidden(column: str) -> pl.Expr:
    """The column with every value covered; NULL stays NULL."""
    return pl.when(pl.col(column).is_not_null()).then(pl.lit(HIDDEN)).alias(column)


def covered(found: pl.DataFrame, columns: Sequence[str], reveal: bool) -> pl.DataFrame:
    """The frame with values in ``columns`` covered, unless they are to be revealed.

    So is a ``related_id`` that does not look like an id: a reference that names nothing is whatever
    stood in the cell.
    """
    if reveal:
        return found
    related = pl.col("related_id")
    like_id = related.str.contains(r"^[\w:.-]{1,64}$")
    return found.with_columns(
        *map(hidden, columns),
        pl.when(like_id | related.is_null()).then(related).otherwise(pl.lit(HIDDEN)),
    )


def is_id(column: str) -> bool:
    """Whether a key column holds ids, going by its name."""
    return column == "id" or column.endswith(("_id", "_rowid"))


def maps(store: Store, reveal: bool) -> pl.DataFrame:
    """All id maps below each other, see :data:`person_unify.explore.columns.FRAMES`."""
    schema = schema_of("maps", reveal=reveal)
    frames = []
    for name in MAP_KEYS:
        frame = store.table(name).rename({"patient_id": "old_id"}, strict=False)
        if "tag" in frame.columns and not reveal:
            frame = frame.with_columns(hidden("tag"))
        frames.append(frame.with_columns(map=pl.lit(name)))
    return pl.concat([pl.DataFrame(schema=schema), *frames], how="diagonal")


def persons(store: Store, found: pl.DataFrame) -> pl.DataFrame:
    """One row per person: where it comes from, and how much hangs on it."""
    patients = _of("patients", store.table("patient_to_person"))
    children = _of("children", store.table("child_to_person"))
    alone = children.join(patients, on="person_id", how="anti")
    people = pl.concat([patients, alone])
    counts = [
        children.group_by("person_id").len("children"),
        *_per_person(store.records()),
        found.group_by("person_id").agg(
            pl.len().alias("discrepancies"), (pl.col("severity") == "error").sum().alias("errors")
        ),
    ]
    for count in counts:
        people = people.join(count, on="person_id", how="left", maintain_order="left")
    return people.with_columns(pl.col(pl.Int64, pl.UInt32).fill_null(0).cast(pl.Int64))


def _of(table: str, map_: pl.DataFrame) -> pl.DataFrame:
    return map_.cast(MAP).select(
        pl.col("new_id").alias("person_id"),
        pl.lit(table).alias("origin_table"),
        pl.col("old_id").alias("origin_id"),
    )


def _per_person(records: pl.DataFrame) -> list[pl.DataFrame]:
    named = [
        records.filter(table=table).select("person_id", pl.col("rows").alias(name))
        for table, name in _VIEWS.items()
    ]
    others = records.filter(~pl.col("table").is_in(list(_VIEWS)))
    return [*named, others.group_by("person_id").agg(pl.sum("rows").alias("records"))]


def tables(fates: pl.DataFrame, lineage: pl.DataFrame) -> pl.DataFrame:
    """One row per old table: rows, loaded, archived and why, and where they went."""
    targets = (
        lineage.filter(pl.col("target_table").is_not_null())
        .group_by("source_table", maintain_order=True)
        .agg(pl.col("target_table").unique(maintain_order=True).str.join(", "))
        .rename({"target_table": "target_tables"})
    )
    lost = pl.col("reason") != LOADED
    why = pl.format("{} {}", "reason", "rows").filter(lost & (pl.col("rows") > 0))
    return (
        fates.sort("rows", "reason", descending=[True, False], maintain_order=True)
        .group_by("source_table", maintain_order=True)
        .agg(
            pl.sum("rows"),
            pl.col("rows").filter(~lost).sum().alias("loaded"),
            pl.col("rows").filter(lost).sum().alias("archived"),
            why.str.join(", ").replace("", None).alias("reasons"),
        )
        .join(targets, on="source_table", how="left", maintain_order="left")
        .select("source_table", "target_tables", "rows", "loaded", "archived", "reasons")
        .sort("rows", "source_table", descending=[True, False])
    )


def flow(fates: pl.DataFrame, lineage: pl.DataFrame) -> pl.DataFrame:
    """Rows of every old table by where they ended; the first of several targets speaks."""
    first = (
        lineage.filter(pl.col("target_table").is_not_null())
        .group_by("source_table")
        .agg(pl.col("target_table").first())
    )
    loaded = pl.col("reason") == LOADED
    return (
        fates.filter(pl.col("rows") > 0)
        .join(first, on="source_table", how="left", maintain_order="left")
        .select("source_table", pl.when(loaded).then("target_table"), "reason", "rows")
    )


def birth_dates(found: pl.DataFrame) -> pl.DataFrame:
    """How far apart the differing dates of birth are, and what may be behind it."""
    child, patient = pl.col("child"), pl.col("patient")
    of_birth = pl.col("field").str.to_lowercase() == "date_of_birth"
    differing = found.filter(of_birth, kind="demographic_mismatch").with_columns(
        pl.col(f"{side}_value").str.to_datetime(_ISO, time_unit="ms", strict=False).alias(side)
        for side in ("child", "patient")
    )
    same_year = child.dt.year() == patient.dt.year()
    same_month = child.dt.month() == patient.dt.month()
    same_day = child.dt.day() == patient.dt.day()
    swapped = (child.dt.month() == patient.dt.day()) & (child.dt.day() == patient.dt.month())
    days = (child - patient).dt.total_milliseconds() / 86_400_000
    slips = (
        days.abs() < 1,
        swapped & same_year,
        same_year & same_month,
        same_year & same_day,
        same_month & same_day,
        pl.lit(value=True),
    )
    likely = pl.coalesce(
        pl.when(slip).then(pl.lit(said)) for slip, said in zip(slips, LIKELY, strict=True)
    )
    return differing.select(
        "person_id",
        pl.col("source_id").alias("child_id"),
        pl.col("related_id").alias("patient_id"),
        days.alias("days"),
        likely.alias("likely"),
    )


def completeness(store: Store) -> pl.DataFrame:
    """Per demographic field and sort of old record: how many there are, and how many fill it."""
    patients, children = store.table("patient_to_person"), store.table("child_to_person")
    linked = children.join(patients, on="new_id", how="semi")
    groups = (
        ("patient", "patients", patients),
        ("linked child", "children", linked),
        ("standalone child", "children", children.join(linked, on="old_id", how="anti")),
    )
    frames = [_filled(store, record, table, people) for record, table, people in groups]
    return stacked(frames, schema_of("completeness", reveal=False))


def _filled(store: Store, record: str, table: str, people: pl.DataFrame) -> pl.DataFrame:
    """Counts of one sort of record: its own cells, which the archive has where it is asked."""
    known = OLD[table].column_names
    fields = [c for c in UNIFIED["persons"].column_names if c in known and c not in _NOT_COMPARED]
    persons = store.persons(fields)
    rows = people.join(persons.frame, left_on="new_id", right_on="id", how="left")
    held = Rows(rows, persons.odd)
    own = rows.select("old_id", *(filled(held, c).alias(c) for c in fields))
    name = Catalogue({name: name for name in store.archived_tables()}).get(table)
    if name is not None:
        # Where the file declares no key, the archive goes by the rowid and holds the id as a cell.
        kept = store.archive(name, ["id", *fields])
        listed = pl.col(kept.archived).str.json_decode(pl.List(pl.String))
        written = {OLD[table].known(column): column for column in (*kept.key, *kept.columns)}
        there = [c for c in fields if c in written]
        cells_ = kept.frame.select(
            as_type(kept, written["id"], "TEXT").alias("old_id"),
            *(
                pl.when(listed.list.contains(pl.lit(written[c])))
                .then(filled(kept, written[c]))
                .alias(f"@{c}")
                for c in there
            ),
        )
        own = own.join(cells_, on="old_id", how="left").with_columns(
            pl.coalesce(f"@{c}", c).alias(c) for c in there
        )
    counts = own.select(pl.col(c).fill_null(value=False).sum().cast(pl.Int64) for c in fields)
    return pl.DataFrame({"field": fields, "filled": list(counts.row(0))}).select(
        "field",
        pl.lit(record).alias("record"),
        pl.lit(people.height, dtype=pl.Int64).alias("rows"),
        pl.col("filled").cast(pl.Int64),
    )
