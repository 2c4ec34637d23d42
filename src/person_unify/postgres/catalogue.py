"""What a PostgreSQL schema holds, in SQLite's terms: names and types come from its catalogue."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from person_unify.errors import SourceError, TargetError
from person_unify.postgres.server import Server
from person_unify.run.preflight import HISTORY
from person_unify.schema import UNIFIED, Catalogue, Column, ForeignKey, Table, literal, quote

Form = tuple[str, str]
"""A type in SQLite's terms, and the expression that reads a column as Prisma keeps it there."""

_MS = "(extract(epoch FROM {c}) * 1000)::bigint"
_ISO = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
TARGET: Mapping[str, Form] = {
    "text": ("TEXT", "{c}"),
    "character varying": ("TEXT", "{c}::text"),
    "integer": ("INT4", "{c}::bigint"),
    "bigint": ("INTEGER", "{c}"),
    "boolean": ("BOOLEAN", "{c}::int::bigint"),
    "double precision": ("REAL", "{c}"),
    "timestamp(3) without time zone": ("DATETIME", _MS),
}
"""What Prisma gives a column; others are left to the server."""

SOURCE: Mapping[str, Form] = {
    **TARGET,
    "integer": ("INTEGER", "{c}::bigint"),
    "smallint": ("INTEGER", "{c}::bigint"),
    "real": ("REAL", "{c}::float8"),
    "bytea": ("BLOB", "{c}"),
    "date": ("DATETIME", "to_char({c}, 'YYYY-MM-DD')"),
}
_ANY = ("TEXT", "{c}::text")
_ON_DELETE = {
    "a": "NO ACTION",
    "r": "RESTRICT",
    "c": "CASCADE",
    "n": "SET NULL",
    "d": "SET DEFAULT",
}
_TEXT_DEFAULT = re.compile(r"('(?:[^']|'')*')::(?:text|character varying)")
_NUMBER_DEFAULT = re.compile(
    r"'?(-?[0-9]+(?:\.[0-9]+)?)'?(?:::(?:integer|bigint|double precision))?"
)


@dataclass(frozen=True, slots=True)
class Home:
    """A table of the schema: as SQLite would declare it, and how its columns are read.

    reads: column -> SQL.  demanded: columns left to the server that have no default and need one.
    filled: columns whose default only the server can compute.
    """

    table: Table
    reads: Mapping[str, str]
    demanded: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()

    def planned(self) -> Home:
        """As a plan sees it: further columns that the server fills are left to it."""
        known = UNIFIED.get(self.table.name)
        if known is None:
            return self
        left = {name for name in self.filled if known.column(name) is None}
        table = replace(
            self.table,
            columns=tuple(c for c in self.table.columns if c.name not in left),
            foreign_keys=tuple(k for k in self.table.foreign_keys if k.column not in left),
            uniques=tuple(u for u in self.table.uniques if not left & set(u)),
            computed=(*self.table.computed, *sorted(left)),
        )
        reads = {name: sql for name, sql in self.reads.items() if name not in left}
        return replace(self, table=table, reads=reads)


def homes(server: Server, forms: Mapping[str, Form]) -> Catalogue[Home]:
    """The tables of the address's schema, by name; of a target (:data:`TARGET`) or a source.

    A target's table that Prisma keeps its own history in is left out.  Raises :class:`TargetError`
    for a schema that is not there, and :class:`SourceError` for a source with tables that are none
    of their own: partitioned or foreign ones, whose rows would be missed.
    """
    named = literal(server.address.schema)
    if not server.value(f"SELECT count(*) FROM pg_namespace WHERE nspname = {named}"):
        raise TargetError(f"{server.address} has no schema of that name: make its tables first")
    schema = f"{literal(quote(server.address.schema))}::regnamespace"
    columns: dict[str, list[Column]] = {}
    reads: dict[str, dict[str, str]] = {}
    demanded: dict[str, list[str]] = {}
    filled: dict[str, list[str]] = {}
    if forms is SOURCE:
        _require_ordinary(server, schema)
    indexes = _unique_indexes(server, schema)
    keys = {(t, c): n for t, primary, key in indexes if primary for n, c in enumerate(key, 1)}
    for table, name, type_, not_null, default, kept in server.rows(
        "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), "
        "a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attgenerated = '' AND a.attidentity = '' "
        "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
        "AND NOT a.attisdropped LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
        f"WHERE c.relkind = 'r' AND c.relnamespace = {schema} "
        "ORDER BY c.oid, a.attnum"
    ):
        if forms is TARGET and table == HISTORY:
            continue
        columns.setdefault(table, [])
        form = _form(type_, forms)
        usable = form is not None and (kept or forms is SOURCE)
        usual = _default(default)
        if form is None or not usable:
            if not_null and default is None and kept:
                demanded.setdefault(table, []).append(name)
            continue
        position = keys.get((table, name), 0)
        if default is not None and usual in (None, "CURRENT_TIMESTAMP"):
            filled.setdefault(table, []).append(name)
        columns[table].append(Column(name, form[0], not_null, usual, position))
        reads.setdefault(table, {})[name] = form[1].format(c=quote(name))
    known = {table: {column.name for column in listed} for table, listed in columns.items()}
    foreign = _references(server, schema, known)
    return Catalogue(
        {
            name: Home(
                Table(name, tuple(listed), foreign.get(name, ()), _uniques(indexes, name, known)),
                reads.get(name, {}),
                tuple(demanded.get(name, ())),
                tuple(filled.get(name, ())),
            )
            for name, listed in columns.items()
            if listed
        }
    )


def _require_ordinary(server: Server, schema: str) -> None:
    found = server.rows(
        "SELECT relname::text FROM pg_class WHERE relkind IN ('p', 'f') "
        f"AND relnamespace = {schema} ORDER BY relname"
    )
    if found:
        names = ", ".join(name for (name,) in found[:5])
        raise SourceError(
            f"{server.address} has partitioned or foreign tables ({names}), which are not read: "
            "copy their rows into ordinary tables first"
        )


def _form(type_: str, forms: Mapping[str, Form]) -> Form | None:
    if type_ in forms or forms is TARGET:
        return forms.get(type_)
    if type_.startswith("timestamp"):
        # Finer than a millisecond: as the text that the contract reads.
        utc = "{c} AT TIME ZONE 'UTC'" if type_.endswith("with time zone") else "{c}"
        return "DATETIME", f"to_char({utc}, '{_ISO}')"
    return _ANY


def _default(expression: str | None) -> str | None:
    """A constant default as SQLite writes it; None where there is none or it is computed.

    >>> _default("'India'::text"), _default("'-5'::integer"), _default("gen_random_uuid()")
    ("'India'", '-5', None)
    """
    if expression is None:
        return None
    if expression in ("true", "false", "CURRENT_TIMESTAMP"):
        return expression
    found = _TEXT_DEFAULT.fullmatch(expression) or _NUMBER_DEFAULT.fullmatch(expression)
    return found[1] if found else None


def _unique_indexes(server: Server, schema: str) -> list[tuple[Any, ...]]:
    """Table, whether it is its primary key, and the columns of each UNIQUE index.

    Not of those that are partial or over expressions.
    """
    return server.rows(
        "SELECT c.relname::text, i.indisprimary, array_agg(a.attname::text ORDER BY k.n) "
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid, "
        "unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n), pg_attribute a "
        "WHERE a.attrelid = c.oid AND a.attnum = k.attnum AND i.indisunique "
        "AND i.indpred IS NULL AND i.indexprs IS NULL AND k.n <= i.indnkeyatts "
        f"AND c.relnamespace = {schema} GROUP BY i.indexrelid, c.relname, i.indisprimary "
        "ORDER BY i.indexrelid"
    )


def _uniques(
    indexes: list[tuple[Any, ...]], table: str, known: Mapping[str, set[str]]
) -> tuple[tuple[str, ...], ...]:
    """The column lists of a table's UNIQUE indexes beside its key, of columns that are known."""
    return tuple(
        tuple(columns)
        for of, primary, columns in indexes
        if of == table and not primary and known[table].issuperset(columns)
    )


def _references(
    server: Server, schema: str, known: Mapping[str, set[str]]
) -> dict[str, tuple[ForeignKey, ...]]:
    """The foreign keys of one column to a table of the same schema."""
    found: dict[str, list[ForeignKey]] = {}
    for table, column, other, referenced, on_delete in server.rows(
        "SELECT c.relname::text, a.attname::text, r.relname::text, b.attname::text, "
        "k.confdeltype::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
        "JOIN pg_class r ON r.oid = k.confrelid AND r.relnamespace = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1] "
        "JOIN pg_attribute b ON b.attrelid = r.oid AND b.attnum = k.confkey[1] "
        "WHERE k.contype = 'f' AND array_length(k.conkey, 1) = 1 "
        f"AND c.relnamespace = {schema} ORDER BY c.oid, a.attnum"
    ):
        if column in known.get(table, ()) and referenced in known.get(other, ()):
            key = ForeignKey(column, other, referenced, _ON_DELETE[on_delete])
            found.setdefault(table, []).append(key)
    return {table: tuple(listed) for table, listed in found.items()}
