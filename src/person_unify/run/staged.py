"""The names of what a run puts into its directory, besides the lock and its facts."""

from __future__ import annotations

import re

from person_unify.files.new import PREFIX

TARGET, LEDGER = "target.db", "ledger.db"
BEFORE = "pre-migration.db"
"""The copy of a target that was there before the run."""
CHANGED = "changed.db"
"""The copy of a target that a rollback takes back although it has changed."""
COUNTS = "loaded.json"
CHECKPOINTS, REPORT, PAGE = "checkpoints.json", "report.json", "report.html"


def _any_of(*names: str) -> str:
    return f"({'|'.join(map(re.escape, names))})"


NAMES = re.compile(
    rf"{_any_of(TARGET, LEDGER, BEFORE, CHANGED)}(-[-\w]+)?"  # and what SQLite puts beside them
    rf"|{_any_of(COUNTS, CHECKPOINTS, REPORT, PAGE)}(\.new|\.link)?"
    rf"|{re.escape(PREFIX)}[0-9a-f]+|etilqs_\w+|tmp\w+"  # of ours, SQLite's, Python's
)
"""Every name; what has another one was put there by somebody else."""
