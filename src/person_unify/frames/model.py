"""Frames that pass between the stages: source tables as read, and what a stage made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter

import polars as pl

from person_unify.findings import FINDINGS, ORDINARY
from person_unify.frames.odd import ODD as ODD
from person_unify.frames.odd import ROW as ROW
from person_unify.frames.odd import Lane as Stored
from person_unify.frames.odd import Rows
from person_unify.frames.odd import escaped as escaped
from person_unify.frames.values import Lane
from person_unify.schema import Table

DISCREPANCY = {
    "kind": pl.String,
    "severity": pl.String,
    "source_table": pl.String,
    "source_id": pl.String,
    "related_id": pl.String,
    "person_id": pl.String,
    "field": pl.String,
    "child_value": pl.String,
    "patient_value": pl.String,
    "chosen_value": pl.String,
    "message": pl.String,
}
"""Columns of the ledger's ``discrepancies`` (contract section 8)."""

QUESTION = {
    "kind": pl.String,
    "source_table": pl.String,
    "source_id": pl.String,
    "related_id": pl.String,
    "field": pl.String,
    "options": pl.String,
    "evidence": pl.String,
}
"""Columns of the ledger's ``questions``: what a person may decide.

The first five name the question.  options: the possible decisions, separated by blanks.  evidence:
SHA-256 of the compared values, so that an answer holds for these values only.
"""

QUESTION_KEY = ("kind", "source_table", "source_id", "related_id", "field")
"""The columns by which a decision finds its question; NULL equals NULL."""

DECISION = {
    **dict.fromkeys(QUESTION_KEY, pl.String),
    "decision": pl.String,
    "link_to": pl.String,
    "reviewer": pl.String,
    "note": pl.String,
    "evidence": pl.String,
}
"""Columns of a decision as given; the ledger's ``decisions`` adds ``outcome``.

link_to: the patient, where the question itself names none (``missing_linked_patient``).
outcome: ``applied``, ``stale`` (the compared values have changed since) or ``not_needed`` (the
question is not asked any more).  Only ``applied`` ones have an effect.
"""

MAP = pl.Schema({"old_id": pl.String(), "new_id": pl.String()})
"""Columns of an id map (contract section 9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFrame(Rows):
    """One source table: ``@row`` and its columns (by :func:`escaped`), in the lane ``lanes`` names.

    ``usual_key`` names the rows of a known table, whatever key its file declares.
    """

    table: Table
    lanes: Mapping[str, Stored]
    usual_key: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """The columns by which other rows name a row of this table; empty if there are none."""
        return self.usual_key or self.table.primary_key

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.frame.height

    def lane(self, column: str) -> Lane:
        """The column's lane; ``absent`` where the file has no such column."""
        lane: Lane = self.lanes.get(column, "absent")
        if lane == "absent" and self.table.column(column) is not None:
            raise RuntimeError(f"{self.table.name}.{column} is asked for and was not read")
        return lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive(Rows):
    """Cells of one source table to keep verbatim (contract section 9).

    frame: the key columns, then the archived columns in their lanes (both by :func:`escaped`), then
    ``@odd``, ``@archived`` (the JSON list of the columns that the row archives) and ``@reason``.
    beside_key: every column of the table that is not of its key, in its order.
    """

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    beside_key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source table, or of one part of its rows.

    rows: target table -> rows to append, named as the target's columns.
    discrepancies: frames of :data:`DISCREPANCY`.
    normalisations: (source column, rule, cells).
    maps: ledger map -> frame.
    not_loaded: reason -> rows that stay in the archive only.
    """

    source: str
    source_rows: int
    rows: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    discrepancies: tuple[pl.DataFrame, ...] = ()
    normalisations: tuple[tuple[str, str, int], ...] = ()
    archive: Archive | None = None
    maps: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    not_loaded: Mapping[str, int] = field(default_factory=dict)

    @property
    def loaded(self) -> int:
        """Rows of the source table that became target rows."""
        return self.source_rows - sum(self.not_loaded.values())


def left_join(
    frame: pl.DataFrame, other: pl.DataFrame, on: str | Sequence[str], *, nulls_equal: bool = False
) -> pl.DataFrame:
    """The frame, its rows as they are, with what another one knows of them beside it."""
    return frame.join(other, on=on, how="left", maintain_order="left", nulls_equal=nulls_equal)


def renamed_fields(frame: pl.DataFrame, names: Mapping[str, Mapping[str, str]]) -> pl.DataFrame:
    """A log with other names in ``field``; names: source table -> field -> its name."""
    for table, fields in names.items():
        here = pl.col("source_table") == table
        renamed = pl.when(here).then(pl.col("field").replace(fields)).otherwise("field")
        frame = frame.with_columns(renamed.alias("field"))
    return frame


Cell = str | pl.Expr | None
"""What a log says in one column: the same in every row, or what an expression gives."""


def filled(value: Cell) -> pl.Expr:
    """A String column; a constant is repeated, since a lone literal would make a row of its own."""
    if isinstance(value, pl.Expr):
        return value
    return pl.repeat(value, pl.len(), dtype=pl.String)


def discrepancies(
    frame: pl.DataFrame,
    kind: str,
    *,
    variant: Cell = ORDINARY,
    **cells: Cell,
) -> pl.DataFrame:
    """One discrepancy per row of ``frame``; columns that are not given are NULL.

    The message is the kind's of that ``variant`` (:class:`findings.Finding`), filled with the cells
    that are given: columns of the log, and what else it names.
    """
    finding = FINDINGS[kind]
    given = {name: filled(cell) for name, cell in cells.items()}
    given |= {"kind": filled(kind), "severity": filled(finding.severity)}
    messages = finding.messages.items()
    if isinstance(variant, pl.Expr):
        chosen = [pl.when(variant == name).then(_sentence(text, given)) for name, text in messages]
        given["message"] = pl.coalesce(chosen)
    else:
        given["message"] = _sentence(finding.messages[variant or ORDINARY], given)
    return frame.select(given.get(name, filled(None)).alias(name) for name in DISCREPANCY)


def of_column(table: str, column: str, kind: str, **cells: str) -> pl.DataFrame:
    """One discrepancy about a whole column of a source table."""
    once = pl.DataFrame({"one": [1]})
    return discrepancies(once, kind, source_table=table, field=column, **cells)


def _sentence(text: str, cells: Mapping[str, pl.Expr]) -> pl.Expr:
    """A sentence whose ``{…}`` are cells of the row."""
    names = [name for _, name, _, _ in Formatter().parse(text) if name]
    if not names:
        return filled(text)
    return pl.format(re.sub(r"{\w+}", "{}", text), *(cells[name] for name in names))
