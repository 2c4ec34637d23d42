from __future__ import annotations

import json

import pytest

from person_unify.report import Equation, FileFacts, Report, TableCount, Term


def test_report_survives_json(report: Report) -> None:
    written = json.dumps(report.to_json())

    assert Report.from_json(json.loads(written)) == report


def test_report_of_a_check_survives_json_without_target_and_ledger() -> None:
    report = Report("0.1.0", "check", 1, 2, FileFacts("old.db", 1), None, None, "nothing written")

    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_unknown_keys_of_a_later_version_are_ignored(report: Report) -> None:
    raw = report.to_json() | {"weather": "fair"}

    assert Report.from_json(raw) == report


def test_json_states_residuals(report: Report) -> None:
    raw = report.to_json()

    assert [equation["residual"] for equation in raw["equations"]] == [0, 0, 0]
    assert {table["residual"] for table in raw["tables"]} == {0}


@pytest.mark.parametrize(("left", "residual"), [(318, 0), (319, 1), (317, -1)])
def test_residual_is_what_the_terms_do_not_explain(left: int, residual: int) -> None:
    terms = (Term("+", "consents", 310), Term("-", "orphaned", 4), Term("+", "implied", 12))

    assert Equation("grants", left, terms).residual == residual


def test_unexplained_names_equations_and_tables_with_a_residual(report: Report) -> None:
    assert report.unexplained == ()

    broken = Report(
        "0.1.0",
        "migrate",
        1,
        2,
        report.source,
        None,
        None,
        "done",
        tables=(TableCount("reports", "reports", 3, 2),),
        equations=(Equation("persons", 2, (Term("+", "patients", 1),)),),
    )

    assert broken.unexplained == ("persons", "reports")
