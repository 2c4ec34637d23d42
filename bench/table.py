"""Fill the README's table of measurements from the newest figures in ``bench/results/``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "bench" / "results"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
PHASES = ("snapshot", "extract", "resolve", "transform", "load", "verify", "publish")


def main() -> int:
    """Replace what stands between the two marks."""
    files = sorted(RESULTS.glob("[0-9]*.json"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise SystemExit("there are no figures yet: run make bench first")
    record = json.loads(files[-1].read_text(encoding="utf-8"))
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{rendered(record)}\n{END}{after}", encoding="utf-8")
    return 0


def rendered(record: dict[str, Any]) -> str:
    """The sentence that says where the figures come from, and one row per size."""
    versions = record["versions"]
    lines = [
        f"Measured on {record['date']} on {record['system']}, "
        f"{record['memory_bytes'] / 2**30:.0f} GiB of memory, Python {record['python']}, "
        f"Polars {versions['polars']}; every run is a fresh process and includes the verification.",
        "",
        "| persons | source rows | seconds | rows/s | peak memory | source | target | ledger |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_size(run) for run in record["runs"]),
        "",
        "| seconds per phase | " + " | ".join(PHASES) + " |",
        "| ---: | " + " | ".join("---:" for _ in PHASES) + " |",
        *(_phases(run) for run in record["runs"]),
    ]
    return "\n".join(lines)


def _size(run: dict[str, Any]) -> str:
    files = (run[f"{name}_bytes"] for name in ("source", "target", "ledger"))
    cells = [
        f"{run['persons']:,}",
        f"{run['source_rows']:,}",
        f"{run['seconds']:,.1f}",
        f"{run['rows_per_second']:,.0f}",
        f"{run['peak_rss_bytes'] / 1e6:,.0f} MB",
        *(f"{size / 1e6:,.0f} MB" for size in files),
    ]
    return f"| {' | '.join(cells)} |"


def _phases(run: dict[str, Any]) -> str:
    spent = [f"{run['phases'].get(phase, 0.0):,.1f}" for phase in PHASES]
    return f"| {run['persons']:,} persons | {' | '.join(spent)} |"


if __name__ == "__main__":
    sys.exit(main())
