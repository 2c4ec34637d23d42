"""How likely two records are one human: agreement and disagreement weighed against chance.

The weights are those of probabilistic record linkage (Fellegi and Sunter): for each comparison the
logarithm of how often it turns out so for one human (``m``, stated below), over how often it does
for two (``u``, taken from the data: sharing a rare name says more than sharing a common one).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from person_unify.errors import UsageError
from person_unify.frames.model import left_join
from person_unify.frames.name_comparison import normalised
from person_unify.linkage.blocking import ROW, candidates

PAIRS = pl.Schema(
    {
        "score": pl.Float64(),
        "left_table": pl.String(),
        "left_id": pl.String(),
        "right_table": pl.String(),
        "right_id": pl.String(),
        "reasons": pl.String(),
    }
)
"""One row per pair, the likeliest first; ``reasons`` are words, never a cell."""

ALIKE, RATHER_ALIKE = 0.90, 0.80
"""Jaro-Winkler similarity of a name with one slip of the pen, and of one that may be meant."""
_ONE_HUMAN = {"same": 0.86, "alike": 0.09, "rather alike": 0.03, "different": 0.02}
_TWO_HUMANS = {"alike": 0.005, "rather alike": 0.03, "different": 0.95}
_SWAPPED = 0.02
_DATES = {
    "same day of birth": 0.90,
    "day and month swapped": 0.03,
    "only the day differs": 0.03,
    "only the month differs": 0.02,
    "only the year differs": 0.02,
    "days of birth differ": 0.01,
}
_GENDER_KEPT = 0.97
_DUPLICATES_PER_PERSON = 0.02
"""How many of the people are expected to be recorded twice."""
_STRANGERS = 500
_DAYS = 365 * 18
_CHUNK = 1_000_000


@dataclass(frozen=True, slots=True)
class Suspects:
    """pairs: a frame of :data:`PAIRS`.  people, compared: how many were looked at.

    crowded: keys that too many people share to be compared, such as a placeholder date.
    """

    pairs: pl.DataFrame
    people: int
    compared: int
    crowded: int


def find_suspects(people: pl.DataFrame, least: float = 0.5) -> Suspects:
    """Pairs that score at least ``least`` (0 to 1); ``people`` is a frame of ``PEOPLE``.

    Persons without a name or a readable day of birth are compared with nobody.  Raises
    :class:`UsageError` where the library that compares names is not installed.
    """
    named = _prepared(people)
    chance = _Chance.of(named)
    pairs, crowded = candidates(named)
    parts = [
        _scored(pairs[start : start + _CHUNK], named, chance).filter(pl.col("score") >= least)
        for start in range(0, pairs.height, _CHUNK)
    ]
    found = pl.concat(parts) if parts else pl.DataFrame(schema=PAIRS)
    order = ("score", "left_table", "left_id", "right_table", "right_id")
    found = found.sort(order, descending=[True, False, False, False, False])
    return Suspects(found, named.height, pairs.height, crowded)


def _prepared(people: pl.DataFrame) -> pl.DataFrame:
    """``row``, table, id, names without case, accents and spare blanks, ``born`` as a Date."""
    names = {
        short: normalised(pl.col(long))
        for short, long in (("first", "first_name"), ("last", "last_name"))
    }
    bare = {short: _without_accents(name) for short, name in names.items()}
    return (
        people.select(
            "table",
            "id",
            "gender",
            *(value.alias(f"{name}_as_logged") for name, value in names.items()),
            *(value.alias(name) for name, value in bare.items()),
            pl.col("date_of_birth").cast(pl.Datetime("ms")).dt.date().alias("born"),
        )
        .drop_nulls(["first", "last", "born"])
        .filter((pl.col("first") != "") & (pl.col("last") != ""))
        .with_row_index(ROW)
    )


def _without_accents(name: pl.Expr) -> pl.Expr:
    """The name without the marks that are accents: in Indic scripts they are vowels.

    >>> pl.select(_without_accents(pl.Series(["josé", "मीना"]))).to_series().to_list()
    ['jose', 'मीना']
    """
    accented = r"([\p{Latin}\p{Greek}\p{Cyrillic}])\p{M}+"
    return name.str.normalize("NFKD").str.replace_all(accented, "$1").str.normalize("NFKC")


@dataclass(frozen=True, slots=True)
class _Chance:
    """How often two humans agree by chance.

    first, last: name -> share of people who bear it.  born, gender: that two agree.
    """

    first: pl.DataFrame
    last: pl.DataFrame
    born: float
    gender: float
    prior: float

    @classmethod
    def of(cls, named: pl.DataFrame) -> _Chance:
        first, last = (_shares(named, column) for column in ("first", "last"))
        pairs = max(named.height - 1, 1) / 2
        return cls(
            first,
            last,
            _agree(named["born"], _DAYS),
            _agree(named["gender"], 2),
            float(np.log2(_DUPLICATES_PER_PERSON / pairs)),
        )


def _shares(named: pl.DataFrame, column: str) -> pl.DataFrame:
    """Each name and the share of people who bear it."""
    # Among few people every name looks common; the strangers stand for everybody else.
    share = pl.col("len") / (named.height + _STRANGERS)
    return named.group_by(column).len().select(column, share=share)


def _agree(values: pl.Series, choices: int) -> float:
    """How often two people agree by chance, as if one more pair among ``choices`` had been seen."""
    counts = values.value_counts()["count"].cast(pl.Float64)
    agreeing = float((counts * (counts - 1)).sum())
    return (agreeing + 1) / (values.len() * max(values.len() - 1, 0) + choices)


def _scored(pairs: pl.DataFrame, named: pl.DataFrame, chance: _Chance) -> pl.DataFrame:
    """Score and reasons of each pair that the run does not log by itself."""
    both = (
        left_join(pairs, named, ROW)
        .join(
            named,
            left_on=f"{ROW}_right",
            right_on=ROW,
            how="left",
            maintain_order="left",
            suffix="_right",
        )
        .filter(~_logged())
    )
    for name in ("first", "last"):
        shares: pl.DataFrame = getattr(chance, name)
        both = left_join(both, shares, name)
        both = both.rename({"share": f"{name}_share"})
    both = both.with_columns(
        pl.Series("first_like", _alike(both["first"], both["first_right"])),
        pl.Series("last_like", _alike(both["last"], both["last_right"])),
        pl.Series("crossed", _alike(both["first"], both["last_right"])),
        pl.Series("crossed_back", _alike(both["last"], both["first_right"])),
    )
    names, name_words = _names()
    dates, date_words = _dates(chance.born)
    gender, gender_words = _gender(chance.gender)
    weight = pl.lit(chance.prior) + names + dates + gender
    words = pl.concat_str(name_words, date_words, gender_words, separator="; ", ignore_nulls=True)
    return both.select(
        (1 / (1 + (-weight * float(np.log(2))).exp())).round(4).alias("score"),
        pl.col("table").alias("left_table"),
        pl.col("id").alias("left_id"),
        pl.col("table_right").alias("right_table"),
        pl.col("id_right").alias("right_id"),
        words.alias("reasons"),
    ).cast(PAIRS)


def _logged() -> pl.Expr:
    """Pairs that are ``suspected_duplicate`` already, by equal names and day of birth."""
    same = (pl.col(c) == pl.col(f"{c}_right") for c in ("first_as_logged", "last_as_logged"))
    return pl.all_horizontal(*same, pl.col("born") == pl.col("born_right"))


def _alike(left: pl.Series, right: pl.Series) -> Any:
    """Jaro-Winkler similarity of each pair of texts, 0 to 1, compared in bulk."""
    try:
        from rapidfuzz.distance import JaroWinkler
        from rapidfuzz.process import cpdist
    except ImportError as error:
        raise UsageError(
            "comparing names needs the optional library rapidfuzz: "
            "pip install '.[linkage]' in the checkout"
        ) from error
    if left.is_empty():
        return np.zeros(0)
    return cpdist(left.to_list(), right.to_list(), scorer=JaroWinkler.similarity, workers=-1)


def _log2(m: float, u: float | pl.Expr) -> pl.Expr:
    return (pl.lit(m) / u).log(2)


def _names() -> tuple[pl.Expr, pl.Expr]:
    """Weight and words of the two names; swapped ones count where that explains more."""
    weights, words = [], []
    for name in ("first", "last"):
        level = (
            pl.when(pl.col(name) == pl.col(f"{name}_right"))
            .then(pl.lit("same"))
            .when(pl.col(f"{name}_like") >= ALIKE)
            .then(pl.lit("alike"))
            .when(pl.col(f"{name}_like") >= RATHER_ALIKE)
            .then(pl.lit("rather alike"))
            .otherwise(pl.lit("different"))
        )
        known = {k: float(np.log2(_ONE_HUMAN[k] / u)) for k, u in _TWO_HUMANS.items()}
        same = _log2(_ONE_HUMAN["same"], pl.col(f"{name}_share"))
        other = level.replace_strict(known, default=0.0, return_dtype=pl.Float64)
        weights.append(pl.when(level == "same").then(same).otherwise(other))
        words.append(pl.lit(f"{name} names ") + level)
    straight = weights[0] + weights[1]
    by_chance = pl.col("first_share") * pl.col("last_share")
    swapped = _log2(_SWAPPED, by_chance)
    crossed = pl.min_horizontal("crossed", "crossed_back") >= ALIKE
    taken = crossed & (swapped > straight)
    said = pl.when(taken).then(pl.lit("first and last name swapped"))
    return (
        pl.when(taken).then(swapped).otherwise(straight),
        said.otherwise(pl.concat_str(words, separator="; ")),
    )


def _dates(same_day: float) -> tuple[pl.Expr, pl.Expr]:
    """Weight and words of the two dates of birth."""
    one, other = pl.col("born"), pl.col("born_right")
    year = one.dt.year() == other.dt.year()
    month = one.dt.month() == other.dt.month()
    day = one.dt.day() == other.dt.day()
    crossed = (one.dt.month() == other.dt.day()) & (one.dt.day() == other.dt.month())
    # By chance: as many more often than the very day as there are days, months or years to choose.
    cases = (
        ("same day of birth", one == other, same_day),
        ("day and month swapped", year & crossed, same_day),
        ("only the day differs", year & month, same_day * 29),
        ("only the month differs", year & day, same_day * 11),
        ("only the year differs", month & day, same_day * 17),
    )
    words: Any = pl
    weight: Any = pl
    for said, when, by_chance in cases:
        words = words.when(when).then(pl.lit(said))
        weight = weight.when(when).then(float(np.log2(_DATES[said] / min(by_chance, 1.0))))
    last = "days of birth differ"
    return weight.otherwise(float(np.log2(_DATES[last]))), words.otherwise(pl.lit(last))


def _gender(same: float) -> tuple[pl.Expr, pl.Expr]:
    """Weight and words of the two genders, as names; nothing where one is not stated."""
    one, other = (normalised(pl.col(c)) for c in ("gender", "gender_right"))
    stated = (one != "") & (other != "") & (one != "unknown") & (other != "unknown")
    agree = pl.when(stated).then(one == other)
    weight = (
        pl.when(agree)
        .then(float(np.log2(_GENDER_KEPT / same)))
        .when(~agree)
        .then(float(np.log2((1 - _GENDER_KEPT) / (1 - same))))
        .otherwise(0.0)
    )
    return weight, pl.when(~agree).then(pl.lit("genders differ"))
