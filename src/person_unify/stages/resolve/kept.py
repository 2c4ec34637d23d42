"""Persons and views that keep the ids of an earlier run: the first old record that can, keeps one.

First is the patient, then the earliest child, then the earliest link (section 3's *earliest*).
"""

from __future__ import annotations

import polars as pl

from person_unify.errors import TargetError
from person_unify.frames.ids import FreshIds
from person_unify.stages.resolve.links import CHILD, CREATED, ID, PERSON, earliest_first
from person_unify.stages.resolve.views import ADDED, PAIR, VIEW


def keep_persons(records: pl.DataFrame, ids: FreshIds) -> pl.DataFrame:
    """The records of :func:`links.link`; raises :class:`TargetError` if none of them is known."""
    if not ids.earlier:
        return records
    named = (pl.col(ID).alias("old_id"), PERSON)
    claims = {
        "patient_to_person": records.filter(~pl.col(CHILD)).select(named),
        "child_to_person": earliest_first(records.filter(CHILD)).select(named),
    }
    known = (
        frame.join(ids.earlier[name], on="old_id", how="semi").height
        for name, frame in claims.items()
        if name in ids.earlier
    )
    if records.height and not any(known):
        raise TargetError(
            "the ledger given with --ids-from knows no patient or child of this source: give that "
            "of an earlier run of the same database, or leave the option out"
        )
    return ids.keep(records, PERSON, claims)


def keep_views(
    views: pl.DataFrame, children: pl.DataFrame, links: pl.DataFrame, ids: FreshIds
) -> pl.DataFrame:
    """The views, by their ``@view``; all three as :func:`views.make_views` has them."""
    if not ids.earlier:
        return views
    claims = {
        name: rows.sort(instant, ID, nulls_last=True)
        .join(views.select(*PAIR, VIEW), on=PAIR, how="inner", maintain_order="left")
        .select(pl.col(ID).alias("old_id"), VIEW)
        for name, rows, instant in (
            ("child_to_view", children, CREATED),
            ("parent_link_to_view", links, ADDED),
        )
    }
    return ids.keep(views, VIEW, claims).sort(VIEW)
