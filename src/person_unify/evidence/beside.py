"""What stands beside a ledger under the names of reports: whether it tells of the ledger's run.

Anybody can give a file such a name.  What a run wrote says when it began and which source it read,
or lists the very checkpoints that the ledger holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from person_unify.errors import DatabaseError
from person_unify.evidence.finished import RunRecord, run_record
from person_unify.evidence.recorded import recorded_checkpoints
from person_unify.files import NotRead, read_bounded
from person_unify.files.database import Database
from person_unify.files.names import is_regular

_MOST_BYTES = 256 << 20
_UNREADABLE = (ValueError, TypeError, LookupError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True)
class Marks:
    """What reports of one run say, and those of no other.

    checkpoints: the entries that the ledger holds, as JSON texts.
    """

    run: RunRecord
    checkpoints: frozenset[str]

    @classmethod
    def of(cls, ledger: Path) -> Marks:
        """The marks of the run of a ledger; :class:`TargetError` where that records no run."""
        with Database(ledger, read_only=True) as database:
            run = run_record(database, ledger, "main")
            try:
                entries = {_text(c.public()) for c in recorded_checkpoints(database, "main")}
            except (DatabaseError, *_UNREADABLE):
                entries = set()  # an earlier release's, or edited: then they prove nothing
        return cls(run, frozenset(entries))

    def are_in(self, path: Path) -> bool:
        """Whether a report, a page or a list of checkpoints is of that run; links are not."""
        if not is_regular(path):
            return False
        try:
            content = read_bounded(path, _MOST_BYTES)
            if content.startswith(b"<!doctype html>"):
                return self._are_on_page(content)
            told = json.loads(content)
            if isinstance(told, list):
                return self._are_in_checkpoints(told)
            return isinstance(told, dict) and self._are_in_report(told)
        except (OSError, NotRead, *_UNREADABLE):
            return False

    def _are_on_page(self, page: bytes) -> bool:
        began = datetime.fromtimestamp(self.run.started / 1000, UTC)
        told = f"{began:%Y-%m-%d %H:%M} UTC · person-unify "
        return told.encode() in page and self.run.source_sha256.encode() in page

    def _are_in_report(self, report: Mapping[str, Any]) -> bool:
        return self.run.is_of(report["started_ms"], report["source"]["sha256"])

    def _are_in_checkpoints(self, entries: list[Any]) -> bool:
        """Publishing ends after the ledger is written, which therefore does not hold it."""
        told = {_text(entry) for entry in entries if entry["phase"] != "publish"}
        return bool(told) and told <= self.checkpoints


def _text(entry: Any) -> str:
    return json.dumps(entry, sort_keys=True)
