"""Cells as real databases hold them: for every declared type, in every storage class.

Each list starts with what a failing example should shrink to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.strategies.handmade import NOON


@dataclass(frozen=True)
class BadText:
    """Bytes that SQLite is made to store as TEXT, valid UTF-8 or not."""

    raw: bytes


SAME_INSTANT = ("2023-11-14 22:13:20", "2023-11-15T03:43:20.000+05:30", float(NOON))
"""Other forms of :data:`NOON`."""

INSTANTS: list[Any] = [
    NOON,
    *SAME_INSTANT,
    0,
    -1,
    1,
    1_700_000_000,
    "1970-01-15",
    "1970-01-31T23:59:59.999Z",
    2_678_400_000,
    20_240_315.0,
    "2023-11-14",
    "2023-11-14 22:13",
    "2023-11-14t22:13:20.1z",
    "2023-11-14 22:13:20 +0530",
    "2023-11-14 22:13:20.123456-05",
    "2023-11-14T22:13:20.1230000Z",
    "1969-12-31T23:59:59.9999Z",
    "0000-12-31T23:00:00-02:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
    1.5,
    2.5,
    -0.25,
    -62_135_596_800_000,
    253_402_300_799_999,
]
BAD_INSTANTS: list[Any] = [
    None,
    "",
    "soon",
    "2023-02-29",
    "2023-11-14 24:00:00",
    "2023-11-14 22:13:60",
    "2023-11-14 ",
    " 2023-11-14",
    "2023-11-14Z",
    "2023-11-14 22:13:20  Z",
    "2023-11-14 22:13:20+24:00",
    "2023-11-14 22:13:20,5",
    "14.11.2023",
    "2023-11-14\x00",
    "\uff12\uff10\uff12\uff13-11-14",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    253_402_300_800_000,
    2**62,
    1e300,
    float("inf"),
    b"2023-11-14",
    b"\xff",
    BadText(b"2023-11-14\xff"),
]
BOOLEANS: list[Any] = [1, 0, "true", "FALSE", "True"]
BAD_BOOLEANS: list[Any] = [
    None,
    2,
    -1,
    0.5,
    "",
    "yes",
    " 1",
    "1\x00",
    "tru\u0435",
    b"1",
    BadText(b"tru\xe9"),
]
INTEGERS: list[Any] = [0, 7, 45, -3, "12", "+007", 3.0, 2**63 - 1, -(2**63), 10_000]
BAD_INTEGERS: list[Any] = [
    None,
    "",
    "5x",
    "0x1F",
    " 5 x",
    2.5,
    1e300,
    float("inf"),
    "+5 ",
    "99999999999999999999999",
    b"5",
    BadText(b"5\xff"),
    "5\x00",
    "\u0665",
]
REALS: list[Any] = [0.5, 12, "7.25", "1e3"]
BAD_REALS: list[Any] = [None, "", "high", "1_000.5", ".5", b"0.5", BadText(b"1.5\xff")]
TEXTS: list[Any] = [
    "text",
    "",
    "  Two  Words ",
    "line\nbreak\r\n",
    "nul\x00inside",
    "😀 é é ﬁ",
    "null",
    '{"a": [1, "b"]}',
    'O\'Brien "quoted" %s ?1 \\',
    b"blob text",
    b"",
    b"blob\ttext\r\n \xf0\x9f\x98\x80",
    12,
    -7,
    1.5,
    1e300,
]
BAD_TEXTS: list[Any] = [
    None,
    b"blob \x00 \xf0\x9f\x98\x80",
    b"\x1b[31m",
    b"\x7f",
    "C1 \x85".encode(),
    b"\x8c\x17a\x13",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    BadText(b"bad \xc3("),
    BadText(b"\xc0\xaf"),
    BadText(b"cut \xf0\x9f\x98"),
]

CELLS: dict[str, list[Any]] = {
    "DATETIME": INSTANTS + BAD_INSTANTS,
    "BOOLEAN": BOOLEANS + BAD_BOOLEANS,
    "INTEGER": INTEGERS + BAD_INTEGERS,
    "REAL": REALS + BAD_REALS,
    "TEXT": TEXTS + BAD_TEXTS,
    "": [*TEXTS, 0, 2.5, b"\x00\x01"],
}

NAMES: list[Any] = [
    *("Asha", "Bela", "Asha", "asha", " ASHA\u00a0"),
    *("Asha\u200b", "\uff21sha", "Asha  Devi", "asha\u2003devi", "Straße", "STRASSE", ""),
    *(None, b"Asha", b"\xff", "Å", "A\u030a"),
]
BIRTHDAYS: list[Any] = [
    *(1_400_000_000_000, 1_400_000_000_000, "2014-05-13", "2014-05-13T23:59:59Z"),
    *("2014-05-14", 1_400_000_000, 1_400_043_600_000, None, "unknown", -1, "1969-12-31"),
]
GENDERS: list[Any] = ["female", "male", "female", "Female ", "", None, b"male", b"\xff", " "]
TIMES: list[Any] = [
    *(NOON, NOON, NOON + 1, "2023-11-14 22:13:20", "2023-11-14T22:13:20.0009Z"),
    *(1, None, "soon", float(NOON - 1), NOON - 86_400_000, b"\xff"),
]
STATUSES: list[Any] = [
    *("active", "pending", "active", "revoked", "expired", "pending"),
    *(None, b"active", b"\xff", "", "Pending"),
]
