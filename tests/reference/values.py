"""What one cell means: contract sections 1 and 11, one cell at a time, in plain Python."""

from __future__ import annotations

import importlib.resources
import math
import re
import sqlite3
import unicodedata
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

Value = int | float | str | None
Raw = int | float | bytes | None

FIRST_MS = -62_135_596_800_000
LAST_MS = 253_402_300_799_999
DAY_MS = 86_400_000
CYCLE_MS = 146_097 * DAY_MS
"""400 Gregorian years, after which days, weekdays and leap years repeat."""

INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(?: ?(?:([Zz])|([+-])([0-9]{2})(?::?([0-9]{2}))?))?)?"
)
INTEGER = re.compile(r"[+-]?[0-9]+")
REAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
BOOLEAN = {"true": 1, "1": 1, "false": 0, "0": 0}
SPACES = "".join(
    map(chr, [*range(0x9, 0xE), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)])
) + "".join(map(chr, [0x2028, 0x2029, 0x202F, 0x205F, 0x3000]))
"""The characters with the White_Space property."""


class Cell(NamedTuple):
    """A stored cell: its storage class as ``typeof`` names it, text and blobs as bytes."""

    kind: str
    raw: Raw


NULL = Cell("null", None)


class Reading(NamedTuple):
    """A cell read as a column type.

    ``exact`` says that the canonical value is the cell itself (or the same instant to the
    millisecond); ``rule`` names the change of storage class, if there was one.
    """

    value: Value
    state: Literal["null", "ok", "unreadable"]
    exact: bool = True
    rule: str | None = None


NOTHING = Reading(None, "null")
UNREADABLE = Reading(None, "unreadable", exact=False)


def read(cell: Cell, kind: str) -> Reading:
    """The cell as a value of the declared type ``kind``."""
    if cell.kind == "null":
        return NOTHING
    converter = {
        "TEXT": _text,
        "DATETIME": _instant,
        "BOOLEAN": _boolean,
        "INTEGER": _integer,
        "INT4": _int4,
        "REAL": _real,
    }[kind]
    found = converter(cell)
    if found is None:
        return UNREADABLE
    value, exact = found
    stored = {int: "integer", float: "real", str: "text"}[type(value)]
    rule = None if stored == cell.kind else f"{cell.kind}_to_{stored}"
    return Reading(value, "ok", exact, rule)


def text_of(cell: Cell) -> str | None:
    """The cell's bytes as text, None unless they are valid UTF-8."""
    assert isinstance(cell.raw, bytes)
    try:
        return cell.raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _text(cell: Cell) -> tuple[str, bool] | None:
    if isinstance(cell.raw, bytes):
        text = text_of(cell)
        if text is None or (cell.kind == "blob" and any(map(_is_control, text))):
            return None
        return text, cell.kind == "text"
    with closing(sqlite3.connect(":memory:")) as connection:
        printed = connection.execute("SELECT CAST(? AS TEXT)", (cell.raw,)).fetchone()[0]
    return str(printed), False


def _is_control(character: str) -> bool:
    """Whether it shows that a blob is no text: control characters but tab and line ends."""
    return unicodedata.category(character) == "Cc" and character not in "\t\n\r"


def _instant(cell: Cell) -> tuple[int, bool] | None:
    if isinstance(cell.raw, int):
        found = (cell.raw, True)
    elif isinstance(cell.raw, float):
        if not math.isfinite(cell.raw):
            return None
        found = (round(cell.raw), cell.raw == round(cell.raw))
    else:
        text = text_of(cell) if cell.kind == "text" else None
        parsed = None if text is None else parse_instant(text)
        if parsed is None:
            return None
        found = parsed
    return found if FIRST_MS <= found[0] <= LAST_MS else None


def parse_instant(text: str) -> tuple[int, bool] | None:
    """Milliseconds of an accepted text, and whether nothing finer was cut off."""
    match = INSTANT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    offset_hour, offset_minute = int(match[10] or 0), int(match[11] or 0)
    if hour > 23 or minute > 59 or second > 59 or offset_hour > 23 or offset_minute > 59:
        return None
    # Year 0 is a leap year of the proleptic calendar, as 400 is; datetime knows 1 to 9999 only.
    shift = 400 if year <= 400 else -400
    try:
        moved = date(year + shift, month, day)
    except ValueError:
        return None
    days = (moved - date(1970, 1, 1)).days - shift // 400 * (CYCLE_MS // DAY_MS)
    digits = match[7] or ""
    offset = (offset_hour * 60 + offset_minute) * (-1 if match[9] == "-" else 1)
    seconds = (days * 24 + hour) * 3600 + (minute - offset) * 60 + second
    return seconds * 1000 + int(digits[:3].ljust(3, "0")), not digits[3:].strip("0")


def _boolean(cell: Cell) -> tuple[int, bool] | None:
    if isinstance(cell.raw, int | float):
        return (int(cell.raw), isinstance(cell.raw, int)) if cell.raw in (0, 1) else None
    text = text_of(cell) if cell.kind == "text" else None
    if text is None or not text.isascii() or text.lower() not in BOOLEAN:
        return None
    return BOOLEAN[text.lower()], False


def _integer(cell: Cell) -> tuple[int, bool] | None:
    if isinstance(cell.raw, int):
        return cell.raw, True
    if isinstance(cell.raw, float):
        value = int(cell.raw) if cell.raw.is_integer() else None
    else:
        text = text_of(cell) if cell.kind == "text" else None
        value = _parse_integer(text) if text is not None and INTEGER.fullmatch(text) else None
    if value is None or not -(2**63) <= value < 2**63:
        return None
    return value, False


def _int4(cell: Cell) -> tuple[int, bool] | None:
    """An integer that PostgreSQL's 32 bits hold."""
    found = _integer(cell)
    return found if found is not None and -(2**31) <= found[0] < 2**31 else None


def _parse_integer(text: str) -> int | None:
    digits = text.lstrip("+-").lstrip("0") or "0"
    if len(digits) > 19:  # far from 64 bits, and Python refuses to parse thousands of digits
        return None
    return -int(digits) if text.startswith("-") else int(digits)


def _real(cell: Cell) -> tuple[float, bool] | None:
    if isinstance(cell.raw, int | float):
        return float(cell.raw), isinstance(cell.raw, float)
    text = text_of(cell) if cell.kind == "text" else None
    if text is None or not REAL.fullmatch(text):
        return None
    return float(text), False


def normal_name(text: str) -> str:
    """A name for comparison: stripped, inner white space collapsed, casefolded."""
    parts = re.split(f"[{re.escape(SPACES)}]+", text)
    return " ".join(part for part in parts if part).casefold()


def day_of(ms: int) -> int:
    """The UTC calendar day of an instant, as days since 1970-01-01."""
    return ms // DAY_MS


def _shifted(ms: int) -> tuple[datetime, int]:
    """The instant far enough from datetime's own limits, and the years it was shifted by."""
    years = 400 if ms < FIRST_MS + CYCLE_MS else -400 if ms > LAST_MS - CYCLE_MS else 0
    moved = ms + (years // 400) * CYCLE_MS
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moved), years


def iso_day(ms: int) -> str:
    """The UTC day as ``YYYY-MM-DD``."""
    moved, years = _shifted(ms)
    return f"{moved.year - years:04d}-{moved.month:02d}-{moved.day:02d}"


def iso_instant(ms: int) -> str:
    """The instant in ISO 8601, UTC, with milliseconds."""
    moved, _ = _shifted(ms)
    return f"{iso_day(ms)}T{moved:%H:%M:%S}.{ms % 1000:03d}Z"


@cache
def _zone(name: str) -> ZoneInfo:
    """The zone as the ``tzdata`` package has it, whatever the host has."""
    with importlib.resources.files("tzdata").joinpath("zoneinfo", name).open("rb") as file:
        return ZoneInfo.from_file(file)


def minute_of_day(ms: int, timezone: str) -> int:
    """Minutes since local midnight in the zone, seconds cut."""
    try:
        moved = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
        local = moved.astimezone(_zone(timezone))
    except OverflowError:
        local = _shifted(ms)[0].astimezone(_zone(timezone))
    return local.hour * 60 + local.minute


def clock(minutes: int) -> str:
    """Minutes since midnight as ``HH:MM``, wrapping at midnight."""
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"
