"""``export``: tables of the ledger as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from person_unify.cli.arguments import NewDb, file_argument
from person_unify.cli.ending import honest_exit
from person_unify.cli.paths import on_screen
from person_unify.cli.render import sized
from person_unify.cli.streams import write_line


def export(
    new_db: NewDb,
    directory: Annotated[
        Path, file_argument("DIR", "Where the files go; made if it is not there.", new=True)
    ],
    format_: Annotated[
        Literal["parquet", "csv", "xlsx", "json"],
        typer.Option("--format", help="xlsx is one workbook, the others are a file per table."),
    ],
    table: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="T", help="Only this table; may be given several times."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files of an earlier export.")
    ] = False,
) -> None:
    """Write tables of the ledger as files that other programs open."""
    with honest_exit():
        from person_unify.explore.export import export_ledger

        written = export_ledger(new_db, directory, format_, table or (), overwrite=overwrite)
        files = "1 file" if len(written.files) == 1 else f"{len(written.files)} files"
        tables = "1 table" if written.tables == 1 else f"{written.tables} tables"
        write_line(
            f"wrote {files} into {on_screen(directory)}: {tables}, {written.rows:,} rows, "
            f"{sized(written.bytes)}"
        )
        write_line(
            "they hold personal data (names, dates, notes): keep them as you keep the databases"
        )
