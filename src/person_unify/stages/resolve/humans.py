"""Which records are one human: by the source's links, then by decisions (section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from person_unify.findings import ORDINARY
from person_unify.frames.ids import FreshIds
from person_unify.stages.resolve import decided, demographics
from person_unify.stages.resolve.cases import Case, Tables, decided_or_not
from person_unify.stages.resolve.kept import keep_persons
from person_unify.stages.resolve.links import (
    ALONE,
    ID,
    LINK,
    NAMED,
    PATIENT,
    link,
    relink,
    sharers,
)
from person_unify.stages.resolve.suspects import suspect_log, suspect_questions, suspects

_FIELD = "linked_patient_id"


@dataclass(frozen=True, slots=True)
class Humans:
    """Who is who, and what the records of one human disagree about.

    records: of :func:`links.link`.  differing: of :func:`demographics.mismatches`, with
    ``@decision`` and ``@taken``.  taken: of :func:`decided.values`.  asked: the questions.
    """

    records: pl.DataFrame
    differing: pl.DataFrame
    taken: pl.DataFrame
    asked: pl.DataFrame
    log: tuple[pl.DataFrame, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What is to be asked and said of records as they are linked."""

    differing: pl.DataFrame
    shared: Case
    contradicting: Case
    lost: Case
    suspects: Case

    @classmethod
    def among(cls, records: pl.DataFrame) -> _Found:
        differing = demographics.mismatches(records)
        contradicting = demographics.contradicting(differing)
        strays = records.filter(pl.col(LINK).is_not_null() & pl.col(NAMED).is_null())
        return cls(
            differing,
            Case("shared_linked_patient", sharers(records), "@beside", _FIELD),
            Case("contradicting_link", contradicting, "@beside", _FIELD),
            Case("missing_linked_patient", strays, LINK, _FIELD),
            suspects(records),
        )

    def asked(self, records: pl.DataFrame, tables: Tables) -> pl.DataFrame:
        """The questions; only a link of the source can be undone, a decided one is not decided."""
        differing = demographics.mismatch_case(self.differing)
        values = [pl.col("child_text"), pl.col("patient_text")]
        asked = [differing.questions(tables, _parting("child patient"), values)]
        for case in (self.shared, self.contradicting):
            known = case.with_facts(records, pl.lit(value=True), ID, "@facts")
            known = known.with_facts(records, pl.lit(value=False), "@beside", "@theirs")
            both = [pl.col("@facts"), pl.col("@theirs")]
            asked.append(known.questions(tables, _parting("same"), both))
        lost = self.lost.with_facts(records, pl.lit(value=True), ID, "@facts")
        asked.append(lost.questions(tables, "standalone link", [pl.col("@facts")]))
        return pl.concat([*asked, suspect_questions(self.suspects, records, tables)])

    def log(self, tables: Tables) -> tuple[pl.DataFrame, ...]:
        """What is said of links and doubles; of the mismatches when their values are decided."""
        parted = pl.when(pl.col(PATIENT).is_null()).then(pl.lit("parted"))
        alone = pl.when(pl.col("@together") == 1).then(pl.lit("alone")).otherwise(pl.lit(ORDINARY))
        return (
            self.lost.log(tables, decided_or_not(~pl.col(ALONE))),
            self.shared.log(tables, parted.otherwise(alone)),
            self.contradicting.log(tables, parted.otherwise(pl.lit(ORDINARY))),
            suspect_log(self.suspects, tables),
        )


def _parting(options: str) -> pl.Expr:
    together, parted = pl.lit(options), pl.lit(f"{options} unlink")
    return pl.when(pl.col(NAMED).is_not_null()).then(parted).otherwise(together)


def settle_humans(
    patients: pl.DataFrame,
    children: pl.DataFrame,
    tables: Tables,
    decisions: pl.DataFrame,
    ids: FreshIds,
) -> Humans:
    """Link by the source, then by the decisions that hold; raises :class:`DecisionsRefused`."""
    linked = link(patients, children, ids)
    records = keep_persons(linked, ids)
    found = _Found.among(records)
    asked = found.asked(records, tables)
    if decisions.height:
        # What the source's own links ask is answered first: it says who is whom.
        holding = decided.applied(decisions, asked)
        moved = decided.moves(holding, tables.children)
        decided.refuse(
            [
                *decided.strange(holding),
                *decided.contradicting_moves(holding, moved, records, tables.children),
            ]
        )
        if moved.height:
            records = keep_persons(relink(linked, moved, ids), ids)
            found = _Found.among(records)
            asked = found.asked(records, tables)
    holding = decided.applied(decisions, asked)
    differing, taken, problems = decided.values(holding, found.differing)
    united = decided.united_although_separate(
        decided.of_records(holding, tables), found.suspects.frame, tables
    )
    decided.refuse([*problems, *united])
    return Humans(records, differing, taken, asked, found.log(tables))
