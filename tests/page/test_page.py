"""The page: safe to open from a mail, complete, and honest about the verdict."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from person_unify.cli.app import app
from person_unify.page import render_page
from person_unify.page.advice import next_steps, verdict
from person_unify.pipeline import MigrateOptions, migrate
from person_unify.report import (
    CheckResult,
    DecisionCount,
    DiscrepancyCount,
    FileFacts,
    LineageLine,
    Place,
    Report,
)
from person_unify.sample import SampleOptions, write_sample

VOID = {"meta", "rect"}


class Page(HTMLParser):
    """Elements in order, whether they nest properly, and all attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def values(page: Page, name: str) -> Iterator[str]:
    return (value for _, attribute, value in page.attributes if attribute == name and value)


def test_page_nests_and_names_its_sections(report: Report) -> None:
    page = Page(render_page(report))

    assert page.open == []
    linked = {link.removeprefix("#") for link in values(page, "href")}
    assert linked <= set(values(page, "id"))
    assert {"next", "tables", "discrepancies", "verification"} <= linked


def test_page_loads_nothing_and_runs_nothing(report: Report) -> None:
    text = render_page(report)
    page = Page(text)

    names = {attribute for _, attribute, _ in page.attributes}
    assert not names & {"style", "src", "srcset", "action"}
    assert not [name for name in names if name.startswith("on")]
    assert all(link.startswith("#") for link in values(page, "href"))
    assert not re.search(r"<script|<iframe|<object|<link|@import|url\(|https?://", text)


def test_policy_allows_the_one_style_sheet_by_its_hash(report: Report) -> None:
    text = render_page(report)
    policy = next(v for v in values(Page(text), "content") if v.startswith("default-src"))
    sheet = text.split("<style>", 1)[1].split("</style>", 1)[0]

    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")


def test_names_are_text_whatever_they_hold(report: Report) -> None:
    odd = '<script>alert("x")</script>'
    strange = replace(
        report,
        source=FileFacts(odd, 1),
        drift=(odd,),
        lineage=(LineageLine(odd, odd, "archived", None, None, odd),),
    )

    text = render_page(strange)

    assert "<script" not in text
    assert "".join(Page(text).words).count(odd) >= 4


def test_verdict_comes_first_and_follows_the_checks(report: Report) -> None:
    bad = CheckResult("persons_count", "persons", 3, 2, "failed", "1 missing")
    failing = replace(report, verification=(*report.verification, bad))

    assert verdict(report).good
    assert not verdict(failing).good
    assert "1 of 4 checks failed" in verdict(failing).headline
    text = render_page(failing)
    assert text.index(verdict(failing).headline) < text.index("<h2")
    assert "1 missing" in text


def test_what_does_not_add_up_is_no_good_verdict(report: Report) -> None:
    equation = replace(report.equations[0], left=report.equations[0].left + 1)

    assert not verdict(replace(report, equations=(equation,))).good


def test_next_steps_name_files_as_a_shell_takes_them(report: Report) -> None:
    spaced = replace(report, target=FileFacts("-new $(x).db", 1))

    commands = [command for step in next_steps(spaced) for command in step.commands]

    assert any("purge './-new $(x).db'" in command for command in commands)


def test_command_writes_the_page_from_the_ledger_alone(page_of_a_run: Path, tmp_path: Path) -> None:
    for name in ("new.db", "new.ledger.db"):
        shutil.copy(page_of_a_run.with_name(name), tmp_path / name)
    page = tmp_path / "r.html"

    first = CliRunner().invoke(app, ["report", str(tmp_path / "new.ledger.db"), str(page)])
    again = CliRunner().invoke(app, ["report", str(tmp_path / "new.db"), str(page)])

    def told(path: Path) -> str:
        text = path.read_text("utf-8")
        for place in (page.parent, page_of_a_run.parent):
            text = text.replace(str(place), "")
        return text[text.index("<h1") : text.index('<h2 id="time"')]

    assert first.exit_code == 0, first.stderr
    assert told(page) == told(page_of_a_run)
    assert page.stat().st_mode & 0o777 == 0o600
    assert again.exit_code == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"tables": 3}', "\x00", "[" * 100_000])
def test_what_is_no_report_is_refused_in_one_line(
    content: str, page_of_a_run: Path, tmp_path: Path
) -> None:
    for name in ("new.db", "new.ledger.db"):
        shutil.copy(page_of_a_run.with_name(name), tmp_path / name)
    with closing(sqlite3.connect(tmp_path / "new.ledger.db", isolation_level=None)) as ledger:
        ledger.execute("UPDATE report SET json = ?", [content])

    done = CliRunner().invoke(app, ["report", str(tmp_path / "new.db"), str(tmp_path / "r.html")])

    assert done.exit_code == 3
    assert "holds no readable report" in done.stderr
    assert not (tmp_path / "r.html").exists()


@pytest.fixture(scope="module")
def page_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_sample(folder / "old.db", SampleOptions(persons=60, seed=3, faults=0.3))
    migrate(MigrateOptions(folder / "old.db", folder / "new.db", keep_backup=False))
    return folder / "new.report.html"


def test_migration_leaves_a_page_for_its_owner_only(page_of_a_run: Path) -> None:
    assert page_of_a_run.stat().st_mode & 0o777 == 0o600
    text = page_of_a_run.read_text(encoding="utf-8")
    assert "Migrated, verified and published" in text
    assert "lre_justification" in text  # lineage goes down to the column


def test_check_writes_the_page_on_request(tmp_path: Path) -> None:
    write_sample(tmp_path / "old.db", SampleOptions(persons=20, seed=3, faults=0.3))

    done = CliRunner().invoke(
        app, ["check", str(tmp_path / "old.db"), "--html", str(tmp_path / "check.html")]
    )

    assert done.exit_code == 0, done.output
    assert "Ready to migrate" in (tmp_path / "check.html").read_text(encoding="utf-8")


def test_page_tells_decisions_without_effect(report: Report) -> None:
    decisions = (
        DecisionCount("implied_grant", "applied", 3),
        DecisionCount(
            "demographic_mismatch", "stale", 40, tuple(f"children c{n}" for n in range(40))
        ),
    )

    page = Page(render_page(replace(report, decisions=decisions)))

    text = " ".join(page.words)
    assert page.open == []
    assert "#decisions" in set(values(page, "href"))
    assert "children c11 and more" in text
    assert "children c12" not in text


def test_a_kind_that_is_found_in_many_columns_names_few_and_folds_all(report: Report) -> None:
    places = tuple(Place(f"table_{n}", f"column_{n}", 20 - n) for n in range(9))
    found = DiscrepancyCount("unreadable_value", "error", sum(p.count for p in places), places)

    text = render_page(replace(report, discrepancies=(found,)))

    row, folded = text.split("<details><summary><code>unreadable_value</code>", 1)
    assert "144 in 9 columns of 9 tables" in folded
    assert "table_5.column_5 15, and 3 more" in row
    assert "column_8" not in row
    assert "<code>column_8</code>" in folded
