"""Time zones by the rules of the pinned ``tzdata`` package: the same on every host (section 6).

The host's own zone files are never read: they may be older than the rules of today, or newer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from person_unify.errors import UsageError

DAY = 86_400
"""Seconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_510_400, 253_402_128_000
"""0001-01-02 and 9999-12-30 in seconds since the epoch: local time beyond has no year in Python.

No zone changes its clocks that near to the ends of the calendar.
"""


@cache
def names() -> frozenset[str]:
    """Every zone of ``tzdata`` that says where it is; ``Factory`` stands for none chosen yet."""
    listed = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset(listed) - {"Factory"}


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of that IANA name; raises :class:`UsageError` that names the nearest one."""
    if name not in names():
        raise UsageError(
            f"time zone {name!r} is unknown: give an IANA name such as Asia/Kolkata{_hint(name)}"
        )
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _hint(name: str) -> str:
    folded = {known.casefold().replace("_", " "): known for known in sorted(names())}
    near = get_close_matches(name.casefold().replace("_", " "), folded, n=1)
    return f"; did you mean {folded[near[0]]}?" if near else ""


def offset_at(rules: ZoneInfo, second: int) -> int:
    """Seconds that the zone is ahead of UTC at an instant (seconds since the epoch)."""
    moment = _EPOCH + timedelta(seconds=min(max(second, _FIRST), _LAST))
    offset = moment.astimezone(rules).utcoffset()
    assert offset is not None
    return offset.days * DAY + offset.seconds


def offsets(name: str, days: Iterable[int]) -> list[tuple[int, int, int, int]]:
    """Per UTC day: its first second, the offset then, the second it changes at, that from then on.

    A day on which the clocks do not change "changes" to the same offset.  No zone has ever changed
    its clocks twice on one day of UTC.
    """
    rules = zone(name)
    found = []
    for day in days:
        low, high = day, day + DAY - 1
        before, after = offset_at(rules, low), offset_at(rules, high)
        while high - low > 1 and before != after:
            middle = (low + high) // 2
            if offset_at(rules, middle) == before:
                low = middle
            else:
                high = middle
        found.append((day, before, high, after))
    return found
