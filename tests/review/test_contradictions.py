"""Decisions that cannot be carried out together are refused in words, before the first write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.migration.support import query

from person_unify.errors import DecisionsRefused
from person_unify.frames.decisions import Decision, Decisions, write_decisions
from person_unify.pipeline import CheckOptions, MigrateOptions, check, migrate

from .clinic import TABLES, named, old_database

Answer = tuple[str, str, str, str]
"""Kind, source id, related id or field, decision."""


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clinic where people resemble each other more than they should."""
    folder = tmp_path_factory.mktemp("crowded")
    patients = [*TABLES["patients"], named("Chand", "Das", id="p12", udid_number="U1")]
    others = [row for row in TABLES["children"] if row["id"] not in ("c4", "c5", "c7", "c8")]
    children = [
        *others,
        named("Dev", "Pal", id="c4", linked_patient_id="gone"),
        named("Dev", "Pal", id="c5", linked_patient_id="gone"),
        named("Jay", "Iyer", id="c7", linked_patient_id="p9"),
        named("J.", "Iyer", id="c8", linked_patient_id="p9"),
    ]
    old_database(folder / "old.db", patients=patients, children=children)
    migrate(MigrateOptions(folder / "old.db", folder / "new.db", keep_backup=False))
    return folder


def decided(folder: Path, path: Path, answers: list[Answer], link_to: str = "p4") -> Path:
    """A file with these answers to the questions of the run in ``folder``."""
    found = []
    for kind, source_id, of, word in answers:
        (row,) = query(
            folder / "new.ledger.db",
            "SELECT * FROM questions WHERE kind = ? AND source_id = ? AND ? IN (related_id, field)",
            *(kind, source_id, of),
        )
        key = {n: row[n] for n in ("kind", "source_table", "source_id", "related_id", "field")}
        linking = kind == "missing_linked_patient" and word == "link"
        to = link_to if linking else None
        found.append(Decision(**key, decision=word, evidence=row["evidence"], link_to=to))
    write_decisions(Decisions(tuple(found)), path)
    return path


MISMATCH, SUSPECTED, MISSING = (
    "demographic_mismatch",
    "suspected_duplicate",
    "missing_linked_patient",
)
CONTRADICTIONS: Mapping[str, tuple[list[Answer], str]] = {
    "unlink and take a value": (
        [(MISMATCH, "c2", "first_name", "unlink"), (MISMATCH, "c2", "last_name", "child")],
        "child c2: is unlinked, linked or merged by one decision, and kept where it is by another",
    ),
    "unlink and one child": (
        [("shared_linked_patient", "c8", "p9", "same"), (MISMATCH, "c8", "first_name", "unlink")],
        "child c8: is unlinked",
    ),
    "two patients": (
        [(SUSPECTED, "p11", "p10", "merge")],
        "two patients cannot be made one person, because the unified schema allows one clinician",
    ),
    "one child, two patients": (
        [(SUSPECTED, "p12", "c3", "link"), (SUSPECTED, "p3", "c3", "link")],
        "child c3: is to be one with several records",
    ),
    "kept apart and made one": (
        [
            (SUSPECTED, "c5", "c4", "separate"),
            (MISSING, "c4", "gone", "link"),
            (MISSING, "c5", "gone", "link"),
        ],
        "children c5 and c4: are kept apart by one decision and made one by others",
    ),
    "alone and linked": (
        [(MISSING, "c5", "gone", "standalone"), (SUSPECTED, "c5", "c4", "merge")],
        "child c5: is unlinked, linked or merged",
    ),
    "two values": (
        [(MISMATCH, "c7", "first_name", "child"), (MISMATCH, "c8", "first_name", "child")],
        "patient p9 first_name: several values are to be taken",
    ),
    "one value taken and the other kept": (
        [(MISMATCH, "c7", "first_name", "child"), (MISMATCH, "c8", "first_name", "patient")],
        "patient p9 first_name: several values are to be taken",
    ),
    "two primary caregivers": (
        [
            ("multiple_primary_caregivers", "p7", "r1", "primary"),
            ("multiple_primary_caregivers", "p7", "r2", "primary"),
        ],
        "patients p7: several parents are to be its primary caregiver",
    ),
    "two keepers": (
        [("duplicate_udid", "p5", "p12", "this"), ("duplicate_udid", "p6", "p12", "this")],
        "patients p12: several records are to keep the number that it has",
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradicting_decisions_are_refused_in_words(
    name: str, crowded: Path, tmp_path: Path
) -> None:
    answers, said = CONTRADICTIONS[name]
    file = decided(crowded, tmp_path / "decisions.toml", answers)

    with pytest.raises(DecisionsRefused) as refused:
        check(CheckOptions(crowded / "old.db", decisions=file))

    assert said in str(refused.value)


def test_a_link_to_nobody_is_refused(crowded: Path, tmp_path: Path) -> None:
    answers = [(MISSING, "c5", "gone", "link")]
    file = decided(crowded, tmp_path / "decisions.toml", answers, link_to="c4")

    with pytest.raises(DecisionsRefused, match="to c4, which is no patient"):
        check(CheckOptions(crowded / "old.db", decisions=file))


def test_nothing_is_written_when_decisions_are_refused(crowded: Path, tmp_path: Path) -> None:
    answers, _ = CONTRADICTIONS["two values"]
    file = decided(crowded, tmp_path / "decisions.toml", answers)

    with pytest.raises(DecisionsRefused):
        migrate(MigrateOptions(crowded / "old.db", tmp_path / "new.db", decisions=file))

    assert [path.name for path in tmp_path.iterdir()] == ["decisions.toml"]


def test_a_merged_child_follows_the_other_to_its_patient(crowded: Path, tmp_path: Path) -> None:
    answers = [(SUSPECTED, "c5", "c4", "merge"), (MISSING, "c4", "gone", "link")]
    file = decided(crowded, tmp_path / "decisions.toml", answers)

    report = check(CheckOptions(crowded / "old.db", decisions=file))

    (children,) = [e for e in report.equations if e.name == "children"]
    assert {t.label: t.count for t in children.terms} == {
        "linked": 6,
        "standalone": 1,
        "missing link": 1,
    }
