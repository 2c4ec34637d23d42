"""Old ids that survive in columns nobody declared as references (section 7)."""

from __future__ import annotations

import unicodedata

from person_unify.schema import Table

from .record import Record, State, Stored

WORDS = (("notifications", "action_url"), ("notifications", "action_data"))


def searched(table: Table, column: str) -> bool:
    """Whether a target column is searched for old patient and child ids."""
    if (table.name, column) in WORDS:
        return True
    named = column.endswith(("_id", "_by")) and column != "person_id"
    return named and table.foreign_key(column) is None


def spot(record: Record, table: str, column: str, source: str, value: Stored) -> None:
    """Remembers the row under its source column when the value names an old id."""
    whole_word = (table, column) in WORDS

    def find(text: str) -> str | None:
        if whole_word:
            return next((i for i in sorted(record.state.old_ids) if has_word(text, i)), None)
        return text if text in record.state.old_ids else None

    record.note_soft(source, value, find)


def has_word(text: str, word: str) -> bool:
    """Whether ``word`` stands in the text with no letter, digit, ``_`` or ``-`` beside it."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        before, after = text[start - 1 : start], text[end : end + 1]
        if not _adjoins(before) and not _adjoins(after):
            return True
        start = text.find(word, start + 1)
    return False


def _adjoins(character: str) -> bool:
    if character in ("", "_", "-"):
        return character != ""
    category = unicodedata.category(character)
    return category.startswith("L") or category == "Nd"


def log_soft_references(state: State) -> None:
    """One ``soft_reference`` per source table and column, with its count of rows."""
    for (table, column), rows in state.soft.items():
        state.log("soft_reference", table, None, field=column, count=len(rows))
