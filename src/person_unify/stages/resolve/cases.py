"""Records about which something is to be said, and what a person may decide about them.

A case states its key once: the log and the questions, whose answers are keyed to it, both use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import polars as pl

from person_unify.findings import ORDINARY
from person_unify.frames.model import (
    QUESTION,
    QUESTION_KEY,
    Cell,
    discrepancies,
    filled,
    left_join,
)
from person_unify.stages.resolve.links import CHILD, ID, PERSON

KNOWN_BY = ("first_name", "last_name", "date_of_birth", "gender")
"""What a reviewer knows a human by."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The names that the file gives the tables of humans and their parents."""

    patients: str
    children: str
    parent_children: str

    @property
    def of_record(self) -> pl.Expr:
        """The table that a record is of."""
        return pl.when(CHILD).then(pl.lit(self.children)).otherwise(pl.lit(self.patients))


@dataclass(frozen=True, slots=True)
class Case:
    """Findings of one kind, one per row of ``frame``: records, each with its person.

    related: the column with the id that a finding relates it to.  field: the column in question.
    """

    kind: str
    frame: pl.DataFrame
    related: str | None = None
    field: Cell = None

    def key(self, tables: Tables) -> dict[str, Cell]:
        """What names each finding, and the question about it."""
        return {
            "source_table": tables.of_record,
            "source_id": pl.col(ID),
            "related_id": pl.col(self.related) if self.related else None,
            "field": self.field,
        }

    def log(self, tables: Tables, variant: Cell = ORDINARY, **cells: Cell) -> pl.DataFrame:
        """The discrepancies; ``variant`` and ``cells`` as :func:`frames.discrepancies` has them."""
        about: dict[str, Cell] = {**self.key(tables), "person_id": pl.col(PERSON), **cells}
        return discrepancies(self.frame, self.kind, variant=variant, **about)

    def with_facts(self, records: pl.DataFrame, of_children: pl.Expr, id_: str, name: str) -> Case:
        """Add as ``name`` the canonical text of what a record is known by: instants as ms.

        The record is that of ``id_``, a child where ``of_children``.
        """
        keyed = self.frame.with_columns(of_children.alias("@in"))
        key = {"@in": CHILD, id_: ID}
        wanted = keyed.select(pl.col(column).alias(to) for column, to in key.items())
        facts = canonical(*(pl.col(field).cast(pl.String) for field in KNOWN_BY))
        known = records.join(wanted, on=[CHILD, ID], how="semi").select(
            pl.col(CHILD).alias("@in"), pl.col(ID).alias(id_), facts.alias(name)
        )
        return replace(self, frame=left_join(keyed, known, list(key)).drop("@in"))

    def questions(
        self, tables: Tables, options: str | pl.Expr, evidence: Iterable[pl.Expr]
    ) -> pl.DataFrame:
        """What may be decided about each finding, of :data:`QUESTION`.

        The evidence is hashed together with the key, so that an answer cannot wander.
        """
        named = {"kind": self.kind, **self.key(tables)}
        key = [filled(named[name]).alias(name) for name in QUESTION_KEY]
        asked = self.frame.select(
            *key, filled(options).alias("options"), canonical(*key, *evidence).alias("evidence")
        )
        # No library hashes a frame's texts by SHA-256; there is one per question, not one per row.
        digests = [hashlib.sha256(text.encode()).hexdigest() for text in asked["evidence"]]
        return asked.with_columns(pl.Series("evidence", digests, dtype=pl.String)).select(
            list(QUESTION)
        )


def decided_or_not(decided: pl.Expr) -> pl.Expr:
    """The variant of a message, where a decision may have changed what is ordinary."""
    return pl.when(decided).then(pl.lit("decided")).otherwise(pl.lit(ORDINARY))


def canonical(*parts: pl.Expr) -> pl.Expr:
    """One text that tells the parts apart whatever they hold: ``3:Ann,-,2:id`` (``-`` is NULL).

    >>> pl.select(canonical(pl.lit("a,1:"), pl.lit(None, dtype=pl.String))).item()
    '4:a,1:,-'
    """
    spelled = [
        pl.when(part.is_null())
        .then(pl.lit("-"))
        .otherwise(part.str.len_bytes().cast(pl.String) + ":" + part)
        for part in parts
    ]
    return pl.concat_str(spelled, separator=",")
