"""Differences as text and as data: keys, names and counts, never a cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from person_unify.cli.streams import printable

if TYPE_CHECKING:
    from person_unify.evidence.diff import Comparison
    from person_unify.stages.verify import Difference, Found, Kind


_MOST_NAMED = 8
"""Tables that are named when they are compared."""


def as_text(
    found: Comparison, kinds: Mapping[Kind, str], column: str | None = None
) -> Iterator[str]:
    """What was compared, then the differences, kind by kind, each with its keys."""
    few = len(found.keys) <= _MOST_NAMED
    names = ", ".join(map(printable, found.keys)) if few else f"{len(found.keys):,} tables"
    yield f"compared {names}"
    counts = ", ".join(f"{count:,} {what}" for what, count in found.compared.items() if count)
    yield f"  {counts or 'no row on either side'}"
    for kind, meaning in kinds.items():
        own = [f for f in found.found if f.kind == kind]
        if own:
            yield ""
            yield f"{kind}: {meaning}"
        for entry in own:
            yield from _entry(entry, found.keys)
    if found.unopened:
        yield ""
        yield "checks that fail without a row to name"
        for check in found.unopened:
            yield f"  {check.name} of {printable(check.table or '')}: {printable(check.detail)}"
    yield ""
    yield closing(found, column)


def closing(found: Comparison, column: str | None = None) -> str:
    """The result in one line; nothing compared is not called equal."""
    place = "" if column is None else f" in column {printable(column)}"
    if found.total:
        return f"{found.total:,} difference{'' if found.total == 1 else 's'}{place}"
    return f"no difference{place}" if any(found.compared.values()) else "nothing to compare"


def _entry(entry: Found, keys: dict[str, tuple[str, ...]]) -> Iterator[str]:
    places = dict.fromkeys([entry.source, *([entry.target] if entry.target else [])])
    name = " -> ".join(places) + ("" if entry.column is None else f".{entry.column}")
    detail = f"  {entry.detail}" if entry.detail else ""
    yield f"  {printable(name)}  ({entry.count:,}){printable(detail)}"
    for row in entry.rows:
        yield f"    {_row(row, keys.get(entry.source, ()))}"
    if entry.count > len(entry.rows):
        yield f"    ... and {entry.count - len(entry.rows):,} more (--limit)"


def _row(row: Difference, names: tuple[str, ...]) -> str:
    """``id old -> new``: only what there is, and one id where both sides share it."""
    old, new = row.source_key, row.target_key
    if old is None:
        return f"target {_key(new)}" if new else "a row without a name"
    label = ", ".join(map(printable, names)) or "key"
    return f"{label} {_key(old)}" + ("" if new is None or new == old else f" -> {_key(new)}")


def _key(key: tuple[str | None, ...]) -> str:
    return ", ".join("NULL" if part is None else printable(part) for part in key)


def as_data(found: Comparison) -> dict[str, Any]:
    """The same as plain values, for ``--json``."""
    return {
        "compared": found.compared,
        "keys": {table: list(names) for table, names in found.keys.items()},
        "total": found.total,
        "differences": [
            {
                "kind": f.kind,
                "source": f.source,
                "target": f.target,
                "column": f.column,
                "detail": f.detail,
                "count": f.count,
                "rows": [asdict(row) for row in f.rows],
            }
            for f in found.found
        ],
        "unopened": [
            {"check": c.name, "table": c.table, "detail": c.detail} for c in found.unopened
        ],
    }
