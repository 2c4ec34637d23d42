"""From a report to the page: what is shown is decided here, how it looks in the template."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from itertools import groupby
from typing import Any, get_args

import jinja2
from markupsafe import Markup

from person_unify.escaping.text import on_page
from person_unify.findings import FINDINGS
from person_unify.page.advice import next_steps, verdict
from person_unify.report import Equation, LineageLine, Outcome, Report, TableCount
from person_unify.stages.verify.check import NAMES

_RANK = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: its label, its class of colour, its length and what stands behind it."""

    label: str
    kind: str
    value: float
    text: str


def render_page(report: Report) -> str:
    """The page as HTML text; ``report`` may be that of a check, a migration or a verification."""
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    filled = [t for t in report.tables if t.source_rows or t.residual]
    kinds = sorted(
        (d for d in report.discrepancies if d.count),
        key=lambda d: (_RANK[d.severity], -d.count, d.kind),
    )
    shown: dict[str, Any] = {
        "report": report,
        "title": f"person-unify {report.command}",
        "verdict": verdict(report),
        "steps": next_steps(report),
        "filled": filled,
        "empty": [t.source for t in report.tables if t not in filled],
        "totals": {
            "source": sum(t.source_rows for t in filled),
            "loaded": sum(t.loaded for t in filled),
            "archived": sum(sum(t.archived.values()) for t in filled),
        },
        "kinds": [Bar(_words(d.kind), d.severity, d.count, f"{d.count:,}") for d in kinds],
        "advised": [
            {
                "kind": d.kind,
                "severity": d.severity,
                "count": d.count,
                "says": FINDINGS[d.kind].says,
                "advice": FINDINGS[d.kind].advice,
            }
            for d in kinds
        ],
        "rules": _rules(report),
        "outcomes": _outcomes(report),
        "checks": _checks(report),
        "lineage": _lineage(report.lineage),
        "phases": [Bar(p.phase, "bar", p.seconds, f"{p.seconds:,.2f} s") for p in report.phases],
        "files": _files(report),
        "style": Markup(style),  # escaping would change it, and its hash with it
        # The policy allows this one sheet by its hash, and nothing else.
        "style_hash": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    }
    shown["sections"] = list(_sections(shown))
    return _environment().get_template("report.html.j2").render(shown) + "\n"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("person_unify.page", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=on_page,
    )
    environment.filters.update(
        count=lambda number: f"{number:,}",
        words=_words,
        moment=_moment,
        equation=_equation,
        share=_share,
    )
    return environment


def _sections(shown: dict[str, Any]) -> list[dict[str, str]]:
    """The entries of the navigation: the sections that the page has."""
    report: Report = shown["report"]
    candidates = (
        ("next", "What to do next", True),
        ("equations", "Does it add up?", bool(report.equations)),
        ("tables", "Table by table", bool(shown["filled"])),
        ("discrepancies", "Discrepancies", True),
        ("decisions", "Decisions", bool(report.decisions)),
        ("normalised", "Values brought into one form", bool(report.normalisations)),
        ("drift", "Schema differences", bool(report.drift)),
        ("verification", "Verification", bool(report.verification)),
        ("lineage", "Lineage", bool(report.lineage)),
        ("time", "Time", bool(report.phases)),
        ("files", "Files", True),
    )
    return [{"id": id_, "title": title} for id_, title, there in candidates if there]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _moment(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _equation(equation: Equation) -> str:
    """``persons 5 = patients 3 + standalone 2``, as the command line prints it."""
    terms = [f"{t.sign} {t.label} {t.count:,}" for t in equation.terms] or ["0"]
    return f"{equation.left:,} = {' '.join(terms).removeprefix('+ ')}"


def _share(table: TableCount) -> str:
    return f"{100 * table.loaded / table.source_rows:.0f}%" if table.source_rows else "0%"


def _rules(report: Report) -> list[dict[str, Any]]:
    """Cells and columns per normalisation rule, the most frequent first."""
    cells: Counter[str] = Counter()
    columns: Counter[str] = Counter()
    for found in report.normalisations:
        cells[found.rule] += found.cells
        columns[found.rule] += 1
    return [
        {"name": name, "cells": cells[name], "columns": columns[name]}
        for name in sorted(cells, key=lambda name: (-cells[name], name))
    ]


def _outcomes(report: Report) -> list[str]:
    counts = Counter(check.outcome for check in report.verification)
    return [f"{counts[o]:,} {_words(o)}" for o in get_args(Outcome) if counts[o]]


def _checks(report: Report) -> list[dict[str, Any]]:
    """Every check by name, with how often it ended how."""
    found: dict[str, Counter[str]] = {}
    for check in report.verification:
        found.setdefault(check.name, Counter())[check.outcome] += 1
    return [
        {
            "name": name,
            "proves": NAMES.get(name, ""),
            "passed": ended["passed"],
            "skipped": ended["not_applicable"],
            "failed": ended["failed"] + ended["error"],
        }
        for name, ended in found.items()
    ]


def _lineage(lines: tuple[LineageLine, ...]) -> list[dict[str, Any]]:
    """The lines of each old table, and how many of its columns end how."""
    ordered = sorted(lines, key=lambda line: line.source_table)
    tables = []
    for name, group in groupby(ordered, key=lambda line: line.source_table):
        held = list(group)
        ends = Counter(line.disposition for line in held)
        summary = ", ".join(f"{count} {_words(end)}" for end, count in sorted(ends.items()))
        tables.append({"name": name, "summary": summary, "lines": held})
    return tables


def _files(report: Report) -> list[tuple[str, str]]:
    """Every file of the run, with its digest where it has one."""
    rows = []
    for label, facts in (("source", report.source), ("target", report.target)):
        if facts is not None:
            rows.append((label, facts.path))
            if facts.sha256:
                rows.append((f"{label} SHA-256", facts.sha256))
    known = {path for _, path in rows}
    others = {"ledger": report.ledger, **report.files}
    return rows + [(label, path) for label, path in others.items() if path and path not in known]
