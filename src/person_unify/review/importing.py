"""Back from the reviewers: every row checked, every problem named at once, no value shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from person_unify.decisions import Decision, Decisions, refused
from person_unify.errors import DecisionsRefused
from person_unify.findings import DECISIONS
from person_unify.review.csvfile import KIND, read_csv
from person_unify.review.keys import Key, read_key
from person_unify.review.sheets import DECISION, KEY, LINK_TO, NOTE, REVIEWER

_BY_WORDS = {phrase.casefold(): word for word, phrase in DECISIONS.items()} | {
    w: w for w in DECISIONS
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file: where it stands, and its cells by heading."""

    place: str
    cells: dict[str, str]

    def cell(self, heading: str) -> str | None:
        """The text of a cell without surrounding blanks; None where it is empty."""
        return self.cells.get(heading, "").strip() or None


def import_review(path: Path) -> Decisions:
    """Read a workbook or CSV file that ``export_review`` wrote and reviewers filled in.

    Rows without a decision are undecided.  Raises :class:`DecisionsRefused` that names every
    problem by sheet and row, and never a value.
    """
    if not path.is_file():
        raise DecisionsRefused(f"{path} does not exist: give the file that reviewers filled in")
    if path.suffix.lower() == ".csv":
        rows, reviewer = _rows_of_csv(path), None
    else:
        # Loading the reader takes as long as everything else here.
        from person_unify.review.reading_workbook import read_workbook

        rows, reviewer = read_workbook(path)
    problems: list[str] = []
    decisions = []
    seen: dict[Key, str] = {}
    for row in rows:
        key = _key(row, seen, problems)
        if key is None:
            continue
        seen[key] = row.place
        decision = _decision(row, key, reviewer, problems)
        if decision is not None:
            decisions.append(decision)
    problems += _missing(list(seen))
    if problems:
        raise refused(path, problems)
    return Decisions(tuple(decisions))


def _key(row: Row, seen: dict[Key, str], problems: list[str]) -> Key | None:
    text = row.cell(KEY)
    if text is None:
        if any(row.cell(heading) for heading in (DECISION, LINK_TO, NOTE, REVIEWER)):
            problems.append(
                f"{row.place}: the row was added; only rows of the export can be decided"
            )
        return None
    key = read_key(text)
    if key is None:
        problems.append(f"{row.place}: the key was changed; copy the row from a fresh export")
    elif key in seen:
        problems.append(f"{row.place}: the same question stands in {seen[key]} too; remove one")
        return None
    elif seen and key.run != next(iter(seen)).run:
        problems.append(f"{row.place}: the row is from another export; give back one export only")
        return None
    return key


def _decision(row: Row, key: Key, reviewer: str | None, problems: list[str]) -> Decision | None:
    said, link_to = row.cell(DECISION), row.cell(LINK_TO)
    if said is None:
        if link_to is not None:
            problems.append(f"{row.place}: a patient id without a decision to link")
        return None
    word = _BY_WORDS.get(re.sub(r"\s+", " ", said).casefold())
    possible = key.options.split(" ")
    if word not in possible:
        listed = ", ".join(f'"{DECISIONS[option]}"' for option in possible)
        problems.append(f"{row.place}: not a possible decision; choose {listed} or leave it empty")
        return None
    needs = key.kind == "missing_linked_patient" and word == "link"
    if needs and link_to is None:
        problems.append(f"{row.place}: to link, give the id of the patient")
    if link_to is not None and not needs:
        problems.append(f"{row.place}: a patient id belongs to a decision to link only")
    by = row.cell(REVIEWER) or reviewer
    if by is None:
        problems.append(f"{row.place}: decided by nobody; fill in the reviewer, or the first sheet")
    return Decision(
        kind=key.kind,
        source_table=key.source_table,
        source_id=key.source_id,
        related_id=key.related_id,
        field=key.field,
        decision=word,
        evidence=key.evidence,
        link_to=link_to if needs else None,
        reviewer=by,
        note=row.cell(NOTE),
    )


def _missing(keys: list[Key]) -> list[str]:
    """Questions of the export that the file does not hold any more."""
    if not keys:
        return ["no question is left in it; give back the whole file that was exported"]
    absent = sorted(set(range(1, keys[0].total + 1)) - {key.number for key in keys})
    if not absent:
        return []
    return [
        f"{len(absent)} of {keys[0].total} questions are missing (the first is number "
        f"{absent[0]}); give back the whole file, with undecided rows left empty"
    ]


def _rows_of_csv(path: Path) -> Iterator[Row]:
    try:
        found = [Row(f"line {line}", cells) for line, cells in read_csv(path.read_bytes())]
    except ValueError as error:
        raise DecisionsRefused(
            f"{path} is not UTF-8 text: save it as CSV UTF-8, or use the workbook"
        ) from error
    if not found or KIND not in found[0].cells or KEY not in found[0].cells:
        raise DecisionsRefused(
            f"{path} has not the columns of an export: give the file that review export wrote"
        )
    return iter(found)
