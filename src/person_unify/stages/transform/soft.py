"""Old patient and child ids in columns that nobody resolves (contract section 7, last rule)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from person_unify.frames.model import of_column
from person_unify.frames.registry import WORD, People
from person_unify.mappings.bind import BoundMapping
from person_unify.mappings.spec import ClinicianOf, Copy, Via
from person_unify.schema import UNIFIED, folded
from person_unify.stages.transform.state import Met

WORD_COLUMNS = {"notifications": ("action_url", "action_data")}
"""Target columns whose text is searched for whole words."""


def holders(
    rows: pl.DataFrame, bound: BoundMapping, key: pl.Expr, people: People
) -> Iterator[tuple[str, pl.Series]]:
    """Each source column in which loaded rows still hold old ids, and the keys of those rows.

    rows: the loaded rows with their target cells under ``@target:<column>``.
    """
    if bound.target is None or not rows.height:
        return
    found: dict[str, list[pl.Series]] = {}
    for binding in bound.columns:
        name, word = binding.target.name, binding.word
        column = getattr(word, "column", None)
        if column is None:
            continue
        if name in WORD_COLUMNS.get(bound.target.name, ()):
            found.setdefault(column, []).append(_holds_word(rows[f"@target:{name}"], people))
        elif _searched(bound, name) and isinstance(word, Copy | Via | ClinicianOf):
            found.setdefault(column, []).append(_is_one(rows[f"@target:{name}"], people))
    for column, masks in found.items():
        hit = rows.filter(pl.select(pl.any_horizontal(masks)).to_series())
        if hit.height:
            yield column, hit.select(key).to_series()


def soft_references(table: str, met: Mapping[str, Met]) -> list[pl.DataFrame]:
    """One discrepancy per source column of a table that still holds old ids."""
    return [
        of_column(
            table,
            column,
            "soft_reference",
            rows=str(found.rows),
            examples=", ".join(found.examples),
        )
        for column, found in met.items()
    ]


def _is_one(cells: pl.Series, people: People) -> pl.Series:
    """Whether a cell is an old id; looks for the few cells among the many ids, not inversely."""
    there = people.old_ids.filter(people.old_ids.is_in(cells.unique().implode()))
    return cells.is_in(there.implode())


def _searched(bound: BoundMapping, name: str) -> bool:
    if not folded(name).endswith(("_id", "_by")) or name == "person_id" or bound.target is None:
        return False
    table = UNIFIED.get(bound.target.name, bound.target)
    return table.foreign_key(name) is None


def _holds_word(texts: pl.Series, people: People) -> pl.Series:
    """Whether a text holds an old id that no letter, digit, ``_`` or ``-`` adjoins (section 11)."""
    numbered = texts.alias("text").to_frame().with_row_index("position")
    words = numbered.select(
        "position", pl.col("text").str.extract_all(f"{WORD}+").alias("word")
    ).explode("word")
    hits = [words.filter(_is_one(words["word"], people))["position"]]
    if people.phrases.len():
        hits.append(_holds_phrase(numbered, people.phrases))
    positions = pl.concat(hits)
    return numbered["position"].is_in(positions.implode())


def _holds_phrase(numbered: pl.DataFrame, phrases: pl.Series) -> pl.Series:
    """Positions of texts with an id that is not one word, by what adjoins it."""
    candidates = (
        numbered.with_columns(
            pl.col("text")
            .str.extract_many(phrases.implode(), overlapping=True)
            .list.unique()
            .alias("id")
        )
        .explode("id")
        .drop_nulls("id")
    )
    edge = r"[^\p{L}\p{Nd}_-]"
    pattern = pl.lit(f"(?s)(?:^|{edge})") + pl.col("id").str.escape_regex() + f"(?:{edge}|$)"
    return candidates.filter(pl.col("text").str.contains(pattern))["position"]
