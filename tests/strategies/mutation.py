"""What no code ever saw: random tables and columns, keys that a file lost, cells of every class."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from tests.strategies.cells import CELLS
from tests.strategies.databases import old_databases
from tests.strategies.description import Description, TableDescription

from person_unify.schema import OLD, UNIFIED

TYPES = (
    "",
    "TEXT",
    "INTEGER",
    "REAL",
    "DATETIME",
    "BOOLEAN",
    "BLOB",
    "NUMERIC",
    "VARCHAR(3)",
    "JSON",
)
ODD_NAMES = (
    "_archived",
    "_reason",
    "_rowid",
    "rowid",
    "new_id",
    "list",
    "c0",
    "a",
    "@row",
    "%s",
    "select",
)
CARRIED = tuple(sorted({c for t in UNIFIED.values() for c in t.column_names}))
"""Names that the target may have a home for, in whatever table they turn up."""

NAMES = st.one_of(
    st.sampled_from(ODD_NAMES),
    st.sampled_from(CARRIED),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8),
)
CELL = st.one_of(
    st.sampled_from([cell for cells in CELLS.values() for cell in cells]),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=6),
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.none(),
)
FLAG = st.booleans()
UNKEYED = sorted(set(OLD) - {"parents", "users"})


@st.composite
def mutated_databases(draw: st.DrawFn) -> Description:
    """An old database with columns, tables and lost keys that nothing has been written for."""
    description = draw(old_databases())
    tables = description.tables
    for table in draw(st.lists(st.sampled_from(tables), max_size=3)):
        _add_columns(draw, table)
    for table in draw(st.lists(st.sampled_from(tables), max_size=2)):
        if table.name in UNKEYED and table.strict_as is None:
            _lose_key(draw, table)
    taken = {table.name.lower() for table in tables} | {"audited", "everybody"}
    for name in draw(st.lists(NAMES, max_size=2, unique_by=_folded)):
        if _folded(name) not in taken and not _folded(name).startswith("sqlite_"):
            tables.append(_table(draw, name))
    return description


def _folded(name: str) -> str:
    # SQLite folds ASCII letters only, but two names that Python folds together are one too many.
    return name.casefold().lower()


def _new_names(draw: st.DrawFn, known: list[str], most: int) -> list[str]:
    taken = {_folded(name) for name in known}
    drawn = draw(st.lists(NAMES, min_size=1, max_size=most, unique_by=_folded))
    return [name for name in drawn if _folded(name) not in taken]


def _add_columns(draw: st.DrawFn, table: TableDescription) -> None:
    known = list(table.columns)
    if table.name in OLD:
        known += OLD[table.name].column_names
    for name in _new_names(draw, known, 3):
        # A STRICT table does not exist here, so every class goes into every type.
        table.columns[name] = draw(st.sampled_from(TYPES))
        for row in table.rows:
            row[name] = draw(CELL)


def _lose_key(draw: st.DrawFn, table: TableDescription) -> None:
    """The file declares no key, or another one; ids may then repeat."""
    repeated: bool = draw(FLAG)
    if table.key == ("id",) and table.rows and repeated:
        table.rows.append(dict(draw(st.sampled_from(table.rows))))
    table.key = ()


def _table(draw: st.DrawFn, name: str) -> TableDescription:
    columns = {c: draw(st.sampled_from(TYPES)) for c in _new_names(draw, [], 5)}
    rows: list[dict[str, Any]] = draw(
        st.lists(st.fixed_dictionaries(dict.fromkeys(columns, CELL)), max_size=4)
    )
    keys = tuple(columns)[: draw(st.integers(0, 2))]
    asked: bool = draw(FLAG)
    without_rowid = bool(keys) and asked
    if without_rowid:
        rows = [row for row in rows if all(row[key] is not None for key in keys)]
    return TableDescription(name, columns, keys, rows, without_rowid)
