"""``lineage``, ``trace``, ``diff``: where everything went, and the proof of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from person_unify.cli.arguments import (
    Json,
    NewDb,
    NewDbText,
    OldDbText,
    SourceEnv,
    file_argument,
    file_option,
    old_and_new,
    words_after,
)
from person_unify.cli.ending import honest_exit
from person_unify.cli.streams import write_event, write_line
from person_unify.errors import UsageError, VerificationFailed

if TYPE_CHECKING:
    import polars as pl


def lineage(
    new_db: Annotated[
        Path | None,
        file_argument("[NEW_DB]", "A migrated database: adds what became of cells.", new=True),
    ] = None,
    form: Annotated[
        Literal["text", "markdown", "json", "mermaid"],
        typer.Option("--format", help="For people, a document, a program, or a drawing."),
    ] = "text",
    source: Annotated[
        Path | None,
        file_option("OLD_DB", "What this old database would get, before a run.", "--source"),
    ] = None,
) -> None:
    """Say where every column of the old database goes, and by which rule."""
    with honest_exit():
        from person_unify.cli.evidence import lineage as shown

        rows = _lines(new_db, source).to_dicts()
        if form == "json":
            write_line(shown.as_json(rows), sys.stdout)
            return
        layouts = {
            "text": shown.as_text,
            "markdown": shown.as_markdown,
            "mermaid": shown.as_mermaid,
        }
        for line in layouts[form](rows):
            write_line(line, sys.stdout)


def trace(
    new_db: NewDb,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[KIND] ID...",
            help="patient, child, parent, person, view, consent, grant, tag, or a table of the old "
            "or the new database; without it, all are searched. Further words are further parts "
            "of a composite key.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Say where a record came from or went, by which rule, and what was logged about it.

    Keys, names and messages are shown, never a cell.
    """
    with honest_exit(as_json):
        from person_unify.cli.evidence import trace as shown
        from person_unify.finished import target_of
        from person_unify.trace import trace as follow

        kind, *key = words if len(words) > 1 else ("any", *words)
        found = follow(target_of(new_db), kind, *key)
        if as_json:
            write_event({"event": "result", "exit_code": 0, "records": shown.as_data(found)})
        else:
            shown.show(found)


def diff(  # noqa: PLR0913  an option is a parameter
    old_db: OldDbText = None,
    new_db: NewDbText = None,
    table: Annotated[
        str | None,
        typer.Argument(metavar="TABLE", help="An old table, or a target table for all of its."),
    ] = None,
    source_env: SourceEnv = None,
    column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Only the cells of this column.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="How many keys of each kind of difference.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """Name the rows of a table that differ between the files; exit code 4 if there are any.

    Keys and names are shown, never another cell.
    """
    *both, table = words_after(source_env, old_db, new_db, table)
    source, new = old_and_new(*both)
    if table is None:
        raise typer.BadParameter("Missing argument 'TABLE'.")
    with honest_exit(as_json):
        from person_unify.cli.evidence import diff as shown
        from person_unify.diff import KINDS
        from person_unify.diff import diff as compare
        from person_unify.finished import target_of

        found = compare(source, target_of(new), table, column, limit)
        code = VerificationFailed.exit_code if found.total else 0
        if as_json:
            write_event({"event": "result", "exit_code": code, **shown.as_data(found)})
        else:
            for line in shown.as_text(found, KINDS, column):
                write_line(line, sys.stdout)
        if found.total:
            raise VerificationFailed(f"{shown.closing(found, column)} of {table}")


def _lines(new_db: Path | None, source: Path | None) -> pl.DataFrame:
    from person_unify.finished import finished_run, target_of
    from person_unify.lineage import built_in_lineage, recorded_lineage
    from person_unify.pipeline import lineage_of_source

    if new_db is not None and source is not None:
        raise UsageError("give a migrated database or --source with an old one, not both")
    if source is not None:
        return lineage_of_source(source)
    if new_db is None:
        return built_in_lineage()
    with finished_run(target_of(new_db)) as database:
        return recorded_lineage(database)
