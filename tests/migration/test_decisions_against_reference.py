"""Decisions drawn over drawn databases: the tool, its verifier and the slow reference agree.

Each database is migrated once to learn what may be decided; then some questions are answered at
random, a few with old evidence, and it is migrated again.  ``PERSON_UNIFY_EXAMPLES=500`` draws
that many.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from tests.migration.support import query
from tests.reference import Refused, migrate_reference
from tests.reference.compare import compare
from tests.strategies import Description, build, old_databases
from tests.strategies.examples import drawn, examples
from tests.strategies.handmade import NOON, Row, write

from person_unify.errors import DecisionsRefused, SchemaRefused
from person_unify.frames.decisions import Decision, Decisions, write_decisions
from person_unify.pipeline import MigrateOptions, migrate, verify
from person_unify.sample import SampleOptions, write_sample
from person_unify.schema import OLD

EXAMPLES = examples(10)


def answers(ledger: Path, choose: random.Random, share: float) -> list[Decision]:
    """Some questions of a run answered at random, and an answer to a question nobody asks."""
    patients = [row["old_id"] for row in query(ledger, "SELECT old_id FROM patient_to_person")]
    found = []
    for row in query(ledger, "SELECT * FROM questions ORDER BY evidence"):
        if choose.random() > share:
            continue
        word = choose.choice(row["options"].split())
        needs = row["kind"] == "missing_linked_patient" and word == "link"
        if needs and not patients:
            continue
        found.append(
            Decision(
                **{n: row[n] for n in ("kind", "source_table", "source_id", "related_id", "field")},
                decision=word,
                evidence="0" * 64 if choose.random() < 0.1 else row["evidence"],
                link_to=choose.choice([*patients, *patients, "nobody"]) if needs else None,
                reviewer="R. Iyer",
            )
        )
    gone = Decision("duplicate_udid", "patients", "no one", "p1", "udid_number", "this", "1" * 64)
    return [*found, gone]


def agree(source: Path, directory: Path, given_: list[Decision], **options: Any) -> set[str]:
    """Migrate with the decisions and hold the result against the reference; says how it ended."""
    file, target = directory / "decisions.toml", directory / "decided.db"
    file.unlink(missing_ok=True)
    write_decisions(Decisions(tuple(given_)), file)
    plain = [asdict(decision) for decision in given_]
    try:
        report = migrate(MigrateOptions(source, target, decisions=file, **options))
    except DecisionsRefused:
        with pytest.raises(Refused):
            migrate_reference(source, run_time_ms=0, decisions=plain, **options)
        assert not target.exists()
        return {"refused"}
    reference = migrate_reference(source, run_time_ms=report.started_ms, decisions=plain, **options)
    ledger = directory / "decided.ledger.db"
    assert compare(reference, source, target, ledger) == []
    assert verify(source, target).failed_checks == ()
    assert sum(c.count for c in report.decisions) == len(given_)
    rows = query(ledger, "SELECT kind, decision, outcome FROM decisions")
    return {f"{row['kind']} {row['decision']} {row['outcome']}" for row in rows}


def crowd(choose: random.Random) -> dict[str, list[Row]]:
    """Rows of people who resemble each other, so that every question comes up."""
    likeness: dict[str, list[Any]] = {
        "first_name": ["Asha", " asha", "Asha", "Nila", b"Asha"],
        "last_name": ["Rao", "RAO", "Rao", "Sen", ""],
        "date_of_birth": [NOON, NOON, NOON + 3_600_000, "2023-11-13", "soon"],
        "gender": ["female", "female", "male", "", None],
        "udid_number": [None, None, "U1", "U2"],
        "clinician_id": ["u1", "u1", "u2", "gone"],
        "parent_id": ["r1", "r2", "r1", "r2", "gone"],
        "linked_patient_id": [None, None, "", "p1", "p2", "p2", "lost", b"lost"],
        "created_at": [NOON, NOON - 1, NOON + 1, None],
        "patient_id": ["p1", "p2", "p3", "c2"],
        "is_primary": [0, 0, 1],
    }
    tables: dict[str, list[Row]] = {"users": [{"id": f"u{n}"} for n in (1, 2, 3)]}
    tables["parents"] = [{"id": f"r{n}", "user_id": f"u{n}"} for n in (1, 2)]
    for name, prefix, count in (
        *(("patients", "p", 4), ("children", "c", 7), ("parent_children", "l", 5)),
        *(("consent_grants", "g", 2), ("journal_entries", "j", 3), ("patient_tags", "", 3)),
    ):
        known = {
            column: likeness[column] for column in OLD[name].column_names if column in likeness
        }
        tables[name] = [
            {c: choose.choice(values) for c, values in known.items()}
            | ({"id": f"{prefix}{number}"} if prefix else {"tag": f"tag {number}"})
            for number in range(1, count + 1)
        ]
    return tables


@pytest.mark.parametrize("seed", range(max(6, EXAMPLES // 2)))
def test_drawn_decisions_over_people_who_resemble_each_other(seed: int, tmp_path: Path) -> None:
    choose = random.Random(seed)
    source = write(tmp_path / "old.db", **crowd(choose))  # type: ignore[arg-type]
    migrate(MigrateOptions(source, tmp_path / "new.db"))
    for attempt in range(12):
        given_ = answers(tmp_path / "new.ledger.db", choose, 0.5 / (1 + attempt))
        if agree(source, tmp_path, given_) != {"refused"}:
            break
    assert (tmp_path / "decided.db").exists()


@drawn(10)
@given(old_databases(), st.integers(0, 2**32), st.sampled_from([0.08, 0.2, 0.5]))
def test_drawn_decisions_over_drawn_databases(
    description: Description, seed: int, share: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        source = build(description, directory / "old.db")
        try:
            migrate(MigrateOptions(source, directory / "new.db"))
        except SchemaRefused:
            return
        given_ = answers(directory / "new.ledger.db", random.Random(seed), share)
        kept = Path(tempfile.gettempdir()) / "person-unify-decisions"
        try:
            for ending in sorted(agree(source, directory, given_)):
                event(ending)
        except BaseException:
            shutil.copytree(directory, kept, dirs_exist_ok=True)
            raise


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_drawn_decisions_over_a_faulty_sample(seed: int, tmp_path: Path) -> None:
    source = tmp_path / "old.db"
    write_sample(source, SampleOptions(persons=25, seed=seed, faults=1.0))
    migrate(MigrateOptions(source, tmp_path / "new.db"))
    ledger = tmp_path / "new.ledger.db"
    for attempt in range(20):
        given_ = answers(ledger, random.Random(seed * 100 + attempt), 0.3 * (1 - attempt / 20))
        if agree(source, tmp_path, given_) != {"refused"}:
            break
    assert (tmp_path / "decided.db").exists()
