"""What a target may hold besides the tables of its schema (contract section 2)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from hypothesis import strategies as st
from tests.migration.support import make_target

from person_unify.schema import quote

Cell: TypeAlias = int | float | str | bytes | None
Foreign: TypeAlias = dict[str, list[tuple[Cell, Cell]]]
"""Rows of two cells by the table that they stand in."""

_CELLS = st.one_of(
    st.none(), st.integers(-9, 9), st.just(2.5), st.text("aZ\0é", max_size=3), st.binary(max_size=3)
)
_ROWS = st.lists(st.tuples(_CELLS, _CELLS), max_size=3)
_NAMES = st.sampled_from(
    ["_prisma_migrations", "Job Queue", 'of "theirs"', "person", "Persons_old"]
)


def foreign_tables() -> st.SearchStrategy[Foreign | None]:
    """Tables of others in a target that exists; None where the run makes the target."""
    return st.none() | st.dictionaries(_NAMES, _ROWS, max_size=2)


def build_target(path: Path, foreign: Foreign) -> Path:
    """An empty target with those tables in it."""
    make_target(path)
    with closing(sqlite3.connect(path)) as connection:
        for name, rows in foreign.items():
            connection.execute(f"CREATE TABLE {quote(name)} (id, finished_at)")
            connection.executemany(f"INSERT INTO {quote(name)} VALUES (?, ?)", rows)
        connection.commit()
    return path


def held(path: Path, foreign: Foreign) -> Foreign:
    """What those tables hold now."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            name: connection.execute(f"SELECT * FROM {quote(name)} ORDER BY rowid").fetchall()
            for name in foreign
        }
