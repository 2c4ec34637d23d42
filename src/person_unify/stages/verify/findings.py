"""The answers of a verification: checks, and for ``diff`` the rows behind the failed ones.

Both come from the same comparisons: whatever counts rows for a check can name them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from person_unify.errors import DatabaseError
from person_unify.stages.verify.check import Check

Key = tuple[str | None, ...]
Kind = Literal["minus", "plus", "changed", "lost", "archive"]
KINDS: dict[Kind, str] = {
    "minus": "a source row that is not in the target although it should be",
    "plus": "a target row of no source row",
    "changed": "a target cell that is not what the mapping makes of the source",
    "lost": "a source cell that is neither in the target nor in the archive",
    "archive": "an archive row or cell that is not the source's",
}


class UnknownRuleError(Exception):
    """A mapping names a rule that the verifier was not taught."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One wrong row: its keys in source and target as texts, None where there is no such row."""

    source_key: Key | None
    target_key: Key | None


@dataclass(frozen=True, slots=True)
class Found:
    """One kind of difference: how many there are, and the keys of the first.

    column: of the target for ``changed``, else of the source; None where the row itself is wrong.
    also: the source column of a changed cell.
    """

    kind: Kind
    source: str
    target: str | None
    column: str | None
    detail: str
    count: int
    rows: tuple[Difference, ...]
    also: str | None = None


@dataclass
class Findings:
    """Rows to be told: of some source tables, up to ``limit`` for each kind of difference.

    compared: how many rows and cells were.  keys: source table -> the columns of its key.
    rows: target table -> how many rows it has.
    """

    tables: frozenset[str]
    limit: int
    found: dict[tuple[str, ...], Found] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def add(self, one: Found) -> None:
        """Add what one part of a table gave to what earlier parts gave."""
        place = (one.kind, one.source, str(one.target), str(one.column), one.detail)
        known = self.found.get(place)
        if known is not None:
            rows = (*known.rows, *one.rows)[: self.limit]
            one = replace(known, count=known.count + one.count, rows=rows)
        self.found[place] = one

    def count(self, what: str, number: int) -> None:
        """Count rows or cells that were compared."""
        self.compared[what] = self.compared.get(what, 0) + number


def texts(columns: Sequence[pl.Series], at: pl.Series, limit: int) -> list[Key]:
    """Keys at some positions, as texts."""
    few = at.head(limit)
    shown = [column.gather(few).cast(pl.String).to_list() for column in columns]
    return list(zip(*shown, strict=True)) if shown else [() for _ in range(few.len())]


@dataclass
class Answers:
    """Checks so far, and the rows behind failed ones where somebody wants to know."""

    findings: Findings | None = None
    checks: list[Check] = field(default_factory=list)

    def wants(self, source: str) -> bool:
        """Whether the rows of a source table are to be named."""
        return self.findings is not None and source in self.findings.tables

    def tell(
        self,
        like: Found,
        count: int,
        keys: Callable[[int], Sequence[tuple[Key | None, Key | None]]],
    ) -> None:
        """Name the rows of a difference; ``keys`` gives those of the first, up to a limit."""
        if count and self.findings is not None and like.source in self.findings.tables:
            rows = tuple(Difference(*pair) for pair in keys(self.findings.limit))
            self.findings.add(replace(like, count=count, rows=rows))

    @contextmanager
    def guarded(self, name: str, table: str | None = None) -> Iterator[None]:
        """Turn a comparison that cannot be made into a check that ended in ``error``."""
        try:
            yield
        except (DatabaseError, UnknownRuleError) as error:
            self.checks.append(Check(name, table, None, None, "error", str(error)))

    def compare(
        self, name: str, table: str | None, expected: int, actual: int, detail: str = ""
    ) -> None:
        """Add a check that two numbers agree; 0 and 0 compares nothing."""
        if expected == actual == 0:
            self.skip(name, table, detail or "nothing to compare: there are none")
        elif expected == actual:
            self.checks.append(Check(name, table, expected, actual, "passed", detail))
        else:
            self.checks.append(Check(name, table, expected, actual, "failed", detail))

    def skip(self, name: str, table: str | None, why: str) -> None:
        """Add a check that does not apply here."""
        self.checks.append(Check(name, table, None, None, "not_applicable", why))

    def judge(
        self, name: str, table: str | None, compared: int, failures: Sequence[tuple[str, int]]
    ) -> None:
        """Add a check over ``compared`` things; ``failures`` counts the wrong ones by kind."""
        wrong = [(label, count) for label, count in failures if count]
        if not compared and not wrong:
            self.skip(name, table, "nothing to compare: there are no rows")
            return
        detail = ", ".join(f"{label}: {count}" for label, count in wrong)
        bad = sum(count for _, count in wrong)
        self.checks.append(
            Check(name, table, compared, compared - bad, "failed" if bad else "passed", detail)
        )
