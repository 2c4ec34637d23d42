"""One CSV file with a column for the kind: for those who have no spreadsheet with sheets."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from person_unify.escaping.tables import as_csv
from person_unify.review.sheets import DECISION, KEY, LINK_TO, NOTE, REVIEWER, Sheet

KIND, ABOUT, ONE, OTHER, POSSIBLE = (
    "Kind",
    "About",
    "One record",
    "Other record",
    "Possible decisions",
)
HEADINGS = (KIND, ABOUT, ONE, OTHER, POSSIBLE, DECISION, LINK_TO, REVIEWER, NOTE, KEY)


def questions_as_csv(sheets: Sequence[Sheet]) -> bytes:
    """The questions, one row each, in the form that spreadsheets take."""
    rows = []
    for sheet in sheets:
        for row in sheet.rows.iter_rows(named=True):
            known = [_known(sheet, row, side) for side in ("", "a:", "b:")]
            possible = ", ".join(row["options"].split(" "))
            given = [row[name] or "" for name in ("decision", "link_to", "reviewer", "note")]
            rows.append((sheet.title, *known, possible, *given, row["key"]))
    return as_csv(pl.DataFrame(rows, schema=dict.fromkeys(HEADINGS, pl.String), orient="row"))


def _known(sheet: Sheet, row: dict[str, str | None], side: str) -> str:
    """What is known of one record, or of neither of them in particular."""
    return "; ".join(
        f"{column.title.rpartition(': ')[2]}: {row[column.name]}"
        for column in sheet.columns
        if row[column.name] is not None and column.name[: column.name.find(":") + 1] == side
    )
