"""Out to the reviewers: a workbook or a CSV file with everything they must see to judge."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from person_unify.errors import UsageError
from person_unify.evidence.finished import finished_run, recorded_run_of
from person_unify.files import create_private
from person_unify.review.csvfile import questions_as_csv
from person_unify.review.facts import Books
from person_unify.review.sheets import alike, sheets


def export_review(
    ledger: Path, path: Path, suspects: pl.DataFrame | None = None, *, only_open: bool = False
) -> dict[str, int]:
    """Write the questions of a finished run to ``path``, ``.xlsx`` or ``.csv``, for its owner only.

    Returns how many there are of each kind.
    The target must stand beside the ledger.  Answers that the run applied are filled in already, or
    with ``only_open`` left out with their questions: :meth:`Decisions.onto` joins what comes back.
    ``suspects``: pairs of the target's persons (``linkage.PAIRS``), for a sheet of their own on
    which nothing is decided.  The file holds names and birth dates.  Raises :class:`UsageError` for
    another suffix or where the path is taken, :class:`TargetError` for a foreign ledger.
    """
    suffix = path.suffix.lower()
    if suffix not in (".xlsx", ".csv"):
        raise UsageError(f"{path}: give a name that ends in .xlsx or .csv")
    if suffix == ".csv" and suspects is not None:
        raise UsageError(f"{path}: suspects are a sheet of a workbook; give a name ending in .xlsx")
    if path.exists():
        raise UsageError(f"{path} exists already: it may hold answers, name a file that does not")
    target = ledger.with_name(recorded_run_of(ledger).target)
    with finished_run(target, ledger) as database:
        books = Books(database, ledger)
        found = sheets(books, only_open=only_open)
        pairs = None if suspects is None else alike(books, suspects)
    if suffix == ".csv":
        content = questions_as_csv(found)
    else:
        # Loading the writer takes as long as everything else here.
        from person_unify.review.workbook import as_workbook

        content = as_workbook(found, pairs)
    create_private(path, content)
    return {sheet.kind: sheet.rows.height for sheet in found}
