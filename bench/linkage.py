"""Precision, recall and time of the search for suspected duplicates, on people with known truth.

    python -m bench.linkage 10000 100000 1000000      these sizes, in persons

Names are made of syllables with a long tail, so that some are common and most are rare; one person
in fifty is recorded twice, the second time with one slip of the pen.  ``--keep`` puts the figures
into ``bench/results/`` and ``docs/REVIEW.md``.
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl

from bench.measuring import ROOT, SEED, Record, fill, keepable
from person_unify.linkage import PEOPLE, find_suspects

PAGE = ROOT / "docs" / "REVIEW.md"
ONSETS = "b bh ch d dh g h j k kh l m n p pr r s sh t th v y".split()
VOWELS = "a aa e i ee o u".split()
CODAS = ["", "", "n", "r", "l", "sh", "t"]
ALPHABET = np.array(list("abcdefghijklmnopqrstuvwxyz"))
SLIPS = (
    "typo in the first name",
    "typo in the last name",
    "names swapped",
    "day and month swapped",
    "wrong day",
    "wrong year",
    "typo and wrong gender",
)
THRESHOLDS = (0.5, 0.9, 0.99)


def main() -> int:
    """Measure every size that was asked for, and keep the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.linkage", description="Evaluate the search for suspected duplicates."
    )
    parser.add_argument("persons", nargs="*", type=int, default=[10_000, 100_000, 1_000_000])
    arguments = keepable(parser).parse_args()
    record = Record("linkage", vars(arguments))
    record.more["searches"] = [measure(persons) for persons in arguments.persons]
    print(f"written to {record.keep().relative_to(ROOT)}")
    lines = table(record.more["searches"])
    print("\n".join(lines))
    if arguments.keep:
        fill(PAGE, "linkage", lines)
    return 0


def table(searches: list[dict[str, Any]]) -> list[str]:
    """Precision and recall at each score, size by size."""
    lines = [
        "| persons | recorded twice | pairs compared | seconds | score | precision | recall |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for search in searches:
        counts = (f"{search[key]:,}" for key in ("persons", "recorded_twice", "pairs_compared"))
        cells = [*counts, f"{search['seconds']:.1f}"]
        for least, found in search["by_score"].items():
            figures = (least, f"{found['precision']:.3f}", f"{found['recall']:.3f}")
            lines.append(f"| {' | '.join((*cells, *figures))} |")
            cells = [""] * len(cells)
    return lines


def measure(persons: int) -> dict[str, Any]:
    """Search among ``persons`` people and compare with what is known."""
    people, truth = population(persons, np.random.default_rng(SEED))
    started = perf_counter()
    found = find_suspects(people, least=min(THRESHOLDS))
    seconds = perf_counter() - started
    pairs = found.pairs.select(
        "score",
        left=pl.min_horizontal("left_id", "right_id"),
        right=pl.max_horizontal("left_id", "right_id"),
    ).join(truth, on=["left", "right"], how="left")
    print(
        f"\n{persons:,} persons, {truth.height:,} recorded twice: "
        f"{found.compared:,} pairs compared in {seconds:.1f} s"
    )
    scores = {}
    for least in THRESHOLDS:
        taken = pairs.filter(pl.col("score") >= least)
        right = taken["slip"].count()
        precision, recall = right / max(taken.height, 1), right / truth.height
        scores[str(least)] = {"precision": round(precision, 4), "recall": round(recall, 4)}
        print(f"  score >= {least:<5} precision {precision:.3f}  recall {recall:.3f}")
    hit = pairs.filter(pl.col("score") >= THRESHOLDS[1])["slip"].value_counts()
    of_slip = truth["slip"].value_counts(name="all").join(hit, on="slip", how="left")
    recalls = {
        slip: round((count or 0) / total, 4) for slip, total, count in of_slip.sort("slip").rows()
    }
    for slip, recall in recalls.items():
        print(f"    {slip:<24} recall {recall:.3f} at {THRESHOLDS[1]}")
    return {
        "persons": persons,
        "recorded_twice": truth.height,
        "pairs_compared": found.compared,
        "crowded_keys": found.crowded,
        "seconds": round(seconds, 2),
        "by_score": scores,
        "recall_by_slip": recalls,
    }


def population(persons: int, random: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    """People (frame of ``PEOPLE``), and the truth: ``left``, ``right``, ``slip``."""
    doubled = persons // 50
    singles = persons - doubled
    first, last = (long_tailed(random, singles, size) for size in (4_000, 12_000))
    start = date(2006, 1, 1)
    born = random.integers(0, 6_570, singles)
    gender = random.integers(0, 2, singles)
    originals = random.choice(singles, doubled, replace=False)
    copies = [
        slipped(
            random,
            slip % len(SLIPS),
            (str(first[o]), str(last[o]), start + timedelta(int(born[o])), int(gender[o])),
        )
        for slip, o in enumerate(originals)
    ]
    rows = [
        (str(f), str(s), start + timedelta(int(b)), int(g))
        for f, s, b, g in zip(first, last, born, gender, strict=True)
    ] + copies
    people = pl.DataFrame(
        {
            "table": ["persons"] * persons,
            "id": [f"{position:09}" for position in range(persons)],
            "first_name": [row[0] for row in rows],
            "last_name": [row[1] for row in rows],
            "date_of_birth": [row[2] for row in rows],
            "gender": ["male" if row[3] else "female" for row in rows],
        }
    ).with_columns(pl.col("date_of_birth").cast(pl.Datetime("ms")).cast(pl.Int64))
    truth = pl.DataFrame(
        {
            "left": [f"{o:09}" for o in originals],
            "right": [f"{singles + position:09}" for position in range(doubled)],
            "slip": [SLIPS[position % len(SLIPS)] for position in range(doubled)],
        }
    )
    return people.select(PEOPLE.names()).match_to_schema(PEOPLE), truth


def long_tailed(random: np.random.Generator, count: int, size: int) -> np.ndarray[Any, Any]:
    """``count`` names out of ``size``, their frequencies falling with their rank."""
    names = list(dict.fromkeys(word(random) for _ in range(size)))
    weights = 1 / (np.arange(len(names)) + 10)
    return random.choice(np.array(names), count, p=weights / weights.sum())


def word(random: np.random.Generator) -> str:
    """A name of two or three syllables."""
    syllables = (
        str(random.choice(ONSETS)) + str(random.choice(VOWELS)) + str(random.choice(CODAS))
        for _ in range(random.integers(2, 4))
    )
    return "".join(syllables).capitalize()


def slipped(
    random: np.random.Generator, slip: int, row: tuple[str, str, date, int]
) -> tuple[str, str, date, int]:
    """The same human as a second, hurried hand writes the record down."""
    first, last, born, gender = row
    match SLIPS[slip]:
        case "typo in the first name":
            first = typo(random, first)
        case "typo in the last name":
            last = typo(random, last)
        case "names swapped":
            first, last = last, first
        case "day and month swapped" if born.day <= 12 and born.day != born.month:
            born = born.replace(month=born.day, day=born.month)
        case "wrong year":
            born = born.replace(year=born.year + 1, day=min(born.day, 28))
        case "typo and wrong gender":
            first, gender = typo(random, first), 1 - gender
        case _:
            born = born.replace(day=born.day % 28 + 1)
    return first, last, born, gender


def typo(random: np.random.Generator, name: str) -> str:
    """One letter changed, dropped, doubled or exchanged with its neighbour, never the first."""
    at = int(random.integers(1, len(name)))
    changed = (
        name[:at] + str(random.choice(ALPHABET)) + name[at + 1 :],
        name[:at] + name[at + 1 :],
        name[:at] + name[at] + name[at:],
        name[: at - 1] + name[at] + name[at - 1] + name[at + 1 :] if at > 1 else name + "a",
    )[random.integers(0, 4)]
    return changed if changed != name else f"{name}h"


if __name__ == "__main__":
    raise SystemExit(main())
