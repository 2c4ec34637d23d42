"""Old patient and child ids in columns that nobody resolves (contract section 7, last rule)."""

from __future__ import annotations

import polars as pl

from person_unify.frames import discrepancies
from person_unify.mappings.bind import BoundMapping
from person_unify.schema import UNIFIED
from person_unify.spec import ClinicianOf, Copy, Via

WORD_COLUMNS = {"notifications": ("action_url", "action_data")}
"""Target columns whose text is searched for whole words."""

_WORD = r"[\p{L}\p{Nd}_-]"
_EXAMPLES = 5


def soft_references(
    rows: pl.DataFrame, bound: BoundMapping, key: pl.Expr, old_ids: pl.Series
) -> list[pl.DataFrame]:
    """One discrepancy per source column that still holds old ids.

    rows: the loaded rows with their target cells under ``@target:<column>``.
    """
    if bound.target is None or not rows.height:
        return []
    found: dict[str, list[pl.Series]] = {}
    for binding in bound.columns:
        name, word = binding.target.name, binding.word
        column = getattr(word, "column", None)
        if column is None:
            continue
        if name in WORD_COLUMNS.get(bound.target.name, ()):
            found.setdefault(column, []).append(_holds_word(rows[f"@target:{name}"], old_ids))
        elif _searched(bound, name) and isinstance(word, Copy | Via | ClinicianOf):
            found.setdefault(column, []).append(rows[f"@target:{name}"].is_in(old_ids.implode()))
    logged = []
    for column, masks in found.items():
        hit = rows.filter(pl.select(pl.any_horizontal(masks)).to_series())
        if hit.height:
            logged.append(_row(hit, bound.name, column, key))
    return logged


def _searched(bound: BoundMapping, name: str) -> bool:
    if not name.endswith(("_id", "_by")) or name == "person_id" or bound.target is None:
        return False
    table = UNIFIED.get(bound.target.name, bound.target)
    return table.foreign_key(name) is None


def _row(hit: pl.DataFrame, table: str, column: str, key: pl.Expr) -> pl.DataFrame:
    examples = ", ".join(str(v) for v in hit.head(_EXAMPLES).select(key).to_series())
    message = f"{hit.height} rows hold an old patient or child id, for example in {examples}"
    return discrepancies(
        pl.DataFrame({"one": [1]}),
        "soft_reference",
        source_table=table,
        field=column,
        message=message,
    )


def _holds_word(texts: pl.Series, old_ids: pl.Series) -> pl.Series:
    """Whether a text holds an old id that no letter, digit, ``_`` or ``-`` adjoins (section 11)."""
    plain = old_ids.str.contains(f"^{_WORD}+$")
    numbered = texts.alias("text").to_frame().with_row_index("position")
    words = numbered.select(
        "position", pl.col("text").str.extract_all(f"{_WORD}+").alias("word")
    ).explode("word")
    hits = [words.filter(pl.col("word").is_in(old_ids.filter(plain).implode()))["position"]]
    odd = old_ids.filter(~plain)
    if odd.len():
        hits.append(_holds_odd_word(numbered, odd))
    positions = pl.concat(hits)
    return numbered["position"].is_in(positions.implode())


def _holds_odd_word(numbered: pl.DataFrame, odd: pl.Series) -> pl.Series:
    """Positions of texts with an id that is no single token, by what adjoins it."""
    candidates = (
        numbered.with_columns(
            pl.col("text")
            .str.extract_many(odd.implode(), overlapping=True)
            .list.unique()
            .alias("id")
        )
        .explode("id")
        .drop_nulls("id")
    )
    edge = r"[^\p{L}\p{Nd}_-]"
    pattern = pl.lit(f"(?s)(?:^|{edge})") + pl.col("id").str.escape_regex() + f"(?:{edge}|$)"
    return candidates.filter(pl.col("text").str.contains(pattern))["position"]
