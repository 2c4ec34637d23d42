"""DDL text for a schema, in the form that Prisma's migrations give SQLite databases."""

from __future__ import annotations

from collections.abc import Iterator

from person_unify.schema.model import Schema, Table


def quote(identifier: str) -> str:
    """An identifier as SQL text, whatever it contains.

    >>> quote('we"ird')
    '"we""ird"'
    """
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL text.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def create_table(table: Table) -> str:
    """``CREATE TABLE`` with its columns, primary key and foreign keys."""
    key = table.primary_key
    lines = []
    for column in table.columns:
        line = f"{quote(column.name)} {column.type}"
        if column.not_null:
            line += " NOT NULL"
        if key == (column.name,):
            line += " PRIMARY KEY"
        if column.default is not None:
            line += f" DEFAULT {column.default}"
        lines.append(line)
    if len(key) > 1:
        lines.append(f"PRIMARY KEY ({', '.join(map(quote, key))})")
    for reference in table.foreign_keys:
        lines.append(
            f"CONSTRAINT {quote(f'{table.name}_{reference.column}_fkey')} "
            f"FOREIGN KEY ({quote(reference.column)}) "
            f"REFERENCES {quote(reference.table)} ({quote(reference.referenced)}) "
            f"ON DELETE {reference.on_delete} ON UPDATE CASCADE"
        )
    return f"CREATE TABLE {quote(table.name)} (\n    " + ",\n    ".join(lines) + "\n)"


def create_index(table: Table) -> list[str]:
    """The table's UNIQUE and plain indexes, named as Prisma names them."""
    statements = []
    for kind, suffix, groups in (
        ("UNIQUE INDEX", "key", table.uniques),
        ("INDEX", "idx", table.indexes),
    ):
        for columns in groups:
            name = "_".join((table.name, *columns, suffix))
            listed = ", ".join(map(quote, columns))
            statements.append(f"CREATE {kind} {quote(name)} ON {quote(table.name)} ({listed})")
    return statements


def create_statements(schema: Schema) -> Iterator[str]:
    """Every statement that creates the schema, tables first, each runnable on its own."""
    for table in schema.values():
        yield create_table(table)
    for table in schema.values():
        yield from create_index(table)


def ddl(schema: Schema) -> str:
    """The whole schema as one SQL script."""
    return ";\n\n".join(create_statements(schema)) + ";\n"
