"""What the load phase leaves besides rows: its counts, for a run that is stopped after it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from person_unify.files import as_json, replace_private
from person_unify.report import TableCount
from person_unify.run import staged
from person_unify.run.clock import Clock, Worked
from person_unify.run.counts import Counts


def save(directory: Path, people: Mapping[str, int], counts: Counts, clock: Clock) -> None:
    """Write down what was counted; ``people`` are the terms of the equations."""
    raw = {
        "people": dict(people),
        "counts": {
            "tables": [asdict(table) for table in counts.tables],
            "places": [[*place, count] for place, count in counts.places.items()],
            "normalisations": [asdict(rule) for rule in counts.normalisations],
            "rows": counts.rows,
        },
        "phases": {name: asdict(work) for name, work in clock.phases.items()},
        "checkpoints": clock.checkpoints.to_json(),
    }
    replace_private(directory / staged.COUNTS, as_json(raw))


def restore(directory: Path, counts: Counts, clock: Clock) -> dict[str, int] | None:
    """Bring back what :func:`save` wrote, and its counts; None if it is missing or damaged."""
    try:
        raw = json.loads((directory / staged.COUNTS).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    counted = raw["counts"]
    counts.tables = [TableCount(**table) for table in counted["tables"]]
    counts.places = Counter({(kind, table, at): n for kind, table, at, n in counted["places"]})
    rules = counted["normalisations"]
    counts.recast = Counter({(r["table"], r["column"], r["rule"]): r["cells"] for r in rules})
    counts.rows = Counter(counted["rows"])
    clock.phases = {name: Worked(**work) for name, work in raw["phases"].items()}
    clock.checkpoints.restore(raw["checkpoints"])
    people: dict[str, int] = raw["people"]
    return people
