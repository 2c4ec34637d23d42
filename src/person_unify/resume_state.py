"""What the load phase leaves besides rows: its counts, for a run that is stopped after it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from person_unify.clock import Clock, Worked
from person_unify.report import TableCount
from person_unify.rundir import write_json
from person_unify.tally import Tally

_NAME = "loaded.json"


def save(directory: Path, counts: Mapping[str, int], tally: Tally, clock: Clock) -> None:
    """Write down what was counted; ``counts`` are the terms of the equations."""
    write_json(
        directory / _NAME,
        {
            "counts": dict(counts),
            "tally": _tally_to_json(tally),
            "phases": {name: asdict(work) for name, work in clock.phases.items()},
            "checkpoints": clock.checkpoints.to_json(),
        },
        durable=True,
    )


def restore(directory: Path, tally: Tally, clock: Clock) -> dict[str, int] | None:
    """Bring back what :func:`save` wrote, and its counts; None if it is missing or damaged."""
    try:
        raw = json.loads((directory / _NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    _tally_from_json(tally, raw["tally"])
    clock.phases = {name: Worked(**work) for name, work in raw["phases"].items()}
    clock.checkpoints.restore(raw["checkpoints"])
    counts: dict[str, int] = raw["counts"]
    return counts


def _tally_to_json(tally: Tally) -> dict[str, Any]:
    return {
        "tables": [asdict(table) for table in tally.tables],
        "places": [[*place, count] for place, count in tally.places.items()],
        "normalisations": [asdict(rule) for rule in tally.normalisations],
        "rows": tally.rows,
    }


def _tally_from_json(tally: Tally, raw: Mapping[str, Any]) -> None:
    tally.tables = [TableCount(**table) for table in raw["tables"]]
    tally.places = Counter({(kind, table, at): n for kind, table, at, n in raw["places"]})
    rules = raw["normalisations"]
    tally.recast = Counter({(r["table"], r["column"], r["rule"]): r["cells"] for r in rules})
    tally.rows = Counter(raw["rows"])
