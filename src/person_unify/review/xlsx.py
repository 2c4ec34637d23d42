"""A workbook as texts by row and column, read within bounds from whatever somebody hands in.

Of the format (ECMA-376) this takes the names of the sheets and the cells that hold something.  A
library would be shorter, but the one that Polars reads with lays a sheet out up to its last cell
(7 GB for one blank in row 1,048,576) and does not tell a formula from a text.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import PurePosixPath
from typing import IO, Literal
from xml.parsers import expat

MOST_XML = 256 * 1024 * 1024
"""Bytes of all parts of a workbook together, as far as they are read: some 180,000 questions."""
MOST_CELLS = 4_000_000
MOST_SHEETS = 100
MOST_TEXT = 32_767
"""Characters that a spreadsheet lets stand in one cell."""
ROWS, COLUMNS = 1_048_576, 16_384
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_ODS = b"application/vnd.oasis.opendocument.spreadsheet"
_CHUNK = 1 << 16
_PLACE = re.compile("([A-Z]{1,3})([0-9]{1,7})")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")

Row = dict[int, str]
"""Column, from 0, -> text; only cells that hold more than blanks."""


class Unreadable(ValueError):
    """Why a file is no workbook that can be read, as the end of a sentence about it."""


@dataclass(slots=True)
class Page:
    """A sheet: rows by number, from 1, and where formulas stand, whose text begins with ``=``.

    broken: the line in which a CSV file cannot be read further, 0 for none.
    """

    title: str
    rows: dict[int, Row] = field(default_factory=dict)
    cells: int = 0
    broken: int = 0
    formulas: set[tuple[int, int]] = field(default_factory=set)


def read_xlsx(file: IO[bytes]) -> list[Page]:
    """Every sheet, in order; raises :class:`Unreadable`."""
    begin = file.read(_CHUNK)
    if begin.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in begin + file.read():
            raise Unreadable("is protected by a password: save it without one")
        raise Unreadable("is a workbook of an old Excel: save it as .xlsx")
    if _ODS in begin[:256]:
        raise Unreadable("is an OpenDocument spreadsheet (.ods): save it as Excel .xlsx")
    try:
        with zipfile.ZipFile(file) as parts:
            return list(_Book(parts).pages())
    except Unreadable:
        raise
    except RuntimeError as error:  # which is also what zipfile says of an encrypted part
        raise Unreadable("is encrypted or damaged") from error
    except (
        *(zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError, ValueError, LookupError),
        *(expat.ExpatError, OverflowError, MemoryError),
    ) as error:
        raise Unreadable("is not a workbook, or is damaged") from error


_Event = tuple[Literal["start", "end", "text"], str, dict[str, str]]
"""An element begins, with its attributes, or ends; or a text.  Names are without namespace."""


class _Book:
    """The parts of an open workbook; what is read of all of them together is bounded."""

    def __init__(self, parts: zipfile.ZipFile) -> None:
        self._parts = parts
        self._left = MOST_XML

    def pages(self) -> Iterator[Page]:
        names = set(self._parts.namelist())
        if "xl/workbook.bin" in names:
            raise Unreadable("is a binary workbook (.xlsb): save it as .xlsx")
        targets = {
            of["Id"]: str(PurePosixPath("/xl", of["Target"])).lstrip("/")
            for of in self._elements("xl/_rels/workbook.xml.rels", "Relationship")
            if of.get("TargetMode") != "External"
        }
        texts = list(self._texts()) if "xl/sharedStrings.xml" in names else []
        sheets = [
            (next(value for name, value in of.items() if name.endswith(" id")), of["name"])
            for of in self._elements("xl/workbook.xml", "sheet")
        ]
        if len(sheets) > MOST_SHEETS:
            raise Unreadable(f"has more than {MOST_SHEETS} sheets: it is not read")
        for relation, title in sheets:
            page = Page(title)
            if relation not in targets:
                raise Unreadable("is damaged: a sheet has no content")
            self._fill(page, targets[relation], texts)
            yield page

    def _elements(self, part: str, element: str) -> Iterator[dict[str, str]]:
        """The attributes of every such element of a part."""
        for event, name, attributes in self._events(part):
            if event == "start" and name == element:
                yield attributes

    def _texts(self) -> Iterator[str]:
        """The texts that cells name by their number, without how they are pronounced."""
        pieces: list[str] = []
        taken = aside = False
        for event, name, _ in self._events("xl/sharedStrings.xml"):
            if event == "text":
                if taken:
                    pieces.append(name)
            elif name == "t":
                taken = event == "start" and not aside
            elif name == "rPh":
                aside = event == "start"
            elif name == "si" and event == "start":
                pieces = []
            elif name == "si":
                yield _text(pieces)

    def _fill(self, page: Page, part: str, texts: list[str]) -> None:
        """Put the cells of a sheet into its page."""
        row, column, kind = 0, -1, "n"
        value: list[str] = []
        formula: list[str] | None = None
        into: list[str] | None = None
        aside = False
        for event, name, attributes in self._events(part):
            if event == "text":
                if into is not None:
                    into.append(name)
            elif name == "rPh":
                aside = event == "start"
            elif event == "end":
                if name == "c":
                    _keep(page, (row, column), kind, value, formula, texts)
                elif name in ("v", "t", "f"):
                    into = None
            elif name == "c":
                row, column = _place(attributes["r"]) if "r" in attributes else (row, column + 1)
                kind, value, formula = attributes.get("t", "n"), [], None
            elif name == "row":
                row, column = int(attributes.get("r", row + 1)), -1
            elif name == "f":
                formula = into = []
            elif name == "v" or (name == "t" and not aside):
                into = value

    def _events(self, part: str) -> Iterator[_Event]:
        """What stands in a part, in its order."""
        found: list[_Event] = []
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _no_doctype
        parser.StartElementHandler = lambda name, attributes: found.append(
            ("start", name.rpartition(" ")[2], attributes)
        )
        parser.EndElementHandler = lambda name: found.append(("end", name.rpartition(" ")[2], {}))
        parser.CharacterDataHandler = lambda text: found.append(("text", text, {}))
        with self._parts.open(part) as file:
            chunk = None
            while chunk != b"":
                chunk = file.read(_CHUNK)
                self._left -= len(chunk)
                if self._left < 0:
                    raise Unreadable(f"holds more than {MOST_XML // 1024**2} MB: it is not read")
                try:
                    parser.Parse(chunk, not chunk)
                finally:  # what is wrong before the place where it breaks off is said first
                    yield from found
                    found.clear()


def _no_doctype(*_: object) -> None:
    raise Unreadable("declares entities, which no workbook does: it is not read")


def _keep(
    page: Page,
    place: tuple[int, int],
    kind: str,
    value: list[str],
    formula: list[str] | None,
    texts: list[str],
) -> None:
    """Put a cell into its page, if it holds more than blanks."""
    row, column = place
    if not (0 < row <= ROWS and 0 <= column < COLUMNS):
        raise Unreadable("is damaged: a cell stands outside of its sheet")
    text = _text(value)
    if formula is not None:
        text = f"={_text(formula)}"
        page.formulas.add(place)
    elif kind == "s" and text:
        text = texts[_number(text)]
    elif kind == "b":
        text = {"0": "FALSE", "1": "TRUE"}.get(text, text)
    if text:
        page.rows.setdefault(row, {})[column] = text
        page.cells += 1
        if page.cells > MOST_CELLS:
            raise Unreadable(f"has more than {MOST_CELLS:,} cells in a sheet: it is not read")


def _place(reference: str) -> tuple[int, int]:
    """Row, from 1, and column, from 0, of a reference such as ``AB12``."""
    found = _PLACE.fullmatch(reference)
    if found is None:
        raise Unreadable("is damaged: a cell stands nowhere")
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(found[2]), column - 1


def letters(column: int) -> str:
    """What a spreadsheet calls a column, counted from 0.

    >>> letters(0), letters(25), letters(27)
    ('A', 'Z', 'AB')
    """
    name, column = "", column + 1
    while column:
        column, letter = divmod(column - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def _text(pieces: list[str]) -> str:
    """The text of a cell, empty where it is blank; what XML cannot hold is spelled ``_x0007_``."""
    text = "".join(pieces)
    if len(text) > 8 * MOST_TEXT:
        raise Unreadable("holds a text longer than a cell can be: it is not read")
    return _ESCAPED.sub(_meant, text) if text.strip() else ""


def _meant(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return found[0] if 0xD800 <= code < 0xE000 else chr(code)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise Unreadable("is damaged: a cell has no text")
    return int(text)
