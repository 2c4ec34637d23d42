"""What a run must remember to go on after a step: counts, and the ids that later tables look up.

Each step writes one file, ``step-<n>.json``, before it commits the rows; frames are written once,
as Arrow files that the steps name.  A file of a step that was never committed is ignored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from person_unify.clock import Clock, Worked
from person_unify.errors import DiskError
from person_unify.registry import People, Registry
from person_unify.report import TableCount
from person_unify.rundir import write_json
from person_unify.tally import Tally


@dataclass(slots=True)
class Memory:
    """Saves and restores registry, tally, clock and checkpoints in a run directory.

    looked_up: the source tables whose ids later tables ask for; others are not kept.
    """

    directory: Path
    looked_up: frozenset[str]
    registry: Registry
    tally: Tally
    clock: Clock
    frames: dict[str, str] = field(default_factory=dict)

    def save(self, step: int, counts: Mapping[str, int]) -> None:
        """Write what has been learned up to a step; ``counts`` are the terms of the equations."""
        for name, frame in self._parts().items():
            if name not in self.frames:
                self.frames[name] = f"{len(self.frames):04}.arrow"
                write_frame(self.directory / self.frames[name], frame)
        write_json(
            self._file(step),
            {
                "frames": self.frames,
                "counts": dict(counts),
                "tally": _tally_to_json(self.tally),
                "phases": {name: asdict(work) for name, work in self.clock.phases.items()},
                "checkpoints": self.clock.checkpoints.to_json(),
            },
        )
        self._file(step - 2).unlink(missing_ok=True)

    def restore(self, step: int) -> dict[str, int] | None:
        """Bring back what :meth:`save` wrote, and its counts; None if it is missing or damaged."""
        try:
            raw = json.loads(self._file(step).read_text("utf-8"))
            found = {
                name: pl.read_ipc(self.directory / file) for name, file in raw["frames"].items()
            }
        except (OSError, ValueError, pl.exceptions.PolarsError):
            return None
        self.frames = raw["frames"]
        _tally_from_json(self.tally, raw["tally"])
        self.clock.phases = {name: Worked(**work) for name, work in raw["phases"].items()}
        self.clock.checkpoints.restore(raw["checkpoints"])
        self._assemble(found)
        counts: dict[str, int] = raw["counts"]
        return counts

    def _file(self, step: int) -> Path:
        return self.directory / f"step-{step}.json"

    def _parts(self) -> dict[str, pl.DataFrame]:
        """The registry as frames, by kind and table: ``loaded/users``.

        Of copies, for the next table may enter it just now; it would get the same ids again.
        """
        registry = self.registry
        loaded, all_ids = dict(registry.loaded), dict(registry.all_ids)
        parts = {f"loaded/{t}": f for t, f in loaded.items() if t in self.looked_up}
        parts |= {
            f"ids/{table}": ids.alias("id").to_frame()
            for table, ids in all_ids.items()
            if table in self.looked_up
        }
        if registry.people is not None:
            for name in ("patients", "children", "clinicians"):
                parts[f"people/{name}"] = getattr(registry.people, name)
        return parts

    def _assemble(self, found: Mapping[str, pl.DataFrame]) -> None:
        people = {}
        for name, frame in found.items():
            kind, _, table = name.partition("/")
            if kind == "loaded":
                self.registry.loaded[table] = frame
            elif kind == "ids":
                self.registry.all_ids[table] = frame.to_series()
            else:
                people[table] = frame
        self.registry.people = People(**people) if people else None


def _tally_to_json(tally: Tally) -> dict[str, Any]:
    return {
        "tables": [asdict(table) for table in tally.tables],
        "kinds": tally.kinds,
        "normalisations": [asdict(rule) for rule in tally.normalisations],
        "rows": tally.rows,
    }


def _tally_from_json(tally: Tally, raw: Mapping[str, Any]) -> None:
    tally.tables = [TableCount(**table) for table in raw["tables"]]
    tally.kinds = Counter(raw["kinds"])
    rules = raw["normalisations"]
    tally.recast = Counter({(r["table"], r["column"], r["rule"]): r["cells"] for r in rules})
    tally.rows = Counter(raw["rows"])


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Write a frame as an Arrow file; raises :class:`DiskError`, for no other error can happen."""
    try:
        frame.write_ipc(path, compression="uncompressed")
    except OSError as error:
        # Polars tells no number: a full disk looks like any other error.
        raise DiskError(f"cannot write {path}: the disk is full or failing") from error
