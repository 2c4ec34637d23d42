"""Fill the tables of the pages from the newest kept results.

    python -m bench.tables

For every contender and size the newest result counts; a table for which nothing is kept is left
empty.  Nothing is measured here, so the tables can be printed anew at any time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from bench.figures import (
    CORE_ONLY,
    FAULTS,
    NO_FAULTS,
    NO_ODD,
    ONE_ODD,
    Goal,
    Measured,
    floor,
    goals,
    large,
    named,
    newest,
    ratios,
    spoken,
)
from bench.measuring import OURS, RESULTS, ROOT, fill, kept

PAGE = ROOT / "docs" / "PERFORMANCE.md"
README = ROOT / "README.md"


def main() -> int:
    """Replace what stands between the marks."""
    argparse.ArgumentParser(prog="python -m bench.tables", description=__doc__).parse_args()
    fill_pages()
    return 0


def fill_pages(page: Path = PAGE, readme: Path = README, results: Path = RESULTS) -> None:
    """Put every table into its page."""
    compared = newest(kept("compare", results))
    scaled = newest(kept("scale", results))
    fill(page, "compare", compare_table(compared))
    odd, smallest = (newest(kept(kind, results)) for kind in ("odd", "smallest"))
    fill(page, "goals", goals_table(goals(compared, scaled, odd, smallest)))
    fill(page, "scale", scale_table(scaled))
    own = named(scaled, OURS)
    fill(page, "phases", phases_table(own))
    fill(page, "odd", odd_table(odd))
    fill(page, "floor", floor_table(newest(kept("floor", results))))
    fill(readme, "bench", scale_table(own))


def compare_table(compared: Sequence[Measured]) -> list[str]:
    """Contenders by size: medians, and the median of the ratios within a round."""
    if not compared:
        return []
    head = ("", "persons", "rounds", "rows written", "seconds", "CPU seconds", "rows/s", "peak MiB")
    against = ("person-unify is, at this size", "at the larger size")
    rows = []
    for one in compared:
        larger = large(one)
        rows.append(
            (
                f"{one.name}, core tables" if one.name in CORE_ONLY else one.name,
                f"{one.persons:,}",
                f"{len(one.runs)}",
                f"{one.median('target_rows'):,.0f}",
                f"{one.median('seconds'):,.1f}",
                f"{one.median('cpu_seconds'):,.1f}",
                f"{one.median('rows_per_second'):,.0f}",
                _mebibytes(one),
                "" if one.name == OURS else spoken(median(ratios(one))),
                f"{spoken(larger[1])} ({larger[0]:,})" if larger and one.name != OURS else "",
            )
        )
    return [*_where(compared), *_table((*head, *against), rows)]


def goals_table(found: Iterable[Goal]) -> list[str]:
    """Goals that the results can answer."""
    rows = [(g.aim, g.at, g.measured, g.met) for g in found]
    return _table(("goal", "at persons", "measured", "met"), rows, words=4) if rows else []


def scale_table(scaled: Sequence[Measured]) -> list[str]:
    """Our own runs by size."""
    head = ("", "persons", "source rows", "seconds", "CPU seconds", "rows/s", "peak MiB")
    sizes = ("source MB", "target MB", "ledger MB")
    rows = [
        (
            FAULTS if one.name == OURS else one.name,
            f"{one.persons:,}",
            f"{one.median('source_rows'):,.0f}",
            f"{one.median('seconds'):,.1f}",
            f"{one.median('cpu_seconds'):,.1f}",
            f"{one.median('rows_per_second'):,.0f}",
            _mebibytes(one),
            *(
                f"{one.median(f'{file}_bytes') / 1e6:,.0f}"
                for file in ("source", "target", "ledger")
            ),
        )
        for one in scaled
    ]
    return [*_where(scaled), *_table((*head, *sizes), rows)] if rows else []


def phases_table(scaled: Sequence[Measured]) -> list[str]:
    """Seconds of work per phase by size."""
    if not scaled:
        return []
    names = list(dict.fromkeys(name for one in scaled for name in one.phases()))
    rows = [
        (f"{one.persons:,}", *(f"{one.phases().get(name, 0.0):,.1f}" for name in names))
        for one in scaled
    ]
    return _table(("persons", *names), rows, words=0)


def odd_table(measured: Sequence[Measured]) -> list[str]:
    """What odd cells cost: CPU seconds without and with them, and the median of the ratios."""
    named = {one.name: one for one in measured}
    rows = []
    for names in ((NO_ODD, ONE_ODD), (NO_FAULTS, FAULTS)):
        if not named.keys() >= set(names):
            continue
        one, other = (named[name] for name in names)
        runs = zip(one.runs, other.runs, strict=True)
        ratio = median(theirs.cpu_seconds / mine.cpu_seconds for mine, theirs in runs)
        rows.append(
            (
                ", ".join(names),
                f"{other.median('source_rows'):,.0f}",
                f"{len(one.runs)}",
                *(f"{each.median('cpu_seconds'):,.1f}" for each in (one, other)),
                f"{ratio:.2f}x",
            )
        )
    head = ("", "source rows", "rounds", "CPU seconds without", "with", "ratio")
    return [*_where(measured), *_table(head, rows)] if rows else []


def floor_table(measured: Sequence[Measured]) -> list[str]:
    """What the drivers alone take, beside whole runs, at each size that was measured."""
    lines = _where(measured) if measured else []
    head = ("", "seconds", "CPU seconds", "of person-unify's CPU")
    for persons in dict.fromkeys(one.persons for one in measured):
        figures = floor(one for one in measured if one.persons == persons)
        whole = figures[OURS][1]
        rows = [
            (name, f"{seconds:,.2f}", f"{cpu:,.2f}", f"{cpu / whole:.1%}")
            for name, (seconds, cpu) in figures.items()
        ]
        lines += [f"{persons:,} persons:", "", *_table(head, rows), ""]
    return lines[:-1]


def _where(measured: Sequence[Measured]) -> list[str]:
    """When, on what, and under which load the figures of a table were taken."""
    records = sorted({one.record["started"]: one.record for one in measured}.items())
    first, last = records[0][1], records[-1][1]
    dates = " to ".join(dict.fromkeys((first["date"], last["date"])))
    loads = [record["load_average"]["before"][0] for _, record in records]
    tool = ", ".join(dict.fromkeys(record["versions"]["commit"] for _, record in records))
    machines = "; ".join(
        dict.fromkeys(f"{r['system']}, {r['memory_bytes'] / 2**30:.0f} GiB" for _, r in records)
    )
    versions = last["versions"]
    return [
        f"Measured on {dates} on {machines}, load average before {min(loads):.1f}"
        f"{f' to {max(loads):.1f}' if len(loads) > 1 else ''}, Python {versions['python']}, "
        f"SQLite {versions['sqlite']}, Polars {versions['polars']}, sources at {tool}.",
        "",
    ]


def _mebibytes(one: Measured) -> str:
    return f"{one.median('peak_rss_bytes') / 2**20:,.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """A table whose first ``words`` columns are words, the others figures."""
    rule = ["---" if column < words else "---:" for column in range(len(head))]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


if __name__ == "__main__":
    raise SystemExit(main())
