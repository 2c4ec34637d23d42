"""Answers as people give them: what is wrong is named by sheet and row, all at once."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest
from openpyxl.workbook import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from person_unify.errors import DecisionsRefused
from person_unify.pipeline import MigrateOptions, migrate
from person_unify.review import export_review, import_review
from person_unify.review.sheets import DECISION, KEY, LINK_TO, REVIEWER
from person_unify.review.workbook import HEAD

from .clinic import ANSWERS, fill, old_database

FIRST = HEAD + 2
"""The first row with a question, as a spreadsheet counts."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    migrate(MigrateOptions(old_database(folder / "old.db"), folder / "new.db", keep_backup=False))
    export_review(folder / "new.ledger.db", folder / "review.xlsx")
    export_review(folder / "new.ledger.db", folder / "review.csv")
    return folder


def copy(source: Path, target: Path) -> Path:
    target.write_bytes(source.read_bytes())
    return target


def column(page: Worksheet, heading: str) -> int:
    return [cell.value for cell in page[HEAD + 1]].index(heading) + 1


def put(title: str, heading: str, value: object, row: int = FIRST) -> Callable[[Workbook], None]:
    def edit(book: Workbook) -> None:
        page = book[title]
        page.cell(row, column(page, heading)).value = value  # type: ignore[assignment]

    return edit


def duplicate_key(book: Workbook) -> None:
    page = book["Child or patient"]
    at = column(page, KEY)
    page.cell(FIRST + 1, at).value = page.cell(FIRST, at).value


def decide_an_added_row(book: Workbook) -> None:
    page = book["Child or patient"]
    page.cell(page.max_row + 1, column(page, DECISION)).value = "child"


def lose_a_row(book: Workbook) -> None:
    book["Child or patient"].delete_rows(FIRST)


def lose_a_sheet(book: Workbook) -> None:
    del book["Access without consent"]


def change_evidence(book: Workbook) -> None:
    page = book["One UDID, several records"]
    cell = page.cell(FIRST, column(page, KEY))
    cell.value = str(cell.value).replace("a", "b")


def nameless(book: Workbook) -> None:
    put("Child or patient", DECISION, "child")(book)


WRONG: dict[str, tuple[Callable[[Workbook], None], str]] = {
    "unknown": (
        put("Child or patient", DECISION, "maybe"),
        f"sheet 'Child or patient' row {FIRST}: not a possible decision",
    ),
    "formula": (
        put("Child or patient", DECISION, '="child"'),
        f"sheet 'Child or patient' row {FIRST}: not a possible decision",
    ),
    "of another kind": (
        put("Child or patient", DECISION, "this is the primary caregiver"),
        f"row {FIRST}: not a possible decision",
    ),
    "two patients": (
        put("Same name and birthday", DECISION, "merge", FIRST + 1),
        'choose "two humans: keep apart"',
    ),
    "no patient": (
        put("Patient not found", DECISION, "link"),
        f"sheet 'Patient not found' row {FIRST}: to link, give the id",
    ),
    "patient without decision": (
        put("Patient not found", LINK_TO, "p4"),
        "a patient id without a decision",
    ),
    "changed evidence": (
        change_evidence,
        f"sheet 'One UDID, several records' row {FIRST}: the key",
    ),
    "duplicate": (duplicate_key, f"row {FIRST + 1}: the same question stands in"),
    "added": (decide_an_added_row, "the row was added"),
    "row lost": (lose_a_row, "1 of "),
    "sheet lost": (lose_a_sheet, "questions are missing"),
    "by nobody": (nameless, "decided by nobody"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_by_place(name: str, exported: Path, tmp_path: Path) -> None:
    edit, said = WRONG[name]
    path = copy(exported / "review.xlsx", tmp_path / "review.xlsx")
    if name != "by nobody":
        fill(path, {})
    book = openpyxl.load_workbook(path)
    edit(book)
    book.save(path)

    with pytest.raises(DecisionsRefused) as refused:
        import_review(path)

    assert said in str(refused.value)
    for value in ("Asha", "Aasha", "Rao", "Esha", "maybe", "example.org"):
        assert value not in str(refused.value)


def test_every_problem_is_told_at_once(exported: Path, tmp_path: Path) -> None:
    path = copy(exported / "review.xlsx", tmp_path / "review.xlsx")
    fill(path, {})
    book = openpyxl.load_workbook(path)
    for edit in (WRONG["unknown"][0], WRONG["no patient"][0], lose_a_sheet):
        edit(book)
    book.save(path)

    with pytest.raises(DecisionsRefused, match="has 3 problems"):
        import_review(path)


def test_an_untouched_file_decides_nothing(exported: Path) -> None:
    assert import_review(exported / "review.xlsx").decisions == ()
    assert import_review(exported / "review.csv").decisions == ()


def test_short_words_and_a_reviewer_in_the_row_are_taken(exported: Path, tmp_path: Path) -> None:
    path = copy(exported / "review.xlsx", tmp_path / "review.xlsx")
    fill(path, {})
    book = openpyxl.load_workbook(path)
    put("Child or patient", DECISION, "  Child ")(book)
    put("Child or patient", REVIEWER, "A. Sharma")(book)
    book.save(path)

    (found,) = import_review(path).decisions

    assert (found.decision, found.reviewer) == ("child", "A. Sharma")


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_csv_says_the_same_as_the_workbook(exported: Path, tmp_path: Path, delimiter: str) -> None:
    workbook = copy(exported / "review.xlsx", tmp_path / "review.xlsx")
    fill(workbook, ANSWERS)
    answers = {d.key: d for d in import_review(workbook).decisions}
    text = (exported / "review.csv").read_text(encoding="utf-8-sig")
    filled = tmp_path / "review.csv"

    def rows() -> Iterator[dict[str, str]]:
        for row in csv.DictReader(text.splitlines(keepends=True)):
            for key, decision in answers.items():
                if all(f'"{part}"' in row[KEY] for part in key if part):
                    row |= {DECISION: decision.decision, LINK_TO: decision.link_to or ""}
                    row[REVIEWER] = "R. Iyer"
            yield row

    with filled.open("w", encoding="utf-8", newline="") as file:
        heading = next(csv.reader(text.splitlines()))
        writer = csv.DictWriter(file, heading, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows())

    assert set(import_review(filled).decisions) == set(answers.values())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.xlsx", b"no zip", "not a workbook"),
        ("a.csv", b"\xff\xfe", "not UTF-8"),
        ("a.csv", b"a,b\n1,2\n", "not the columns of an export"),
        ("a.csv", b"", "not the columns of an export"),
    ],
)
def test_another_file_is_refused(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(DecisionsRefused, match=said):
        import_review(path)


def test_a_damaged_workbook_is_refused(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "review.xlsx"
    with zipfile.ZipFile(exported / "review.xlsx") as whole, zipfile.ZipFile(path, "w") as cut:
        for name in whole.namelist():
            cut.writestr(name, whole.read(name)[:-20])

    with pytest.raises(DecisionsRefused, match="not a workbook"):
        import_review(path)


def test_another_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.xlsx"
    Workbook().save(path)

    with pytest.raises(DecisionsRefused, match="not the sheets of an export"):
        import_review(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DecisionsRefused, match=r"none\.xlsx does not exist"):
        import_review(tmp_path / "none.xlsx")
