"""Verify: the target and the ledger against the source, by SQL (contract section 10).

Nothing of the transform or the load is used here; the mappings say what to expect, and every
comparison runs inside SQLite over whole tables.
"""

from __future__ import annotations

from collections.abc import Callable

from person_unify.database import Database
from person_unify.errors import DatabaseError
from person_unify.mappings.bind import Plan
from person_unify.stages.verify.archive import prepare_lists
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.check import NAMES, Check, VerifyOptions
from person_unify.stages.verify.core import check_core
from person_unify.stages.verify.counts import check_counts
from person_unify.stages.verify.decided import check_decisions
from person_unify.stages.verify.grants import check_grants, prepare_implied
from person_unify.stages.verify.kin import prepare_kin
from person_unify.stages.verify.likeness import check_likeness
from person_unify.stages.verify.log import check_log
from person_unify.stages.verify.notes import check_notes
from person_unify.stages.verify.people import check_people, prepare_people
from person_unify.stages.verify.prepare import prepare
from person_unify.stages.verify.records import check_records, ledger_is_whole
from person_unify.stages.verify.structure import (
    check_archived_whole,
    check_person_references,
    check_structure,
)
from person_unify.stages.verify.tables import check_tables
from person_unify.stages.verify.views import check_seen, check_views

__all__ = ["NAMES", "Check", "VerifyOptions", "verify"]


def verify(
    database: Database,
    plan: Plan,
    options: VerifyOptions,
    progress: Callable[[str], None],
) -> list[Check]:
    """Carry out every check; failures and failing statements are answers, not exceptions.

    ``database`` has the target as ``main``, a snapshot of the source as ``source`` and the ledger
    as ``ledger``; a transaction may be open and stays open.
    """
    bench = Bench(database, plan, options, progress)
    progress("preparation")
    try:
        if _prepared(bench):
            for check in (
                check_structure,
                check_records,
                check_people,
                check_core,
                check_views,
                check_grants,
                check_decisions,
                check_tables,
                check_archived_whole,
                check_person_references,
                check_seen,
                check_log,
                check_notes,
                check_likeness,
                check_counts,
            ):
                check(bench)
    finally:
        _clean_up(bench)
    return bench.checks


def _prepared(bench: Bench) -> bool:
    """Build what the checks look things up in; False, with a check that says why, if that fails."""
    ready = False
    with bench.guarded("preparation"):
        bench.look()
        if ledger_is_whole(bench):
            prepare(bench)
            prepare_lists(bench)
            prepare_people(bench)
            prepare_kin(bench)
            prepare_implied(bench)
            ready = True
    return ready


def _clean_up(bench: Bench) -> None:
    try:
        bench.drop_all()
    except DatabaseError as error:
        bench.checks.append(Check("preparation", None, None, None, "error", str(error)))
