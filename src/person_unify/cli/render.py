"""The report as text that a tired person can check by eye, on a terminal or in a file.

Everything fits 100 columns.  Off a terminal there is neither colour nor anything that is not ASCII.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import get_args

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from person_unify.cli.paths import shown
from person_unify.cli.streams import printable, write_line
from person_unify.report import CheckResult, Equation, FileFacts, Outcome, Report, TableCount

INDENT = 2
GOOD, BAD, DIM = "green", "bold red", "dim"
SEVERITIES = {"error": "red", "warning": "yellow", "info": "cyan"}
PLAIN_LINES = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def render(report: Report, console: Console) -> None:
    """Print the whole report."""
    with console.capture() as printed:
        _print_all(report, console)
    for line in printed.get().splitlines():
        write_line(line.rstrip(), console.file)  # rich pads every line to the full width


def _print_all(report: Report, console: Console) -> None:
    _heading(report, console)
    for title, body in (
        ("Reconciliation", _reconciliation(report, console)),
        ("Tables", _tables(report, console)),
        ("Discrepancies", _discrepancies(report, console)),
        ("Decisions", _decisions(report, console)),
        ("Normalised values", _normalisations(report, console)),
        ("Differences from the expected schema", _drift(report)),
        ("Verification", _verification(report, console)),
        ("Time", _phases(report, console)),
        ("Files", _files(report)),
    ):
        blocks = list(body)
        if blocks:
            console.print()
            console.print(Text(title, style="bold"))
        for block in blocks:
            _print_indented(block, console)
    console.print()
    for line in _closing(report):
        console.print(line, soft_wrap=True)


def _print_indented(block: Text | Table | Padding, console: Console) -> None:
    if isinstance(block, Text):
        # Measured where it is made, or a path, which must stay whole to be copied.
        console.print(Text(" " * INDENT).append_text(block), soft_wrap=True)
    else:
        console.print(Padding(block, (0, 0, 0, INDENT)))


def _heading(report: Report, console: Console) -> None:
    files = (("source", report.source), ("target", report.target))
    lines = [_file_line(label, facts) for label, facts in files if facts is not None]
    options = (f"{name} {printable(str(value))}" for name, value in report.options.items())
    asked = Text(", ".join(options), style=DIM)
    title = f"person-unify {report.tool_version}  {report.command}"
    if _fancy(console):
        body, border = Text("\n").join([*lines, asked]), _colour(report)
        console.print(Panel(body, title=title, title_align="left", border_style=border))
    else:
        console.print(Text(title))
        for line in lines:
            _print_indented(line, console)
        _print_indented(Padding(asked, 0), console)


def _file_line(label: str, facts: FileFacts) -> Text:
    line = Text(f"{label:<8}")
    line.append(printable(shown(facts.path)), style="bold").append(f"  {sized(facts.bytes)}")
    if facts.sha256:
        line.append(f"  sha256 {facts.sha256[:16]}", style=DIM)
    return line


def _reconciliation(report: Report, console: Console) -> Iterator[Text]:
    if not report.equations:
        return
    names = max(len(printable(equation.name)) for equation in report.equations)
    counts = max(len(str(equation.left)) for equation in report.equations)
    ends = {equation: f"residual {equation.residual}" for equation in report.equations}
    room = console.width - INDENT - 4 - max(map(len, ends.values()))
    bodies = {e: _equation_lines(e, names, counts, room) for e in report.equations}
    width = min(room, max(68, *(len(line) for body in bodies.values() for line in body)))
    for equation, body in bodies.items():
        for line in body[:-1]:
            yield Text(line)
        last = Text(f"{body[-1]:<{width}}    ")
        yield last.append(ends[equation], style=BAD if equation.residual else GOOD)


def _equation_lines(equation: Equation, names: int, counts: int, room: int) -> list[str]:
    """``name left = term + term``, broken before a sign where it would not fit ``room`` columns."""
    lines = [f"{printable(equation.name):<{names}} {equation.left:>{counts}} ="]
    hanging = " " * (names + counts + 1)
    for position, term in enumerate(equation.terms):
        sign = "" if position == 0 and term.sign == "+" else f" {term.sign}"
        piece = f"{sign} {printable(term.label)} {term.count}"
        if len(lines[-1]) + len(piece) > room:
            lines.append(hanging)
        lines[-1] += piece
    if not equation.terms:
        lines[-1] += " 0"
    return lines


_NAME = 24
"""Width that the longest table names of the old schema need."""


def _tables(report: Report, console: Console) -> Iterator[Table | Padding]:
    filled = [table for table in report.tables if table.source_rows or table.residual]
    if filled:
        grid = _grid(
            console, "source table", ">rows", "", ">loaded", "", ">archived", "why", "into"
        )
        # A table's name is what a reader looks for: the reasons wrap before it does.
        grid.columns[0].no_wrap = True
        grid.columns[0].min_width = min(_NAME, max(len(table.source) for table in filled))
        for table in filled:
            grid.add_row(
                printable(table.source),
                f"{table.source_rows:,}",
                "=",
                f"{table.loaded:,}",
                "+",
                f"{sum(table.archived.values()):,}",
                _reasons(table),
                _destination(table),
            )
        yield grid
    empty = [printable(table.source) for table in report.tables if table not in filled]
    if empty:
        yield Padding(Text("no rows: " + ", ".join(empty), style=DIM), 0)


def _reasons(table: TableCount) -> Text:
    reasons = Text(
        ", ".join(f"{printable(why)} {n:,}" for why, n in table.archived.items() if n),
    )
    if table.residual:
        reasons.append(" " if reasons.plain else "")
        reasons.append(f"NOT EXPLAINED {table.residual:,}", style=BAD)
    return reasons


def _destination(table: TableCount) -> Text:
    if table.target is None:
        return Text("archive only", style=DIM)
    if table.target == table.source:
        return Text("same name", style=DIM)
    return Text(table.target.replace(", ", "\n"))


def _discrepancies(report: Report, console: Console) -> Iterator[Table]:
    order = list(SEVERITIES)
    found = sorted(
        (d for d in report.discrepancies if d.count),
        key=lambda d: (order.index(d.severity), -d.count, d.kind),
    )
    if found:
        grid = _grid(console, "severity", "kind", ">count")
        for d in found:
            grid.add_row(Text(d.severity, style=SEVERITIES[d.severity]), d.kind, f"{d.count:,}")
        yield grid


def _normalisations(report: Report, console: Console) -> Iterator[Table]:
    """Cells and columns per rule; the ledger lists every column."""
    cells: Counter[str] = Counter()
    columns: Counter[str] = Counter()
    for found in report.normalisations:
        cells[found.rule] += found.cells
        columns[found.rule] += 1
    if cells:
        grid = _grid(console, "rule", ">cells", ">columns")
        for rule in sorted(cells, key=lambda rule: (-cells[rule], rule)):
            grid.add_row(printable(rule), f"{cells[rule]:,}", f"{columns[rule]:,}")
        yield grid


_SHOWN_ROWS = 12
"""Rows of decisions without effect that are named on the screen; the ledger has all."""


def _decisions(report: Report, console: Console) -> Iterator[Table | Text]:
    if not report.decisions:
        return
    grid = _grid(console, "outcome", "kind", ">count")
    for entry in report.decisions:
        style = "green" if entry.outcome == "applied" else "yellow"
        grid.add_row(Text(entry.outcome, style=style), entry.kind, f"{entry.count:,}")
    yield grid
    for entry in report.decisions:
        shown, more = entry.rows[:_SHOWN_ROWS], len(entry.rows) - _SHOWN_ROWS
        for row in shown:
            yield Text(f"{entry.outcome}: {entry.kind} of {printable(row)}", style=DIM)
        if more > 0:
            yield Text(f"and {more:,} more: table decisions of the ledger", style=DIM)


def _drift(report: Report) -> Iterator[Padding]:
    for note in report.drift:
        yield Padding(Text(f"- {printable(note)}"), 0)


def _verification(report: Report, console: Console) -> Iterator[Text | Table]:
    if not report.verification:
        return
    counts = Counter(check.outcome for check in report.verification)
    summary = ", ".join(
        f"{counts[outcome]:,} {outcome.replace('_', ' ')}"
        for outcome in get_args(Outcome)
        if counts[outcome]
    )
    style = BAD if report.failed_checks else GOOD
    yield Text(f"{len(report.verification):,} checks: {summary}", style=style)
    if report.failed_checks:
        grid = _grid(console, "failed check", "table", ">expected", ">actual", "detail")
        for check in report.failed_checks:
            grid.add_row(*_check_cells(check))
        yield grid


def _check_cells(check: CheckResult) -> Iterable[str]:
    values = (check.name, check.table, check.expected, check.actual, check.detail)
    return (printable("-" if value is None else str(value)) for value in values)


def _phases(report: Report, console: Console) -> Iterator[Table]:
    if not report.phases:
        return
    grid = _grid(console, "phase", ">rows", ">seconds", ">rows/s")
    for phase in report.phases:
        rate = f"{phase.rows / phase.seconds:,.0f}" if phase.rows and phase.seconds else ""
        grid.add_row(phase.phase, f"{phase.rows:,}", f"{phase.seconds:,.2f}", rate)
    total = (report.finished_ms - report.started_ms) / 1000
    grid.add_row(Text("all", style="bold"), "", Text(f"{total:,.2f}", style="bold"), "")
    yield grid


def _files(report: Report) -> Iterator[Text]:
    files = dict(report.files)
    if report.ledger is not None and report.ledger not in files.values():
        files = {"ledger": report.ledger, **files}
    width = max(map(len, files), default=0)
    for label, path in files.items():
        yield Text(f"{printable(label):<{width}}  ").append(printable(shown(path)), style="bold")


def _closing(report: Report) -> Iterator[Text]:
    """The verdict, as the last line; what shows the rows before it."""
    if report.failed_checks:
        from person_unify.page.advice import diff_command

        if report.target is not None:
            table = next((c.table for c in report.failed_checks if c.table), "TABLE")
            files = (shown(report.source.path), shown(report.target.path))
            yield Text(f"see the rows: {printable(diff_command(*files, table))}")
        failed, total = len(report.failed_checks), len(report.verification)
        names = dict.fromkeys(f"{c.name} {c.table or ''}".strip() for c in report.failed_checks)
        some = ", ".join([*names][:3]) + (", …" if len(names) > 3 else "")
        said = f"NOT VERIFIED: {failed:,} of {total:,} checks failed: {some}"
        yield Text(printable(said), style=BAD)
        return
    closing = Text(printable(report.outcome), style=f"bold {_colour(report)}")
    if report.unexplained:
        closing.append(f"; does not add up: {', '.join(map(printable, report.unexplained))}")
    errors = sum(d.count for d in report.discrepancies if d.severity == "error")
    if errors:
        closing.append(f"; {errors:,} discrepancies of severity error to review", style="yellow")
    yield closing


def _colour(report: Report) -> str:
    return "red" if report.failed_checks or report.unexplained else "green"


def _fancy(console: Console) -> bool:
    return console.is_terminal and not console.options.ascii_only


def _grid(console: Console, *headers: str) -> Table:
    """An open table; a header that starts with ``>`` is a column of numbers."""
    lines = box.SIMPLE_HEAD if _fancy(console) else PLAIN_LINES
    grid = Table(box=lines, show_edge=False, pad_edge=False, padding=(0, 1), header_style=DIM)
    for header in headers:
        grid.add_column(
            header.removeprefix(">"),
            justify="right" if header.startswith(">") else "left",
            no_wrap=header.startswith(">") or not header,
            overflow="fold",
        )
    return grid


def sized(count: int) -> str:
    """A size in bytes as a person says it.

    >>> sized(999), sized(12_345_678)
    ('999 B', '12.3 MB')
    """
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
