"""What came back, workbook or CSV, as rows by heading: which sheets are ours, what stands where.

Nothing is guessed and nothing passed over: a heading that is unknown, missing or there twice is
named by its place, and so is what stands beside the columns.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from person_unify.errors import DecisionsRefused
from person_unify.escaping.tables import from_csv
from person_unify.files import NotRead, read_bounded
from person_unify.frames.decisions import MOST_BYTES
from person_unify.review import csvfile
from person_unify.review.sheets import ALIKE, COVER, HEADINGS, KEY, OPEN, YOUR_NAME
from person_unify.review.xlsx import MOST_CELLS, Page, Unreadable, letters, read_xlsx

_SEARCHED = 50
"""Rows in which the headings are looked for: people put a line of their own above them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file: where it stands, its cells by heading, which of those are formulas."""

    place: str
    cells: dict[str, str]
    formulas: frozenset[str] = frozenset()

    def cell(self, heading: str) -> str | None:
        """The text of a cell without surrounding blanks; None where it is empty."""
        return self.cells.get(heading, "").strip() or None


@dataclass(slots=True)
class Returned:
    """The rows of a file, who filled it in, and what is wrong with its form."""

    rows: list[Row] = field(default_factory=list)
    reviewer: str | None = None
    problems: list[str] = field(default_factory=list)


def read_returned(path: Path) -> Returned:
    """Read what reviewers gave back; raises :class:`DecisionsRefused` for what is no such file."""
    try:
        content = read_bounded(path, MOST_BYTES)
        if path.suffix.lower() == ".csv" and not content.startswith(b"PK"):
            return _of_csv(path, content)
        return _of_workbook(path, read_xlsx(io.BytesIO(content)))
    except (NotRead, Unreadable) as error:
        raise DecisionsRefused(f"{path} {error}; give the file that review export wrote") from error


def _of_workbook(path: Path, pages: list[Page]) -> Returned:
    found = Returned()
    ours = 0
    for number, page in enumerate(pages, start=1):
        head = _head_of(page)
        if head is not None:
            ours += 1
            _take(found, page, head, f"sheet {page.title[:31]!r}", HEADINGS)
        elif page.title == COVER or _names_of(page):
            ours += 1
            _take_name(found, page)
        elif page.rows and page.title != ALIKE:
            found.problems.append(
                f"sheet number {number}: has no column {KEY!r}, so it is not of the export; give "
                "its headings back, or remove the sheet"
            )
    if not ours:
        raise DecisionsRefused(
            f"{path} has not the sheets of an export: give the file that review export wrote"
        )
    return found


def _of_csv(path: Path, content: bytes) -> Returned:
    text = _decoded(path, content)
    pages = [_page(path, text, delimiter) for delimiter in ",;\t"]
    heads = [(page, _head_of(page)) for page in pages]
    page, head = max(heads, key=lambda one: _known(*one))
    if head is None or csvfile.KIND not in _headings(page, head, csvfile.HEADINGS).values():
        raise DecisionsRefused(
            f"{path} has not the columns of an export: give the file that review export wrote"
        )
    found = Returned()
    _take(found, page, head, "", csvfile.HEADINGS)
    return found


def _decoded(path: Path, content: bytes) -> str:
    wide = len(content) > 2 and content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except ValueError as error:
        raise DecisionsRefused(
            f"{path} is not UTF-8 text: save it as CSV UTF-8, or use the workbook"
        ) from error


def _page(path: Path, text: str, delimiter: str) -> Page:
    """The file as a sheet whose rows are numbered by the line that each ends in."""
    page = Page(path.name)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            kept = {at: from_csv(cell) for at, cell in enumerate(cells) if cell.strip()}
            page.cells += len(kept)
            if page.cells > MOST_CELLS:
                raise Unreadable(f"has more than {MOST_CELLS:,} cells: it is not read")
            if kept:
                page.rows[reader.line_num] = kept
    except csv.Error:
        page.broken = reader.line_num
    return page


def _known(page: Page, head: int | None) -> int:
    return 0 if head is None else len(_headings(page, head, csvfile.HEADINGS))


def _head_of(page: Page) -> int | None:
    """The row with the headings: the one that has the key's."""
    key = _plain(KEY)
    first = sorted(page.rows)[:_SEARCHED]
    return next((n for n in first if key in map(_plain, page.rows[n].values())), None)


def _headings(page: Page, head: int, known: Iterable[str]) -> dict[int, str]:
    """Column -> the heading that it has, in whatever case and with whatever blanks."""
    meant = {_plain(heading): heading for heading in known}
    cells = page.rows[head].items()
    return {column: meant[_plain(text)] for column, text in cells if _plain(text) in meant}


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text[:200]).split()).casefold()


def _take(found: Returned, page: Page, head: int, title: str, known: Iterable[str]) -> None:
    """Add a sheet's rows, and what is wrong with its headings and beside its columns."""
    headings = _headings(page, head, known)
    found.problems += _wrong_headings(page, head, headings, _at(title, head))
    if page.broken:
        found.problems.append(
            f"{_at(title, page.broken)}: cannot be read from here on; a quote is stray or not "
            "closed, or a cell is too long"
        )
    for number in sorted(page.rows):
        if number <= head:
            continue
        cells = page.rows[number]
        place = _at(title, number)
        beside = [
            letters(c) for c in sorted(cells) if c not in headings and c not in page.rows[head]
        ]
        if beside:
            found.problems.append(f"{place}: column {beside[0]} has no heading; empty it")
        found.rows.append(
            Row(
                place,
                {heading: cells[at] for at, heading in headings.items() if at in cells},
                frozenset(h for at, h in headings.items() if (number, at) in page.formulas),
            )
        )


def _at(title: str, number: int) -> str:
    return f"{title} row {number}" if title else f"line {number}"


def _wrong_headings(page: Page, head: int, headings: dict[int, str], place: str) -> Iterator[str]:
    unknown = [letters(c) for c in sorted(page.rows[head]) if c not in headings]
    if unknown:
        yield (
            f"{place}: the heading of column {', '.join(unknown[:5])} is not of the export; write "
            "it as it was, or remove the column"
        )
    for heading, count in Counter(headings.values()).items():
        if count > 1:
            yield f"{place}: the heading {heading!r} is there {count} times; leave one such column"
    missing = [h for h in OPEN if h not in headings.values()]
    if missing:
        yield f"{place}: the heading {', '.join(map(repr, missing))} is missing; write it as it was"


def _names_of(page: Page) -> list[tuple[int, int]]:
    """Where the label stands beside which the reviewer's name is written."""
    label = _plain(YOUR_NAME)
    return [
        (number, column)
        for number in sorted(page.rows)[:_SEARCHED]
        for column, text in page.rows[number].items()
        if _plain(text) == label
    ]


def _take_name(found: Returned, page: Page) -> None:
    places = _names_of(page)
    named = [page.rows[row][column + 1] for row, column in places if column + 1 in page.rows[row]]
    if len(places) > 1 or (named and found.reviewer):
        found.problems.append(f"sheet {page.title!r}: {YOUR_NAME!r} is there twice; leave one")
    elif any((row, column + 1) in page.formulas for row, column in places):
        found.problems.append(f"sheet {page.title!r}: your name is a formula; type it")
    elif named:
        found.reviewer = named[0].strip()
