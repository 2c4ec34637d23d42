"""The summary of a fleet: a row per database, then the sections of all their reports together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from person_unify import __version__
from person_unify.page.advice import Step, Verdict, command
from person_unify.page.blocks import Cell, Section, Tone, code, grid_of
from person_unify.page.render import page_of
from person_unify.page.sections import checks_in_words, sections
from person_unify.report import (
    DiscrepancyCount,
    Equation,
    FileFacts,
    Place,
    Report,
    TableCount,
    Term,
)

_TOGETHER = ("equations", "discrepancies", "leftovers", "settled", "failed", "tables", "normalised")


@dataclass(frozen=True, slots=True)
class TenantResult:
    """What became of one database: ``state`` as ``status`` tells it, ``report`` of its ledger.

    target: a path or an address; ``undelivered`` is the state of one that lacks its delivery alone.
    code, message: how its last attempt ended.
    """

    target: str
    state: str
    report: Report | None
    code: int = 0
    message: str = ""

    @property
    def good(self) -> bool:
        """Whether it is migrated and verified, with all that its source holds."""
        return self.report is not None and self.code == 0


def exit_code_of(results: Iterable[TenantResult]) -> int:
    """0 if all are good, else the code that all others share, else 1."""
    codes = {result.code or 1 for result in results if not result.good}
    return codes.pop() if len(codes) == 1 else int(bool(codes))


def fleet_verdict(results: Sequence[TenantResult]) -> Verdict:
    """What the fleet comes down to."""
    missing = sum(not result.good for result in results)
    counts = Counter(result.state for result in results)
    lines = [", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))]
    together = total(results)
    if together.verification:
        lines.append(checks_in_words(together))
    if missing:
        said = f"{missing:,} of {len(results):,} databases are not migrated as they should be"
        return Verdict(False, said, tuple(lines))
    said = f"{len(results):,} databases migrated, verified and published"
    return Verdict(True, said, tuple(lines))


def fleet_sections(results: Sequence[TenantResult]) -> list[Section]:
    """The databases, those that need somebody first, and what their reports say together."""
    heads = ("database", "state", ">rows", ">persons", ">failed checks", ">errors", "why")
    ordered = sorted(results, key=lambda result: result.good)
    databases = Section("databases", "Databases", grid_of(heads, map(_row, ordered)), brief=True)
    return [databases, *(s for s in sections(total(results)) if s.id in _TOGETHER)]


def _row(result: TenantResult) -> tuple[Cell | str, ...]:
    report = result.report
    tone: Tone = "good" if result.good else "bad"
    numbers = [""] * 4
    if report is not None:
        persons = next((e.left for e in report.equations if e.name == "persons"), 0)
        errors = sum(d.count for d in report.discrepancies if d.severity == "error")
        rows = sum(t.source_rows for t in report.tables)
        numbers = [f"{n:,}" for n in (rows, persons, len(report.failed_checks), errors)]
    return (code(result.target), Cell(result.state, tone), *numbers, result.message)


def total(results: Iterable[TenantResult]) -> Report:
    """One report that counts what all finished runs count."""
    reports = [result.report for result in results if result.report is not None]
    tables: dict[str, TableCount] = {}
    equations: dict[str, Equation] = {}
    found: dict[str, DiscrepancyCount] = {}
    for report in reports:
        for table in report.tables:
            known = tables.get(table.source, replace(table, source_rows=0, loaded=0, archived={}))
            tables[table.source] = replace(
                known,
                source_rows=known.source_rows + table.source_rows,
                loaded=known.loaded + table.loaded,
                archived=Counter(known.archived) + Counter(table.archived),
            )
        for equation in report.equations:
            equations[equation.name] = _added(equations.get(equation.name), equation)
        for kind in report.discrepancies:
            before = found.get(kind.kind)
            found[kind.kind] = kind if before is None else _both(before, kind)
    return Report(
        tool_version=__version__,
        command="fleet",
        started_ms=min((r.started_ms for r in reports), default=0),
        finished_ms=max((r.finished_ms for r in reports), default=0),
        source=FileFacts("", 0),
        target=None,
        ledger=None,
        outcome="",
        tables=tuple(tables.values()),
        equations=tuple(equations.values()),
        discrepancies=tuple(found.values()),
        decisions=tuple(d for r in reports for d in r.decisions),
        normalisations=tuple(n for r in reports for n in r.normalisations),
        verification=tuple(c for r in reports for c in r.verification),
    )


def _added(one: Equation | None, other: Equation) -> Equation:
    if one is None:
        return other
    counts: Counter[tuple[Literal["+", "-"], str]] = Counter()
    for term in (*one.terms, *other.terms):
        counts[term.sign, term.label] += term.count
    terms = tuple(Term(*signed, count) for signed, count in counts.items())
    return Equation(one.name, one.left + other.left, terms)


def _both(one: DiscrepancyCount, other: DiscrepancyCount) -> DiscrepancyCount:
    places: Counter[tuple[str, str | None]] = Counter()
    for place in (*one.places, *other.places):
        places[place.table, place.column] += place.count
    listed = tuple(Place(*at, count) for at, count in places.most_common())
    return replace(one, count=one.count + other.count, places=listed)


def render_fleet(results: Sequence[TenantResult], tenants: str) -> str:
    """The page as HTML text; ``tenants`` is the list that the fleet was given."""
    steps = fleet_steps(results, tenants)
    told = fleet_verdict(results)
    started = total(results).started_ms
    return page_of(f"Fleet of {tenants}", started, told, steps, fleet_sections(results))


def fleet_steps(results: Sequence[TenantResult], tenants: str) -> list[Step]:
    """What to do next."""
    if all(result.good for result in results):
        return [Step("Each database has its own report beside it, with its own next steps.")]
    return [
        Step(
            "Settle what the rows below name, and run the fleet again: what is finished is left "
            "alone, what was stopped goes on.",
            (command("fleet", tenants),),
        )
    ]
