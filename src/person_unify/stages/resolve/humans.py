"""Which records are one human: by the source's links, then by decisions (section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from person_unify.ids import FreshIds
from person_unify.reading import Reader
from person_unify.stages.resolve import decided, demographics
from person_unify.stages.resolve.links import (
    ID,
    LINK,
    NAMED,
    Linked,
    link,
    relink,
    sharers,
    strays,
)
from person_unify.stages.resolve.questions import facts, questions, with_facts
from person_unify.stages.resolve.suspects import suspect_questions, suspects


@dataclass(frozen=True, slots=True)
class Humans:
    """Who is who, and what the records of one human disagree about.

    differing: of :func:`demographics.mismatches`, with ``@decision`` and ``@taken``.
    suspects: of :func:`suspects`.  taken: of :func:`decided.values`.  asked: the questions.
    """

    linked: Linked
    differing: pl.DataFrame
    suspects: pl.DataFrame
    taken: pl.DataFrame
    asked: pl.DataFrame


def settle_humans(
    patients: Reader, children: Reader, decisions: pl.DataFrame, ids: FreshIds
) -> Humans:
    """Link by the source, then by the decisions that hold; raises :class:`DecisionsRefused`."""
    linked = link(patients, children, ids)
    if decisions.height:
        linked = _moved(linked, patients, children, decisions, ids)
    differing = demographics.mismatches(linked, patients, children)
    further = suspects(linked, patients, children)
    asked = _asked(linked, patients, children, differing, further)
    holding = decided.applied(decisions, asked)
    differing, taken, problems = decided.values(holding, differing)
    decided.refuse([*problems, *decided.united_although_separate(holding, further)])
    return Humans(linked, differing, further, taken, asked)


def _moved(
    linked: Linked, patients: Reader, children: Reader, decisions: pl.DataFrame, ids: FreshIds
) -> Linked:
    """What the source's own links ask is answered first: it says who is whom."""
    table = children.source.table.name
    differing = demographics.mismatches(linked, patients, children)
    further = suspects(linked, patients, children)
    asked = _asked(linked, patients, children, differing, further)
    holding = decided.applied(decisions, asked)
    moved = decided.moves(holding, table)
    decided.refuse(
        [
            *decided.strange(holding),
            *decided.contradicting_moves(holding, moved, linked, table),
        ]
    )
    return relink(linked, moved, patients, ids) if moved.height else linked


def _asked(
    linked: Linked,
    patients: Reader,
    children: Reader,
    differing: pl.DataFrame,
    further: pl.DataFrame,
) -> pl.DataFrame:
    return pl.concat(
        [
            _mismatch_questions(differing, children.source.table.name),
            *_link_questions(linked, patients, children, demographics.contradicting(differing)),
            suspect_questions(further, linked, patients, children),
        ]
    )


def _parting(options: str) -> pl.Expr:
    """Only a link of the source can be undone; a decided one is not decided in the first place."""
    together, parted = pl.lit(options), pl.lit(f"{options} unlink")
    return pl.when(pl.col(NAMED).is_not_null()).then(parted).otherwise(together)


def _mismatch_questions(differing: pl.DataFrame, table: str) -> pl.DataFrame:
    return questions(
        differing,
        "demographic_mismatch",
        _parting("child patient"),
        [pl.col("child_text"), pl.col("patient_text")],
        source_table=table,
        source_id=pl.col(ID),
        related_id=pl.col("@beside"),
        field=pl.col("field"),
    )


def _link_questions(
    linked: Linked, patients: Reader, children: Reader, contradicted: pl.DataFrame
) -> list[pl.DataFrame]:
    """Children that share or contradict a patient, and children whose patient is missing."""
    table, of_patients = children.source.table.name, patients.source.table.name
    lost = strays(linked)
    linking = {"shared_linked_patient": sharers(linked), "contradicting_link": contradicted}
    sides = [lost.select(pl.lit(table).alias("@table"), ID)]
    for frame in linking.values():
        sides.append(frame.select(pl.lit(table).alias("@table"), ID))
        sides.append(frame.select(pl.lit(of_patients).alias("@table"), pl.col("@beside").alias(ID)))
    known = facts(linked, patients, children, pl.concat(sides))
    lost = with_facts(lost, known, table, ID, "@facts")
    asked = []
    for kind, frame in linking.items():
        own = with_facts(frame, known, table, ID, "@facts")
        both = with_facts(own, known, of_patients, "@beside", "@theirs")
        asked.append(
            questions(
                both,
                kind,
                _parting("same"),
                [pl.col("@facts"), pl.col("@theirs")],
                source_table=table,
                source_id=pl.col(ID),
                related_id=pl.col("@beside"),
                field="linked_patient_id",
            )
        )
    return [
        *asked,
        questions(
            lost,
            "missing_linked_patient",
            "standalone link",
            [pl.col("@facts")],
            source_table=table,
            source_id=pl.col(ID),
            related_id=pl.col(LINK),
            field="linked_patient_id",
        ),
    ]
