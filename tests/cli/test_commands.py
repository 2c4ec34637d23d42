"""Arguments, output and exit codes of every command, with the pipeline replaced."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from person_unify import __version__
from person_unify.cli.app import app
from person_unify.errors import (
    DatabaseError,
    MigrationError,
    SourceError,
    StrictStop,
    TargetError,
    UsageError,
    VerificationFailed,
)
from person_unify.pipeline import CheckOptions, MigrateOptions
from person_unify.postgres.ends import Run
from person_unify.progress import PhaseFinished, Progress
from person_unify.report import CheckResult, Report
from person_unify.sample import SampleOptions

runner = CliRunner()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, report: Report) -> list[object]:
    """The options of every call; the calls themselves succeed with ``report``."""
    calls: list[object] = []

    def check(options: CheckOptions, progress: Progress) -> Report:
        calls.append(options)
        return report

    def migrate(options: MigrateOptions, progress: Progress) -> Report:
        calls.append(options)
        progress(PhaseFinished("load", 10, 0.5))
        return report

    def verify(
        source: Path, target: Path, progress: Progress, ids_from: Path | None = None
    ) -> Report:
        calls.append((source, target))
        return report

    for name, function in (("check", check), ("migrate", migrate), ("verify", verify)):
        monkeypatch.setattr(f"person_unify.pipeline.{name}", function)
    return calls


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def migrate(run: Run, progress: Progress) -> NoReturn:
        raise error

    monkeypatch.setattr("person_unify.postgres.ends.migrate", migrate)


def test_version_is_printed() -> None:
    result = runner.invoke(app, ["--version"])

    assert (result.exit_code, result.stdout) == (0, f"person-unify {__version__}\n")


def test_migrate_has_the_platforms_defaults(asked: list[object]) -> None:
    result = runner.invoke(app, ["migrate", "old.db", "new.db"])

    assert result.exit_code == 0
    assert asked == [
        MigrateOptions(
            source=Path("old.db").resolve(),
            target=Path("new.db").resolve(),
            timezone="Asia/Kolkata",
            implied_grants="active",
            strict=False,
            relax_unique=False,
            backup_dir=None,
            keep_backup=True,
        )
    ]
    assert "residual 0" in result.stdout
    assert "load" in result.stderr


def test_migrate_hands_every_option_on(asked: list[object]) -> None:
    options = (
        "--timezone Europe/Vienna --implied-grants none --strict --relax-unique --quiet "
        "--backup-dir safe --no-keep-backup"
    ).split()
    result = runner.invoke(app, ["migrate", "old.db", "new.db", *options])

    assert result.exit_code == 0
    assert asked == [
        MigrateOptions(
            source=Path("old.db").resolve(),
            target=Path("new.db").resolve(),
            timezone="Europe/Vienna",
            implied_grants="none",
            strict=True,
            relax_unique=True,
            backup_dir=Path("safe").resolve(),
            keep_backup=False,
        )
    ]
    assert result.stderr == ""


def test_migrate_as_json_ends_with_the_result(asked: list[object], report: Report) -> None:
    result = runner.invoke(app, ["migrate", "old.db", "new.db", "--json"])

    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert result.stderr == ""
    assert [event["event"] for event in events] == ["phase_finished", "result"]
    assert events[-1]["exit_code"] == 0
    assert Report.from_json(events[-1]["report"]) == report


def test_sample_has_the_librarys_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[SampleOptions] = []

    def write_sample(path: Path, options: SampleOptions, progress: object) -> dict[str, int]:
        asked.append(options)
        path.write_bytes(b"")
        return {"users": 3, "patients": 1200}

    monkeypatch.setattr("person_unify.sample.write_sample", write_sample)
    result = runner.invoke(app, ["sample", str(tmp_path / "old.db")])

    assert result.stdout == f"wrote {tmp_path / 'old.db'}: 1,203 rows, 0 bytes\n"
    assert asked == [SampleOptions()]


def test_check_hands_every_option_on(asked: list[object]) -> None:
    options = "--target new.db --timezone UTC --implied-grants pending".split()
    result = runner.invoke(app, ["check", "old.db", *options])

    assert result.exit_code == 0
    assert asked == [
        CheckOptions(Path("old.db").resolve(), Path("new.db").resolve(), "UTC", "pending")
    ]


def test_verify_prints_the_report(asked: list[object]) -> None:
    result = runner.invoke(app, ["verify", "old.db", "new.db"])

    assert result.exit_code == 0
    assert asked == [(Path("old.db").resolve(), Path("new.db").resolve())]
    assert "3 checks: 2 passed" in result.stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_verify_with_a_failing_check_ends_with_4(
    monkeypatch: pytest.MonkeyPatch, report: Report, as_json: bool
) -> None:
    failed = CheckResult("views", "parent_child_views", 1700, 1699, "failed")
    bad = replace(report, verification=(failed, *report.verification))
    monkeypatch.setattr("person_unify.pipeline.verify", lambda *_: bad)
    result = runner.invoke(app, ["verify", "old.db", "new.db", *(["--json"] if as_json else [])])

    assert result.exit_code == 4
    assert result.stderr == "person-unify: 1 of 4 checks failed: views\n"
    if as_json:
        events = [json.loads(line) for line in result.stdout.splitlines()]
        assert [(e["event"], e["exit_code"]) for e in events] == [("result", 4), ("error", 4)]
    else:
        assert "1,699" in result.stdout or "1699" in result.stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MigrationError("it failed"), 1),
        (DatabaseError("disk full"), 1),
        (UsageError("source and target are one file"), 2),
        (SourceError("not an old-schema database"), 3),
        (TargetError("target is not empty"), 3),
        (VerificationFailed("2 checks failed"), 4),
        (StrictStop("9 errors"), 5),
    ],
)
def test_every_error_is_one_line_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: MigrationError, code: int
) -> None:
    failing(monkeypatch, error)
    result = runner.invoke(app, ["migrate", "old.db", "new.db"])

    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr == f"person-unify: {error}\n"


def test_an_error_as_json_is_the_last_event(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, SourceError("not an old-schema database"))
    result = runner.invoke(app, ["migrate", "old.db", "new.db", "--json"])

    assert result.exit_code == 3
    assert json.loads(result.stdout) == {
        "event": "error",
        "exit_code": 3,
        "message": "not an old-schema database",
    }
    assert result.stderr == "person-unify: not an old-schema database\n"


def test_an_interrupt_is_one_line_and_130(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    result = runner.invoke(app, ["migrate", "old.db", "new.db"])

    assert (result.exit_code, result.stderr) == (130, "person-unify: interrupted\n")


class PanicException(BaseException):
    """What Rust's panics look like."""


@pytest.mark.parametrize("kind", [ValueError, PanicException])
def test_an_unexpected_error_quotes_no_cell(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    failing(monkeypatch, kind("Asha Rao, born 2015-03-02"))
    result = runner.invoke(app, ["migrate", "old.db", "new.db"])

    assert result.exit_code == 1
    assert "Asha" not in result.output
    assert result.stderr.startswith(
        f"person-unify: internal error: {kind.__name__} in person_unify.cli.commands.run:"
    )
    assert len(result.stderr.splitlines()) == 1


def test_a_missing_disk_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, OSError(28, "No space left on device", "/data/new.db"))
    result = runner.invoke(app, ["migrate", "old.db", "new.db"])

    assert result.exit_code == 1
    assert result.stderr == "person-unify: /data/new.db: No space left on device\n"


def test_a_hostile_file_name_stays_on_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, SourceError("a\x1b[2J\nb.db is missing"))
    result = runner.invoke(app, ["migrate", "old.db", "new.db"])

    assert result.stderr == "person-unify: a\\x1b[2J\\nb.db is missing\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["migrate", "old.db"],
        ["migrate", "old.db", "new.db", "--implied-grants", "maybe"],
        ["sample", "old.db", "--persons", "0"],
        ["sample", "old.db", "--faults", "1.5"],
        ["schema"],
        ["schema", "--old", "--unified"],
        ["unify"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    result = runner.invoke(app, arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


@pytest.mark.parametrize(
    "command",
    ["sample", "check", "migrate", "verify", "diff", "lineage", "trace", "schema"],
)
def test_help_of_every_command_documents_the_exit_codes(command: str) -> None:
    result = runner.invoke(app, [command, "--help"])

    assert result.exit_code == 0
    for code in ("0", "1", "2", "3", "4", "5", "130"):
        assert f"\n    {code} " in result.stdout
