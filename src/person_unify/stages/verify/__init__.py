"""Verify: the target and the ledger against the source, on frames (contract section 10).

Source, target and ledger are read back by a reader of its own, table after table and in parts.
What the source calls for is told a second time, from the contract and the mappings alone, and held
against what was found, in one way: key, storage class and value.  Nothing of the transform or the
load is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, zip_longest
from pathlib import Path

import polars as pl

from person_unify.allocators import give_memory_back
from person_unify.background import Beside
from person_unify.mappings import CORE_TABLES
from person_unify.mappings.bind import Plan
from person_unify.mappings.known import readable_tables, unified_tables
from person_unify.stages.rebuild import definitions
from person_unify.stages.verify.check import NAMES, Check, VerifyOptions
from person_unify.stages.verify.context import Context
from person_unify.stages.verify.decided import check_decisions, read_decisions
from person_unify.stages.verify.families import implied_grants, read_families
from person_unify.stages.verify.findings import KINDS, Answers, Difference, Findings, Found, Kind
from person_unify.stages.verify.homes import Home
from person_unify.stages.verify.humans import check_notes, settle_humans
from person_unify.stages.verify.inverse import Inverse
from person_unify.stages.verify.kept import check_kept_ids
from person_unify.stages.verify.links import check_links
from person_unify.stages.verify.logs import check_log
from person_unify.stages.verify.patients import check_children, check_patients
from person_unify.stages.verify.people import check_people, read_people
from person_unify.stages.verify.reader import PART, File
from person_unify.stages.verify.records import check_counts, check_records, read_books
from person_unify.stages.verify.structure import (
    check_files,
    check_structure,
    filled_tables,
    look_at_files,
)
from person_unify.stages.verify.tables import check_archived_whole, check_table, read_ahead
from person_unify.stages.verify.views import check_grants, check_views, owe_implied, tell_rest

__all__ = [
    "KINDS",
    "NAMES",
    "Check",
    "Difference",
    "File",
    "Files",
    "Findings",
    "Found",
    "Kind",
    "VerifyOptions",
    "verify",
]


_FIRST = ("users", "parents")
"""Tables that others look up, before persons are compared."""


@dataclass(frozen=True, slots=True)
class Files:
    """The three files.  settled: nobody can write target and ledger while they are read.

    earlier: the ledger of the run whose ids are kept.  part: bytes of a table that may be in memory
    at once; some such parts are.
    """

    source: Path
    target: Path
    ledger: Path
    settled: bool = True
    earlier: Path | None = None
    part: int = PART


def verify(
    files: Files,
    plan: Plan,
    options: VerifyOptions,
    progress: Callable[[str], None],
    findings: Findings | None = None,
) -> list[Check]:
    """Carry out every check; failures, and comparisons that cannot be made, are answers.

    With ``findings``, only some tables are compared, and the rows behind failed checks are told.
    """
    answers = Answers(findings)
    opened: list[File] = []
    beside = Beside()
    try:
        with answers.guarded("preparation"):
            settled = files.settled
            # Cells that PostgreSQL cannot hold are odd where they come from and where they end.
            odd = options.for_postgresql
            file = partial(File, size=files.part)
            opened.append(file(files.source, settled=True, look=readable_tables, without_nul=odd))
            opened.append(file(files.target, settled=settled, fast=True, look=unified_tables))
            opened.append(file(files.ledger, settled=settled, fast=True, without_nul=odd))
            source, target, ledger = opened
            context = Context(source, target, ledger, plan, options, progress, answers, beside)
            context.inverse = Inverse((source, target, ledger), plan, answers)
            if read_books(context):
                _carry_out(context)
                if findings is None and files.earlier is not None:
                    opened.append(file(files.earlier, settled=False))
                    check_kept_ids(context, opened[-1])
                elif options.ids_from is not None:
                    answers.skip("kept_ids", None, "--ids-from names no ledger to compare with")
            if findings is None:
                _give_back(context)
    finally:
        beside.stop()
        for one in opened:
            one.close()
    return answers.checks


def _give_back(context: Context) -> None:
    """The definitions, and whatever table could not be compared in another way."""
    inverse = context.inverse
    inverse.tell(definitions(context.source.database, context.ledger.database))
    for name in context.source.tables:
        if name not in inverse.told:
            inverse.check(name)


def _carry_out(context: Context) -> None:
    answers = context.answers
    if answers.findings is None:
        look_at_files(context)
    for name in sorted(filled_tables(context) & set(context.target.tables)):
        context.homes[name] = Home.of(context.target, context.target.tables[name])
    give_memory_back()
    read_ahead(context, _FIRST[0])
    context.decisions = read_decisions(context)
    context.people = read_people(context, context.decisions.moves)
    give_memory_back()
    for usual, then in pairwise((*_FIRST, "patients")):
        read_ahead(context, then)
        _check_bound(context, usual)
    _check_humans(context)
    others = [
        bound
        for bound in context.plan.bound
        if bound.target is not None and bound.mapping.source not in (*CORE_TABLES, *_FIRST)
    ]
    for bound, following in zip_longest(others, others[1:]):
        if following is not None:
            read_ahead(context, following.mapping.source)
        with answers.guarded("cells_match", bound.name):
            check_table(context, bound)
    _check_rest(context)


def _check_bound(context: Context, usual: str) -> None:
    bound = context.mapping(usual)
    if bound is not None:
        with context.answers.guarded("cells_match", bound.name):
            check_table(context, bound)


def _check_humans(context: Context) -> None:
    """Persons, views and grants: whatever is settled for a human or a pair."""
    context.progress("persons")
    decisions, people, answers = context.decisions, context.people, context.answers
    chosen = pl.concat(
        [
            side.select("old", "human").join(decisions.caregivers(usual), on="old")
            for usual, side in people.sides.items()
        ]
    ).select("human", "parent")
    families = read_families(context, chosen)
    humans = settle_humans(context, families)
    context.implied = implied_grants(context, families, decisions.modes)
    owe_implied(context, context.implied)
    read_ahead(context, "children")
    with answers.guarded("cells_match", "patients"):
        check_patients(context, humans)
    read_ahead(context, "parent_children")
    with answers.guarded("cells_match", "children"):
        check_children(context, humans, families)
    with answers.guarded("cells_match", "parent_children"):
        check_links(context, families)
    with answers.guarded("persons_count"):
        check_people(context, context.homes["persons"])
    with answers.guarded("view_maps"):
        check_views(context, families, humans)
    with answers.guarded("person_notes"):
        check_notes(context, humans.notes["patients"], people.patients["person"])
    with answers.guarded("decisions"):
        check_decisions(context, families, context.implied)


def _check_rest(context: Context) -> None:
    """What can be told once every table was compared."""
    answers = context.answers
    for bound in context.plan.bound:
        if bound.target is None:
            check_archived_whole(context, bound.source, bound.mapping.source)
    for table in context.plan.unmapped:
        check_archived_whole(context, table, table.name)
    with answers.guarded("implied_grants"):
        check_grants(context, context.implied)
    for name, home in context.homes.items():
        claimed = int(home.claimed.sum())
        filling = [
            b.name for b in context.plan.bound if b.target is not None and b.target.name == name
        ]
        tell_rest(context, name, filling)
        if filling and name not in (
            "persons",
            "parent_child_views",
            "clinician_patient_views",
            "access_grants",
        ):
            answers.compare("target_rows", name, claimed, home.height)
    if answers.findings is None:
        check_records(context)
        check_structure(context)
        check_files(context)
    check_log(context)
    check_counts(context)
