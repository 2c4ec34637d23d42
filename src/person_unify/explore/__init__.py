"""The face for notebooks: what a migration found, as Polars frames and charts.

    from person_unify.explore import charts, open_run

    run = open_run("new.ledger.db")
    run.discrepancies
    charts.discrepancies(run)

``open_check("old.db")`` answers the same way before anything has been migrated.
"""

from __future__ import annotations

from person_unify.explore.bench import Bench, open_bench
from person_unify.explore.columns import COMPARED, DIFFERENCES, FRAMES, TRACE
from person_unify.explore.compared import Compared, compare
from person_unify.explore.run import CLASSES, Run, open_check, open_run

__all__ = [
    "CLASSES",
    "COMPARED",
    "DIFFERENCES",
    "FRAMES",
    "TRACE",
    "Bench",
    "Compared",
    "Run",
    "compare",
    "open_bench",
    "open_check",
    "open_run",
]
