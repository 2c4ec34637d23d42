"""Fill the table in docs/RELIABILITY.md with the counts of the last ``make test-faults``."""

from __future__ import annotations

import json
import platform
import sqlite3
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from bench.measuring import fill, system
from tests.faults.trials import RESULTS

PAGE = RESULTS.parents[1] / "docs" / "RELIABILITY.md"


def main() -> int:
    """Replace what stands between the two marks."""
    paths = sorted(RESULTS.glob("*.json"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    if not records:
        raise SystemExit("there are no counts yet: run make test-faults first")
    newest = max(path.stat().st_mtime for path in paths)
    said = rendered(records, datetime.fromtimestamp(newest, UTC))
    fill(PAGE, "faults", said.splitlines())
    return 0


def rendered(records: list[dict[str, Any]], moment: datetime) -> str:
    """The sentence that says where the counts come from, and one row per kind of fault."""
    trials: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    tiers: dict[str, str] = {}
    for record in records:
        trials[record["what"]] += record["trials"]
        failures[record["what"]] += record["failures"]
        tiers[record["what"]] = record["tier"]
    lines = [
        f"Counted on {moment:%Y-%m-%d} on {system()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}.",
        "",
        "| fault | tier | trials | failures |",
        "| --- | --- | ---: | ---: |",
        *(
            f"| {what} | {tiers[what]} | {trials[what]:,} | {failures[what]:,} |"
            for what in sorted(trials)
        ),
        f"| **all** | | **{trials.total():,}** | **{failures.total():,}** |",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
