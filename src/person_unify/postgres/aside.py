"""Keys, indexes and triggers put aside while tables are filled, and put back as they were.

Loading is several times faster without them (docs/POSTGRES.md), and no trigger may fire on the load
(contract section 2).  What would not come back the same stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from person_unify.postgres.server import Server
from person_unify.schema import literal, quote

_ENABLE = {"O": "ENABLE TRIGGER", "A": "ENABLE ALWAYS TRIGGER"}


@dataclass(frozen=True, slots=True)
class Aside:
    """One object: the statement that takes it away and those that bring it back."""

    drop: str
    restore: tuple[str, ...]


def aside(server: Server, tables: Iterable[str]) -> list[Aside]:
    """What is to go for a load into tables of the address's schema, in the order to go in.

    It is put back in the opposite order.
    """
    schema = server.address.schema
    names = ", ".join(literal(f"{quote(schema)}.{quote(table)}") + "::regclass" for table in tables)
    foreign = f"k.contype = 'f' AND (k.conrelid IN ({names}) OR k.confrelid IN ({names}))"
    return [
        *_triggers(server, names),
        # Those of other tables, too: they hold the keys of these in place.
        *_constraints(server, f"{foreign} AND k.conparentid = 0"),
        *_indexes(server, names),
        *_constraints(server, f"{_KEY} AND k.conrelid IN ({names})"),
    ]


def _triggers(server: Server, tables: str) -> Iterator[Aside]:
    for place, name, enabled in server.rows(
        "SELECT c.oid::regclass::text, t.tgname::text, t.tgenabled::text "
        "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal "
        f"AND t.tgenabled IN ('O', 'A') AND c.oid IN ({tables}) ORDER BY c.oid, t.tgname"
    ):
        alter, named = f"ALTER TABLE {place}", quote(name)
        restore = f"{alter} {_ENABLE[enabled]} {named}"
        yield Aside(f"{alter} DISABLE TRIGGER {named}", (restore,))


_PLAIN = (
    "i.indisvalid AND NOT i.indisclustered AND NOT i.indisreplident AND x.reltablespace = 0 "
    "AND i.indexprs IS NULL AND obj_description(x.oid, 'pg_class') IS NULL"
)
"""An index that its definition alone brings back."""

_KEY = (
    "k.contype IN ('p', 'u') AND EXISTS (SELECT 1 FROM pg_index i JOIN pg_class x "
    f"ON x.oid = i.indexrelid WHERE i.indexrelid = k.conindid AND {_PLAIN}) "
    "AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.refclassid = 'pg_constraint'::regclass "
    "AND d.refobjid = k.oid AND d.deptype = 'n' AND d.classid <> 'pg_constraint'::regclass)"
)
"""A key that has such an index, and on which no view depends."""


def _constraints(server: Server, condition: str) -> Iterator[Aside]:
    for place, name, definition, said in server.rows(
        "SELECT c.oid::regclass::text, k.conname::text, pg_get_constraintdef(k.oid), "
        "obj_description(k.oid, 'pg_constraint') "
        "FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
        f"WHERE {condition} ORDER BY c.oid, k.conname"
    ):
        alter, named = f"ALTER TABLE {place}", quote(name)
        restore = [f"{alter} ADD CONSTRAINT {named} {definition}"]
        if said is not None:
            restore.append(f"COMMENT ON CONSTRAINT {named} ON {place} IS {literal(said)}")
        drop = f"{alter} DROP CONSTRAINT {named}"
        yield Aside(drop, tuple(restore))


def _indexes(server: Server, tables: str) -> Iterator[Aside]:
    """Indexes that are no constraint's."""
    for index, definition in server.rows(
        "SELECT x.oid::regclass::text, pg_get_indexdef(x.oid) FROM pg_index i "
        "JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid "
        f"WHERE c.oid IN ({tables}) AND {_PLAIN} AND NOT EXISTS "
        "(SELECT 1 FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype <> 'f') "
        "ORDER BY c.oid, x.relname"
    ):
        yield Aside(f"DROP INDEX {index}", (definition,))
