"""The named rules of the mappings, as the contract words them (sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from person_unify.frames.timezones import zone
from person_unify.mappings.spec import Type
from person_unify.stages.verify.check import VerifyOptions
from person_unify.stages.verify.context import Rows
from person_unify.stages.verify.reading import DAY_MS, FIRST_INSTANT, LAST_INSTANT

DECISIVE: tuple[tuple[str, Type], ...] = (
    ("status", "TEXT"),
    ("expires_at", "DATETIME"),
    ("revoked_at", "DATETIME"),
    ("permissions", "TEXT"),
    ("access_level", "TEXT"),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CYCLE_MS = 146_097 * DAY_MS
"""400 years, after which the calendar repeats; Python's own ends where the contract's does."""


def closed(rows: Rows) -> pl.Series:
    """Whether a consent's state cannot be read, so that its grant must be closed (section 5)."""
    found = rows.value("status", "TEXT").is_null()
    for column, type_ in DECISIVE:
        unreadable = rows.read(column, type_).unreadable
        if unreadable is not None:
            found |= unreadable
    return found


def _unless(condition: pl.Series, value: pl.Series) -> pl.Series:
    return value.zip_with(~condition, pl.Series([None], dtype=value.dtype))


def _iep_plan_name(rows: Rows, _: VerifyOptions) -> pl.Series:
    return "IEP " + rows.value("academic_year", "TEXT").fill_null("")


def _as_text(rows: Rows, _: VerifyOptions) -> pl.Series:
    return rows.value("overall_progress", "TEXT").fill_null("")


def _grant_permissions(rows: Rows, _: VerifyOptions) -> pl.Series:
    return rows.value("permissions", "TEXT").fill_null("{}")


def _grant_token(rows: Rows, _: VerifyOptions) -> pl.Series:
    return _unless(closed(rows), rows.value("token", "TEXT"))


def _grant_token_expiry(rows: Rows, _: VerifyOptions) -> pl.Series:
    waits = (rows.value("status", "TEXT") == "pending").fill_null(value=False)
    return _unless(closed(rows) | ~waits, rows.value("expires_at", "DATETIME"))


def _grant_status(rows: Rows, _: VerifyOptions) -> pl.Series:
    return _unless(closed(rows), rows.value("status", "TEXT")).fill_null("revoked")


def _session_start(rows: Rows, options: VerifyOptions) -> pl.Series:
    return _clock(_minutes(rows, options))


def _session_end(rows: Rows, options: VerifyOptions) -> pl.Series:
    duration = rows.value("duration", "INTEGER").fill_null(0) % 1440
    return _clock((_minutes(rows, options) + duration) % 1440)


def _clock(minutes: pl.Series) -> pl.Series:
    parts = [(part.cast(pl.String)).str.zfill(2) for part in (minutes // 60, minutes % 60)]
    return (parts[0] + ":" + parts[1]).fill_null("")


def _minutes(rows: Rows, options: VerifyOptions) -> pl.Series:
    """Local minute of the day at which a session starts, null without a readable date."""
    moments = rows.value("session_date", "DATETIME")
    local = moments + offsets(moments, options.timezone)
    return (local % DAY_MS) // 60_000


def offsets(moments: pl.Series, timezone: str) -> pl.Series:
    """How many ms a time zone is off UTC at instants (ms), by the rules of ``tzdata``."""
    rules = zone(timezone)
    days = (moments // DAY_MS).unique().drop_nulls()
    ends = [(_offset(rules, d * DAY_MS), _offset(rules, (d + 1) * DAY_MS)) for d in days]
    quiet = pl.DataFrame(
        {"day": days, "offset": [a if a == b else None for a, b in ends]},
        schema={"day": pl.Int64, "offset": pl.Int64},
    )
    frame = moments.rename("ms").to_frame().with_columns(day=pl.col("ms") // DAY_MS)
    found = frame.join(quiet, on="day", how="left", maintain_order="left")
    busy = found.filter(pl.col("offset").is_null() & pl.col("ms").is_not_null())["ms"].unique()
    single = pl.DataFrame(
        {"ms": busy, "own": [_offset(rules, ms) for ms in busy]},
        schema={"ms": pl.Int64, "own": pl.Int64},
    )
    return (
        found.join(single, on="ms", how="left", maintain_order="left")
        .select(pl.coalesce("offset", "own"))
        .to_series()
    )


def _offset(rules: ZoneInfo, ms: int) -> int:
    moved = ms
    if ms < FIRST_INSTANT + 2 * DAY_MS:
        moved = ms + _CYCLE_MS  # long before any zone kept a clock but its own sun's
    elif ms > LAST_INSTANT - 2 * DAY_MS:
        moved = ms - _CYCLE_MS
    offset = (_EPOCH + timedelta(milliseconds=moved)).astimezone(rules).utcoffset()
    assert offset is not None
    return int(offset.total_seconds()) * 1000


RULES: dict[str, Callable[[Rows, VerifyOptions], pl.Series]] = {
    "as_text": _as_text,
    "iep_plan_name": _iep_plan_name,
    "session_start": _session_start,
    "session_end": _session_end,
    "grant_permissions": _grant_permissions,
    "grant_token": _grant_token,
    "grant_token_expiry": _grant_token_expiry,
    "grant_status": _grant_status,
}
