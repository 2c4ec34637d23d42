"""The sheets of a review: what a reviewer sees of each question, and how the answers are worded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from person_unify.escaping.tables import seen
from person_unify.findings import QUESTIONS
from person_unify.frames.model import QUESTION
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


ALIKE = "Alike"
"""The sheet of what the search for suspects found: to be looked at, not to be decided."""
SUSPECTS = (
    Column("Score", "score", 8),
    Column("Why", "reasons", 40),
    Column("Record: name", "a:name", 22, "b:name"),
    Column("Record: born", "a:date_of_birth", 13, "b:date_of_birth"),
    Column("Record: gender", "a:gender", 9, "b:gender"),
    Column("Other: name", "b:name", 22, "a:name"),
    Column("Other: born", "b:date_of_birth", 13, "a:date_of_birth"),
    Column("Other: gender", "b:gender", 9, "a:gender"),
    Column("Record: id", "a:id", 38),
    Column("Other: id", "b:id", 38),
)
_TABLES = {"child": "children", "patient": "patients"}
SEE_ALSO = Column("See also", "see", 24)
"""Where else a row's child is asked about."""


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
_ABOUT_A_PAIR = (*_PAIR, *_PAIR_IDS)
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
    "shared_linked_patient": _ABOUT_A_PAIR,
    "contradicting_link": _ABOUT_A_PAIR,
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
    "implied_grant": _ABOUT_A_PAIR,
}
"""The columns of a kind's sheet, in the order of the sheets; other kinds ask about a pair."""
_OF_A_FAMILY = ("multiple_primary_caregivers", "no_primary_caregiver")
_AROUND_THE_OTHER = ("shared_linked_patient", "duplicate_udid")
"""Kinds whose rows belong together by the other record: one patient, one keeper."""
HEADINGS = (
    *(NUMBER, DECISION, LINK_TO, REVIEWER, NOTE, SEE_ALSO.title, KEY),
    *dict.fromkeys(column.title for columns in _LAYOUTS.values() for column in columns),
)
"""Every heading that a sheet may have."""


def sheets(books: Books, *, only_open: bool = False) -> list[Sheet]:
    """One sheet per kind that has questions, numbered through; rows of a pair are neighbours.

    only_open: without the questions whose answer the run applied.
    """
    asked = books.questions()
    if only_open:
        asked = asked.filter(pl.col("decision").is_null())
    run, total = books.run.id, asked.height
    records, families = books.records(), books.families()
    found: list[tuple[str, pl.DataFrame]] = []
    for kind in (*_LAYOUTS, *(kind for kind in QUESTIONS if kind not in _LAYOUTS)):
        own = asked.filter(pl.col("kind") == kind)
        if kind in _AROUND_THE_OTHER:
            own = own.sort("related_id", "source_id", maintain_order=True)
        first = 1 + sum(rows.height for _, rows in found)
        rows = _with_records(_with_keys(own, run, first, total), records)
        if kind in _OF_A_FAMILY:
            rows = _with_family(rows, families)
        if rows.height:
            found.append((kind, rows))
    return [
        _sheet(kind, rows, others)
        for (kind, rows), others in zip(found, _elsewhere(found), strict=True)
    ]


def alike(books: Books, pairs: pl.DataFrame) -> pl.DataFrame:
    """What :data:`SUSPECTS` shows of ``score``, ``reasons``, ``left_id``, ``right_id``.

    Persons of one name and day of birth are left out: they have a sheet where they are decided.
    """
    people = books.people(pl.concat([pairs["left_id"], pairs["right_id"]]).unique())
    rows = pairs.with_columns(pl.format("{}", pl.col("score").round(3)).alias("score"))
    for side, id_ in (("a", "left_id"), ("b", "right_id")):
        known = people.rename(lambda name, side=side: f"{side}:{name}")  # type: ignore[misc]
        rows = rows.join(known, left_on=id_, right_on=f"{side}:id", how="left").with_columns(
            pl.col(id_).alias(f"{side}:id")
        )
    same = [
        pl.col(f"a:{c}").str.to_lowercase().eq_missing(pl.col(f"b:{c}").str.to_lowercase())
        for c in ("name", "date_of_birth")
    ]
    return seen(rows.filter(~pl.all_horizontal(same)).select(c.name for c in SUSPECTS))


def _sheet(kind: str, rows: pl.DataFrame, others: list[str | None]) -> Sheet:
    question, layout = QUESTIONS[kind], _LAYOUTS.get(kind, _ABOUT_A_PAIR)
    ids = [column for column in layout if column.quiet]
    columns = (*(c for c in layout if not c.quiet), SEE_ALSO, *ids)
    rows = rows.with_columns(pl.Series(SEE_ALSO.name, others, dtype=pl.String))
    shown = [pl.col(column.name).str.slice(0, SHOWN) for column in columns]
    said = ("key", "options", "decision", "link_to", "reviewer", "note")
    evidence = seen(rows.select(shown))
    return Sheet(
        *(kind, question.title, question.asks, columns),
        pl.concat([evidence, rows.select(said)], how="horizontal"),
    )


def _elsewhere(found: list[tuple[str, pl.DataFrame]]) -> Iterator[list[str | None]]:
    """For each row of each sheet the rows of the other sheets that ask about the same child."""
    children = [
        [{row[f"{side}:id"] for side in "ab" if row[f"{side}:table"] == "child"} for row in rows]
        for rows in (rows.to_dicts() for _, rows in found)
    ]
    asked: dict[str, list[tuple[int, str]]] = {}
    for sheet, (kind, _) in enumerate(found):
        for number, own in enumerate(children[sheet], start=1):
            for child in own:
                place = (sheet, f"{QUESTIONS[kind].title}, {NUMBER} {number}")
                asked.setdefault(child, []).append(place)
    for sheet, rows in enumerate(children):
        elsewhere = [
            list(dict.fromkeys(p for child in own for other, p in asked[child] if other != sheet))
            for own in rows
        ]
        yield ["; ".join([*p[:3], *(["…"] if p[3:] else [])]) or None for p in elsewhere]


def _with_keys(rows: pl.DataFrame, run: str, first: int, total: int) -> pl.DataFrame:
    keys = [
        Key(run, number, total, *values)
        for number, values in enumerate(rows.select(*QUESTION).iter_rows(), start=first)
    ]
    return rows.with_columns(
        pl.Series("key", [key.text() for key in keys], dtype=pl.String),
        pl.Series("b:table", [_TABLES[key.related] for key in keys], dtype=pl.String),
    )


def _with_records(rows: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """What is known of both records, in columns ``a:…`` and ``b:…``."""
    rows = rows.with_columns(
        pl.col("source_table").str.to_lowercase().alias("a:table"),
        pl.col("source_id").alias("a:id"),
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
    one = {table: record for record, table in _TABLES.items()}
    rows = rows.with_columns(pl.col("a:table", "b:table").replace(one))
    return rows.with_columns(
        pl.concat_str(f"{side}:first_name", f"{side}:last_name", separator=" ", ignore_nulls=True)
        .str.strip_chars()
        .alias(f"{side}:name")
        for side in ("a", "b")
    )


def _with_family(rows: pl.DataFrame, families: pl.DataFrame) -> pl.DataFrame:
    known = families.rename({"table": "source_table", "id": "a:id", "parent_id": "related_id"})
    key = ["source_table", "a:id", "related_id"]
    return rows.join(known, on=key, how="left", maintain_order="left")
