"""Checkpoints: phases and tables as they end, in a file to watch and in the ledger.

A table stands here once its rows are written; a load that is begun anew lists it anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from person_unify.files import as_json, rewrite


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A phase, or one table of it, that has ended.

    started, finished: ms since the epoch.  errors: what stopped it; of a table, how many
    discrepancies of severity error it has of each kind, as in ``3 orphaned_record``.
    """

    phase: str
    table: str | None
    started: int
    finished: int
    rows: int
    errors: tuple[str, ...] = ()

    def public(self) -> dict[str, Any]:
        """The entry of ``new.checkpoints.json``."""
        moment = datetime.fromtimestamp(self.finished / 1000, UTC)
        return {
            "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "phase": self.phase,
            "table": self.table,
            "recordsProcessed": self.rows,
            "errors": list(self.errors),
        }


SHOWN_EVERY = 1.0
"""Seconds between two writings of the file while tables follow each other quickly."""


@dataclass(slots=True)
class Checkpoints:
    """The checkpoints of one run, and the file that shows them.

    shown: where the file stands, and its other name, by which it is known; None for no file.
    """

    shown: tuple[Path, Path] | None = None
    entries: list[Checkpoint] = field(default_factory=list)
    _shown: float = field(default_factory=monotonic)

    def add(self, entry: Checkpoint) -> None:
        """Append an entry, and show all if that was long ago."""
        self.entries.append(entry)
        if monotonic() - self._shown > SHOWN_EVERY:
            self.show()

    def show(self) -> None:
        """Write the file anew, whole or not at all.

        Raises :class:`TargetError` where something else has taken its name.
        """
        self._shown = monotonic()
        if self.shown is not None:
            path, own = self.shown
            rewrite(path, as_json([entry.public() for entry in self.entries]), own)

    def rows(self) -> Iterator[Mapping[str, object]]:
        """The rows of the ledger's ``checkpoints``."""
        for entry in self.entries:
            errors = json.dumps(entry.errors) if entry.errors else None
            yield {**asdict(entry), "source_table": entry.table, "errors": errors}

    def to_json(self) -> list[dict[str, Any]]:
        """The entries as JSON types."""
        return [asdict(entry) for entry in self.entries]

    def restore(self, raw: list[dict[str, Any]]) -> None:
        """Go on from what :meth:`to_json` gave, and show it."""
        self.resume(Checkpoint(**{**r, "errors": tuple(r["errors"])}) for r in raw)

    def resume(self, entries: Iterable[Checkpoint]) -> None:
        """Go on from earlier entries, and show them."""
        self.entries = list(entries)
        self.show()
