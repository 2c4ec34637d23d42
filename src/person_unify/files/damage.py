"""Whether a database is damaged, and not merely full of things that its own rules forbid.

``quick_check`` and ``integrity_check`` tell of both in one list.  Rows that break their table's
CHECK, NOT NULL or declared type are rows like any other (contract section 2).
"""

from __future__ import annotations

import re
from pathlib import Path

from person_unify.errors import FeatureMissing
from person_unify.files.database import Database, inspect
from person_unify.schema import quote

_REMARK = re.compile(
    r"(NULL|NUMERIC|TEXT) value in |non-\S+ value in |CHECK constraint failed in "
    r"|non-unique entry in index "
)
"""How SQLite's checks begin what they say of content."""

_MOST = 100


def has_unreadable_pages(path: Path) -> bool:
    """Whether pages of a settled file are not what SQLite's file format says."""
    with Database(path, settled=True) as database:
        return is_damaged(database, "quick_check")


def is_damaged(database: Database, check: str, catalog: str = "main") -> bool:
    """Whether ``quick_check`` or ``integrity_check`` finds more than remarks on content.

    Where a table needs a function or collation that only an application has, the tables are checked
    one by one, but for those.
    """
    pragma = f"PRAGMA {quote(catalog)}.{check}"
    try:
        found = database.rows(f"{pragma}({_MOST})")
    except FeatureMissing:
        found = []
        for name in inspect(database, catalog):
            try:
                found += database.rows(f"{pragma}({quote(name)})")
            except FeatureMissing:
                continue
    return any(answer != "ok" and not _REMARK.match(answer) for (answer,) in found)
