"""Counting trials: how many of a kind ran, how many failed, and which of them the quick tier takes.

``PERSON_UNIFY_FAULTS=full`` chooses the full tier (``make test-faults``).  Every test writes its
counts into ``build/faults/``, of which ``python -m tests.faults.table`` makes the table in
docs/RELIABILITY.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import pytest

Case = TypeVar("Case")

FULL = os.environ.get("PERSON_UNIFY_FAULTS") == "full"
RESULTS = Path(__file__).parents[2] / "build" / "faults"
SHARES = range(8 if FULL else 1)
"""A long test of the full tier runs in shares, which several processes take."""


@dataclass(slots=True)
class Trials:
    """The trials of one test; a failed one does not keep the others from running."""

    what: str
    count: int = 0
    missed: int = 0
    failures: list[str] = field(default_factory=list)
    started: float = field(default_factory=perf_counter)

    def sample(self, cases: Sequence[Case], quick: int, share: int | None = None) -> Sequence[Case]:
        """All cases in the full tier, or a share of them; else ``quick`` of them, evenly spread."""
        if FULL:
            return cases if share is None else cases[share :: len(SHARES)]
        return [cases[len(cases) * k // quick] for k in range(min(quick, len(cases)))]

    @contextmanager
    def trial(self, label: object) -> Iterator[None]:
        """Count one trial, and note how it failed if it does."""
        self.count += 1
        try:
            yield
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  noted, told at the end
            self.failures.append(f"{label}: {type(error).__name__}: {error}")

    def miss(self) -> None:
        """The fault was not met after all (a run makes a call less than the one before)."""
        self.missed += 1

    def record(self, name: str) -> None:
        """Write the counts down for the table."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        facts = {
            "what": self.what,
            "tier": "full" if FULL else "quick",
            "trials": self.count - self.missed,
            "missed": self.missed,
            "failures": len(self.failures),
            "failed": self.failures,
            "seconds": round(perf_counter() - self.started, 1),
        }
        (RESULTS / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

    def require_none_failed(self) -> None:
        """Fail the test with the first few failures."""
        if self.failures:
            shown = "\n".join(self.failures[:5])
            pytest.fail(f"{len(self.failures)} of {self.count} trials failed\n{shown}", False)
