"""The named rules of the mappings, as SQL (contract sections 5 and 6).

Each takes a function that gives a source column's cell as SQL text.
"""

from __future__ import annotations

from collections.abc import Callable

from person_unify.spec import Type
from person_unify.stages.verify import cells

Cells = Callable[[str], str]


def _iep_plan_name(cell: Cells) -> str:
    return f"'IEP ' || coalesce({cells.text(cell('academic_year'))}, '')"


def _clock(cell: Cells, minutes: str) -> str:
    """``HH:MM`` in the run's time zone; ``minutes`` is what to add to the start."""
    moment = cells.instant(cell("session_date"))
    local = (
        "SELECT m.ms + 1000 * (SELECT o.seconds FROM temp.verify_offsets AS o "
        "WHERE o.start <= m.ms ORDER BY o.start DESC LIMIT 1) AS ms "
        f"FROM (SELECT {moment} AS ms) AS m WHERE m.ms IS NOT NULL"
    )
    start = "((l.ms % 86400000 + 86400000) % 86400000) / 60000"
    total = f"(({start} + ({minutes})) % 1440 + 1440) % 1440"
    return (
        f"coalesce((SELECT format('%02d:%02d', c.total / 60, c.total % 60) "
        f"FROM (SELECT {total} AS total FROM ({local}) AS l) AS c), '')"
    )


def _session_start(cell: Cells) -> str:
    return _clock(cell, "0")


def _session_end(cell: Cells) -> str:
    return _clock(cell, f"coalesce({cells.integer(cell('duration'))}, 0) % 1440")


DECISIVE: tuple[tuple[str, Type], ...] = (
    ("status", "TEXT"),
    ("expires_at", "DATETIME"),
    ("revoked_at", "DATETIME"),
    ("permissions", "TEXT"),
    ("access_level", "TEXT"),
)


def closed(cell: Cells) -> str:
    """Whether a consent's state cannot be read, so that its grant must be closed (section 5)."""
    unreadable = [
        f"({cell(column)} IS NOT NULL AND {cells.read(cell(column), type_)} IS NULL)"
        for column, type_ in DECISIVE
    ]
    return f"({cell('status')} IS NULL OR {' OR '.join(unreadable)})"


def _grant_permissions(cell: Cells) -> str:
    return f"coalesce({cells.text(cell('permissions'))}, '{{}}')"


def _grant_token(cell: Cells) -> str:
    return f"CASE WHEN {closed(cell)} THEN NULL ELSE {cells.text(cell('token'))} END"


def _grant_token_expiry(cell: Cells) -> str:
    return (
        f"CASE WHEN {closed(cell)} OR {cells.text(cell('status'))} IS NOT 'pending' "
        f"THEN NULL ELSE {cells.instant(cell('expires_at'))} END"
    )


def _grant_status(cell: Cells) -> str:
    return f"CASE WHEN {closed(cell)} THEN 'revoked' ELSE {cells.text(cell('status'))} END"


def _as_text(cell: Cells) -> str:
    return f"coalesce({cells.text(cell('overall_progress'))}, '')"


RULES: dict[str, Callable[[Cells], str]] = {
    "as_text": _as_text,
    "iep_plan_name": _iep_plan_name,
    "session_start": _session_start,
    "session_end": _session_end,
    "grant_permissions": _grant_permissions,
    "grant_token": _grant_token,
    "grant_token_expiry": _grant_token_expiry,
    "grant_status": _grant_status,
}
"""The named rules of the mappings, as the contract words them."""
