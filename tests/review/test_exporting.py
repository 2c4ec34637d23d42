"""The workbook as the reviewer opens it: nothing can run, and only what is theirs is open."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import openpyxl
import pytest
from openpyxl.utils import get_column_letter
from tests.strategies.handmade import write

from person_unify.errors import TargetError, UsageError
from person_unify.linkage import find_suspects, read_people
from person_unify.pipeline import MigrateOptions, migrate
from person_unify.review import export_review, import_review
from person_unify.review.sheets import COVER, DECISION, KEY, NOTE
from person_unify.review.workbook import HEAD

from .clinic import TABLES, old_database

EVIL = '=HYPERLINK("http://x","Asha")'
FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ledger")
    children = [
        {**row, "first_name": evil} if row["id"] == "c1" else row
        for row in TABLES["children"]
        for evil in [EVIL]
    ]
    old_database(folder / "old.db", children=children)
    migrate(MigrateOptions(folder / "old.db", folder / "new.db", keep_backup=False))
    return folder / "new.ledger.db"


def test_no_cell_is_a_formula(ledger: Path, tmp_path: Path) -> None:
    export_review(ledger, tmp_path / "review.xlsx")
    book = openpyxl.load_workbook(tmp_path / "review.xlsx")

    cells = [cell for page in book for row in page.iter_rows() for cell in row]

    counters = [cell for cell in cells if cell.parent.title == COVER and cell.column == 3]
    others = [cell for cell in cells if cell not in counters and cell.value is not None]

    assert any(cell.value == EVIL for cell in others)
    assert {cell.data_type for cell in others} == {"s"}
    assert all(
        re.fullmatch(r"Answered|=COUNTA\('[A-Za-z, ]+'!B5:B\d+\)", str(cell.value))
        for cell in counters
        if cell.value is not None
    )
    with zipfile.ZipFile(tmp_path / "review.xlsx") as parts:
        pages = [parts.read(n) for n in parts.namelist() if n.startswith("xl/worksheets/sheet")]
    assert not any(b"<f>" in page for page in pages[1:])


def test_suspects_have_a_sheet_on_which_nothing_is_decided(ledger: Path, tmp_path: Path) -> None:
    pairs = find_suspects(read_people(ledger.with_name("new.db")), 0.0).pairs
    export_review(ledger, tmp_path / "review.xlsx", pairs)
    export_review(ledger, tmp_path / "plain.xlsx")
    page = openpyxl.load_workbook(tmp_path / "review.xlsx")["Alike"]

    headings, *rows = (
        [str(cell.value) for cell in row] for row in page.iter_rows(min_row=HEAD + 1)
    )

    assert DECISION not in headings
    assert {"Record: name", "Other: born", "Why"} <= set(headings)
    names = [(row[2].lower(), row[3]) == (row[5].lower(), row[6]) for row in rows]
    assert rows
    assert not any(names), "equal ones are asked about on a sheet of their own"
    assert import_review(tmp_path / "review.xlsx") == import_review(tmp_path / "plain.xlsx")
    with pytest.raises(UsageError, match="sheet of a workbook"):
        export_review(ledger, tmp_path / "review.csv", pairs)


def test_the_cover_counts_what_is_answered(ledger: Path, tmp_path: Path) -> None:
    export_review(ledger, tmp_path / "review.xlsx")
    book = openpyxl.load_workbook(tmp_path / "review.xlsx")

    counted = [str(cell.value) for cell in book[COVER]["C"] if str(cell.value).startswith("=")]

    assert counted == [
        f"=COUNTA('{page.title}'!B{HEAD + 2}:B{page.max_row})" for page in book.worksheets[1:]
    ]
    # Only an empty cell is not counted, and no text that is empty.
    assert {page.cell(HEAD + 2, 2).data_type for page in book.worksheets[1:]} == {"n"}


def test_a_child_that_is_asked_about_twice_is_found_from_each_row(
    ledger: Path, tmp_path: Path
) -> None:
    export_review(ledger, tmp_path / "review.xlsx")
    book = openpyxl.load_workbook(tmp_path / "review.xlsx")

    def rows(title: str, child: str) -> list[dict[str, str]]:
        headings = [str(cell.value) for cell in book[title][HEAD + 1]]
        texts = [[str(cell.value) for cell in row] for row in book[title].iter_rows(HEAD + 2)]
        found = [dict(zip(headings, row, strict=True)) for row in texts]
        return [row for row in found if row["Child: id"] == child]

    def see(title: str, child: str) -> set[str]:
        return {row["See also"] for row in rows(title, child)}

    (grant,) = rows("Access without consent", "c1")
    assert see("Child or patient", "c1") == {f"Access without consent, No. {grant['No.']}"}
    assert grant["See also"].startswith("Child or patient, No. ")
    assert see("One patient, many children", "c8") != {""}
    assert see("Patient not found", "c6") == {""}


def test_no_cell_of_the_csv_begins_like_a_formula(ledger: Path, tmp_path: Path) -> None:
    export_review(ledger, tmp_path / "review.csv")

    text = (tmp_path / "review.csv").read_text(encoding="utf-8-sig")

    assert EVIL.replace('"', '""') in text
    assert not any(f"{lead}{formula}" in text for formula in FORMULAS for lead in (",", '"', "\n"))


def test_decisions_are_open_and_evidence_is_not(ledger: Path, tmp_path: Path) -> None:
    export_review(ledger, tmp_path / "review.xlsx")
    book = openpyxl.load_workbook(tmp_path / "review.xlsx")

    for page in book.worksheets[1:]:
        headings = [str(cell.value) for cell in page[HEAD + 1]]
        locked = {h: page.cell(HEAD + 2, n).protection.locked for n, h in enumerate(headings, 1)}
        assert page.protection.sheet
        assert [h for h in (DECISION, NOTE) if locked[h]] == []
        assert all(locked[h] for h in headings if ":" in h or h in ("No.", KEY))
        assert page.freeze_panes == f"C{HEAD + 2}"
        assert page.column_dimensions[get_column_letter(len(headings))].hidden


def test_every_row_has_its_list_of_decisions(ledger: Path, tmp_path: Path) -> None:
    export_review(ledger, tmp_path / "review.xlsx")
    book = openpyxl.load_workbook(tmp_path / "review.xlsx")

    for page in book.worksheets[1:]:
        rules = page.data_validations.dataValidation
        covered = {cell for rule in rules for area in rule.sqref.ranges for cell in area.cells}
        assert covered == {(row, 2) for row in range(HEAD + 2, page.max_row + 1)}
        assert {rule.type for rule in rules} == {"list"}
    pairs = book["Same name and birthday"]
    lists = {rule.formula1 for rule in pairs.data_validations.dataValidation}
    assert lists == {
        '"two humans: keep apart,one human: link to the patient"',
        '"two humans: keep apart,one human: merge"',
        '"two humans: keep apart"',
    }


def test_the_cover_says_what_to_do_and_that_it_is_confidential(
    ledger: Path, tmp_path: Path
) -> None:
    written = export_review(ledger, tmp_path / "review.xlsx")
    cover = openpyxl.load_workbook(tmp_path / "review.xlsx")[COVER]
    said = "\n".join(str(cell.value) for row in cover.iter_rows() for cell in row if cell.value)

    assert "names and birth dates" in said
    assert "choose a decision" in said
    assert all(str(count) in said for count in written.values())


def test_dates_are_readable(ledger: Path, tmp_path: Path) -> None:
    export_review(ledger, tmp_path / "review.xlsx")
    page = openpyxl.load_workbook(tmp_path / "review.xlsx")["Child or patient"]
    values = {cell.value for row in page.iter_rows(min_row=HEAD + 2) for cell in row}

    assert "2014-05-13 16:53 UTC" in values


def test_a_run_without_questions_gives_a_file_that_says_so(tmp_path: Path) -> None:
    options = MigrateOptions(write(tmp_path / "old.db"), tmp_path / "new.db", allow_empty=True)
    migrate(options)

    written = export_review(tmp_path / "new.ledger.db", tmp_path / "review.xlsx")

    assert written == {}
    assert openpyxl.load_workbook(tmp_path / "review.xlsx").sheetnames == [COVER]


def test_an_existing_file_is_not_replaced(ledger: Path, tmp_path: Path) -> None:
    path = tmp_path / "review.xlsx"
    path.write_bytes(b"answers")

    with pytest.raises(UsageError, match="exists already"):
        export_review(ledger, path)
    assert path.read_bytes() == b"answers"


def test_other_files_are_refused(ledger: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.xlsx or \.csv"):
        export_review(ledger, tmp_path / "review.ods")
    with pytest.raises(TargetError, match="does not exist"):
        export_review(tmp_path / "none.db", tmp_path / "review.xlsx")
    with pytest.raises(TargetError, match="not the ledger"):
        export_review(ledger.with_name("new.db"), tmp_path / "review.xlsx")
    lonely = tmp_path / "lonely.ledger.db"
    lonely.write_bytes(ledger.read_bytes())
    with pytest.raises(TargetError, match="beside its ledger"):
        export_review(lonely, tmp_path / "review.xlsx")


def test_names_that_are_no_text_do_not_stop_the_export(tmp_path: Path) -> None:
    children = [{**row, "last_name": b"R\xff"} for row in TABLES["children"]]
    old_database(tmp_path / "old.db", children=children)
    migrate(MigrateOptions(tmp_path / "old.db", tmp_path / "new.db", keep_backup=False))

    export_review(tmp_path / "new.ledger.db", tmp_path / "review.xlsx")

    page = openpyxl.load_workbook(tmp_path / "review.xlsx")["Child or patient"]
    assert any("R\ufffd" in str(c.value) for row in page.iter_rows() for c in row)
