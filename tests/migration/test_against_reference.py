"""The tool and the slow reference, held against each other over drawn and sampled databases.

``make test`` draws a dozen databases; ``PERSON_UNIFY_EXAMPLES=500`` draws that many.  Nothing is
shrunk: a failure keeps the database beside the report of its differences.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from tests.migration.support import Migrated, make_target
from tests.reference import Refused, migrate_reference
from tests.reference.compare import compare
from tests.strategies import Description, build, old_databases
from tests.strategies.examples import drawn
from tests.strategies.handmade import write
from tests.strategies.targets import Foreign, build_target, foreign_tables, held

from person_unify.errors import SchemaRefused
from person_unify.pipeline import MigrateOptions, migrate, verify
from person_unify.report import Report
from person_unify.run.budget import Budget
from person_unify.sample import SampleOptions, write_sample
from person_unify.schema import UNIFIED

ZONES = [
    *("Asia/Kolkata", "Europe/Berlin", "America/New_York", "Asia/Kuala_Lumpur", "Europe/Oslo"),
    *("America/Mexico_City", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Monrovia"),
]


def _differences(source: Path, report: Report, target: Path, **options: Any) -> list[str]:
    """What the reference, told the same run time, would have written otherwise."""
    reference = migrate_reference(source, run_time_ms=report.started_ms, target=target, **options)
    ledger = target.with_name("new.ledger.db")
    return compare(reference, source, target, ledger)


def _refused(source: Path) -> bool:
    try:
        migrate_reference(source, run_time_ms=0)
    except Refused:
        return True
    return False


@drawn(12)
@given(old_databases(), foreign_tables(), st.sampled_from([2, 5, 25_000]), st.sampled_from(ZONES))
def test_drawn_databases(
    description: Description, foreign: Foreign | None, rows_at_once: int, zone: str
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory) / "old.db", Path(directory) / "new.db"
        build(description, source)
        if foreign is not None:
            build_target(target, foreign)
        kept = Path(tempfile.gettempdir()) / "person-unify-failing.db"
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Budget, "rows_at_once", lambda *_: rows_at_once)
                report = migrate(MigrateOptions(source, target, timezone=zone, allow_empty=True))
        except SchemaRefused:
            event("refused")
            assert _refused(source)
            return
        except BaseException:
            shutil.copy(source, kept)
            raise
        assert not _refused(source)
        found = _differences(source, report, target, timezone=zone)
        if found:
            shutil.copy(source, kept)
        assert not found, "\n".join([f"reproduce with {kept}", *found[:20]])
        assert foreign is None or held(target, foreign) == foreign


@pytest.mark.parametrize(
    ("persons", "faults", "rows_at_once"),
    [(40, 0.0, 25_000), (40, 0.05, 9), (25, 1.0, 25_000), (25, 1.0, 4)],
)
def test_samples(
    persons: int,
    faults: float,
    rows_at_once: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many rows are worked on at once, the result is the same."""
    monkeypatch.setattr(Budget, "rows_at_once", lambda *_: rows_at_once)
    source, target = tmp_path / "old.db", tmp_path / "new.db"
    write_sample(source, SampleOptions(persons=persons, seed=11, faults=faults))

    report = migrate(MigrateOptions(source, target))
    again = verify(source, target)

    assert not _differences(source, report, target)
    assert not again.failed_checks
    assert {c.name for c in again.verification} > {c.name for c in report.verification}
    assert bool([d for d in report.discrepancies if d.severity == "error"]) == (faults > 0)
    assert [e.residual for e in report.equations] == [0] * len(report.equations)


@pytest.mark.parametrize("implied", ["pending", "none"])
def test_a_target_of_prisma_and_other_choices(implied: str, tmp_path: Path) -> None:
    source, target = tmp_path / "old.db", make_target(tmp_path / "new.db", UNIFIED.values())
    write_sample(source, SampleOptions(persons=20, seed=3, faults=0.2))
    zone = "America/St_Johns"

    report = migrate(MigrateOptions(source, target, timezone=zone, implied_grants=implied))

    assert not _differences(source, report, target, timezone=zone, implied_grants=implied)


def test_database_without_a_row(tmp_path: Path) -> None:
    source, target = write(tmp_path / "old.db"), tmp_path / "new.db"

    report = migrate(MigrateOptions(source, target, allow_empty=True))

    assert not _differences(source, report, target)
    assert Migrated(source, target, tmp_path / "new.ledger.db", report).rows(
        "SELECT (SELECT count(*) FROM persons) + (SELECT count(*) FROM users) AS n"
    ) == [{"n": 0}]
