"""``suspects``: pairs of records that may be one human, for a person to judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from person_unify.cli.arguments import file_argument, file_option
from person_unify.cli.ending import honest_exit
from person_unify.cli.paths import on_screen
from person_unify.cli.streams import printable, write_line, write_result
from person_unify.files import create_private

if TYPE_CHECKING:
    from person_unify.linkage import Suspects


def suspects(
    database: Annotated[
        Path, file_argument("DB", "An old or a unified database, or a ledger; never changed.")
    ],
    least: Annotated[
        float,
        typer.Option(
            "--least", metavar="SCORE", min=0.0, max=1.0, help="The lowest score to report."
        ),
    ] = 0.5,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="How many pairs to print.")] = 20,
    output: Annotated[
        Path | None, file_option("CSV", "Write all pairs to this new file.", "--output", new=True)
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="All pairs as one JSON event, no text.")
    ] = False,
) -> None:
    """Name pairs of records that may be one human, with score and reasons; merges nothing."""
    with honest_exit(as_json):
        from person_unify.escaping.tables import as_csv
        from person_unify.evidence.finished import target_of
        from person_unify.linkage import find_suspects, read_people

        # An old database may be in use, and is not so much as opened where it stands.
        known = target_of(database) if database.name.endswith(".ledger.db") else database
        found = find_suspects(read_people(known), least)
        if output is not None:
            create_private(output, as_csv(found.pairs))
        if as_json:
            write_result(
                pairs=found.pairs.to_dicts(),
                people=found.people,
                compared=found.compared,
                crowded=found.crowded,
            )
            return
        _print(found, limit, output)


def _print(found: Suspects, limit: int, output: Path | None) -> None:
    write_line(
        f"{found.people:,} people, {found.compared:,} pairs compared, "
        f"{found.pairs.height:,} suspected"
    )
    if found.crowded:
        write_line(
            f"{found.crowded:,} keys were left out because too many people share them "
            "(a placeholder date, perhaps)"
        )
    first = found.pairs.head(limit)
    for score, *records, reasons in first.iter_rows():
        left, right = records[:2], records[2:]
        write_line(f"\n{score:.3f}  {reasons}")
        for table, id_ in (left, right):
            write_line(f"       {printable(table)} {printable(id_)}")
    if first.height:
        write_line("")
    if first.height < found.pairs.height and output is None:
        write_line(f"{found.pairs.height - first.height:,} more with --output")
    if output is not None:
        write_line(f"wrote {on_screen(output)}")
