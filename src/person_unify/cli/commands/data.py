"""``sample`` and ``schema``: databases to try the tool on."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from person_unify.cli.arguments import file_argument, file_option
from person_unify.cli.ending import honest_exit
from person_unify.cli.live import watch
from person_unify.cli.paths import on_screen
from person_unify.cli.render import sized
from person_unify.cli.streams import write_line
from person_unify.errors import UsageError
from person_unify.progress import PhaseFinished, PhaseStarted, TableAdvanced

if TYPE_CHECKING:
    from person_unify.schema import Schema


def sample(
    old_db: Annotated[Path, file_argument("OLD_DB", "The file to create.", new=True)],
    persons: Annotated[int, typer.Option(min=1, metavar="N", help="How many persons.")] = 5000,
    seed: Annotated[
        int, typer.Option(metavar="N", help="The same seed gives the same content.")
    ] = 7,
    faults: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, metavar="SHARE", help="How much of each fault of real databases."
        ),
    ] = 0.02,
) -> None:
    """Write a synthetic old database, with the faults of real ones."""
    with honest_exit():
        from person_unify.sample import SampleOptions, write_sample

        options = SampleOptions(persons=persons, seed=seed, faults=faults)
        started = perf_counter()
        with watch() as progress:
            progress(PhaseStarted("sample"))
            written = write_sample(
                old_db, options, lambda table, rows: progress(TableAdvanced("sample", table, rows))
            )
            rows = sum(written.values())
            progress(PhaseFinished("sample", rows, perf_counter() - started))
        size = sized(old_db.stat().st_size)
        write_line(f"wrote {on_screen(old_db)}: {rows:,} rows, {size}")


def schema(
    unified: Annotated[bool, typer.Option("--unified", help="The unified schema.")] = False,
    old: Annotated[bool, typer.Option("--old", help="The old schema.")] = False,
    into: Annotated[
        Path | None,
        file_option("FILE", "Create this database instead of printing.", "--into", new=True),
    ] = None,
) -> None:
    """Print a schema, or create an empty database with it."""
    with honest_exit():
        from person_unify.schema import OLD, UNIFIED, ddl

        if unified == old:
            raise UsageError("say which schema: --unified or --old")
        chosen = UNIFIED if unified else OLD
        if into is None:
            write_line(ddl(chosen).rstrip("\n"))
            return
        _create_empty(into, chosen)
        write_line(f"wrote {on_screen(into)} ({len(chosen)} tables)")


def _create_empty(path: Path, schema: Schema) -> None:
    """An empty database, complete or not there at all.

    Raises :class:`UsageError` where there is such a file already.
    """
    from person_unify.files import private_directory
    from person_unify.files.database import Database
    from person_unify.files.new import rename_to_free
    from person_unify.schema import create_statements

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
