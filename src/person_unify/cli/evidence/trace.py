"""Traces as trees that a person can read, and as data: keys, names and messages, never a cell."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.text import Text
from rich.tree import Tree

from person_unify.cli.render import DIM, SEVERITIES
from person_unify.cli.streams import printable, screen, write_line
from person_unify.findings import DECISIONS

if TYPE_CHECKING:
    from person_unify.evidence.trace import Logged, Record, Related, Trace, Way

MOST = 20
"""How many discrepancies a tree shows; ``--json`` has all."""


def show(traces: list[Trace]) -> None:
    """Print one tree per record; plain ASCII where nobody looks at a terminal."""
    console = screen(sys.stdout)
    plain = not console.is_terminal
    options = console.options.copy()
    options.encoding = "ascii" if plain else options.encoding
    for position, trace in enumerate(traces):
        if position:
            write_line("")
        if not plain:
            console.print(_tree(trace))
            continue
        for line in console.render_lines(_tree(trace), options, pad=False):
            write_line("".join(segment.text for segment in line).rstrip())


def _tree(trace: Trace) -> Tree:
    record = trace.record
    tree = Tree(Text(f"{record.side} record  ", style=DIM).append(_named(record), style="bold"))
    if trace.kept_out is not None:
        said = "no row of its own" if trace.ways else "kept out of the target"
        tree.add(Text(f"{said}: {printable(trace.kept_out)}", style="red"))
    verb = "became" if record.side == "old" else "came from"
    if trace.ways:
        branch = tree.add(verb)
        for way in trace.ways:
            _add_way(branch, way)
    elif record.side == "new":
        tree.add("came from no record that the ledger knows")
    elif trace.kept_out is None:
        tree.add("became no record of the target")
    _add_archived(tree, trace)
    _add_logged(tree, trace)
    _add_decided(tree, trace)
    _add_related(tree, trace.related)
    return tree


def _named(record: Record) -> str:
    key = ", ".join(map(printable, record.key))
    return f"{printable(record.table)} {key}"


def _add_way(branch: Tree, way: Way) -> None:
    said = "" if way.there else ", not in the target any more"
    node = branch.add(Text(_named(way.record)).append(f"  {way.rule}{said}", style=DIM))
    for other in way.others:
        node.add(Text("as well as ", style=DIM).append(_named(other)))


def _add_archived(tree: Tree, trace: Trace) -> None:
    for record, found in groupby(trace.archived, lambda entry: entry.record):
        name = "" if record == trace.record else f" of {_named(record)}"
        branch = tree.add(f"archived{name}")
        for entry in found:
            columns = ", ".join(map(printable, entry.columns))
            if entry.whole:
                columns = f"all {len(entry.columns)} columns"
            branch.add(Text(f"{printable(entry.why)}: ", style=DIM).append(columns))


def _add_logged(tree: Tree, trace: Trace) -> None:
    if not trace.logged:
        return
    branch = tree.add("discrepancies")
    for entry in trace.logged[:MOST]:
        count = "" if entry.count == 1 else f" x {entry.count:,}"
        line = Text(f"{entry.severity} {entry.kind}{count}", style=SEVERITIES[entry.severity])
        branch.add(line.append(f"  {_place(entry, trace.record)}", style="default"))
    if len(trace.logged) > MOST:
        branch.add(f"... and {len(trace.logged) - MOST:,} more (--json)")


def _add_decided(tree: Tree, trace: Trace) -> None:
    """Who decided what and why, and the run that it was given to."""
    branch = tree.add("decisions") if trace.decided else tree
    for entry in trace.decided:
        about = entry.kind if entry.field is None else f"{entry.kind} {entry.field}"
        words = DECISIONS.get(entry.decision, entry.decision)
        line = Text(printable(f"{about}: {words}"))
        given = f"{datetime.fromtimestamp(entry.when / 1000, UTC):%Y-%m-%d}"
        by = printable(entry.reviewer or "nobody who is named")
        outcome = printable(entry.outcome)
        line.append(f"  by {by}, {outcome} in the run of {given}", style=DIM)
        node = branch.add(line)
        if entry.note:
            node.add(Text(printable(entry.note)))


def _place(entry: Logged, record: Record) -> str:
    """Where, unless it is the record itself, and what was logged."""
    parts = [entry.table, *([entry.source_id] if entry.source_id is not None else [])]
    here = record.side == "old" and parts == [record.table, record.key[0]]
    names = [] if here else [" ".join(parts)]
    names += [entry.field] if entry.field is not None else []
    return printable(": ".join([", ".join(names), entry.message] if names else [entry.message]))


def _add_related(tree: Tree, found: tuple[Related, ...]) -> None:
    if not found:
        return
    branch = tree.add("related rows")
    for entry in found:
        place = "  kept out, in the archive" if entry.archived else ""
        name = f"{printable(entry.table)}.{printable(entry.column)}"
        branch.add(Text(f"{entry.rows:,}  {name}").append(place, style=DIM))


def as_data(traces: list[Trace]) -> list[dict[str, Any]]:
    """The traces as plain values, for ``--json``."""
    return [
        {
            **_data(trace.record),
            "kept_out": trace.kept_out,
            "ways": [
                {
                    **_data(way.record),
                    "rule": way.rule,
                    "there": way.there,
                    "others": [_data(other) for other in way.others],
                }
                for way in trace.ways
            ],
            "archived": [
                {**_data(entry.record), "why": entry.why, "columns": list(entry.columns)}
                for entry in trace.archived
            ],
            "discrepancies": [asdict(entry) for entry in trace.logged],
            "decisions": [asdict(entry) for entry in trace.decided],
            "related": [asdict(entry) for entry in trace.related],
        }
        for trace in traces
    ]


def _data(record: Record) -> dict[str, Any]:
    key = dict(zip(record.columns, record.key, strict=True))
    return {"side": record.side, "table": record.table, "key": key}
