"""Verify: the target and the ledger against the source, by SQL (contract section 10).

Nothing of the transform or the load is used here; the mappings say what to expect, and every
comparison runs inside SQLite over whole tables.  Where the files may be opened twice, two
connections share the work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import TypeAlias

from person_unify.aside import Aside
from person_unify.database import Database, Opener
from person_unify.errors import DatabaseError
from person_unify.mappings.bind import Plan
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.check import NAMES, Check, VerifyOptions
from person_unify.stages.verify.core import check_core
from person_unify.stages.verify.counts import check_counts
from person_unify.stages.verify.decided import check_decisions
from person_unify.stages.verify.grants import check_grants
from person_unify.stages.verify.likeness import check_likeness
from person_unify.stages.verify.log import check_log
from person_unify.stages.verify.lookups import prepare_all, prepare_first
from person_unify.stages.verify.notes import check_notes
from person_unify.stages.verify.people import check_people
from person_unify.stages.verify.records import check_records, ledger_is_whole
from person_unify.stages.verify.structure import (
    check_archived_whole,
    check_person_references,
    check_structure,
)
from person_unify.stages.verify.tables import check_tables
from person_unify.stages.verify.views import check_seen, check_views

__all__ = ["NAMES", "Check", "VerifyOptions", "verify"]

_Part: TypeAlias = Callable[[Bench], None]
_Answers: TypeAlias = dict[str, list[Check]]

_STORY: tuple[_Part, ...] = (
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
)
"""Every check, in the order in which they are told."""

_BESIDE: tuple[_Part, ...] = (check_structure, check_tables, check_counts)
"""About half of the work, which the first lookups are enough for."""

_PREPARATION, _CLEANING = "preparation", "cleaning"


def verify(
    database: Database,
    plan: Plan,
    options: VerifyOptions,
    progress: Callable[[str], None],
    again: Opener | None = None,
) -> list[Check]:
    """Carry out every check; failures and failing statements are answers, not exceptions.

    ``database`` has the target as ``main``, a snapshot of the source as ``source`` and the ledger
    as ``ledger``; a transaction may be open and stays open.  ``again`` opens the same files for a
    second thread, where nothing uncommitted is to be seen.
    """
    if again is None:
        return _told(_carried_out(Bench(database, plan, options, progress), prepare_all, _STORY))
    over = Event()

    def heard(name: str) -> None:
        if over.is_set():
            raise _OverError
        progress(name)

    def beside() -> _Answers:
        with again() as further:
            return _carried_out(Bench(further, plan, options, heard), prepare_first, _BESIDE)

    others = Aside(beside)
    try:
        own = [part for part in _STORY if part not in _BESIDE]
        answers = _carried_out(Bench(database, plan, options, progress), prepare_all, own)
    except KeyboardInterrupt:
        over.set()
        raise
    except BaseException:
        over.set()
        others.wait()
        raise
    return _told(answers, others.result())


class _OverError(Exception):
    """The main thread has given up."""


def _carried_out(bench: Bench, lookups: _Part, parts: Sequence[_Part]) -> _Answers:
    """What the parts answer, each by itself; only the preparation if that fails."""
    bench.progress("preparation")
    answers: _Answers = {}
    try:
        ready = _prepared(bench, lookups)
        answers[_PREPARATION] = bench.checks
        for part in parts if ready else ():
            bench.checks = []
            part(bench)
            answers[part.__name__] = bench.checks
    finally:
        bench.checks = []
        _clean_up(bench)
        answers[_CLEANING] = bench.checks
    return answers


def _told(answers: _Answers, others: _Answers | None = None) -> list[Check]:
    """All checks in the order of the story; what both threads prepared alike is told once."""
    both = [answers] if others is None else [answers, others]
    prepared = [check for found in both for check in found[_PREPARATION]]
    told = list(dict.fromkeys(prepared))
    for name in (*(part.__name__ for part in _STORY), _CLEANING):
        told += [check for found in both for check in found.get(name, ())]
    return told


def _prepared(bench: Bench, lookups: _Part) -> bool:
    """Build what the checks look things up in; False, with a check that says why, if that fails."""
    ready = False
    with bench.guarded("preparation"):
        bench.look()
        if ledger_is_whole(bench):
            lookups(bench)
            ready = True
    return ready


def _clean_up(bench: Bench) -> None:
    try:
        bench.drop_all()
    except DatabaseError as error:
        bench.checks.append(Check("preparation", None, None, None, "error", str(error)))
