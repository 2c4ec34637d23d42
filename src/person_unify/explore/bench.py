"""The measurements of ``make bench`` as frames, whichever of its files are there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from person_unify.progress import PHASES

RUNS = pl.Schema(
    {
        "file": pl.String(),
        "date": pl.String(),
        "system": pl.String(),
        "persons": pl.Int64(),
        "source_rows": pl.Int64(),
        "seconds": pl.Float64(),
        "rows_per_second": pl.Float64(),
        "peak_memory_mb": pl.Float64(),
        "source_mb": pl.Float64(),
        "target_mb": pl.Float64(),
        "ledger_mb": pl.Float64(),
    }
)
"""One row per measured migration; sizes in millions of bytes, NULL where a file says nothing."""

PHASE = pl.Schema(
    {
        "file": pl.String(),
        "date": pl.String(),
        "persons": pl.Int64(),
        "phase": pl.String(),
        "seconds": pl.Float64(),
    }
)
"""One row per measured migration and phase."""

_STAMP = pl.col("file").str.extract(r"(\d{4}-\d\d-\d\d(-\d{6})?)")
"""When a file was written: its name says it to the second."""

_SIZES = {
    "peak_memory_mb": "peak_rss_bytes",
    "source_mb": "source_bytes",
    "target_mb": "target_bytes",
    "ledger_mb": "ledger_bytes",
}


@dataclass(frozen=True, slots=True)
class Bench:
    """runs: :data:`RUNS`; phases: :data:`PHASE`, in the order of the run."""

    runs: pl.DataFrame
    phases: pl.DataFrame

    @property
    def newest(self) -> Bench:
        """The last kept file alone: of those with several sizes, where there is one."""
        sizes = pl.col("persons").n_unique().over("file") > 1
        several = self.runs.filter(sizes) if self.runs.height else self.runs
        last = (several if several.height else self.runs).sort("date", _STAMP, "file").tail(1)
        return Bench(
            self.runs.join(last, on="file", how="semi"),
            self.phases.join(last, on="file", how="semi"),
        )


def open_bench(directory: str | Path) -> Bench:
    """Read every result of ``make bench`` in a directory; files of another make are left out."""
    runs: list[dict[str, Any]] = []
    phases: list[dict[str, Any]] = []
    for path in sorted(Path(directory).glob("*.json")):
        for run, head in _runs(path):
            runs.append(head | {name: run.get(name) for name in RUNS if name not in head})
            runs[-1] |= {name: _millions(run.get(key)) for name, key in _SIZES.items()}
            spent = run.get("phases")
            if isinstance(spent, Mapping):
                phases += [
                    {name: head[name] for name in ("file", "date", "persons")}
                    | {"phase": phase, "seconds": spent[phase]}
                    for phase in PHASES
                    if phase in spent
                ]
    return Bench(
        pl.DataFrame(runs, schema=RUNS, strict=False).sort("date", "file", "persons"),
        pl.DataFrame(phases, schema=PHASE, strict=False),
    )


def _runs(path: Path) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    """The runs of one file, each with what says which it is."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    listed = record.get("runs") if isinstance(record, dict) else None
    for run in listed if isinstance(listed, list) else ():
        if isinstance(run, dict) and "persons" in run and "seconds" in run:
            said = {"file": path.stem, "date": record.get("date"), "system": record.get("system")}
            yield run, said | {"persons": run["persons"]}


def _millions(size: Any) -> float | None:
    return size / 1e6 if isinstance(size, int | float) else None
