"""Out to the reviewers: a workbook or a CSV file with everything they must see to judge."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from person_unify.errors import DecisionsRefused, UsageError
from person_unify.review.csvfile import as_csv
from person_unify.review.facts import Books
from person_unify.review.sheets import sheets


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: ``questions`` by kind."""

    path: Path
    questions: dict[str, int]


def export_review(ledger: Path, path: Path) -> Exported:
    """Write the questions of a finished run to ``path``, ``.xlsx`` or ``.csv``, for its owner only.

    The target must stand beside the ledger.  Answers that the run applied are filled in already.
    The file holds names and birth dates.  Raises :class:`UsageError` for another suffix,
    :class:`DecisionsRefused` where the path is taken, :class:`TargetError` for a foreign ledger.
    """
    suffix = path.suffix.lower()
    if suffix not in (".xlsx", ".csv"):
        raise UsageError(f"{path}: give a name that ends in .xlsx or .csv")
    if path.exists():
        raise DecisionsRefused(
            f"{path} exists already and may hold answers: move it away or choose another name"
        )
    books = Books(ledger)
    try:
        found = list(sheets(books))
    finally:
        books.database.close()
    if suffix == ".csv":
        content = as_csv(found)
    else:
        # Loading the writer takes as long as everything else here.
        from person_unify.review.workbook import as_workbook

        content = as_workbook(found)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
    return Exported(path, {sheet.kind: sheet.rows.height for sheet in found})
