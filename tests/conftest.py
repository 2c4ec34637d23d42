"""What several test files share."""

from __future__ import annotations

import shutil

import pytest

from person_unify.report import (
    CheckResult,
    DiscrepancyCount,
    Equation,
    FileFacts,
    Normalisation,
    PhaseTiming,
    Report,
    TableCount,
    Term,
)


@pytest.fixture
def report() -> Report:
    """A finished migration of some thousand rows, with something in every part of the report."""
    return Report(
        tool_version="0.1.0",
        command="migrate",
        started_ms=1_700_000_000_000,
        finished_ms=1_700_000_004_250,
        source=FileFacts("/data/old.db", 12_345_678, "3f" * 32),
        target=FileFacts("/data/new.db", 14_000_000, "a0" * 32),
        ledger="/data/new.ledger.db",
        outcome="done and verified",
        options={"timezone": "Asia/Kolkata", "implied_grants": "active", "strict": False},
        phases=(
            PhaseTiming("snapshot", 0, 0.21),
            PhaseTiming("extract", 61_340, 0.84),
            PhaseTiming("load", 61_002, 1.93),
        ),
        tables=(
            TableCount("patient_contacts", "contacts", 2412, 2405, {"orphaned_record": 7}),
            TableCount("patient_tags", "tags", 900, 890, {"merged_tag": 8, "orphaned_record": 2}),
            TableCount("journal_entries", "journal_entries", 40_120, 40_120),
            TableCount("appointment_history", None, 311, 0, {"no counterpart": 311}),
            TableCount("resources", "resources", 0, 0),
        ),
        equations=(
            _equation("children", 1204, ("linked", 780), ("standalone", 419), ("missing link", 5)),
            _equation(
                "persons", 1630, ("patients", 1206), ("standalone", 419), ("missing link", 5)
            ),
            Equation(
                "grants",
                318,
                (Term("+", "consents", 310), Term("-", "orphaned", 4), Term("+", "implied", 12)),
            ),
        ),
        discrepancies=(
            DiscrepancyCount("implied_grant", "warning", 12),
            DiscrepancyCount("orphaned_record", "error", 9),
            DiscrepancyCount("merged_tag", "info", 8),
        ),
        normalisations=(
            Normalisation("consent_grants", "granted_at", "text_to_integer", 310),
            Normalisation("users", "created_at", "text_to_integer", 12),
            Normalisation("users", "email", "required_default", 1),
        ),
        drift=("column patients.nickname is unknown: archived",),
        verification=(
            CheckResult("persons", "persons", 1630, 1630, "passed"),
            CheckResult("views", "parent_child_views", 1700, 1700, "passed"),
            CheckResult("implied grants", None, None, None, "not_applicable"),
        ),
        files={"report": "/data/new.report.json", "backup": "/data/old.backup.db"},
    )


def _equation(name: str, left: int, *terms: tuple[str, int]) -> Equation:
    return Equation(name, left, tuple(Term("+", label, count) for label, count in terms))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of a browser without a window; skips where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on this machine")
    return [
        *(found, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", "--hide-scrollbars", "--enable-logging=stderr"),
        *("--allow-file-access-from-files", "--virtual-time-budget=5000"),
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ]
