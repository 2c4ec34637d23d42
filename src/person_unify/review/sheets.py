"""The sheets of a review: what a reviewer sees of each question, and how the answers are worded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from person_unify.findings import QUESTIONS
from person_unify.review.facts import RECORD, Books
from person_unify.review.keys import Key

DECISION, LINK_TO, REVIEWER, NOTE, KEY = (
    "Decision",
    "Patient id to link to",
    "Reviewer",
    "Note",
    "Key (do not change)",
)
"""Headings of the open columns, and of the last one."""
OPEN = (DECISION, NOTE, REVIEWER)
"""Without which no sheet can be read; beside the key, which is how one is known."""
COVER, YOUR_NAME, NUMBER = "Read me first", "Your name:", "No."

SHOWN = 1000
"""Characters that are shown of one value."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column with evidence: its heading, the frame's column, its width in characters.

    differs: the column that it is marked for differing from.  Columns with ids come last.
    """

    title: str
    name: str
    width: int = 16
    differs: str | None = None

    @property
    def quiet(self) -> bool:
        """Whether it holds ids, which people do not compare."""
        return self.title.endswith(": id")


@dataclass(frozen=True, slots=True)
class Sheet:
    """One kind of question; ``rows`` has the columns' names, ``key``, and the answer so far."""

    kind: str
    title: str
    asks: str
    columns: tuple[Column, ...]
    rows: pl.DataFrame


def _person(
    label: str, side: str, other: str | None = None, known_to: str = "known to"
) -> tuple[Column, ...]:
    fields = (
        ("name", "name", 22),
        ("born", "date_of_birth", 13),
        ("gender", "gender", 9),
        (known_to, "known_to", 27),
    )
    return tuple(
        Column(
            f"{label}: {title}",
            f"{side}:{name}",
            width,
            f"{other}:{name}" if other and name != "known_to" else None,
        )
        for title, name, width in fields
    )


_PAIR = (*_person("Child", "a", "b", "parent"), *_person("Patient", "b", "a", "clinician"))
_PAIR_IDS = (Column("Child: id", "a:id", 38), Column("Patient: id", "b:id", 38))
_FAMILY = (
    *_person("Person", "a")[:3],
    Column("Parent: e-mail", "email", 27),
    Column("Parent: phone", "phone", 18),
    Column("Relationship", "relationship", 14),
    Column("Flagged as primary", "flagged", 11),
    Column("Primary now", "primary", 11),
    Column("Parent since", "added_at", 13),
    Column("Person: id", "a:id", 38),
    Column("Parent: id", "related_id", 38),
)
_LAYOUTS: Mapping[str, tuple[Column, ...]] = {
    "demographic_mismatch": (
        Column("Field", "field", 13),
        Column("Child's value", "child_value", 20, "patient_value"),
        Column("Patient's value", "patient_value", 20, "child_value"),
        Column("Hint", "hint", 20),
        *_PAIR,
        *_PAIR_IDS,
    ),
    "shared_linked_patient": (*_PAIR, *_PAIR_IDS),
    "missing_linked_patient": (
        *_person("Child", "a", known_to="parent"),
        Column("Missing patient: id", "related_id", 38),
        Column("Child: id", "a:id", 38),
    ),
    "suspected_duplicate": (
        Column("Record", "a:table", 10),
        *_person("Record", "a", "b"),
        Column("Other", "b:table", 10),
        *_person("Other", "b", "a"),
        Column("Record: id", "a:id", 38),
        Column("Other: id", "b:id", 38),
    ),
    "multiple_primary_caregivers": _FAMILY,
    "no_primary_caregiver": _FAMILY,
    "duplicate_udid": (
        Column("UDID number", "a:udid_number", 22),
        *_person("This record", "a", "b"),
        *_person("Earlier record", "b", "a"),
        Column("This record: id", "a:id", 38),
        Column("Earlier record: id", "b:id", 38),
    ),
    "implied_grant": (*_PAIR, *_PAIR_IDS),
}
"""The columns of each kind's sheet, in the order of the sheets."""
assert set(_LAYOUTS) == set(QUESTIONS)
HEADINGS = (
    *(NUMBER, DECISION, LINK_TO, REVIEWER, NOTE, KEY),
    *dict.fromkeys(column.title for columns in _LAYOUTS.values() for column in columns),
)
"""Every heading that a sheet may have."""


def sheets(books: Books) -> Iterator[Sheet]:
    """One sheet per kind that has questions, numbered through."""
    asked = books.questions()
    run, total = books.run_id(), asked.height
    records, families = books.records(), books.families()
    first = 1
    for kind, columns in _LAYOUTS.items():
        own = asked.filter(pl.col("kind") == kind)
        if not own.height:
            continue
        rows = _with_records(_with_keys(own, run, first, total), records)
        if columns is _FAMILY:
            rows = _with_family(rows, families)
        shown = [pl.col(column.name).str.slice(0, SHOWN).alias(column.name) for column in columns]
        said = ("key", "options", "decision", "link_to", "reviewer", "note")
        asked_as = QUESTIONS[kind]
        yield Sheet(kind, asked_as.title, asked_as.asks, columns, rows.select(*shown, *said))
        first += own.height


def _with_keys(rows: pl.DataFrame, run: str, first: int, total: int) -> pl.DataFrame:
    names = ("kind", "source_table", "source_id", "related_id", "field", "options", "evidence")
    keys = [
        Key(run, number, total, *values).text()
        for number, values in enumerate(rows.select(names).iter_rows(), start=first)
    ]
    return rows.with_columns(pl.Series("key", keys, dtype=pl.String))


def _with_records(rows: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """What is known of both records, in columns ``a:…`` and ``b:…``."""
    rows = rows.with_columns(
        pl.col("source_table").str.to_lowercase().alias("a:table"),
        pl.col("source_id").alias("a:id"),
        _related_table().alias("b:table"),
        pl.col("related_id").alias("b:id"),
        pl.col("field").str.replace_all("_", " "),
        pl.when(pl.col("message").str.contains("time zone"))
        .then(pl.lit("less than a day apart: perhaps a time zone"))
        .alias("hint"),
        *(
            pl.col(name)
            .str.replace("T00:00:00.000Z", "", literal=True)
            .str.replace(r"T(\d\d:\d\d):[\d.]+Z$", " $1 UTC")
            .alias(name)
            for name in ("child_value", "patient_value")
        ),
    )
    for side in ("a", "b"):
        known = records.rename({name: f"{side}:{name}" for name in ("table", "id", *RECORD)})
        rows = rows.join(
            known, on=[f"{side}:table", f"{side}:id"], how="left", maintain_order="left"
        )
    one = {"children": "child", "patients": "patient"}
    rows = rows.with_columns(pl.col("a:table", "b:table").replace(one))
    return rows.with_columns(
        pl.concat_str(f"{side}:first_name", f"{side}:last_name", separator=" ", ignore_nulls=True)
        .str.strip_chars()
        .alias(f"{side}:name")
        for side in ("a", "b")
    )


def _related_table() -> pl.Expr:
    """Which table ``related_id`` is of, as the kind and the possible answers tell."""
    children, other = pl.lit("children"), pl.lit("patients")
    mixed = pl.col("options") == "separate link"
    return (
        pl.when(pl.col("kind") != "suspected_duplicate")
        .then(other)
        .when(pl.col("options") == "separate merge")
        .then(children)
        .when(mixed & (pl.col("source_table").str.to_lowercase() == "patients"))
        .then(children)
        .otherwise(other)
    )


def _with_family(rows: pl.DataFrame, families: pl.DataFrame) -> pl.DataFrame:
    known = families.rename({"table": "source_table", "id": "a:id", "parent_id": "related_id"})
    key = ["source_table", "a:id", "related_id"]
    return rows.join(known, on=key, how="left", maintain_order="left")
