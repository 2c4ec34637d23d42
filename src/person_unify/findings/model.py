"""What there is to know about a kind of discrepancy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
Acts = Literal["clinic", "engineer", "nobody"]

ORDINARY = ""
"""The variant of a message where nothing special holds."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a reviewer may decide: the name of its sheet, what it asks, the possible answers."""

    title: str
    asks: str
    decisions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of discrepancy.

    says: what was found.  advice: what somebody does about it, and ``acts`` who.  row, related,
    column: what one row of the log is about, and what its ``related_id`` and ``field`` name.
    messages: variant -> sentence, whose ``{…}`` are columns of the log, or what else is given by
    whoever logs it.
    """

    severity: Severity
    says: str
    advice: str
    acts: Acts
    row: str
    related: str = ""
    column: str = ""
    messages: Mapping[str, str]
    question: Question | None = None
