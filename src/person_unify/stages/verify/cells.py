"""The contract's reading of a cell, as SQL text (contract sections 1 and 11).

Every function takes an expression that names a cell, such as ``s."created_at"``, and returns an
expression for its canonical value: NULL where the cell is NULL or unreadable.  Dates are left to
SQLite's own functions, checked by writing their result back and comparing it with the text.
"""

from __future__ import annotations

from person_unify.spec import Constant, Type

FIRST_INSTANT = -62_135_596_800_000
LAST_INSTANT = 253_402_300_799_999
"""0001-01-01 and the last millisecond of 9999, UTC, in ms since the epoch."""

INVALID = "temp.verify_invalid"
"""Byte strings of the source (``cell``) that are no texts in their storage class (``class``)."""

CLASSES: dict[Type, str] = {
    "TEXT": "text",
    "INTEGER": "integer",
    "REAL": "real",
    "BOOLEAN": "integer",
    "DATETIME": "integer",
}
"""The storage class of each type's canonical form."""


def literal(value: Constant) -> str:
    """A constant as SQL text.

    >>> literal("it's"), literal(None), literal(3)
    ("'it''s'", 'NULL', '3')
    """
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def read(cell: str, type_: Type) -> str:
    """The cell read as a type."""
    return _READERS[type_](cell)


def same(left: str, right: str) -> str:
    """Whether two expressions hold the same value; no affinity, no collation, NULL equals NULL."""
    return f"(+{left} IS +{right} COLLATE BINARY)"


def identical(left: str, right: str) -> str:
    """Whether two cells hold the same value in the same storage class."""
    return f"(+{left} IS +{right} COLLATE BINARY AND typeof({left}) = typeof({right}))"


def text(cell: str) -> str:
    """TEXT as it is, numbers as SQLite prints them, BLOBs that are valid UTF-8."""
    return f"CASE WHEN {not_utf8(cell)} THEN NULL ELSE {printed(cell)} END"


def printed(cell: str) -> str:
    """The cell as text, numbers with 15 digits: later SQLite releases would print 17."""
    number = f"format('%!.15g', {cell})"
    return f"CASE typeof({cell}) WHEN 'real' THEN {number} ELSE CAST({cell} AS TEXT) END"


def how_many(condition: str) -> str:
    """The number of rows that fulfil a condition; unlike a sum, it stops at the first false part.

    >>> how_many("a AND b")
    'count(CASE WHEN a AND b THEN 1 END)'
    """
    return f"count(CASE WHEN {condition} THEN 1 END)"


def of_other_class(cell: str, type_: Type) -> str:
    """Whether a cell that is not NULL has another storage class than its type's canonical form."""
    if CLASSES[type_] == "text":
        # Numbers sort before every text and BLOBs after, which is cheaper than to ask typeof.
        return f"({cell} < '' OR {cell} >= x'')"
    return f"typeof({cell}) NOT IN ('{CLASSES[type_]}', 'null')"


def nearly(left: str, right: str) -> str:
    """Whether two numbers agree but for the last digits, where SQLite releases disagree."""
    number = f"CAST({left} AS REAL)"
    return f"(abs({number} - {right}) <= abs({right}) * 1e-14 OR {number} = {right})"


def not_utf8(cell: str) -> str:
    """Whether the cell is text or a BLOB that is known not to be UTF-8."""
    return (
        f"(typeof({cell}) IN ('text', 'blob') AND EXISTS (SELECT 1 FROM {INVALID} AS i "
        f"WHERE i.cell = CAST({cell} AS BLOB) AND i.class = typeof({cell})))"
    )


def integer(cell: str) -> str:
    """INTEGER, an integral REAL or digits, within 64 bits."""
    digits = (
        f"(SELECT CASE WHEN d.digits <> '' AND d.digits NOT GLOB '*[^0-9]*' AND {_whole(cell)} "
        "AND (length(d.leading) < 19 OR (length(d.leading) = 19 AND d.leading <= "
        f"CASE WHEN {cell} GLOB '-*' THEN '9223372036854775808' ELSE '9223372036854775807' END)) "
        f"THEN CAST({cell} AS INTEGER) END FROM (SELECT u.digits AS digits, "
        f"ltrim(u.digits, '0') AS leading FROM (SELECT {_unsigned(cell)} AS digits) AS u) AS d)"
    )
    return (
        f"CASE typeof({cell}) WHEN 'integer' THEN {cell} "
        f"WHEN 'real' THEN CASE WHEN {cell} >= -9223372036854775808.0 "
        f"AND {cell} < 9223372036854775808.0 AND CAST({cell} AS INTEGER) = +{cell} "
        f"THEN CAST({cell} AS INTEGER) END WHEN 'text' THEN {digits} END"
    )


def real(cell: str) -> str:
    """REAL, INTEGER or the text of a number."""
    mantissa = (
        "p.mantissa GLOB '[0-9]*' AND p.mantissa NOT GLOB '*[^0-9.]*' "
        "AND p.mantissa NOT GLOB '*.*.*' AND p.mantissa NOT GLOB '*.'"
    )
    exponent = (
        "(p.exponent IS NULL OR (p.exponent <> '' AND p.exponent NOT GLOB '*[^0-9]*' "
        "AND p.exponent <> '+' AND p.exponent <> '-'))"
    )
    power = _unsigned("substr(u.body, instr(u.body, 'e') + 1)")
    split = (
        "SELECT CASE instr(u.body, 'e') WHEN 0 THEN u.body "
        "ELSE substr(u.body, 1, instr(u.body, 'e') - 1) END AS mantissa, "
        "CASE instr(u.body, 'e') WHEN 0 THEN NULL "
        f"ELSE {power} END AS exponent "
        f"FROM (SELECT lower({_unsigned(cell)}) AS body) AS u"
    )
    number = (
        f"(SELECT CASE WHEN {mantissa} AND {exponent} AND {_whole(cell)} "
        f"THEN CAST({cell} AS REAL) END FROM ({split}) AS p)"
    )
    return (
        f"CASE typeof({cell}) WHEN 'real' THEN {cell} WHEN 'integer' THEN CAST({cell} AS REAL) "
        f"WHEN 'text' THEN {number} END"
    )


def boolean(cell: str) -> str:
    """0 and 1, and the texts that say so."""
    number = f"CASE WHEN +{cell} IN (0, 1) THEN CAST({cell} AS INTEGER) END"
    return (
        f"CASE typeof({cell}) WHEN 'integer' THEN {number} WHEN 'real' THEN {number} WHEN 'text' "
        f"THEN CASE lower({cell}) WHEN 'true' THEN 1 WHEN '1' THEN 1 WHEN 'false' THEN 0 "
        "WHEN '0' THEN 0 END END"
    )


def instant(cell: str) -> str:
    """Milliseconds since the epoch, of a UTC instant in the years 0001 to 9999."""
    return (
        f"CASE typeof({cell}) WHEN 'integer' THEN {_within(cell)} "
        f"WHEN 'real' THEN {_rounded(cell)} WHEN 'text' THEN {_spelled(cell)} END"
    )


def finer(cell: str) -> str:
    """Whether an instant's readable text says more than the millisecond."""
    return (
        f"(typeof({cell}) = 'text' AND instr({cell}, '.') > 0 "
        f"AND NOT {cell} GLOB '????-??-?????:??:??.???[Zz]' "
        f"AND (SELECT substr(z.clock, 8) GLOB '*[1-9]*' FROM ({_clock(cell)}) AS z))"
    )


def day(milliseconds: str) -> str:
    """The UTC day of an instant as ``YYYY-MM-DD``."""
    whole_days = f"(({milliseconds}) - ((({milliseconds}) % 86400000) + 86400000) % 86400000)"
    return f"date({whole_days} / 1000, 'unixepoch')"


def _whole(cell: str) -> str:
    """Whether a text is ASCII without NUL, which ``GLOB`` and ``length`` do not look behind."""
    return f"octet_length({cell}) = length({cell})"


def _unsigned(cell: str) -> str:
    return f"CASE WHEN substr({cell}, 1, 1) IN ('+', '-') THEN substr({cell}, 2) ELSE {cell} END"


def _within(milliseconds: str) -> str:
    return (
        f"CASE WHEN {milliseconds} BETWEEN {FIRST_INSTANT} AND {LAST_INSTANT} "
        f"THEN {milliseconds} END"
    )


def _rounded(cell: str) -> str:
    """Halves to even."""
    return (
        f"CASE WHEN {cell} BETWEEN {FIRST_INSTANT - 1}.0 AND {LAST_INSTANT + 1}.0 THEN "
        f"(SELECT {_within('r.near')} FROM (SELECT f.whole + CASE WHEN abs(f.part) > 0.5 "
        "OR (abs(f.part) = 0.5 AND f.whole % 2 <> 0) THEN CASE WHEN f.part < 0 THEN -1 ELSE 1 END "
        f"ELSE 0 END AS near FROM (SELECT CAST({cell} AS INTEGER) AS whole, "
        f"{cell} - CAST({cell} AS INTEGER) AS part) AS f) AS r) END"
    )


def _spelled(cell: str) -> str:
    """The three forms that databases are full of, then all others."""
    # SQLite itself takes 24:00 for an instant and writes it back as it is.
    iso = f"CAST(strftime('%s', {cell}) AS INTEGER) * 1000 + CAST(substr({cell}, 21, 3) AS INTEGER)"
    form = "'%Y-%m-%dT%H:%M:%fZ'"
    found = (
        f"CASE WHEN length({cell}) >= 16 AND substr({cell}, 12, 2) >= '24' THEN NULL "
        f"WHEN length({cell}) = 24 AND strftime({form}, {cell}) = {cell} THEN {iso} "
        f"WHEN length({cell}) = 19 AND datetime({cell}) = {cell} THEN unixepoch({cell}) * 1000 "
        f"WHEN length({cell}) = 10 AND date({cell}) = {cell} THEN unixepoch({cell}) * 1000 "
        f"WHEN length({cell}) >= 16 AND {_whole(cell)} THEN {_general(cell)} END"
    )
    return f"(SELECT {_within('w.ms')} FROM (SELECT {found} AS ms) AS w)"


def _clock(cell: str) -> str:
    """A text after its minutes, split into seconds with fraction (``clock``) and ``zone``."""
    return (
        "SELECT y.zone AS zone, CASE WHEN y.zone <> '' AND y.clock GLOB '* ' "
        "THEN substr(y.clock, 1, length(y.clock) - 1) ELSE y.clock END AS clock FROM ("
        "SELECT substr(x.tail, length(x.tail) - x.size + 1) AS zone, "
        "substr(x.tail, 1, length(x.tail) - x.size) AS clock FROM ("
        f"SELECT substr({cell}, 17) AS tail, CASE WHEN substr({cell}, 17) GLOB '*[Zz]' THEN 1 "
        f"WHEN substr({cell}, 17) GLOB '*[+-][0-9][0-9]:[0-9][0-9]' THEN 6 "
        f"WHEN substr({cell}, 17) GLOB '*[+-][0-9][0-9][0-9][0-9]' THEN 5 "
        f"WHEN substr({cell}, 17) GLOB '*[+-][0-9][0-9]' THEN 3 ELSE 0 END AS size) AS x) AS y"
    )


def _general(cell: str) -> str:
    base = (
        f"substr({cell}, 1, 10) || ' ' || substr({cell}, 12, 5) "
        "|| CASE z.clock WHEN '' THEN ':00' ELSE substr(z.clock, 1, 3) END"
    )
    hours = "CAST(substr(z.zone, 2, 2) AS INTEGER)"
    minutes = "CASE WHEN length(z.zone) > 3 THEN CAST(substr(z.zone, -2) AS INTEGER) ELSE 0 END"
    shaped = (
        f"{cell} GLOB '????-??-??[Tt ]??:??*' AND (z.clock = '' OR z.clock GLOB ':[0-9][0-9]' "
        "OR (z.clock GLOB ':[0-9][0-9].[0-9]*' AND substr(z.clock, 5) NOT GLOB '*[^0-9]*'))"
    )
    offset = f"({hours} * 60 + {minutes}) * 60000 * CASE WHEN z.zone GLOB '-*' THEN -1 ELSE 1 END"
    thousandths = "CAST(substr(substr(z.clock, 5) || '000', 1, 3) AS INTEGER)"
    return (
        f"(SELECT CASE WHEN {shaped} AND datetime({base}) = {base} "
        f"AND {hours} < 24 AND {minutes} < 60 "
        f"THEN unixepoch({base}) * 1000 + {thousandths} - {offset} END FROM ({_clock(cell)}) AS z)"
    )


_READERS = {
    "TEXT": text,
    "INTEGER": integer,
    "REAL": real,
    "BOOLEAN": boolean,
    "DATETIME": instant,
}
