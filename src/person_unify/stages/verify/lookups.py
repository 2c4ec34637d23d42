"""The TEMP tables of a verification, in the order in which they build on each other."""

from __future__ import annotations

from person_unify.stages.verify.archive import prepare_lists
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.grants import prepare_implied
from person_unify.stages.verify.kin import prepare_kin
from person_unify.stages.verify.people import prepare_people
from person_unify.stages.verify.prepare import prepare


def prepare_first(bench: Bench) -> None:
    """Who is who, what is logged and what archive rows list: enough for the tables that follow."""
    prepare(bench)
    prepare_lists(bench)


def prepare_all(bench: Bench) -> None:
    """The first, and what persons, their kin and their grants must be."""
    prepare_first(bench)
    prepare_people(bench)
    prepare_kin(bench)
    prepare_implied(bench)
