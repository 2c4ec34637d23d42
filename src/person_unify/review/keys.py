"""The key of a row: which question it is, in a form that survives a spreadsheet and shows damage.

A key is ASCII JSON and begins with a bracket, so no spreadsheet takes it for a number, a date or a
formula.  Its seal is no secret: it tells a row that was altered or mixed up by mistake.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True, slots=True)
class Key:
    """A question in an export: ``number`` of ``total``, made from the ledger of ``run``."""

    run: str
    number: int
    total: int
    kind: str
    source_table: str
    source_id: str
    related_id: str | None
    field: str | None
    options: str
    evidence: str

    def text(self) -> str:
        """The key as it stands in the file."""
        values = list(astuple(self))
        return json.dumps([*values, _seal(values)])


def read_key(text: str) -> Key | None:
    """The key that :meth:`Key.text` wrote; None where it was altered."""
    try:
        *values, seal = json.loads(text)
    except (ValueError, TypeError):
        return None
    if len(values) != len(fields(Key)) or seal != _seal(values):
        return None
    return Key(*values)


def _seal(values: list[object]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
