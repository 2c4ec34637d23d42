"""Cells of another storage class or form than their column's (contract section 1).

In a column with a declared type SQLite turns the texts of numbers back into numbers; those forms
survive in the columns that :mod:`person_unify.sample.relaxed` leaves without a type.
"""

from __future__ import annotations

from collections.abc import Iterator

from person_unify.sample.faults import Fault, update
from person_unify.sample.faults_records import spread
from person_unify.schema import OLD

_SECOND = "%Y-%m-%dT%H:%M:%S"


def _instant(form: str, tail: str = "''", offset: int = 0) -> str:
    moment = f"{{0}} / 1000 + {offset}"
    return f"strftime('{form}', {moment}, 'unixepoch') || {tail}"


ACCEPTED = {
    "DATETIME": (
        _instant("%Y-%m-%d"),
        _instant("%Y-%m-%d %H:%M"),
        _instant("%Y-%m-%d %H:%M:%S"),
        _instant(_SECOND, "printf('.%03dZ', abs({0} % 1000))"),
        _instant(_SECOND),
        _instant(_SECOND, "'+05:30'", 19_800),
        _instant("%Y-%m-%d %H:%M:%S", "' +0530'", 19_800),
        _instant(_SECOND, "'-08'", -28_800),
        _instant("%Y-%m-%dt%H:%M:%S", "'z'"),
        _instant(_SECOND, "'.123456789Z'"),
        "{0} + 0.25",
        "{0} + 0.5",
        "CAST({0} AS REAL)",
    ),
    "BOOLEAN": (
        "CASE WHEN {0} THEN 'true' ELSE 'false' END",
        "CASE WHEN {0} THEN 'TRUE' ELSE 'False' END",
        "CAST({0} AS TEXT)",
        "CAST({0} AS REAL)",
    ),
    "INTEGER": (
        "CAST({0} AS TEXT)",
        "CAST({0} AS REAL)",
        "'+' || {0}",
        "'00' || {0}",
    ),
    "TEXT": (
        "CAST({0} AS BLOB)",
        "CASE WHEN {0} GLOB '[0-9]*' THEN CAST({0} AS INTEGER) ELSE 4711 END",
        "CAST({0} AS BLOB)",
        "0.1 + length({0})",
    ),
}
"""Declared type -> forms that the contract accepts; ``{0}`` is the column."""

UNREADABLE = {
    "DATETIME": (
        "'not a date'",
        "''",
        "'2024-02-30'",
        "'2024-01-01T24:00:00Z'",
        "' 2024-01-01'",
        "'2024-01-01 10:00:60'",
        "'Tue Jan 02 2024'",
        "253402300800000",
        "9e999",
        "x'323032342d30312d3031'",
        "CAST(x'3230ff' AS TEXT)",
    ),
    "BOOLEAN": ("'yes'", "2", "-1", "0.5", "x'01'", "''"),
    "INTEGER": ("{0} + 0.5", "'n/a'", "''", "x'31'", "1e300", "'12 '  || char(0)"),
    "TEXT": (
        "CAST(CAST({0} AS BLOB) || x'ff' AS TEXT)",
        "x'80c3'",
        "CAST(x'c080' AS TEXT)",
        "CAST(x'eda080' AS TEXT)",
        "CAST(x'61e282' AS TEXT)",
    ),
}
"""Declared type -> forms that are an ``unreadable_value``."""

_CLEAN = {"DATETIME": "integer", "BOOLEAN": "integer", "INTEGER": "integer", "TEXT": "text"}


def cells() -> Iterator[Fault]:
    """For each table and type: some cells in accepted forms, fewer in unreadable ones."""
    for table in OLD.values():
        for type_, clean in _CLEAN.items():
            names = [
                column.name
                for column in table.columns
                if column.type == type_ and not column.key_position
            ]
            for kind, share, forms in (
                ("off_type", 0.3, ACCEPTED[type_]),
                ("unreadable", 0.1, UNREADABLE[type_]),
            ):
                if names:
                    values = {name: _turned(name, forms, len(names), clean) for name in names}
                    yield update(f"{kind}_{type_}", table.name, share, spread(values))


def _turned(name: str, forms: tuple[str, ...], columns: int, clean: str) -> str:
    """The cell in one of the forms, taking turns; a cell that is off already stays."""
    column = f'"{name}"'
    choices = " ".join(
        f"WHEN {turn} THEN {form.replace('{0}', column)}" for turn, form in enumerate(forms)
    )
    turned = f"CASE p.n / {columns} % {len(forms)} {choices} END"
    return f"CASE WHEN typeof({column}) = '{clean}' THEN {turned} ELSE {column} END"


CELLS = tuple(cells())
