"""``review export``, ``review import`` and ``--decisions`` as they are typed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest
from tests.review.clinic import ANSWERS, fill, old_database
from typer.testing import CliRunner

from person_unify.cli.app import app
from person_unify.cli.render import render
from person_unify.cli.streams import screen
from person_unify.frames.decisions import read_decisions
from person_unify.pipeline import CheckOptions, MigrateOptions, migrate
from person_unify.report import DecisionCount, Report
from person_unify.review.sheets import DECISION
from person_unify.review.workbook import HEAD

runner = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    migrate(MigrateOptions(old_database(folder / "old.db"), folder / "new.db", keep_backup=False))
    return folder


def run(*arguments: object) -> tuple[int, str]:
    result = runner.invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_export_says_what_it_wrote_and_for_whom(folder: Path, tmp_path: Path) -> None:
    code, output = run("review", "export", folder / "new.ledger.db", tmp_path / "review.xlsx")

    assert code == 0
    assert "mode 0600" in output
    assert "implied_grant" in output
    assert "Asha" not in output


def test_import_says_how_many_decisions_it_took(folder: Path, tmp_path: Path) -> None:
    review, decisions = tmp_path / "review.xlsx", tmp_path / "decisions.toml"
    run("review", "export", folder / "new.ledger.db", review)
    fill(review, ANSWERS)

    code, output = run("review", "import", review, "-o", decisions)

    assert code == 0
    # One child differs from its patient in three fields, and is unlinked in each row.
    assert f"{len(ANSWERS) + 2} decisions" in output
    assert len(read_decisions(decisions).decisions) == len(ANSWERS) + 2


def test_a_refused_workbook_exits_with_3_and_a_line_per_problem(
    folder: Path, tmp_path: Path
) -> None:
    review = tmp_path / "review.xlsx"
    run("review", "export", folder / "new.ledger.db", review)
    book = openpyxl.load_workbook(review)
    for page in book.worksheets[1:3]:
        headings = [cell.value for cell in page[HEAD + 1]]
        page.cell(HEAD + 2, headings.index(DECISION) + 1).value = "perhaps"
    book.save(review)

    code, output = run("review", "import", review, "-o", tmp_path / "decisions.toml")

    assert code == 3
    assert len([line for line in output.splitlines() if line.startswith("  sheet '")]) == 2
    assert not (tmp_path / "decisions.toml").exists()


def test_a_name_of_another_kind_is_wrong_usage(folder: Path, tmp_path: Path) -> None:
    code, output = run("review", "export", folder / "new.ledger.db", tmp_path / "review.ods")

    assert code == 2
    assert ".xlsx or .csv" in output


@pytest.mark.parametrize("command", ["check", "migrate"])
def test_a_missing_file_of_decisions_exits_with_3(
    command: str, folder: Path, tmp_path: Path
) -> None:
    target = [tmp_path / "new.db"] if command == "migrate" else []

    code, output = run(
        command, folder / "old.db", *target, "--decisions", tmp_path / "none.toml", "--json"
    )

    assert code == 3
    assert json.loads(output.splitlines()[0])["exit_code"] == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["check", "migrate"])
def test_decisions_reach_the_pipeline(
    command: str, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    asked: list[CheckOptions | MigrateOptions] = []

    def call(options: CheckOptions | MigrateOptions, *_: object) -> Report:
        asked.append(options)
        return report

    monkeypatch.setattr(f"person_unify.pipeline.{command}", call)
    names = ["old.db", "new.db"] if command == "migrate" else ["old.db"]

    run(command, *names, "--decisions", "decisions.toml")

    assert [options.decisions for options in asked] == [Path("decisions.toml").resolve()]


def test_stale_decisions_are_named_on_the_screen(
    report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tuple(f"children c{n}" for n in range(40))
    counts = (
        DecisionCount("implied_grant", "applied", 3),
        DecisionCount("demographic_mismatch", "stale", 40, stale),
    )

    output = ""
    for everything in (False, True):
        render(replace(report, decisions=counts), screen(sys.stdout), everything=everything)

        output = " ".join(capsys.readouterr().out.split())
        assert "stale demographic_mismatch 40 children c0" in output
        assert output.isascii()
    assert "and more (28), in the ledger's table decisions" in output


def test_import_keeps_earlier_decisions_on_request(folder: Path, tmp_path: Path) -> None:
    review, earlier, later = (tmp_path / name for name in ("r.xlsx", "d.toml", "more.toml"))
    assert run("review", "export", folder / "new.db", review, "--open")[0] == 0
    blank = tmp_path / "blank.xlsx"
    blank.write_bytes(review.read_bytes())
    fill(review, ANSWERS)
    assert run("review", "import", review, "-o", earlier)[0] == 0

    code, output = run("review", "import", blank, "--onto", earlier, "-o", later)

    assert code == 0
    assert f"{len(read_decisions(earlier).decisions)} decisions" in output
    assert later.read_bytes() == earlier.read_bytes()
