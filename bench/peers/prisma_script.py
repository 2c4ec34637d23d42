"""``prisma-create`` and ``prisma-many``: the platform's own tools, for the core tables.

Needs Node.js and its package manager; Prisma's clients come ready to run from the package registry,
so no binary is fetched and nothing is compiled.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.peers import CORE
from bench.peers.row_by_row import PERMISSIONS
from person_unify.mappings import MAPPINGS
from person_unify.mappings.bind import type_of
from person_unify.mappings.spec import Copy, Fixed, Mapping, Owner, Person, Reference
from person_unify.schema import OLD, UNIFIED, Column, Schema, Table, create_statements

HERE = Path(__file__).parent / "prisma"
BUILT = Path(__file__).parent.parent.parent / "build" / "peers" / "prisma"
TYPES = {
    "TEXT": "String",
    "INTEGER": "Int",
    "REAL": "Float",
    "BOOLEAN": "Boolean",
    "DATETIME": "DateTime",
}


class NoNodeError(Exception):
    """Node.js or its package manager is not installed."""


def migrate(old: Path, new: Path, *, many: bool) -> None:
    """Run the script; the clients are generated once, by :func:`prepare`."""
    with closing(sqlite3.connect(new)) as connection:
        for statement in create_statements(UNIFIED):
            connection.execute(statement)
    mode = "many" if many else "create"
    subprocess.run(
        ["node", "migrate.mjs", str(old.resolve()), str(new.resolve()), mode],
        cwd=BUILT,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def prepare() -> None:
    """Install Prisma and generate both clients under ``build/``; raises :class:`NoNodeError`."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NoNodeError("Node.js with npm is needed for the Prisma peers; they are left out")
    generated = BUILT / "generated"
    generated.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "migrate.mjs"):
        shutil.copy(HERE / name, BUILT / name)
    if not (BUILT / "node_modules").exists():
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=BUILT, check=True)
    # Generating asks for the schema engine, which it does not run: a stub spares the download.
    stub = BUILT / "schema-engine"
    stub.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    stub.chmod(0o755)
    for name, schema, tables in (("old", OLD, sources()), ("unified", UNIFIED, CORE)):
        path = BUILT / f"{name}.prisma"
        path.write_text(prisma_schema(name, schema, tables), encoding="utf-8")
        subprocess.run(
            ["npx", "prisma", "generate", "--schema", path.name],
            cwd=BUILT,
            env={**os.environ, "PRISMA_SCHEMA_ENGINE_BINARY": str(stub)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    (generated / "plan.json").write_text(json.dumps(plan()), encoding="utf-8")


def sources() -> list[str]:
    """The old tables that the core tables are made of."""
    return list(dict.fromkeys(m.source for m in MAPPINGS if m.target in CORE))


def prisma_schema(name: str, schema: Schema, tables: Iterable[str]) -> str:
    """A schema file with one model per table, as ``prisma db pull`` would write it."""
    head = (
        "generator client {\n"
        '  provider   = "prisma-client-js"\n'
        f'  output     = "./generated/{name}"\n'
        '  engineType = "client"\n'
        "}\n\n"
        "datasource db {\n"
        '  provider = "sqlite"\n'
        "}\n"
    )
    return head + "".join(f"\n{_model(schema[table])}" for table in tables)


def _model(table: Table) -> str:
    lines = [f"  {column.name} {_type(table, column)}" for column in table.columns]
    if len(table.primary_key) > 1:
        lines.append(f"  @@id([{', '.join(table.primary_key)}])")
    return f"model {table.name} {{\n" + "\n".join(lines) + "\n}\n"


def _type(table: Table, column: Column) -> str:
    declared = TYPES[type_of(column)]
    if table.primary_key == (column.name,):
        return f"{declared} @id"
    if not column.not_null:
        return f"{declared}?"
    return f"{declared}{_default(column)}"


def _default(column: Column) -> str:
    if column.default is None:
        return ""
    if "CURRENT" in column.default.upper():
        return " @default(now())"
    if type_of(column) == "BOOLEAN":
        return f" @default({'true' if column.default in ('1', 'true') else 'false'})"
    return f" @default({json.dumps(_constant(column))})"


def plan() -> dict[str, Any]:
    """What the script needs to know of every table that is carried by name."""
    made: dict[str, Any] = {
        mapping.source if mapping.target in ("persons", "access_grants") else str(mapping.target): {
            "columns": _columns(mapping)
        }
        for mapping in MAPPINGS
        if mapping.target in CORE[:6]
    }
    related = [
        {"source": m.source, "target": m.target, "columns": _columns(m)}
        for m in MAPPINGS
        if m.target in CORE[6:]
    ]
    return {**made, "related": related, "permissions": PERMISSIONS}


def _columns(mapping: Mapping) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for column in UNIFIED[str(mapping.target)].columns:
        match mapping.columns.get(column.name, Copy(column.name)):
            case Copy(name, otherwise) if OLD[mapping.source].column(name) is not None:
                default = _constant(column) if column.not_null else None
                plain = None if isinstance(otherwise, Copy) else otherwise
                columns[column.name] = ["copy", name, default if plain is None else plain]
            case Reference(name):
                columns[column.name] = ["copy", name, None]
            case Person(name):
                columns[column.name] = ["person", name]
            case Owner(name):
                columns[column.name] = ["owner", name]
            case Fixed(value):
                columns[column.name] = ["constant", value]
    return columns


def _constant(column: Column) -> Any:
    """The default of a required column as a JSON value."""
    default, type_ = column.default, type_of(column)
    if default is None or "CURRENT" in default.upper():
        return "" if type_ == "TEXT" else None
    if type_ == "BOOLEAN":
        return default in ("1", "true")
    return int(default) if type_ == "INTEGER" else default.strip("'")


if __name__ == "__main__":
    try:
        prepare()
    except NoNodeError as error:
        raise SystemExit(str(error)) from None
