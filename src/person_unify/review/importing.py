"""Back from the reviewers: every row checked, every problem named at once, no value shown."""

from __future__ import annotations

import re
from pathlib import Path

from person_unify.findings import DECISIONS
from person_unify.frames.decisions import Decision, Decisions, refused
from person_unify.review.contradictions import Answer, contradictions
from person_unify.review.keys import Key, read_key
from person_unify.review.returned import Row, read_returned
from person_unify.review.sheets import DECISION, KEY, LINK_TO, NOTE, REVIEWER

_BY_WORDS = {phrase.casefold(): word for word, phrase in DECISIONS.items()} | {
    w: w for w in DECISIONS
}


def import_review(path: Path) -> Decisions:
    """Read a workbook or CSV file that ``export_review`` wrote and reviewers filled in.

    Rows without a decision are undecided.  Raises :class:`DecisionsRefused` that names every
    problem by sheet and row, and never a value.
    """
    returned = read_returned(path)
    problems = returned.problems
    answers: list[Answer] = []
    seen: dict[Key, str] = {}
    for row in returned.rows:
        key = _key(row, seen, problems)
        if key is None:
            continue
        seen[key] = row.place
        decision = _decision(row, key, returned.reviewer, problems)
        if decision is not None:
            answers.append(Answer(row.place, decision, key.related))
    problems += [*_missing(list(seen)), *contradictions(answers)]
    if problems:
        raise refused(path, problems)
    return Decisions(tuple(answer.decision for answer in answers), asked=len(seen))


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
    elif seen and (key.run, key.total) != ((first := next(iter(seen))).run, first.total):
        problems.append(f"{row.place}: the row is from another export; give back one export only")
        return None
    return key


def _decision(row: Row, key: Key, reviewer: str | None, problems: list[str]) -> Decision | None:
    said, link_to = row.cell(DECISION), row.cell(LINK_TO)
    computed = sorted(row.formulas & {LINK_TO, REVIEWER, NOTE})
    if computed:
        problems.append(f"{row.place}: {computed[0]!r} is a formula; type the text")
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
    there, total = {key.number for key in keys}, keys[0].total
    absent = total - len(there)
    if absent <= 0:
        return []
    first = next(number for number in range(1, total + 1) if number not in there)
    return [
        f"{absent:,} of {total:,} questions are missing (the first is number {first:,}); give back "
        "the whole file, with undecided rows left empty"
    ]
