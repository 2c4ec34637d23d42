"""Answers of one review that contradict each other are named by sheet and row on their way back."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest

from person_unify.errors import DecisionsRefused
from person_unify.findings import DECISIONS
from person_unify.review import export_review, import_review
from person_unify.review.keys import read_key
from person_unify.review.sheets import DECISION, KEY, LINK_TO
from person_unify.review.workbook import HEAD

from .clinic import fill
from .test_contradictions import CONTRADICTIONS, Answer, crowded

__all__ = ["crowded"]

FROM_THE_DATA = {
    "two patients": "not a possible decision",
    "two values": None,
}
"""What the import says of contradictions that only the data show, None where it cannot know."""


@pytest.fixture(scope="module")
def workbook(crowded: Path) -> Path:
    export_review(crowded / "new.ledger.db", crowded / "review.xlsx")
    fill(crowded / "review.xlsx", {})
    return crowded / "review.xlsx"


def answer(path: Path, answers: Sequence[Answer]) -> list[str]:
    """Fill the answers in; returns where."""
    book = openpyxl.load_workbook(path)
    places = []
    for page in book.worksheets[1:]:
        headings = [cell.value for cell in page[HEAD + 1]]
        for row in page.iter_rows(min_row=HEAD + 2):
            cells = dict(zip(headings, row, strict=True))
            key = read_key(str(cells[KEY].value))
            assert key is not None
            for kind, source_id, of, word in answers:
                if (key.kind, key.source_id) == (kind, source_id) and of in (
                    key.related_id,
                    key.field,
                ):
                    cells[DECISION].value = DECISIONS[word]
                    places.append(f"sheet {page.title!r} row {row[0].row}")
                    if LINK_TO in cells and word == "link":
                        cells[LINK_TO].value = "p4"
    book.save(path)
    return places


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_are_named_by_sheet_and_row(
    name: str, workbook: Path, tmp_path: Path
) -> None:
    shutil.copy(workbook, tmp_path / "review.xlsx")
    places = answer(tmp_path / "review.xlsx", CONTRADICTIONS[name][0])
    said = FROM_THE_DATA.get(name, places)
    if said is None:
        assert len(import_review(tmp_path / "review.xlsx").decisions) == len(places)
        return

    with pytest.raises(DecisionsRefused) as refused:
        import_review(tmp_path / "review.xlsx")

    if isinstance(said, str):
        assert said in str(refused.value)
    else:
        assert sum(place in str(refused.value) for place in places) >= 2


def test_answers_that_go_together_are_taken(workbook: Path, tmp_path: Path) -> None:
    shutil.copy(workbook, tmp_path / "review.xlsx")
    going = [
        ("suspected_duplicate", "c5", "c4", "merge"),
        ("missing_linked_patient", "c4", "gone", "link"),
    ]
    answer(tmp_path / "review.xlsx", going)

    found = import_review(tmp_path / "review.xlsx")

    assert len(found.decisions) == 2
    assert found.asked == sum(
        page.max_row - HEAD - 1 for page in openpyxl.load_workbook(workbook).worksheets[1:]
    )
