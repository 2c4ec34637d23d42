"""The report as text that a tired person can check by eye, on a terminal or in a file.

The summary has at most 40 lines.  No name is ever broken, so that a file of it can be searched; off
a terminal there is neither colour nor anything that is not ASCII.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from rich import filesize
from rich.console import Console
from rich.text import Text

from person_unify import __version__
from person_unify.cli.paths import on_screen, shown
from person_unify.cli.streams import printable, write_line
from person_unify.page.advice import Step, Verdict, command, next_steps, verdict
from person_unify.page.blocks import Block, Cell, Folded, Grid, Section, Tone, brief
from person_unify.page.sections import files_of, sections
from person_unify.report import ASKS, Equation, FileFacts, Report

MOST_LINES = 40
GOOD, BAD, DIM = "green", "bold red", "dim"
SEVERITIES = {"error": "red", "warning": "yellow", "info": "cyan"}
_STYLES: dict[Tone, str] = {"": "", "good": GOOD, "bad": BAD, "soft": DIM, **SEVERITIES}  # type: ignore[dict-item]
_COLUMNS = {"discrepancies": 4, "leftovers": 4, "settled": 4}
"""How many columns of a section there is room for; the page has the others."""

_MOST_COMMANDS = 5
_NARROWEST = 24
_OWN = ("equations", "files", "options", "lineage")
"""Sections that are laid out otherwise here, or that no screen can hold."""


def render(report: Report, console: Console, *, everything: bool = False) -> None:
    """Print the summary, or everything but the lineage."""
    most = (0,) if everything else (4, 3, 2, 1)
    lines: list[Text] = []
    for limit in most:
        lines = list(_lines(report, console.width, limit))
        if len(lines) <= MOST_LINES:
            break
    _print(lines, console)


def _print(lines: list[Text], console: Console) -> None:
    with console.capture() as printed:
        for line in lines:
            console.print(line, soft_wrap=True)
    for text in printed.get().splitlines():
        write_line(text.rstrip(), console.file)


def render_parts(
    name: str, told: Verdict, parts: list[Section], steps: list[Step], console: Console
) -> None:
    """Print a verdict, what it rests on, a section as it is, and the first rows of the others."""
    lines = list(_headline(name, told))
    for number, part in enumerate(parts):
        cut = brief(part, 4) if number else part
        lines += _titled(part.title, _blocks(cut, console.width - 2, fit=bool(number)))
    lines += _titled("Next", (Text(shown(c)) for step in steps for c in step.commands))
    _print(lines, console)


def _lines(report: Report, width: int, most: int) -> Iterator[Text]:
    yield from _heading(report)
    if most:
        yield from _unsaid(report)
    elif report.options:
        asked = ", ".join(f"{name} {value}" for name, value in report.options.items())
        yield Text(f"  {printable(asked)}", style=DIM)
    yield from _titled("Does it add up?", _equations(report, width - 2))
    for section in sections(report):
        if section.id in _OWN or (most and not section.brief):
            continue
        cut = brief(section, most) if most else section
        yield from _titled(section.title, _blocks(cut, width - 2, fit=bool(most)))
    yield from _titled("Files", _files(report, everything=not most))
    yield from _titled("Next", _next(report))
    yield Text()
    yield from _closing(report)


def _titled(title: str, lines: Iterator[Text]) -> Iterator[Text]:
    body = list(lines)
    if body:
        yield Text()
        yield Text(title, style="bold")
        yield from (Text("  ").append_text(line) for line in body)


def _heading(report: Report) -> Iterator[Text]:
    yield from _headline(report.command, verdict(report), report.tool_version)
    for label, facts in (("source", report.source), ("target", report.target)):
        if facts is not None:
            yield _file_line(label, facts)


def _headline(name: str, said: Verdict, version: str = __version__) -> Iterator[Text]:
    """The verdict on a command, and what it rests on."""
    title = Text(f"person-unify {version}  {name}: ")
    yield title.append(printable(said.headline), style=f"bold {GOOD if said.good else 'red'}")
    for line in said.lines:
        yield Text(f"  {printable(line)}")


def _unsaid(report: Report) -> Iterator[Text]:
    """What the summary leaves out, where there is any."""
    kept = sum(1 for table in report.tables if any(table.archived.values()))
    counts = ((len(report.drift), "schema differences"), (kept, "tables not loaded whole"))
    said = [f"{count:,} {what}" for count, what in counts if count]
    if said:
        yield Text(f"  {', '.join(said)}: see --tables", style=DIM)
    for note in report.drift:
        if note.startswith(ASKS):
            yield Text(f"  {printable(note)}", style="yellow")


def _file_line(label: str, facts: FileFacts) -> Text:
    line = Text(f"  {label:<8}")
    line.append(on_screen(facts.path), style="bold").append(f"  {sized(facts.bytes)}")
    if facts.sha256:
        line.append(f"  sha256 {facts.sha256[:16]}", style=DIM)
    return line


def _equations(report: Report, width: int) -> Iterator[Text]:
    if not report.equations:
        return
    names = max(len(printable(equation.name)) for equation in report.equations)
    counts = max(len(str(equation.left)) for equation in report.equations)
    ends = {equation: f"residual {equation.residual}" for equation in report.equations}
    room = width - 4 - max(map(len, ends.values()))
    bodies = {e: _equation_lines(e, names, counts, room) for e in report.equations}
    wide = min(room, max(68, *(len(line) for body in bodies.values() for line in body)))
    for equation, body in bodies.items():
        for line in body[:-1]:
            yield Text(line)
        last = Text(f"{body[-1]:<{wide}}    ")
        yield last.append(ends[equation], style=BAD if equation.residual else GOOD)


def _equation_lines(equation: Equation, names: int, counts: int, room: int) -> list[str]:
    """``name left = term + term``, broken before a sign where it would not fit ``room`` columns."""
    lines = [f"{printable(equation.name):<{names}} {equation.left:>{counts}} ="]
    hanging = " " * (names + counts + 1)
    for number, term in enumerate(equation.terms):
        sign = "" if number == 0 and term.sign == "+" else f"{term.sign} "
        piece = f"{sign}{printable(term.label)} {term.count}"
        if len(lines[-1]) + 1 + len(piece) > room and lines[-1].strip() != "=":
            lines.append(hanging)
        lines[-1] += f" {piece}"
    if not equation.terms:
        lines[-1] += " 0"
    return lines


def _blocks(section: Section, width: int, *, fit: bool) -> Iterator[Text]:
    columns = _COLUMNS.get(section.id)
    for block in section.blocks:
        # What the page folds below such a table stands in the table here.
        if columns is None or isinstance(block, Grid):
            yield from _block(block, width, columns, fit=fit)


def _block(block: Block, width: int, columns: int | None, *, fit: bool) -> Iterator[Text]:
    if isinstance(block, Folded):
        yield Text(f"{printable(block.name.text)}: ").append(block.comes_to)
        yield from grid_lines(block.grid, width, fit=fit)
    elif isinstance(block, Grid):
        yield from grid_lines(block, width, columns, fit=fit)
    else:
        for cell in block.lines:
            for line in _wrapped(printable(cell.text), width, fit=fit):
                yield Text(line, style=_STYLES[cell.tone])


def grid_lines(
    grid: Grid, width: int, columns: int | None = None, *, fit: bool = False
) -> Iterator[Text]:
    """A grid in columns that are as wide as their widest cell; the rest wraps between words.

    ``fit``: one line per row, whose last column ends in an ellipsis where it is too long.
    """
    heads = grid.heads[:columns]
    rows = [row[:columns] for row in grid.rows]
    if not fit:
        head = tuple(Cell(h.title, "soft") for h in heads)
        rows = [head, *rows]
    texts = [[printable(cell.text) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in texts) for i in range(len(heads))]
    # Whatever is longest gives way, but never below its longest word.
    loose = max(range(len(heads)), key=lambda i: (not heads[i].number, widths[i]))
    loose = len(heads) - 1 if fit else loose
    room = width - sum(widths) + widths[loose] - 2 * (len(heads) - 1)
    words = (len(word) for line in texts for word in line[loose].split())
    widths[loose] = min(widths[loose], max(room, _NARROWEST, 0 if fit else max(words, default=0)))
    for row, line in zip(rows, texts, strict=True):
        yield from _row(row, line, widths, loose, grid, fit=fit)
    if grid.more:
        yield Text(grid.more, style=DIM)


def _row(
    row: tuple[Cell, ...], texts: list[str], widths: list[int], loose: int, grid: Grid, *, fit: bool
) -> Iterator[Text]:
    folded = _wrapped(texts[loose], widths[loose], fit=fit)
    for position, piece in enumerate(folded):
        line = Text()
        for i, cell in enumerate(row):
            text = piece if i == loose else texts[i] if position == 0 else ""
            align = ">" if grid.heads[i].number else "<"
            line.append(f"{text:{align}{widths[i]}}", style=_STYLES[cell.tone] or None)
            line.append("  ")
        line.rstrip()
        yield line


def _wrapped(text: str, width: int, *, fit: bool) -> list[str]:
    """Lines that break between words only; with ``fit`` one, cut behind a comma."""
    if fit:
        if len(text) <= width:
            return [text]
        kept = text[: max(0, width - 5)].rpartition(", ")[0]
        first = text.partition(", ")[0]
        return [f"{kept}, ..." if kept else first if len(first) <= width else ""]
    bound = re.sub(r" (?=[\d,.]+(?:,|$))", "\xa0", text)  # a count stays with its name
    lines = textwrap.wrap(bound, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\xa0", " ") for line in lines] or [""]


def _files(report: Report, *, everything: bool) -> Iterator[Text]:
    listed = [(label, path) for label, path, _ in files_of(report)][1 + bool(report.target) :]
    if not everything:
        listed = [(label, path) for label, path in listed if label != "checkpoints"]
    width = max((len(label) for label, _ in listed), default=0)
    for label, path in listed:
        yield Text(f"{printable(label):<{width}}  ").append(on_screen(path), style="bold")


def _next(report: Report) -> Iterator[Text]:
    """The commands of the next steps; the page says why."""
    commands = [words for step in next_steps(report) for words in step.commands]
    for words in commands[:_MOST_COMMANDS]:
        yield Text(on_screen(words))


def _closing(report: Report) -> Iterator[Text]:
    """The verdict, as the last line; what shows the rows before it."""
    if report.failed_checks:
        if report.target is not None:
            rows = command("diff", shown(report.source.path), shown(report.target.path))
            yield Text(f"see the rows: {printable(rows)}")
        names = dict.fromkeys(f"{c.name} {c.table or ''}".strip() for c in report.failed_checks)
        some = ", ".join([*names][:3]) + (", ..." if len(names) > 3 else "")
        yield Text(printable(f"{verdict(report).headline}: {some}"), style=BAD)
        return
    colour = "red" if report.unexplained else "green"
    closing = Text(printable(report.outcome), style=f"bold {colour}")
    if report.unexplained:
        closing.append(f"; does not add up: {', '.join(map(printable, report.unexplained))}")
    errors = sum(d.count for d in report.discrepancies if d.severity == "error")
    if errors:
        closing.append(f"; {errors:,} discrepancies of severity error to review", style="yellow")
    yield closing


def sized(count: int) -> str:
    """A size in bytes as a person says it.

    >>> sized(999), sized(12_345_678)
    ('999 bytes', '12.3 MB')
    """
    return filesize.decimal(count)
