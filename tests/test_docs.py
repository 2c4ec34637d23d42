"""What the documents say is what the code does."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tour import PAGES, README, ROOT, blocks, masked, play, shorten
from typer.testing import CliRunner

from person_unify import errors
from person_unify.cli.app import app
from person_unify.cli.ending import EXIT_CODES
from person_unify.findings import DECISIONS, FINDINGS, QUESTIONS
from person_unify.findings.document import render as render_findings
from person_unify.frames.ledger import TABLES
from person_unify.mappings import MAPPINGS
from person_unify.mappings.document import RULES, render
from person_unify.mappings.spec import Computed, Decided
from person_unify.stages.verify.check import NAMES

DOCS = ROOT / "docs"


def text() -> str:
    return README.read_text(encoding="utf-8")


def table(page: str, heading: str) -> Iterator[list[str]]:
    """The cells of the rows of the table that follows a heading of a page."""
    written = (DOCS / page).read_text(encoding="utf-8")
    section = written.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def test_mapping_document_is_printed_from_the_mappings() -> None:
    assert (DOCS / "MAPPINGS.md").read_text(encoding="utf-8") == render(), "run: make docs"


def test_mapping_document_has_a_section_for_every_mapped_table() -> None:
    headings = set(re.findall(r"^### `(\w+)` →", render(), re.MULTILINE))

    assert headings == {mapping.source for mapping in MAPPINGS if mapping.target}


def test_every_rule_has_words_and_no_other_has() -> None:
    words = [
        word
        for mapping in MAPPINGS
        for word in (*mapping.columns.values(), *mapping.exposes.values())
    ]

    assert {word.rule for word in words if isinstance(word, Computed | Decided)} == set(RULES)


def test_findings_document_is_printed_from_the_findings() -> None:
    assert (DOCS / "FINDINGS.md").read_text(encoding="utf-8") == render_findings(), "run: make docs"


def test_every_kind_with_an_error_or_a_question_has_somebody_who_acts() -> None:
    idle = {kind for kind, finding in FINDINGS.items() if finding.acts == "nobody"}

    assert not idle & QUESTIONS.keys()
    assert {FINDINGS[kind].severity for kind in idle} <= {"info"}


def test_every_decision_has_words_and_answers_a_question() -> None:
    assert {word for question in QUESTIONS.values() for word in question.decisions} == set(
        DECISIONS
    )


def test_page_states_every_exit_code() -> None:
    stated = {code for code, *_ in table("OPERATING.md", "## Exit codes")}
    in_help = set(re.findall(r"^  (\d+) ", EXIT_CODES, re.MULTILINE))
    tree = {
        str(value.exit_code)
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.MigrationError)
    }

    assert stated - {"143"} == in_help
    assert tree | {"0", "130"} == in_help


def test_page_names_every_ledger_table() -> None:
    stated = {
        name
        for cell, *_ in table("LEDGER.md", "## The ledger")
        for name in re.findall(r"\w+", cell)
    }

    assert set(TABLES) <= stated


def test_named_checks_exist() -> None:
    written = (DOCS / "LEDGER.md").read_text(encoding="utf-8")
    section = written.split("## Verification\n", 1)[1].split("\n#", 1)[0]

    assert set(re.findall(r"`(\w+_\w+)`", section)) <= set(NAMES)


@pytest.mark.parametrize("path", sorted([README, *DOCS.glob("*.md")]), ids=lambda path: path.name)
def test_relative_links_lead_somewhere(path: Path) -> None:
    links = re.findall(
        r"\]\(([^)#:]+)(?:#[^)]*)?\)|(?:src|srcset)=\"([^\":]+)\"", path.read_text("utf-8")
    )

    assert [
        link for pair in links for link in pair if link and not (path.parent / link).exists()
    ] == []


def test_every_document_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(docs/([A-Z]+\.md)", text()))

    assert linked == {path.name for path in DOCS.glob("*.md")}


def test_shown_paragraphs_are_cut_and_others_left_out() -> None:
    output = "head\n\nOne\n  a\n  b\n\nTwo\n\nThree\n\nend\n"

    assert shorten(output, ("One 2", "end")) == "head\n\nOne\n  a\n  …\n\n…\n\nend\n"


def test_volatile_parts_are_masked() -> None:
    one = "  source  old.db  5.3 MB  sha256 0eed42\n  load   7,196   0.89   8,090\n"
    other = "  source  old.db  97 kB  sha256 aa\n  load  1   10.89   1\n"

    assert masked(one) == masked(other)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page.read_text("utf-8"))], ids=lambda page: page.name
)
def test_the_commands_of_a_page_print_what_it_says(page: Path, tmp_path: Path) -> None:
    last = 0
    for block in blocks(page.read_text(encoding="utf-8")):
        today, last = play(block, tmp_path, last)

        assert masked(today) == masked(block.body), "run: make docs"
    queries = re.findall(r"```sql\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    if queries:
        _every_query_answers(tmp_path / "new.ledger.db", queries)


def _every_query_answers(ledger: Path, queries: list[str]) -> None:
    connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    try:
        for query in queries:
            assert connection.execute(query).fetchone() is not None, query
    finally:
        connection.close()


@pytest.mark.parametrize(("name", "most"), [("flow.svg", 10_000), ("terminal.svg", 60_000)])
def test_picture_is_small_and_alone(name: str, most: int) -> None:
    picture = (DOCS / name).read_text(encoding="utf-8")

    assert os.path.getsize(DOCS / name) < most
    assert ("prefers-color-scheme: dark" in picture) == (name == "flow.svg")
    assert not re.search(r"<script|<image|href=|@font-face|url\(http", picture)


def test_readme_is_short_and_has_a_runbook() -> None:
    assert len(text().splitlines()) <= 230
    steps = ("Rehearse", "Freeze", "Migrate", "Verify", "Switch", "Keep", "Purge", "roll back")
    places = [text().index(f"**{step}") for step in steps if f"**{step}" in text()]
    assert len(places) >= len(steps) - 1
    assert places == sorted(places)


def test_page_names_every_option_of_migrate() -> None:
    stated = " ".join(cell for cell, *_ in table("OPERATING.md", "## Options"))
    options = re.findall(r"^  (?:-q, )?(--[a-z-]+)", _help("migrate"), re.MULTILINE)

    told = {option for option in options if option not in ("--source-env", "--keep-backup")}
    assert {option for option in told if option not in stated} <= {"--help"}


def _help(command: str) -> str:
    return CliRunner().invoke(app, [command, "--help"]).stdout
