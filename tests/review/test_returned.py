"""Whatever comes back: read within bounds, and no heading, row or sheet passed over in silence."""

from __future__ import annotations

import csv
import io
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.workbook import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from person_unify.errors import DecisionsRefused
from person_unify.pipeline import MigrateOptions, migrate
from person_unify.review import export_review, import_review, xlsx
from person_unify.review.keys import Key, read_key
from person_unify.review.sheets import COVER, DECISION, KEY, NOTE, REVIEWER, YOUR_NAME
from person_unify.review.workbook import HEAD

from .clinic import ANSWERS, fill, old_database

SHEET = "Child or patient"
ROW = HEAD + 1


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbook that was filled in, and a CSV file of the same export that was not."""
    folder = tmp_path_factory.mktemp("answered")
    migrate(MigrateOptions(old_database(folder / "old.db"), folder / "new.db", keep_backup=False))
    for name in ("review.xlsx", "review.csv"):
        export_review(folder / "new.ledger.db", folder / name)
    fill(folder / "review.xlsx", ANSWERS)
    return folder


def edited(answered: Path, tmp_path: Path, edit: Callable[[Workbook], None]) -> Path:
    book = openpyxl.load_workbook(answered / "review.xlsx")
    edit(book)
    book.save(tmp_path / "review.xlsx")
    return tmp_path / "review.xlsx"


def heading(page: Worksheet, title: str) -> int:
    return [cell.value for cell in page[ROW]].index(title) + 1


def renamed(title: str, to: str | None) -> Callable[[Workbook], None]:
    def edit(book: Workbook) -> None:
        book[SHEET].cell(ROW, heading(book[SHEET], title)).value = to

    return edit


def doubled(book: Workbook) -> None:
    page = book[SHEET]
    page.cell(ROW, page.max_column + 1).value = DECISION


def beside(book: Workbook) -> None:
    page = book[SHEET]
    page.cell(ROW + 1, page.max_column + 2).value = "by phone"


def a_sheet_of_their_own(book: Workbook) -> None:
    book.create_sheet("mine")["A1"].value = "call the family"


def a_name_twice(book: Workbook) -> None:
    book[COVER]["A30"].value = YOUR_NAME
    book[COVER]["B30"].value = "somebody"


def formula(title: str) -> Callable[[Workbook], None]:
    def edit(book: Workbook) -> None:
        book[SHEET].cell(ROW + 1, heading(book[SHEET], title)).value = "=A1"

    return edit


WRONG: dict[str, tuple[Callable[[Workbook], None], str]] = {
    "translated": (renamed(DECISION, "Entscheidung"), f"row {ROW}: the heading of column B"),
    "translated is missing too": (
        renamed(DECISION, "Entscheidung"),
        f"row {ROW}: the heading 'Decision' is missing",
    ),
    "emptied": (renamed(DECISION, None), f"row {ROW}: the heading 'Decision' is missing"),
    "emptied, so its cells stand alone": (
        renamed(DECISION, None),
        f"row {ROW + 1}: column B has no heading",
    ),
    "another's": (renamed(NOTE, DECISION), "the heading 'Decision' is there 2 times"),
    "no key": (renamed(KEY, "key"), "has no column 'Key (do not change)'"),
    "twice": (doubled, "the heading 'Decision' is there 2 times"),
    "beside": (beside, f"row {ROW + 1}: column "),
    "a sheet of their own": (a_sheet_of_their_own, "sheet number 11: has no column"),
    "a name twice": (a_name_twice, "'Your name:' is there twice"),
    "a formula for a note": (formula(NOTE), f"row {ROW + 1}: 'Note' is a formula"),
    "a formula for a reviewer": (formula(REVIEWER), f"row {ROW + 1}: 'Reviewer' is a formula"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_form_is_named_by_place(
    name: str, answered: Path, tmp_path: Path
) -> None:
    edit, said = WRONG[name]

    with pytest.raises(DecisionsRefused) as refused:
        import_review(edited(answered, tmp_path, edit))

    assert said in str(refused.value)


HARMLESS: dict[str, Callable[[Workbook], None]] = {
    "capitals": renamed(DECISION, "DECISION"),
    "blanks": renamed(DECISION, " Decision\u00a0 "),
    "a row above": lambda book: book[SHEET].insert_rows(2),
    "another title": lambda book: setattr(book[SHEET], "title", "Kind oder Patient"),
    "blanks far below": lambda book: setattr(book[SHEET]["C60000"], "value", " "),
    "an empty sheet": lambda book: setattr(book.create_sheet("Sheet10"), "title", "Sheet11"),
    "evidence left out": lambda book: book[SHEET].delete_cols(6),
    "columns moved": lambda book: book[SHEET].insert_cols(1),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_change_loses_no_decision(name: str, answered: Path, tmp_path: Path) -> None:
    path = edited(answered, tmp_path, HARMLESS[name])

    assert import_review(path).decisions == import_review(answered / "review.xlsx").decisions


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_csv_file_is_read_as_programs_save_it(
    delimiter: str, encoding: str, answered: Path, tmp_path: Path
) -> None:
    head, *rows = csv.reader(io.StringIO((answered / "review.csv").read_text("utf-8-sig")))
    rows[0][head.index(DECISION)] = rows[0][head.index("Possible decisions")].split(",")[0]
    rows[0][head.index(REVIEWER)] = "R. Iyer"
    with (tmp_path / "r.csv").open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([["sep="], head, *rows])

    (found,) = import_review(tmp_path / "r.csv").decisions

    assert found.reviewer == "R. Iyer"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({DECISION: "Entscheidung"}, "line 1: the heading of column F is not of the export"),
        ({DECISION: ""}, "line 1: the heading 'Decision' is missing"),
        ({NOTE: DECISION}, "line 1: the heading 'Decision' is there 2 times"),
        ({"Kind": "Art"}, "has not the columns of an export"),
        ({KEY: "x"}, "has not the columns of an export"),
    ],
)
def test_a_heading_of_a_csv_file_is_not_passed_over(
    change: dict[str, str], said: str, answered: Path, tmp_path: Path
) -> None:
    head, *rows = csv.reader(io.StringIO((answered / "review.csv").read_text("utf-8-sig")))
    with (tmp_path / "r.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[change.get(name, name) for name in head], *rows])

    with pytest.raises(DecisionsRefused) as refused:
        import_review(tmp_path / "r.csv")

    assert said in str(refused.value)


def test_an_open_quote_loses_no_row_in_silence(answered: Path, tmp_path: Path) -> None:
    text = (answered / "review.csv").read_text("utf-8-sig")
    (tmp_path / "r.csv").write_text(text.rstrip()[:-1], encoding="utf-8")

    with pytest.raises(DecisionsRefused, match="cannot be read from here on"):
        import_review(tmp_path / "r.csv")


def _with_part(answered: Path, path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    with (
        zipfile.ZipFile(answered / "review.xlsx") as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.namelist():
            content = old.read(part)
            new.writestr(part, change(content) if part == name else content)


def _zip(path: Path, **parts: bytes) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name.replace("_", "/"), content)


SHEET_XML = "xl/worksheets/sheet2.xml"
ENTITIES = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>'
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
FOREIGN: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "ods": (
        lambda _, to: _zip(to, mimetype=b"application/vnd.oasis.opendocument.spreadsheet"),
        "is an OpenDocument spreadsheet",
    ),
    "protected": (
        lambda _, to: void(to.write_bytes(xlsx._OLE + b"\0" * 5000 + ENCRYPTED)),
        "is protected by a password",
    ),
    "xls": (lambda _, to: void(to.write_bytes(xlsx._OLE + b"\0" * 5000)), "of an old Excel"),
    "xlsb": (
        lambda _, to: _zip(to, xl_workbook=b"", **{"xl/workbook.bin": b""}),
        "binary workbook",
    ),
    "document": (lambda _, to: _zip(to, word_document=b"<x/>"), "is not a workbook"),
    "entities": (
        lambda old, to: _with_part(
            old, to, SHEET_XML, lambda xml: ENTITIES + xml[xml.index(b"<w") :]
        ),
        "declares entities",
    ),
    "nowhere": (
        lambda old, to: _with_part(old, to, SHEET_XML, lambda xml: xml.replace(b'"A1"', b'"A0"')),
        "is damaged",
    ),
    "outside": (
        lambda old, to: _with_part(old, to, SHEET_XML, lambda xml: xml.replace(b'"A1"', b'"ZZZ1"')),
        "is damaged",
    ),
    "no text": (
        lambda old, to: _with_part(
            old, to, SHEET_XML, lambda xml: xml.replace(b'"inlineStr"', b'"s"')
        ),
        "is damaged",
    ),
    "cut": (
        lambda old, to: void(to.write_bytes((old / "review.xlsx").read_bytes()[:-100])),
        "is not a workbook, or is damaged",
    ),
    "nested": (
        lambda old, to: _with_part(old, to, SHEET_XML, lambda xml: b"<a>" * 1_000_000),
        "is not a workbook, or is damaged",
    ),
    "directory": (lambda _, to: to.mkdir(), "is not a file"),
    "pipe": (lambda _, to: os.mkfifo(to), "is not a file"),
    "device": (lambda _, to: to.symlink_to("/dev/zero"), "is not a file"),
}


def void(_: object) -> None:
    """Nothing, whatever was returned."""


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_or_damaged_file_is_refused_by_what_it_is(
    name: str, answered: Path, tmp_path: Path
) -> None:
    make, said = FOREIGN[name]
    make(answered, tmp_path / "review.xlsx")

    with pytest.raises(DecisionsRefused) as refused:
        import_review(tmp_path / "review.xlsx")

    assert said in str(refused.value)
    assert refused.value.exit_code == 3


def test_an_endless_workbook_is_refused_before_it_is_read(
    answered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "MOST_XML", 2_000_000)
    _with_part(answered, tmp_path / "r.xlsx", SHEET_XML, lambda xml: xml + b" " * 3_000_000)

    with pytest.raises(DecisionsRefused, match="holds more than 1 MB: it is not read"):
        import_review(tmp_path / "r.xlsx")


def test_the_last_cell_of_a_sheet_costs_no_time(answered: Path, tmp_path: Path) -> None:
    far = (
        b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t> </t></is></c></row></sheetData>'
    )
    _with_part(
        *(answered, tmp_path / "r.xlsx", SHEET_XML),
        lambda xml: xml.replace(b"</sheetData>", far),
    )

    began = time.process_time()
    found = import_review(tmp_path / "r.xlsx")

    assert time.process_time() - began < 10  # a busy machine takes its share
    assert found.decisions == import_review(answered / "review.xlsx").decisions


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"", b"\x00" * 100, b"[[[[", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["r.csv", "r.xlsx", "r"])
def test_a_file_of_nothing_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DecisionsRefused):
        import_review(tmp_path / name)


def test_a_key_says_only_what_can_be_true() -> None:
    fields: dict[str, Any] = {
        **{"run": "run", "number": 2, "total": 3, "kind": "implied_grant"},
        **{"source_table": "children", "source_id": "c_x0041_", "related_id": "p", "field": None},
        **{"options": "active", "evidence": "e"},
    }
    wrong: list[dict[str, Any]] = [
        *({"number": 4}, {"number": 0}, {"number": "2"}, {"total": 10**12}, {"total": 2.5}),
        *({"kind": "merged_tag"}, {"kind": None}, {"options": "unlink"}, {"options": ""}),
        *({"source_id": 7}, {"source_id": "\ud800"}, {"related_id": []}, {"evidence": None}),
    ]

    assert read_key(Key(**fields).text()) == Key(**fields)
    assert [read_key(Key(**{**fields, **change}).text()) for change in wrong] == [None] * len(wrong)
