"""A workbook as texts by row and column, read within bounds from whatever somebody hands in.

Of the format (ECMA-376) this takes the names of the sheets and the cells that hold something.  A
library would be shorter, but the one that Polars reads with lays a sheet out up to its last cell
(7 GB for one blank in row 1,048,576) and does not tell a formula from a text.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import PurePosixPath
from typing import IO
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


class _Book:
    """The parts of an open workbook; what is read of all of them together is bounded."""

    def __init__(self, parts: zipfile.ZipFile) -> None:
        self._parts = parts
        self._left = MOST_XML

    def pages(self) -> Iterator[Page]:
        names = set(self._parts.namelist())
        if "xl/workbook.bin" in names:
            raise Unreadable("is a binary workbook (.xlsb): save it as .xlsx")
        targets = self._targets()
        texts = self._texts() if "xl/sharedStrings.xml" in names else []
        for title, relation in self._titles():
            page = Page(title)
            if relation not in targets:
                raise Unreadable("is damaged: a sheet has no content")
            self._parse(targets[relation], _Cells(page, texts))
            yield page

    def _titles(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []

        def begin(name: str, attributes: dict[str, str]) -> None:
            if name == "sheet":
                relation = next(v for k, v in attributes.items() if k.endswith(" id"))
                found.append((attributes["name"], relation))

        self._parse("xl/workbook.xml", _Handlers(begin))
        if len(found) > MOST_SHEETS:
            raise Unreadable(f"has more than {MOST_SHEETS} sheets: it is not read")
        return found

    def _targets(self) -> dict[str, str]:
        found: dict[str, str] = {}

        def begin(name: str, attributes: dict[str, str]) -> None:
            if name == "Relationship" and attributes.get("TargetMode") != "External":
                path = PurePosixPath("/xl", attributes["Target"])
                found[attributes["Id"]] = str(path).lstrip("/")

        self._parse("xl/_rels/workbook.xml.rels", _Handlers(begin))
        return found

    def _texts(self) -> list[str]:
        """The texts that cells name by their number."""
        collected = _Texts()
        self._parse("xl/sharedStrings.xml", collected)
        return collected.found

    def _parse(self, name: str, handlers: _Handlers) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _no_doctype
        parser.StartElementHandler = handlers.start
        parser.EndElementHandler = handlers.end
        parser.CharacterDataHandler = handlers.text
        with self._parts.open(name) as part:
            while chunk := part.read(_CHUNK):
                self._left -= len(chunk)
                if self._left < 0:
                    raise Unreadable(f"holds more than {MOST_XML // 1024**2} MB: it is not read")
                parser.Parse(chunk, False)
        parser.Parse(b"", True)


def _no_doctype(*_: object) -> None:
    raise Unreadable("declares entities, which no workbook does: it is not read")


@dataclass(slots=True)
class _Handlers:
    """What is done with an element; names are without their namespace."""

    begin: Callable[[str, dict[str, str]], None]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.begin(name.rpartition(" ")[2], attributes)

    def end(self, name: str) -> None:
        """Nothing, where only attributes count."""

    def text(self, text: str) -> None:
        """Nothing, where only attributes count."""


class _Texts(_Handlers):
    """Shared texts: the pieces of each, but not how they are pronounced."""

    __slots__ = ("_aside", "_pieces", "_taken", "found")

    def __init__(self) -> None:
        super().__init__(self._begin)
        self.found: list[str] = []
        self._pieces: list[str] = []
        self._taken = self._aside = False

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if name == "si":
            self._pieces = []
        elif name == "rPh":
            self._aside = True
        elif name == "t":
            self._taken = not self._aside

    def end(self, name: str) -> None:
        match name.rpartition(" ")[2]:
            case "si":
                self.found.append(_text(self._pieces))
            case "rPh":
                self._aside = False
            case "t":
                self._taken = False

    def text(self, text: str) -> None:
        if self._taken:
            self._pieces.append(text)


class _Cells(_Handlers):
    """The cells of a sheet, put into a :class:`Page`."""

    __slots__ = (
        *("_aside", "_column", "_formula", "_into", "_kind", "_page", "_row", "_texts"),
        "_value",
    )

    def __init__(self, page: Page, texts: list[str]) -> None:
        super().__init__(self._begin)
        self._page, self._texts = page, texts
        self._row, self._column, self._kind = 0, -1, "n"
        self._value: list[str] = []
        self._formula: list[str] | None = None
        self._into: list[str] | None = None
        self._aside = False

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            self._column += 1
            if "r" in attributes:
                self._row, self._column = _place(attributes["r"])
            self._kind = attributes.get("t", "n")
            self._value, self._formula = [], None
        elif name == "row":
            self._row, self._column = int(attributes.get("r", self._row + 1)), -1
        elif name == "f":
            self._formula = self._into = []
        elif name == "rPh":
            self._aside = True
        elif name == "v" or (name == "t" and not self._aside):
            self._into = self._value

    def end(self, name: str) -> None:
        match name.rpartition(" ")[2]:
            case "v" | "t" | "f":
                self._into = None
            case "rPh":
                self._aside = False
            case "c":
                self._keep()

    def text(self, text: str) -> None:
        if self._into is not None:
            self._into.append(text)

    def _keep(self) -> None:
        place = (self._row, self._column)
        if not (0 < self._row <= ROWS and 0 <= self._column < COLUMNS):
            raise Unreadable("is damaged: a cell stands outside of its sheet")
        text = _text(self._value)
        if self._formula is not None:
            text = f"={_text(self._formula)}"
            self._page.formulas.add(place)
        elif self._kind == "s" and text:
            text = self._texts[_number(text)]
        elif self._kind == "b":
            text = {"0": "FALSE", "1": "TRUE"}.get(text, text)
        if text:
            self._page.rows.setdefault(self._row, {})[self._column] = text
            self._page.cells += 1
            if self._page.cells > MOST_CELLS:
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
