"""``lineage``, ``trace``, ``diff``: where everything went, and the proof of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from person_unify.cli.arguments import (
    Json,
    NewDb,
    NewDbText,
    OldDbText,
    SourceEnv,
    file_option,
    two_files,
    words_after,
)
from person_unify.cli.ending import honest_exit
from person_unify.cli.paths import placed
from person_unify.cli.streams import write_line, write_result
from person_unify.errors import UsageError, VerificationFailed

if TYPE_CHECKING:
    import polars as pl


def lineage(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NEW_DB] [TABLE[.COLUMN]]",
            help="A migrated database adds what became of cells; an old or new table, or one "
            "column of it, leaves out the others.",
        ),
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
    new_db, place = _lineage_words(words or [])
    with honest_exit():
        from person_unify.cli.evidence import lineage as shown

        rows = _of(place, _lines(new_db, source).to_dicts())
        if form == "json":
            write_line(shown.as_json(rows))
            return
        layouts = {
            "text": shown.as_text,
            "markdown": shown.as_markdown,
            "mermaid": shown.as_mermaid,
        }
        for line in layouts[form](rows):
            write_line(line)


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
        from person_unify.evidence.finished import target_of
        from person_unify.evidence.trace import trace as follow

        kind, *key = words if len(words) > 1 else ("any", *words)
        found = follow(target_of(new_db), kind, *key)
        if as_json:
            write_result(records=shown.as_data(found))
        else:
            shown.show(found)


def diff(  # noqa: PLR0913  an option is a parameter
    old_db: OldDbText = None,
    new_db: NewDbText = None,
    table: Annotated[
        str | None,
        typer.Argument(
            metavar="[TABLE]", help="An old table, or a target table for all of its; else all."
        ),
    ] = None,
    source_env: SourceEnv = None,
    column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Only the cells of this column.")
    ] = None,
    limit: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="How many keys of each kind of difference."),
    ] = 20,
    as_json: Json = False,
) -> None:
    """Name the rows that differ between the files; exit code 4 if there are any.

    Keys and names are shown, never another cell.
    """
    *both, table = words_after(source_env, old_db, new_db, table)
    source, new = two_files(*both)
    with honest_exit(as_json):
        from person_unify.cli.evidence import diff as shown
        from person_unify.evidence.diff import KINDS
        from person_unify.evidence.diff import diff as compare
        from person_unify.evidence.finished import target_of

        found = compare(source, target_of(new), table, column, limit)
        code = VerificationFailed.exit_code if found.total else 0
        if as_json:
            write_result(code, **shown.as_data(found))
        else:
            for line in shown.as_text(found, KINDS, column):
                write_line(line)
        if found.total:
            of = f" of {table}" if table else ""
            raise VerificationFailed(f"{shown.closing(found, column)}{of}")


def _lineage_words(words: list[str]) -> tuple[Path | None, str | None]:
    """The migrated database and the table or column that the words of ``lineage`` name."""
    if len(words) == 2:
        return placed(words[0]), words[1]
    if len(words) > 2:
        raise typer.BadParameter(f"{words[2]} is one word too many.")
    if not words:
        return None, None
    path = placed(words[0])
    return (path, None) if path.exists() or path.suffix == ".db" else (None, words[0])


def _of(place: str | None, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of one table or column, old or new."""
    if place is None:
        return rows
    table, _, column = place.lower().partition(".")
    found = [
        row
        for row in rows
        for side in ("source", "target")
        if (row[f"{side}_table"] or "").lower() == table
        and column in ("", (row[f"{side}_column"] or "").lower())
    ]
    if not found:
        raise UsageError(f"{place} is neither an old nor a new table, nor a column of one")
    return list({id(row): row for row in found}.values())


def _lines(new_db: Path | None, source: Path | None) -> pl.DataFrame:
    from person_unify.evidence.finished import finished_run, target_of
    from person_unify.evidence.lineage import built_in_lineage, recorded_lineage
    from person_unify.pipeline import lineage_of_source

    if new_db is not None and source is not None:
        raise UsageError("give a migrated database or --source with an old one, not both")
    if source is not None:
        return lineage_of_source(source)
    if new_db is None:
        return built_in_lineage()
    with finished_run(target_of(new_db)) as database:
        return recorded_lineage(database)
