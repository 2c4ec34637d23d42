"""A workbook as it came back: its rows as texts, and the name on the cover."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet.worksheet import Worksheet

from person_unify.errors import DecisionsRefused
from person_unify.review.importing import Row
from person_unify.review.sheets import KEY
from person_unify.review.workbook import COVER, HEAD, YOUR_NAME


def read_workbook(path: Path) -> tuple[Iterator[Row], str | None]:
    """The rows of every sheet with questions, and the reviewer that the cover names.

    Raises :class:`DecisionsRefused` for a file that is no workbook of ours.
    """
    try:
        with warnings.catch_warnings():
            # Spreadsheets add features of their own when they save; we read texts only.
            warnings.simplefilter("ignore")
            # Formulas stay formulas: a decision must be typed or chosen, not computed.
            book = openpyxl.load_workbook(path, data_only=False)
    except (BadZipFile, InvalidFileException, KeyError, ValueError, SyntaxError) as error:
        raise DecisionsRefused(
            f"{path} is not a workbook: give the .xlsx file that review export wrote"
        ) from error
    pages = [page for page in book.worksheets if _is_ours(page)]
    if COVER not in book.sheetnames and not pages:
        raise DecisionsRefused(
            f"{path} has not the sheets of an export: give the file that review export wrote"
        )
    reviewer = _reviewer(book[COVER]) if COVER in book.sheetnames else None
    return (row for page in pages for row in _rows(page)), reviewer


def _is_ours(page: Worksheet) -> bool:
    return KEY in _texts(page, HEAD + 1)


def _texts(page: Worksheet, number: int) -> list[str]:
    return [_text(cell.value) for cell in page[number]]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _rows(page: Worksheet) -> Iterator[Row]:
    headings = _texts(page, HEAD + 1)
    for number in range(HEAD + 2, page.max_row + 1):
        cells = dict(zip(headings, _texts(page, number), strict=False))
        if any(cells.values()):
            yield Row(f"sheet {page.title!r} row {number}", cells)


def _reviewer(page: Worksheet) -> str | None:
    for label, value, *_ in page.iter_rows(max_col=2, values_only=True):
        if label == YOUR_NAME:
            return _text(value).strip() or None
    return None
