"""The desk where questions are asked and decisions lie, one at a time."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str | None, ...]
NAMES = ("kind", "source_table", "source_id", "related_id", "field")


def spelled(*parts: str | None) -> str:
    """A text that tells its parts apart: bytes and text of each, a dash for none."""
    return ",".join("-" if p is None else f"{len(p.encode())}:{p}" for p in parts)


@dataclass
class Desk:
    """Decisions by the question they answer, and every question that was asked."""

    given: dict[Key, dict[str, Any]] = field(default_factory=dict)
    asked: dict[Key, dict[str, str | None]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    roads: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    staying: set[str] = field(default_factory=set)

    def ask(self, key: Key, options: str, *parts: str | None) -> dict[str, Any] | None:
        """Put a question on the desk; gives the decision that answers it with today's evidence."""
        evidence = hashlib.sha256(spelled(*key, *parts).encode()).hexdigest()
        self.asked[key] = {
            **dict(zip(NAMES, key, strict=True)),
            "options": options,
            "evidence": evidence,
        }
        answer = self.given.get(key)
        if answer is None or answer["evidence"] != evidence:
            return None
        if answer["decision"] not in options.split():
            self.problems.append(f"{key} {answer['decision']}")
        return answer

    def word(self, key: Key, options: str, *parts: str | None) -> str | None:
        """The one word of the decision, if there is one that holds."""
        answer = self.ask(key, options, *parts)
        return None if answer is None else str(answer["decision"])

    def outcomes(self) -> dict[Key, dict[str, Any]]:
        """Every decision with its ``outcome``."""
        found = {}
        for key, answer in self.given.items():
            asked = self.asked.get(key)
            holds = asked is not None and asked["evidence"] == answer["evidence"]
            outcome = "not_needed" if asked is None else "applied" if holds else "stale"
            found[key] = answer | {"outcome": outcome}
        return found
