"""An empty database of a schema, complete or not there at all."""

from __future__ import annotations

import os
from pathlib import Path

from person_unify.errors import UsageError
from person_unify.files import private_directory
from person_unify.files.database import Database
from person_unify.files.new import rename_to_free
from person_unify.schema import Schema, create_statements


def create_empty(path: Path, schema: Schema) -> None:
    """Create ``path``; raises :class:`UsageError` when there is such a file already."""
    refusal = UsageError(f"{path} exists already: name a file that does not, or remove it first")
    if os.path.lexists(path):
        raise refusal
    with private_directory(path.parent) as directory:
        unfinished = directory / "schema.db"
        with Database(unfinished) as database:
            database.execute("BEGIN IMMEDIATE")
            for statement in create_statements(schema):
                database.execute(statement)
            database.execute("COMMIT")
        try:
            rename_to_free(unfinished, path)
        except FileExistsError:
            raise refusal from None
