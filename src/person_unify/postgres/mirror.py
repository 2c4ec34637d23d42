"""Tables of a PostgreSQL schema as a private SQLite file, in the forms that Prisma keeps there.

So everything that reads, compares and proves SQLite files does the same for PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from person_unify.files import locks
from person_unify.files.database import Database
from person_unify.postgres.catalogue import Home
from person_unify.postgres.server import Server
from person_unify.progress import Progress, TableStarted
from person_unify.schema import create_index, create_table, quote

_PRAGMAS = ("page_size = 8192", "journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF")


def mirror(
    server: Server,
    homes: Iterable[Home],
    path: Path,
    progress: Progress,
    unread: Iterable[Home] = (),
) -> None:
    """Write the tables into a new SQLite file, in the order of their keys.

    The order is that of bytes, whatever collation the server has: equal tables make equal files.
    unread: tables that the file has without their rows.
    """
    with Database(path) as database:
        for pragma in _PRAGMAS:
            database.execute(f"PRAGMA {pragma}")
        database.execute("BEGIN EXCLUSIVE")
        for home in homes:
            table = home.table
            progress(TableStarted("snapshot", table.name))
            database.execute(create_table(table))
            for frame in server.batches(_select(server.address.schema, home), table.name):
                database.ingest(table.name, frame)
            for statement in create_index(table):
                database.execute(statement)
        for home in unread:
            database.execute(create_table(home.table))
        database.execute("COMMIT")
    locks.sync(path)


def _select(schema: str, home: Home) -> str:
    listed = ", ".join(f"{sql} AS {quote(name)}" for name, sql in home.reads.items())
    texts = {column.name for column in home.table.columns if column.type == "TEXT"}
    order = ", ".join(
        f't.{quote(name)}::text COLLATE "C"' if name in texts else f"t.{quote(name)}"
        for name in home.table.primary_key
    )
    ordered = f" ORDER BY {order}" if order else ""
    return f"SELECT {listed} FROM {quote(schema)}.{quote(home.table.name)} AS t{ordered}"


@dataclass(frozen=True, slots=True)
class Difference:
    """A table that is not the same in two files: rows of each, and rows equal in every cell."""

    table: str
    expected: int
    found: int
    equal: int

    def __str__(self) -> str:
        return f"{self.table} ({self.equal:,} of {self.expected:,} rows are equal)"


def differences(
    expected: Path, found: Path, columns: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
) -> Iterator[Difference]:
    """The tables whose rows differ in some cell, by value or storage class.

    columns: table -> its key and the columns to compare.
    """
    with Database(expected, settled=True) as database:
        database.attach(found, "mirror", settled=True)
        for table, (key, compared) in columns.items():
            name = quote(table)
            # The mirror's side first: its columns compare bytes, whatever the other file declares.
            on = " AND ".join(f"b.{quote(c)} IS a.{quote(c)}" for c in key or compared)
            # A plus keeps SQLite from looking rows up by another column's index than the key's.
            same = " AND ".join(
                f"+b.{c} IS a.{c} AND typeof(b.{c}) = typeof(a.{c})" for c in map(quote, compared)
            )
            counts = database.rows(
                f"SELECT (SELECT count(*) FROM main.{name}), (SELECT count(*) FROM mirror.{name}), "
                f"(SELECT count(*) FROM main.{name} AS a CROSS JOIN mirror.{name} AS b "
                f"ON {on} WHERE {same})"
            )[0]
            if len(set(counts)) > 1:
                yield Difference(table, *map(int, counts))
