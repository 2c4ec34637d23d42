"""The workbook that reviewers fill in: a cover, and one sheet per kind of question.

Every cell is written as a string, so that nothing in the data can become a formula, a number or a
link.  Evidence is protected against slips (there is no password); the open columns are yellow.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import xlsxwriter  # type: ignore[import-untyped]
from xlsxwriter.format import Format  # type: ignore[import-untyped]
from xlsxwriter.utility import xl_col_to_name  # type: ignore[import-untyped]
from xlsxwriter.workbook import Workbook  # type: ignore[import-untyped]
from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]

from person_unify.findings import DECISIONS
from person_unify.review.sheets import (
    ALIKE,
    COVER,
    DECISION,
    KEY,
    LINK_TO,
    NOTE,
    NUMBER,
    REVIEWER,
    SUSPECTS,
    YOUR_NAME,
    Column,
    Sheet,
)

HEAD = 3
"""Row (from 0) of the headings; the questions follow."""

_LINE, _MOST_LINES = 15, 6
"""Height of a line in points, and how many lines a row has at most."""

_OPTIONS = {
    "in_memory": True,  # no copy with names in the temporary directory
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
_ALLOWED = {
    "select_locked_cells": True,
    "select_unlocked_cells": True,
    "format_columns": True,
    "format_rows": True,
    "autofilter": True,
}
_TEXT = (
    (
        "What this is",
        "Two records of the old platform disagree, or may be one human, and no program can know "
        "which is right. You can. Each sheet asks one kind of question, one row each, with both "
        "sides next to each other.",
    ),
    (
        "What to do",
        "1. Write your name below; it stands beside every decision of yours.\n"
        "2. On each sheet choose a decision from the list in the yellow column, and add a note if "
        "it helps whoever reads it next year.\n"
        "3. Leave empty what you cannot judge: nothing changes there, and it can be asked again.\n"
        "4. Save the file as it is (.xlsx) and give it back the way you got it.",
    ),
    (
        "What happens then",
        "The migration is made again with your decisions. A decision holds only for the values "
        "that you see here: where the old database has changed since, it is reported and not "
        "applied.",
    ),
    (
        "Confidential",
        "This file holds names and birth dates of children. Keep it where patient records may be "
        "kept, send it encrypted only, and delete it when the migration is done.",
    ),
)


@dataclass(frozen=True, slots=True)
class _Styles:
    """The few looks that cells have."""

    title: Format
    lead: Format
    label: Format
    head: Format
    open_head: Format
    evidence: Format
    differing: Format
    quiet: Format
    open: Format

    @classmethod
    def of(cls, book: Workbook) -> _Styles:
        """Define them in a workbook."""

        def style(**properties: Any) -> Format:
            return book.add_format({"font_name": "Arial", "font_size": 10, **properties})

        wrapped = {"text_wrap": True, "valign": "top"}
        line = {"bottom": 1, "bottom_color": "#D9D9D9"}
        head = {**wrapped, "bold": True, "bottom": 2}
        return cls(
            title=style(bold=True, font_size=16),
            lead=style(**wrapped),
            label=style(**wrapped, bold=True),
            head=style(**head, bg_color="#DDE5EE"),
            open_head=style(**head, bg_color="#FFE08A"),
            evidence=style(**wrapped, **line),
            differing=style(**wrapped, **line, bg_color="#FBE3D6"),
            quiet=style(**wrapped, **line, font_color="#808080"),
            open=style(**wrapped, **line, bg_color="#FFF7D6", locked=False, num_format="@"),
        )


def as_workbook(sheets: Sequence[Sheet], suspects: pl.DataFrame | None = None) -> bytes:
    """The file's bytes; ``suspects`` has the columns of :data:`SUSPECTS`."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, _OPTIONS)
    styles = _Styles.of(book)
    _cover(book.add_worksheet(COVER), styles, sheets)
    for sheet in sheets:
        _questions(book.add_worksheet(sheet.title), styles, sheet)
    if suspects is not None:
        _suspects(book.add_worksheet(ALIKE), styles, suspects)
    book.close()
    return buffer.getvalue()


def _cover(page: Worksheet, styles: _Styles, sheets: Sequence[Sheet]) -> None:
    page.hide_gridlines(2)
    page.set_column(0, 0, 24)
    page.set_column(1, 1, 92)
    page.set_column(2, 2, 12)
    page.write_string(0, 0, "Review of a migration", styles.title)
    row = 2
    for label, text in _TEXT:
        page.write_string(row, 0, label, styles.label)
        page.write_string(row, 1, text, styles.lead)
        page.set_row(row, 14 * (2 + max(text.count("\n"), len(text) // 95)))
        row += 1
    page.write_string(row, 0, YOUR_NAME, styles.label)
    page.write_string(row, 1, "", styles.open)
    row += 2
    page.write_string(row, 0, "Questions", styles.head)
    page.write_string(row, 1, "Sheet", styles.head)
    page.write_string(row, 2, "Answered", styles.head)
    for sheet in sheets:
        row += 1
        page.write_string(row, 0, f"{sheet.rows.height:,}", styles.evidence)
        # The only formulas of the file: nothing of the data is in them.
        answered = f"=COUNTA('{sheet.title}'!B{HEAD + 2}:B{HEAD + 1 + sheet.rows.height})"
        given = sheet.rows["decision"].count()
        page.write_formula(row, 2, answered, styles.evidence, given)
        page.write_url(row, 1, f"internal:'{sheet.title}'!A1", styles.evidence, sheet.title)
    if not sheets:
        page.write_string(row + 1, 1, "There is nothing to decide.", styles.lead)
    row += 2
    for style, meaning in (
        (styles.open, "yours to fill in"),
        (styles.differing, "differs from the value on the other side"),
        (styles.quiet, "ids, for whoever looks the record up"),
    ):
        page.write_string(row, 0, "", style)
        page.write_string(row, 1, meaning, styles.lead)
        row += 1
    page.set_landscape()
    page.fit_to_pages(1, 0)
    page.protect("", _ALLOWED)


def _suspects(page: Worksheet, styles: _Styles, pairs: pl.DataFrame) -> None:
    """Pairs that are alike but not the same: they are looked up and merged in the platform."""
    asks = (
        "These records are alike and may be one human, the likeliest first. Nothing is decided "
        "here: correct the old database and migrate again, or merge them in the platform."
    )
    page.write_string(0, 0, ALIKE, styles.title)
    page.merge_range(1, 0, 1, 7, asks, styles.lead)
    page.set_row(1, 32)
    for position, column in enumerate(SUSPECTS):
        _column(page, styles.head, position, column.title, column.width)
    for place, row in enumerate(pairs.iter_rows(named=True), start=HEAD + 1):
        for position, column in enumerate(SUSPECTS):
            differs = column.differs is not None and row[column.name] != row[column.differs]
            style = styles.quiet if column.quiet else styles.evidence
            text = row[column.name] or ""
            page.write_string(place, position, text, styles.differing if differs else style)
    page.set_paper(9)
    _arrange(page, pairs.height, len(SUSPECTS), len(SUSPECTS) - 2)


def _questions(page: Worksheet, styles: _Styles, sheet: Sheet) -> None:
    """Decision first and always in view, then what is known, then the hidden key."""
    answers = [(DECISION, "decision", 29), (NOTE, "note", 24), (REVIEWER, "reviewer", 15)]
    if sheet.kind == "missing_linked_patient":
        answers.insert(1, (LINK_TO, "link_to", 38))
    page.write_string(0, 0, sheet.title, styles.title)
    page.merge_range(1, 0, 1, 7, sheet.asks, styles.lead)
    page.set_row(1, 32)
    _column(page, styles.head, 0, NUMBER, 6)
    for position, (title, _, width) in enumerate(answers, start=1):
        _column(page, styles.open_head, position, title, width)
    first = 1 + len(answers)
    for position, column in enumerate(sheet.columns, start=first):
        _column(page, styles.head, position, column.title, column.width)
    last = first + len(sheet.columns)
    page.write_string(HEAD, last, KEY, styles.head)
    page.set_column(last, last, 12, None, {"hidden": True})
    page.set_paper(9)
    said = sheet.rows.with_columns(pl.col("decision").replace(DECISIONS))
    for number, row in enumerate(said.iter_rows(named=True), start=1):
        place = HEAD + number
        page.write_string(place, 0, str(number), styles.quiet)
        for position, (_, name, _) in enumerate(answers, start=1):
            # An empty text would count as an answer.
            write = page.write_string if row[name] else page.write_blank
            write(place, position, row[name], styles.open)
        for position, column in enumerate(sheet.columns, start=first):
            differs = column.differs is not None and row[column.name] != row[column.differs]
            style = (
                styles.quiet if column.quiet else styles.differing if differs else styles.evidence
            )
            page.write_string(place, position, row[column.name] or "", style)
        page.write_string(place, last, row["key"], styles.quiet)
        page.set_row(place, _LINE * _lines(sheet.columns, row))
    _validate(page, sheet.rows["options"])
    _arrange(page, sheet.rows.height, last, last - sum(c.quiet for c in sheet.columns))


def _lines(columns: Sequence[Column], row: dict[str, str | None]) -> int:
    """How many lines the row needs, within reason; spreadsheets do not find out by themselves."""
    needed = (1 + len(row[column.name] or "") // column.width for column in columns)
    return min(_MOST_LINES, max(needed))


def _column(page: Worksheet, style: Format, position: int, title: str, width: int) -> None:
    page.set_column(position, position, width)
    page.write_string(HEAD, position, title, style)


def _validate(page: Worksheet, options: pl.Series) -> None:
    """A list of the possible decisions in every row, one rule per run of equal lists."""
    runs = options.to_frame("o").with_columns(pl.col("o").rle_id().alias("run"))
    start = HEAD + 1
    for possible, length in (
        runs.group_by("run", maintain_order=True)
        .agg(pl.col("o").first(), pl.len())
        .select("o", "len")
        .iter_rows()
    ):
        page.data_validation(
            start,
            1,
            start + length - 1,
            1,
            {
                "validate": "list",
                "source": [DECISIONS[word] for word in possible.split(" ")],
                "error_title": "Not a decision",
                "error_message": "Choose one from the list, or leave the cell empty.",
            },
        )
        start += length


def _arrange(page: Worksheet, rows: int, last: int, printed: int) -> None:
    """Headings and decisions stay in view; ids are not printed."""
    page.set_row(HEAD, 30)
    page.freeze_panes(HEAD + 1, 2)
    page.autofilter(HEAD, 0, HEAD + rows, last - 1)
    page.set_landscape()
    page.fit_to_pages(1, 0)
    page.repeat_rows(HEAD)
    page.print_area(0, 0, HEAD + rows, printed - 1)
    page.ignore_errors({"number_stored_as_text": f"A1:{xl_col_to_name(last)}{HEAD + rows + 1}"})
    page.protect("", _ALLOWED)
