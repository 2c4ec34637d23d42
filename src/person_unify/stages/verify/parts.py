"""What the parts of patients, children and parent links have in common.

Their cells may live in two target rows (contract sections 3, 4).
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from person_unify.mappings.bind import BoundMapping
from person_unify.stages.verify.archive import NOT_CARRIED, archive_of
from person_unify.stages.verify.compare import Arm, Side, compare
from person_unify.stages.verify.context import Context
from person_unify.stages.verify.logs import check_ids
from person_unify.stages.verify.tables import key_columns, report
from person_unify.stages.verify.words import Expected, Words


def bound_to(context: Context, source: str, target: str) -> BoundMapping | None:
    """The mapping of an old table into a target table; None where the file lacks the table."""
    return next(
        (b for b in context.plan.of(source) if b.target is not None and b.target.name == target),
        None,
    )


def places_of(context: Context, target: str, ids: pl.Series) -> pl.Series:
    """Where rows with some ids are in a target table, claimed as accounted for."""
    home = context.homes[target]
    at = home.places(ids.rename("k0").to_frame())
    home.claim(at.drop_nulls())
    return at


def side_of(context: Context, usual: str, arms: list[Arm], due: pl.Series) -> Side:
    """One of the three tables beside the target rows of its arms, and its archive.

    due: which rows have to be in the target.
    """
    rows = context.people.rows[usual]
    archive = archive_of(context, rows.table, rows.cells)
    check_ids(context, rows.table.name, rows.value("id", "TEXT"))
    return Side(context, usual, rows, archive, arms, due, key=key_columns(rows, usual))


def finish(side: Side, person: pl.Series, reasons: tuple[str, ...] = (NOT_CARRIED,)) -> None:
    """Compare the parts and report, unless only other tables' rows are asked for."""
    context, table = side.context, side.rows.table
    if context.answers.findings is not None and not context.answers.wants(side.name):
        return
    context.progress(side.name)
    compare(side, context.source.ranges(table))
    side.owe_cells(side.rows.value("id", "TEXT"), person)
    report(side, reasons)


def settled(
    values: pl.Series, carries: str | None = None
) -> Callable[[Words, pl.Series], Expected]:
    """A column whose value is known for every row of its table."""

    def decided(words: Words, at: pl.Series) -> Expected:
        del words
        return Expected(values.gather(at), carries)

    return decided


def counted(
    decided: Callable[[Words, pl.Series], Expected], column: str
) -> Callable[[Words, pl.Series], Expected]:
    """Count conversions of the cells that a settled column holds."""

    def found(words: Words, at: pl.Series) -> Expected:
        expected = decided(words, at)
        if column in words.rows.cells.columns:
            said = words.rows.value(column, "TEXT")
            held = said.is_not_null() & said.eq_missing(expected.value)
            for rule, rows in words.rows.read(column, "TEXT").recast.items():
                words.counts.add(column, rule, rows & held)
        return expected

    return found
