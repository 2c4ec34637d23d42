"""The key of a row: which question it is, in a form that survives a spreadsheet and shows damage.

A key is ASCII JSON and begins with a bracket, so no spreadsheet takes it for a number, a date or a
formula.  Its seal is no secret: it tells a row that was altered or mixed up by mistake.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass
from typing import Literal

from person_unify.findings import QUESTIONS

_TEXT, _COUNT, _OPTIONAL = (str,), (int,), (str, type(None))
_SHAPE = (_TEXT, _COUNT, _COUNT, _TEXT, _TEXT, _TEXT, _OPTIONAL, _OPTIONAL, _TEXT, _TEXT)
"""The types of a key's fields."""
_MOST = 10_000_000


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

    @property
    def related(self) -> Literal["child", "patient"]:
        """What ``related_id`` is of, as the kind and the possible answers tell."""
        if self.kind != "suspected_duplicate" or self.options == "separate":
            return "patient"
        mixed = "link" in self.options.split(" ")
        return "patient" if mixed and self.source_table.lower() == "children" else "child"

    def text(self) -> str:
        """The key as it stands in the file."""
        values = list(astuple(self))
        return json.dumps([*values, _seal(values)])


def read_key(text: str) -> Key | None:
    """The key that :meth:`Key.text` wrote; None where it was altered.

    The seal is no secret: what a key says is believed only as far as it can be true.
    """
    try:
        *values, seal = json.loads(text)
        json.dumps(values, ensure_ascii=False).encode()  # JSON can spell halves of characters
        whole = seal == _seal(values)
    except (ValueError, TypeError, RecursionError):
        return None
    if not whole or len(values) != len(_SHAPE):
        return None
    if not all(type(value) in types for value, types in zip(values, _SHAPE, strict=True)):
        return None
    key = Key(*values)
    question = QUESTIONS.get(key.kind)
    possible = question is not None and set(key.options.split(" ")) <= set(question.decisions)
    return key if possible and 1 <= key.number <= key.total <= _MOST else None


def _seal(values: list[object]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
