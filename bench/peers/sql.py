"""``sql-naive``, ``sql-tuned``, ``sql-unsafe`` and ``limit``: SQLite by its own means."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from bench.peers.statements import WHO, inserts
from person_unify.schema import UNIFIED, create_index, create_statements, create_table

TUNED = (
    "main.locking_mode = EXCLUSIVE",
    "main.cache_size = -65536",
    "old.cache_size = -65536",
    "temp_store = MEMORY",
)
UNSAFE = ("main.journal_mode = OFF", "main.synchronous = OFF")


def naive(old: Path, new: Path) -> None:
    """One transaction, into the target with its indexes, at SQLite's defaults."""
    with _target(old, new) as connection:
        connection.execute("BEGIN")
        for statement in (*create_statements(UNIFIED), *WHO):
            connection.execute(statement)
        for _, statement in inserts():
            connection.execute(statement)
        connection.execute("COMMIT")


def tuned(old: Path, new: Path, *, unsafe: bool = False) -> None:
    """Sorted by primary key, indexes after the load, 64 MB of cache, one exclusive lock."""
    with _target(old, new) as connection:
        for setting in (*TUNED, *(UNSAFE if unsafe else ())):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("BEGIN EXCLUSIVE")
        for table in UNIFIED.values():
            connection.execute(create_table(table))
        for statement in WHO:
            connection.execute(statement)
        for _, statement in inserts():
            connection.execute(f"{statement} ORDER BY 1")
        for table in UNIFIED.values():
            for statement in create_index(table):
                connection.execute(statement)
        connection.execute("COMMIT")


def limit(finished: Path, new: Path) -> None:
    """Copy a finished target: the rows parsed by nobody, the indexes in order."""
    with closing(sqlite3.connect(finished)) as connection:
        connection.execute("VACUUM INTO ?", (str(new),))


@contextmanager
def _target(old: Path, new: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS old", (str(old),))
        yield connection


PEERS: Mapping[str, Callable[[Path, Path], None]] = {
    "sql-naive": naive,
    "sql-tuned": tuned,
    "sql-unsafe": partial(tuned, unsafe=True),
    "limit": limit,
}
