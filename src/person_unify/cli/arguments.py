"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

OldDb = Annotated[Path, typer.Argument(metavar="OLD_DB", help="The old database; never changed.")]
NewDb = Annotated[Path, typer.Argument(metavar="NEW_DB", help="The unified database.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON event per line on stdout, no text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the summary.")]
TimeZone = Annotated[
    str, typer.Option("--timezone", metavar="ZONE", help="Zone in which sessions took place.")
]
DecisionsFile = Annotated[
    Path | None,
    typer.Option("--decisions", metavar="FILE", help="Decisions of a review (see review import)."),
]
ImpliedGrants = Annotated[
    Literal["active", "pending", "none"],
    typer.Option(help="The grant of a linked child that has no consent."),
]
BusyTimeout = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0, help="How long to wait for a database that is locked by another."
    ),
]
MemorySize = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Memory to stay within, as in 2GiB; a quarter of the machine's if not given.",
    ),
]
