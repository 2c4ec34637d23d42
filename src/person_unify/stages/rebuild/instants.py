"""Instants as SQL text: written for a TEXT column, and read exactly to compare two forms."""

from __future__ import annotations

_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999


def written(milliseconds: str) -> str:
    """ISO 8601 with milliseconds and ``Z``."""
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', ({milliseconds}) / 1000.0, 'unixepoch')"


def exactly(cell: str) -> str:
    """Milliseconds since the epoch where the cell says that and nothing finer, else NULL.

    The accepted texts are those of contract section 1; REAL counts where it is integral.
    """
    value = (
        f"CASE typeof({cell}) WHEN 'integer' THEN {cell} "
        f"WHEN 'real' THEN CASE WHEN {cell} BETWEEN {_FIRST}.0 AND {_LAST}.0 "
        f"AND CAST({cell} AS INTEGER) = +{cell} THEN CAST({cell} AS INTEGER) END "
        f"WHEN 'text' THEN {_read(cell)} END"
    )
    return f"(SELECT e.ms FROM (SELECT {value} AS ms) AS e WHERE e.ms BETWEEN {_FIRST} AND {_LAST})"


def _read(cell: str) -> str:
    """A text taken apart from both ends: day, minutes, then seconds, fraction and zone."""
    # SQLite's functions stop at a NUL, and LIKE knows no digits: so lengths first, then GLOB.
    parts = (
        f"SELECT substr({cell}, 1, 10) AS day, substr({cell}, 11, 1) AS mark, "
        f"substr({cell}, 12, 5) AS minutes, substr({cell}, 17) AS tail "
        f"WHERE octet_length({cell}) = length({cell})"
    )
    zoned = (
        "SELECT p.*, CASE WHEN p.tail GLOB '*[Zz]' THEN 1 "
        "WHEN p.tail GLOB '*[-+][0-9][0-9]:[0-9][0-9]' THEN 6 "
        "WHEN p.tail GLOB '*[-+][0-9][0-9][0-9][0-9]' THEN 5 "
        f"WHEN p.tail GLOB '*[-+][0-9][0-9]' THEN 3 ELSE 0 END AS width FROM ({parts}) AS p"
    )
    split = (
        "SELECT q.*, substr(q.tail, length(q.tail) - q.width + 1) AS zone, "
        "substr(q.tail, 1, length(q.tail) - q.width) AS front "
        f"FROM ({zoned}) AS q"
    )
    # At most one blank stands between time and zone.
    trimmed = (
        "SELECT r.*, CASE WHEN r.width > 0 AND r.front GLOB '* ' "
        "THEN substr(r.front, 1, length(r.front) - 1) ELSE r.front END AS clock "
        f"FROM ({split}) AS r"
    )
    return (
        "(SELECT CASE WHEN date(s.day) IS NOT s.day THEN NULL "
        "WHEN s.mark = '' THEN unixepoch(s.day) * 1000 "
        f"WHEN {_CLOCK} THEN (unixepoch(s.day) + 60 * ({_MINUTES})) * 1000 "
        f"+ {_SECONDS} - {_OFFSET} END FROM ({trimmed}) AS s)"
    )


_CLOCK = (
    "s.mark GLOB '[Tt ]' AND s.minutes GLOB '[0-2][0-9]:[0-5][0-9]' AND s.minutes < '24' "
    "AND (s.clock = '' OR s.clock GLOB ':[0-5][0-9]' OR (s.clock GLOB ':[0-5][0-9].[0-9]*' "
    "AND substr(s.clock, 5) NOT GLOB '*[^0-9]*' AND substr(s.clock, 8) NOT GLOB '*[1-9]*')) "
    "AND (s.width < 3 OR (substr(s.zone, 2, 2) < '24' AND (s.width = 3 "
    "OR substr(s.zone, -2) < '60')))"
)
_MINUTES = "60 * CAST(substr(s.minutes, 1, 2) AS INTEGER) + CAST(substr(s.minutes, 4) AS INTEGER)"
_SECONDS = (
    "1000 * CAST(substr(s.clock, 2, 2) AS INTEGER) "
    "+ CAST(substr(substr(s.clock, 5) || '000', 1, 3) AS INTEGER)"
)
_OFFSET = (
    "CASE WHEN s.width < 3 THEN 0 ELSE CASE WHEN s.zone GLOB '-*' THEN -60000 ELSE 60000 END "
    "* (60 * CAST(substr(s.zone, 2, 2) AS INTEGER) "
    "+ CASE WHEN s.width > 3 THEN CAST(substr(s.zone, -2) AS INTEGER) ELSE 0 END) END"
)
