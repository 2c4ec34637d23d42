"""The lineage as text, Markdown, JSON and as a Mermaid drawing.

All take the rows of :func:`person_unify.evidence.lineage.lineage`, with or without the counts of
a run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from person_unify.escaping.text import as_code, in_markdown, in_mermaid, printable

COUNTED = {
    "carried": "carried",
    "archived": "archived",
    "normalised": "recast",
    "unreadable": "unread",
    "discrepancies": "logged",
}
"""What is counted, and its heading where room is scarce."""

_WIDTH = 100
_NARROWEST = 16

Row = Mapping[str, Any]


def tables_of(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The rows, source table by source table."""
    return [(name, list(found)) for name, found in groupby(rows, lambda row: row["source_table"])]


def targets_of(rows: Sequence[Row]) -> list[str]:
    """The target tables that some rows reach."""
    return list(dict.fromkeys(row["target_table"] for row in rows if row["target_table"]))


def as_text(rows: Sequence[Row]) -> Iterator[str]:
    """One table per source table, at most 100 columns wide where names allow."""
    for position, (name, found) in enumerate(tables_of(rows)):
        if position:
            yield ""
        into = ", ".join(map(printable, targets_of(found))) or "archive only"
        count = f" ({found[0]['rows']:,} rows)" if "rows" in found[0] else ""
        yield f"{printable(name)}{count} -> {into}"
        yield from _grid(found, qualified=len(targets_of(found)) > 1)


def _grid(rows: list[Row], *, qualified: bool) -> Iterator[str]:
    counted = [c for c in COUNTED if c in rows[0] and any(row[c] for row in rows)]
    cells = [["column", "becomes", *(COUNTED[c] for c in counted)]]
    for column, lines in groupby(rows, lambda row: row["source_column"]):
        for position, row in enumerate(lines):
            first = position == 0
            numbers = [f"{row[c]:,}" if first and row[c] else "" for c in counted]
            cells.append([printable(column) if first else "", _becomes(row, qualified), *numbers])
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    room = _WIDTH - 2 - widths[0] - 2 - sum(width + 2 for width in widths[2:])
    widths[1] = max(_NARROWEST, min(widths[1], room))
    for line in cells:
        folded = _fold(line[1], widths[1])
        figures = "".join(f"  {cell:>{w}}" for cell, w in zip(line[2:], widths[2:], strict=True))
        yield f"  {line[0]:<{widths[0]}}  {folded[0]:<{widths[1]}}{figures}".rstrip()
        for rest in folded[1:]:
            yield f"  {'':<{widths[0]}}    {rest}"


def _becomes(row: Row, qualified: bool) -> str:
    place = _place(row, qualified)
    if row["rule"] == "by name":
        return place if qualified else "same name"
    return f"{place} ({printable(row['rule'])})"


def _place(row: Row, qualified: bool) -> str:
    if row["target_table"] is None:
        return "archive"
    column = printable(row["target_column"])
    return f"{printable(row['target_table'])}.{column}" if qualified else column


def _fold(text: str, width: int) -> list[str]:
    """Broken at blanks, and behind dots: a name stays whole, so that it can be searched for."""
    lines = [""]
    for piece in re.findall(r"[^ .]*[ .]?", text):
        room = width if len(lines) == 1 else width - 2
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > room:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def as_markdown(rows: Sequence[Row]) -> Iterator[str]:
    """A heading and a table per source table."""
    yield "# Lineage"
    for name, found in tables_of(rows):
        counts = [c for c in ("rows", *COUNTED) if c in found[0]]
        head = ["column", "disposition", "target", "rule", *counts]
        into = ", ".join(map(as_code, targets_of(found))) or "archive only"
        yield f"\n## {as_code(name)} → {into}\n"
        yield f"| {' | '.join(head)} |"
        yield f"| {' | '.join(['---'] * 4 + ['---:'] * len(counts))} |"
        for row in found:
            target, column = row["target_table"], row["target_column"]
            place = as_code(f"{target}.{column}") if target else ""
            cells = [as_code(row["source_column"]), in_markdown(row["disposition"]), place]
            cells += [in_markdown(row["rule"]), *(f"{row[c]:,}" for c in counts)]
            yield f"| {' | '.join(cells)} |"


def as_json(rows: Sequence[Row]) -> str:
    """``{"tables": [{"table", "rows", "columns": [{"column", counts, "lines": […]}]}]}``."""
    tables = []
    for name, found in tables_of(rows):
        columns = []
        for column, group in groupby(found, lambda row: row["source_column"]):
            lines = list(group)
            counts = {c: lines[0][c] for c in COUNTED if c in lines[0]}
            columns.append({"column": column, **counts, "lines": [_line(row) for row in lines]})
        rows_of = {"rows": found[0]["rows"]} if "rows" in found[0] else {}
        tables.append({"table": name, **rows_of, "columns": columns})
    return json.dumps({"tables": tables}, indent=2)


def _line(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("disposition", "target_table", "target_column", "rule")}


def as_mermaid(rows: Sequence[Row]) -> Iterator[str]:
    """A flowchart: tables are nodes, and an edge says how many columns take that way."""
    tables = tables_of(rows)
    old = {name: f"o{position}" for position, (name, _) in enumerate(tables)}
    new = {name: f"n{position}" for position, name in enumerate(targets_of(rows))}
    yield "flowchart LR"
    yield '  subgraph old["old schema"]'
    for name, found in tables:
        count = f"<br/>{found[0]['rows']:,} rows" if "rows" in found[0] else ""
        yield f'    {old[name]}["{in_mermaid(name)}{count}"]'
    yield "  end"
    yield '  subgraph unified["unified schema"]'
    for name, node in new.items():
        yield f'    {node}["{in_mermaid(name)}"]'
    yield "  end"
    yield '  archive[("ledger: archive")]'
    for name, found in tables:
        for target in targets_of(found):
            ways = [row for row in found if row["target_table"] == target]
            yield f'  {old[name]} -->|"{_ways(ways)}"| {new[target]}'
        kept = len({row["source_column"] for row in found if row["target_table"] is None})
        if kept:
            yield f'  {old[name]} -.->|"{kept} archived"| archive'


def _ways(rows: Sequence[Row]) -> str:
    carried = sum(row["disposition"] == "carried" for row in rows)
    mapped = len(rows) - carried
    parts = [f"{carried} carried"] if carried else []
    return ", ".join([*parts, f"{mapped} ids"] if mapped else parts)
