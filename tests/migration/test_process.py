"""The command line as a process: exit codes, an interrupt, and no cell in any output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.migration.support import SMALL, change, make_target, old_database
from tests.strategies.handmade import Row

CANARY = "Kanarienvogel"


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "person_unify", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_migrate_then_verify(tmp_path: Path) -> None:
    source, target = old_database(tmp_path / "old.db", SMALL), tmp_path / "new.db"

    done, proved = _run("migrate", source, target, "--quiet"), _run("verify", source, target, "-q")
    change(target, "UPDATE persons SET first_name = 'somebody else'")
    spoilt = _run("verify", source, target, "--quiet")

    assert (done.returncode, done.stderr) == (0, "")
    assert (proved.returncode, proved.stderr) == (0, "")
    assert json.loads((tmp_path / "new.report.json").read_text())["outcome"] == "published"
    assert spoilt.returncode == 4
    assert "checks failed" in spoilt.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["old.db", "old.db"], 2),
        (["old.db", "new.db", "--memory", "much"], 2),
        (["gone.db", "new.db"], 3),
        (["old.db", "other.db"], 3),
        (["old.db", "new.db", "--backup-dir", "nowhere"], 1),
        (["orphan.db", "new.db", "--strict"], 5),
    ],
)
def test_exit_codes(arguments: list[str], code: int, tmp_path: Path) -> None:
    old_database(tmp_path / "old.db", SMALL)
    old_database(
        tmp_path / "orphan.db", {**SMALL, "patients": [{"id": "p1", "clinician_id": "gone"}]}
    )
    make_target(tmp_path / "other.db", ())
    (tmp_path / "other.db").touch()
    before = sorted(tmp_path.iterdir())

    done = _run("migrate", "--quiet", *(tmp_path / a if "." in a else a for a in arguments))

    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("person-unify: ")
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def _canaries() -> dict[str, list[Row]]:
    """Texts of a person, and cells that drivers and conversions stumble over, hold the word."""
    bad = CANARY.encode() + b"\xff"
    return {
        "users": [
            {"id": "u1", "email": f"{CANARY}1@example.org", "password_hash": CANARY},
            {"id": "u2", "email": f"{CANARY}2@example.org", "last_login_at": CANARY},
            {"id": "u3", "email": f"{CANARY}2@example.org"},
        ],
        "parents": [{"id": "r1", "user_id": "u2", "phone": bad, "phone_verified": CANARY}],
        "patients": [
            {
                "id": "p1",
                "clinician_id": "u1",
                "first_name": CANARY,
                "last_name": bad,
                "date_of_birth": CANARY,
                "udid_number": CANARY,
                "created_at": f"2024-01-01 {CANARY}",
            },
            {"id": "p2", "clinician_id": "u1", "first_name": CANARY, "udid_number": CANARY},
        ],
        "children": [
            {
                "id": "c1",
                "parent_id": "r1",
                "linked_patient_id": "p1",
                "first_name": f"{CANARY} too",
                "medical_history": bad,
            },
            {"id": "c2", "parent_id": "r1", "linked_patient_id": "p2", "first_name": f"x{CANARY}"},
        ],
        "consent_grants": [
            {"id": "g1", "parent_id": "r1", "patient_id": "p1", "token": CANARY, "notes": CANARY},
            {"id": "g2", "parent_id": "r1", "patient_id": "p2", "token": CANARY, "status": bad},
        ],
        "journal_entries": [
            {"id": "j1", "patient_id": "p1", "content": CANARY, "created_at": CANARY}
        ],
        "patient_tags": [
            {"patient_id": "p1", "tag": CANARY},
            {"patient_id": "c1", "tag": CANARY},
        ],
        "legacy": [{"note": CANARY, "other": bad}, {"note": 2.5, "other": CANARY}],
    }


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return old_database(tmp_path_factory.mktemp("canaries") / "old.db", _canaries())


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["migrate", "--json"], 0),
        (["migrate"], 0),
        (["migrate", "--strict", "--quiet"], 5),
    ],
)
def test_no_cell_leaves_the_databases(
    options: list[str], code: int, canaries: Path, tmp_path: Path
) -> None:
    command, *flags = options
    paths: list[str | Path] = [canaries]
    if command == "migrate":
        paths += [tmp_path / "new.db", *("--backup-dir", tmp_path)]

    done = _run(command, *paths, *flags)

    report = tmp_path / "new.report.json"
    written = report.read_text() if report.exists() else ""
    assert done.returncode == code, done.stderr
    assert report.exists() == (command == "migrate" and code == 0)
    for text in (done.stdout, done.stderr, written):
        assert CANARY.lower() not in text.lower()


def test_no_cell_in_the_error_of_a_driver(canaries: Path, tmp_path: Path) -> None:
    """SQLite refuses cells, by an index that only the target has."""
    target = make_target(tmp_path / "new.db")
    change(target, "CREATE UNIQUE INDEX one_first_letter ON persons (substr(first_name, 1, 1))")
    before = target.read_bytes()

    done = _run("migrate", canaries, target, "--backup-dir", tmp_path)

    assert done.returncode == 3
    assert "one_first_letter of persons" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("new.db", before)]
