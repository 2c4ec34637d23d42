from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from person_unify.cli.render import render
from person_unify.cli.streams import WIDTH, Screen
from person_unify.findings import FINDINGS, QUESTIONS
from person_unify.page.blocks import Folded, Grid
from person_unify.page.sections import sections
from person_unify.report import (
    CheckResult,
    DecisionCount,
    DiscrepancyCount,
    Equation,
    FileFacts,
    Place,
    Report,
    TableCount,
    Term,
)


def rendered(
    report: Report, *, terminal: bool = False, width: int = WIDTH, everything: bool = True
) -> str:
    stream = io.StringIO()
    console = Screen(
        file=stream,
        width=width,
        force_terminal=terminal,
        markup=False,
        highlight=False,
        emoji=False,
    )
    render(report, console, everything=everything)
    return stream.getvalue()


def test_reconciliation_is_aligned_and_ends_in_residuals(report: Report) -> None:
    text = rendered(report)

    assert (
        "  children 1204 = linked 780 + standalone 419 + missing link 5            residual 0\n"
        "  persons  1630 = patients 1206 + standalone 419 + missing link 5         residual 0\n"
        "  grants    318 = consents 310 - orphaned 4 + implied 12                  residual 0\n"
    ) in text


def test_plain_text_is_ascii_fits_100_columns_and_has_no_trailing_blanks(report: Report) -> None:
    text = rendered(report)

    assert text.isascii()
    assert max(map(len, text.splitlines())) <= WIDTH
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_every_part_is_shown(report: Report) -> None:
    text = rendered(report)

    for part in (
        "person-unify 0.1.0  migrate",
        "/data/old.db  12.3 MB  sha256 3f3f3f3f3f3f3f3f",
        "timezone Asia/Kolkata",
        "no rows: resources",
        "archive only",
        "text_to_integer",
        "column patients.nickname is unknown: archived",
        "3 checks: 2 passed, 1 not applicable",
        "/data/new.report.json",
        "/data/new.ledger.db",
        "done and verified; 9 discrepancies of severity error to review",
    ):
        assert part in text


def test_each_table_is_one_sum_with_reasons(report: Report) -> None:
    lines = {line.split()[0]: line.split()[1:] for line in rendered(report).splitlines() if line}
    contacts = lines["patient_contacts"]

    assert contacts == ["2,412", "=", "2,405", "+", "7", "orphaned_record", "7", "contacts"]


def test_discrepancies_come_worst_first_for_each_who_can_act() -> None:
    for section in sections(FULL):
        if section.id in ("discrepancies", "leftovers", "settled"):
            grid, *folded = section.blocks
            assert all(isinstance(block, Folded) for block in folded)
            assert isinstance(grid, Grid)
            ranks = ["error warning info".split().index(row[0].text) for row in grid.rows]
            assert ranks
            assert ranks == sorted(ranks)


def test_rows_that_nothing_explains_cannot_be_overlooked(report: Report) -> None:
    lossy = replace(
        report,
        tables=(TableCount("reports", "reports", 3, 1, {"orphaned_record": 1}),),
        equations=(Equation("persons", 2, (Term("+", "patients", 1),)),),
    )
    text = rendered(lossy)

    assert "orphaned_record 1 NOT EXPLAINED 1" in text
    assert "residual 1" in text
    assert "does not add up: persons, reports" in text


def test_failed_checks_are_listed_with_both_values(report: Report) -> None:
    failed = CheckResult("one primary caregiver", "parent_child_views", 12, 13, "failed", "p-1")
    text = rendered(replace(report, verification=(*report.verification, failed)))

    assert "4 checks: 2 passed, 1 failed, 1 not applicable" in text
    line = next(line for line in text.splitlines() if "one primary caregiver" in line)
    assert line.split()[-4:] == ["parent_child_views", "12", "13", "p-1"]


def test_long_equation_breaks_before_a_sign(report: Report) -> None:
    terms = tuple(Term("+", f"a rather long label {n}", 10**6) for n in range(8))
    text = rendered(replace(report, equations=(Equation("persons", 8 * 10**6, terms),)))

    assert max(map(len, text.splitlines())) <= WIDTH
    assert sum("+ a rather long label" in line for line in text.splitlines()) >= 3
    assert text.count("residual 0") == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_hostile_names_can_neither_steer_the_terminal_nor_leave_their_line(
    report: Report, terminal: bool
) -> None:
    hostile = "a\x1b]0;owned\x07\nb[red]"
    text = rendered(
        replace(
            report,
            source=FileFacts(hostile, 1),
            drift=(hostile,),
            files={hostile: hostile},
            tables=(TableCount(hostile, None, 1, 0, {hostile: 1}),),
        ),
        terminal=terminal,
    )

    assert "\x1b]0" not in text
    assert "\x07" not in text
    assert "b[red]" in text


def test_a_path_is_never_broken(report: Report) -> None:
    path = "/" + "very-long-directory/" * 8 + "report.json"

    assert path in rendered(replace(report, files={"report": path}))


FULL = Report(
    "0.1.0",
    "migrate",
    1,
    9_000,
    FileFacts("/data/old.db", 4_300_000, "a" * 64),
    FileFacts("/data/new.db", 4_600_000, "b" * 64),
    "/data/new.ledger.db",
    "published",
    options={"timezone": "Asia/Kolkata"},
    tables=tuple(
        TableCount(f"a_table_of_some_length_{n}", "elsewhere", 9, 8, {"orphaned_record": 1})
        for n in range(55)
    ),
    equations=tuple(
        Equation(name, 12, (Term("+", "one", 4), Term("+", "other", 8)))
        for name in ("children", "persons", "grants")
    ),
    discrepancies=tuple(
        DiscrepancyCount(
            kind,
            finding.severity,
            54,
            tuple(Place("a_table_of_some_length", f"and_its_column_{n}", 6) for n in range(9)),
        )
        for kind, finding in FINDINGS.items()
    ),
    decisions=tuple(DecisionCount(kind, "stale", 3, ("children c1",)) for kind in QUESTIONS),
    drift=tuple(f"column a_table.column_{n} is not in the old schema" for n in range(20)),
    verification=(CheckResult("views", "parent_child_views", 1, 1, "passed"),) * 800,
    needs_baseline=True,
    failed_migrations=("20260101_unified",),
    files={
        name: f"/data/{name}"
        for name in ("report", "page", "checkpoints", "backup", "target before")
    },
)
"""A report with something to say everywhere."""


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("terminal", [False, True])
def test_summary_has_at_most_40_lines_and_no_broken_name(width: int, terminal: bool) -> None:
    text = rendered(FULL, width=width, terminal=terminal, everything=False)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()

    assert len(lines) <= 40
    assert max(map(len, lines)) <= width
    assert "Migrated, verified and published" in lines[0]
    known = {*FINDINGS, "a_table_of_some_length"}
    for word in re.findall(r"[a-z]+(?:_[a-z]+)+", text):
        assert not any(word != name and name.startswith(word) for name in known), word


@pytest.mark.parametrize("failed", [1, 700])
def test_failed_checks_leave_room_for_the_verdict(failed: int) -> None:
    bad = CheckResult("cells_match", "persons", 0, 1, "failed", "last_name")
    report = replace(FULL, command="verify", verification=(*FULL.verification, *[bad] * failed))

    lines = rendered(report, width=80, everything=False).splitlines()

    assert len(lines) <= 40
    assert "NOT VERIFIED" in lines[0]
    assert (
        lines[-1]
        == f"NOT VERIFIED: {failed} of {800 + failed:,} checks failed: cells_match persons"
    )
    assert lines[-2] == "see the rows: person-unify diff /data/old.db /data/new.db"


def test_everything_names_every_table_and_column_whole() -> None:
    lines = rendered(FULL, width=80).splitlines()

    for n in range(55):
        assert any(f"a_table_of_some_length_{n}" in line.split() for line in lines)
    assert sum("and_its_column_8 6" in line for line in lines) == len(FINDINGS)


def test_decided_discrepancies_are_open_no_more() -> None:
    answered = tuple(DecisionCount(kind, "applied", 50) for kind in QUESTIONS)

    before, after = (
        next(s for s in sections(report) if s.id == "discrepancies")
        for report in (FULL, replace(FULL, decisions=answered))
    )

    assert before.title.endswith(f": {54 * sum(f.acts == 'clinic' for f in FINDINGS.values()):,}")
    assert int(after.title.rsplit(" ", 1)[1].replace(",", "")) < int(
        before.title.rsplit(" ", 1)[1].replace(",", "")
    ) - 50 * (len(QUESTIONS) - 1)


@pytest.mark.parametrize("width", [40, 80])
def test_terminal_may_be_narrow(report: Report, width: int) -> None:
    assert "residual 0" in rendered(report, terminal=True, width=width)
