"""The report as sections that terminal and page both print: what stands in it is decided here.

``cli/render.py`` lays sections out in columns of text, the page's template as tables; neither adds
a figure of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import get_args

from person_unify.findings import FINDINGS, Acts
from person_unify.page.blocks import Block, Cell, Folded, Lines, Section, Tone, code, grid_of
from person_unify.report import DiscrepancyCount, Equation, Outcome, Report, TableCount

_READERS: dict[Acts, tuple[str, str, str]] = {
    "clinic": (
        "discrepancies",
        "For the clinic's staff to judge",
        "Places where the old records contradict each other. Only people who know the families can "
        "say what is right; what they decide is fed back into a further run.",
    ),
    "engineer": (
        "leftovers",
        "For the engineer",
        "Rows, cells and references that did not make it into the new database as they were, "
        "mostly leftovers of deletions. The ledger has all of them.",
    ),
    "nobody": (
        "settled",
        "Worth knowing, nothing to do",
        "What was settled by rule and needs no one.",
    ),
}
"""Of each who can act, the section's id, its title, and what it says."""
_RANK = {"error": 0, "warning": 1, "info": 2}


def sections(report: Report) -> list[Section]:
    """The sections of a report that have something to say, in the order a reader asks for it."""
    made = (
        _equations(report),
        *_findings(report),
        _decisions(report),
        _kept_ids(report),
        _drift(report),
        _failed(report),
        _tables(report),
        _normalised(report),
        _verification(report),
        _time(report),
        _files(report),
        _options(report),
        _lineage(report),
    )
    return [section for section in made if section.blocks]


def equation_text(equation: Equation) -> str:
    """``1,630 = patients 1,206 + standalone 424``."""
    terms = [f"{t.sign} {t.label} {t.count:,}" for t in equation.terms] or ["0"]
    return f"{equation.left:,} = {' '.join(terms).removeprefix('+ ')}"


def _equations(report: Report) -> Section:
    rows = (
        (e.name, equation_text(e), Cell(f"{e.residual:,}", "bad" if e.residual else "good"))
        for e in report.equations
    )
    return Section(
        "equations",
        "Does it add up?",
        grid_of(("what", "equation", ">residual"), rows),
        "Every line counts the same things twice, in the old database and in the new one. A "
        "residual that is not 0 would mean rows that nobody can account for.",
        brief=True,
    )


def open_findings(report: Report) -> list[DiscrepancyCount]:
    """The discrepancies per kind, less those that a decision has settled, worst first."""
    applied: Counter[str] = Counter()
    for decision in report.decisions:
        if decision.outcome == "applied":
            applied[decision.kind] += decision.count
    left = [replace(d, count=max(0, d.count - applied[d.kind])) for d in report.discrepancies]
    return sorted((d for d in left if d.count), key=lambda d: (_RANK[d.severity], -d.count, d.kind))


_NAMED_PLACES = 6
"""Tables and columns that a kind of discrepancy names beside its count."""


def _findings(report: Report) -> Iterator[Section]:
    """A section for each of those who can act."""
    found = open_findings(report)
    heads = ("severity", "kind", ">count", "where", "what it says", "what to do")
    for who, (id_, title, says) in _READERS.items():
        own = [d for d in found if FINDINGS[d.kind].acts == who]
        rows = [
            (
                Cell(d.severity, d.severity),
                code(d.kind),
                f"{d.count:,}",
                _places(d),
                FINDINGS[d.kind].says,
                FINDINGS[d.kind].advice,
            )
            for d in own
        ]
        folded = (_everywhere(d) for d in own if len(d.places) > _NAMED_PLACES)
        named = f"{title}: {sum(d.count for d in own):,}"
        yield Section(id_, named, (*grid_of(heads, rows), *folded), says, brief=who != "nobody")


def _places(found: DiscrepancyCount) -> Cell:
    """``users.email 5, tags 2``, the most frequent first."""
    named = [f"{_place(p.table, p.column)} {p.count:,}" for p in found.places]
    more = len(named) - _NAMED_PLACES
    few = [*named[:_NAMED_PLACES], f"and {more:,} more"] if more > 0 else named
    return Cell(", ".join(named), few=", ".join(few))


def _everywhere(found: DiscrepancyCount) -> Folded:
    """All places of a kind that has too many to stand in a cell."""
    rows = ((code(p.table), code(p.column or ""), f"{p.count:,}") for p in found.places)
    tables = len({place.table for place in found.places})
    comes_to = f"{found.count:,} in {len(found.places):,} columns of {tables:,} tables"
    grid = grid_of(("table", "column", ">count"), rows)[0]
    return Folded(code(found.kind), comes_to, grid)


_SHOWN_ROWS = 12
"""Records of decisions without effect that are named; the ledger has all."""


def _decisions(report: Report) -> Section:
    rows = []
    for entry in report.decisions:
        records = ", ".join(entry.rows[:_SHOWN_ROWS])
        if len(entry.rows) > _SHOWN_ROWS:
            more = len(entry.rows) - _SHOWN_ROWS
            records += f" and more ({more:,}), in the ledger's table decisions"
        tone: Tone = "good" if entry.outcome == "applied" else "warning"
        outcome = Cell(_words(entry.outcome), tone)
        rows.append((outcome, code(entry.kind), f"{entry.count:,}", records))
    return Section(
        "decisions",
        "Decisions",
        grid_of(("outcome", "kind", ">count", "records without effect"), rows),
        "What people decided in a review. Only what is applied had an effect: stale decisions were "
        "made about values that have changed since, decisions that are not needed answer a "
        "question that nobody asks any more.",
        brief=True,
    )


def _kept_ids(report: Report) -> Section:
    """How many new records have the id that an earlier run gave them, as was verified."""
    rows = (
        (code(c.table), _value(c.actual or 0), c.detail)
        for c in report.verification
        if c.name == "kept_ids" and c.table and c.outcome != "error"
    )
    return Section(
        "kept_ids",
        "Ids of the earlier run",
        grid_of(("new table", ">kept", "others"), rows),
        "Records that the earlier run knew have the same new ids as then, so that links and test "
        "data made after it still hold.",
        brief=True,
    )


def _drift(report: Report) -> Section:
    blocks = (Lines(tuple(map(Cell, report.drift))),) if report.drift else ()
    return Section("drift", "Differences from the expected schema", blocks)


def _failed(report: Report) -> Section:
    rows = (
        (code(c.name, "bad"), code(c.table or ""), _value(c.expected), _value(c.actual), c.detail)
        for c in report.failed_checks
    )
    heads = ("failed check", "table", ">expected", ">actual", "detail")
    return Section("failed", "Checks that failed", grid_of(heads, rows), brief=True)


def _tables(report: Report) -> Section:
    filled = [t for t in report.tables if t.source_rows or t.residual]
    rows = (
        (
            code(t.source),
            f"{t.source_rows:,}",
            f"= {t.loaded:,}",
            f"+ {sum(t.archived.values()):,}",
            _reasons(t),
            _into(t),
        )
        for t in filled
    )
    heads = ("old table", ">rows", ">loaded", ">archived", "why archived", "became")
    blocks: tuple[Block, ...] = grid_of(heads, rows)
    empty = [t.source for t in report.tables if t not in filled]
    if empty:
        blocks += (Lines((Cell(f"no rows: {', '.join(empty)}", "soft"),)),)
    return Section(
        "tables",
        "Table by table",
        blocks,
        f"{sum(t.source_rows for t in filled):,} rows went in: "
        f"{sum(t.loaded for t in filled):,} are in the new database, "
        f"{sum(sum(t.archived.values()) for t in filled):,} are kept in the ledger only, for the "
        "reason named. Nothing is thrown away.",
    )


def _into(table: TableCount) -> Cell:
    if table.target is None:
        return Cell("archive only", "soft")
    if table.target == table.source:
        return Cell("same name", "soft")
    return code(table.target)


def _reasons(table: TableCount) -> Cell:
    said = ", ".join(f"{why} {n:,}" for why, n in table.archived.items() if n)
    if not table.residual:
        return Cell(said)
    return Cell(f"{said} NOT EXPLAINED {table.residual:,}".strip(), "bad")


def _normalised(report: Report) -> Section:
    """Cells and columns per rule, the most frequent first; the ledger lists every column."""
    cells: Counter[str] = Counter()
    columns: Counter[str] = Counter()
    for found in report.normalisations:
        cells[found.rule] += found.cells
        columns[found.rule] += 1
    rows = (
        (code(rule), f"{cells[rule]:,}", f"{columns[rule]:,}")
        for rule in sorted(cells, key=lambda rule: (-cells[rule], rule))
    )
    return Section(
        "normalised",
        "Values brought into one form",
        grid_of(("rule", ">cells", ">columns"), rows),
        "The same value in the form that the new database expects, an instant as a number for "
        "instance. Where the form held more than the value, the ledger keeps the old cell too.",
    )


def checks_in_words(report: Report) -> str:
    """``836 checks: 798 passed, 38 not applicable``."""
    counts = Counter(check.outcome for check in report.verification)
    ends = (f"{counts[o]:,} {_words(o)}" for o in get_args(Outcome) if counts[o])
    return f"{len(report.verification):,} checks: {', '.join(ends)}"


def _verification(report: Report) -> Section:
    """Every check by name, with how often it ended how."""
    if not report.verification:
        return Section("verification", "Verification", ())
    # Only here: it takes what the verification itself takes to load.
    from person_unify.stages.verify.check import NAMES

    ends: dict[str, Counter[str]] = {}
    for check in report.verification:
        ends.setdefault(check.name, Counter())[check.outcome] += 1
    rows = (
        (
            code(name),
            NAMES.get(name, ""),
            _count(ended["passed"]),
            _count(ended["not_applicable"]),
            Cell(_count(ended["failed"] + ended["error"]), "bad"),
        )
        for name, ended in ends.items()
    )
    heads = ("check", "what it proves", ">passed", ">not applicable", ">failed")
    grid = grid_of(heads, rows)[0]
    return Section(
        "verification",
        "Verification",
        (Folded(Cell("All checks by name"), checks_in_words(report), grid),),
        "New database and ledger were compared with the old one, cell by cell, by other means than "
        "those that wrote them.",
    )


def _time(report: Report) -> Section:
    rows = [
        (
            p.phase,
            _count(p.rows),
            f"{p.seconds:,.2f}",
            f"{p.rows / p.seconds:,.0f}" if p.rows and p.seconds else "",
        )
        for p in report.phases
    ]
    if rows:
        took = (report.finished_ms - report.started_ms) / 1000
        rows.append(("all", "", f"{took:,.2f}", ""))
    return Section("time", "Time", grid_of(("phase", ">rows", ">seconds", ">rows/s"), rows))


def _files(report: Report) -> Section:
    rows = (
        (label, code(path), code(digest or "", "soft")) for label, path, digest in files_of(report)
    )
    return Section("files", "Files", grid_of(("what", "path", "SHA-256"), rows), brief=True)


def files_of(report: Report) -> Iterator[tuple[str, str, str | None]]:
    """Every file of the run: what it is, its path, and its digest where it has one."""
    known = set()
    for label, facts in (("source", report.source), ("target", report.target)):
        if facts is not None:
            known.add(facts.path)
            yield label, facts.path, facts.sha256
    for label, path in {"ledger": report.ledger, **report.files}.items():
        if path and path not in known:
            yield label, path, None


def _options(report: Report) -> Section:
    rows = ((_words(name), code(str(value))) for name, value in report.options.items())
    return Section("options", "Options", grid_of(("option", "value"), rows))


def _lineage(report: Report) -> Section:
    """The lines of each old table, and how many of its columns end how."""
    ordered = sorted(report.lineage, key=lambda line: line.source_table)
    blocks = []
    for name, group in groupby(ordered, key=lambda line: line.source_table):
        lines = list(group)
        ends = Counter(line.disposition for line in lines)
        comes_to = ", ".join(f"{count} {_words(end)}" for end, count in sorted(ends.items()))
        rows = (
            (
                code(line.source_column),
                _words(line.disposition),
                code(_place(line.target_table, line.target_column)),
                line.rule,
            )
            for line in lines
        )
        grid = grid_of(("column", "becomes", "target", "rule"), rows)[0]
        blocks.append(Folded(code(name), comes_to, grid))
    return Section(
        "lineage",
        "Lineage",
        tuple(blocks),
        "Where every column of the old database went; person-unify lineage says the same.",
    )


def _place(table: str | None, column: str | None) -> str:
    return ".".join(filter(None, (table, column)))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(value: int | str | None) -> str:
    return "-" if value is None else str(value)


def _count(count: int) -> str:
    return f"{count:,}" if count else ""
