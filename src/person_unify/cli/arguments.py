"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from person_unify.cli.paths import existing, from_environment, new_database, old_database, placed
from person_unify.postgres.address import Address


def file_argument(metavar: str, says: str, *, new: bool = False) -> Any:
    """An argument that names a file; ``new``: one that the command makes."""
    return typer.Argument(metavar=metavar, parser=placed if new else existing, help=says)


def file_option(metavar: str, says: str, *names: str, new: bool = False) -> Any:
    """An option that names a file; ``new``: one that the command makes."""
    return typer.Option(*names, metavar=metavar, parser=placed if new else existing, help=says)


NewDb = Annotated[
    Path, file_argument("NEW_DB", "The new database, or the ledger beside it.", new=True)
]
OldDbText = Annotated[
    str | None, typer.Argument(metavar="OLD_DB", help="The old database; never changed.")
]
NewDbText = Annotated[
    str | None,
    typer.Argument(metavar="NEW_DB", help="The new database, or the ledger beside it."),
]
SourceEnv = Annotated[
    str | None,
    typer.Option(
        "--source-env",
        metavar="VARIABLE",
        help="Take OLD_DB from this variable of the environment, as in DATABASE_URL.",
    ),
]
TargetEnv = Annotated[
    str | None,
    typer.Option(
        "--target-env",
        metavar="VARIABLE",
        help="Take the PostgreSQL URL from this variable of the environment.",
    ),
]
ForPostgresql = Annotated[
    Literal["sqlite", "postgresql"],
    typer.Option(
        "--for", help="Where the new database is to live: what it cannot hold is archived."
    ),
]
LedgerFile = Annotated[
    Path | None,
    file_option(
        "FILE", "The ledger of a run whose NEW_DB is a PostgreSQL URL.", "--ledger", new=True
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON event per line on stdout, no text.")]
Tables = Annotated[
    bool, typer.Option("--tables", help="Print everything: all tables, rules, checks and times.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the summary.")]
TimeZone = Annotated[
    str, typer.Option("--timezone", metavar="ZONE", help="Zone in which sessions took place.")
]
DecisionsFile = Annotated[
    Path | None,
    file_option("FILE", "Decisions of a review (see review import).", "--decisions"),
]
IdsFrom = Annotated[
    Path | None,
    file_option("LEDGER", "The ledger of an earlier run, whose new ids are kept.", "--ids-from"),
]
Html = Annotated[
    Path | None, file_option("FILE", "Write the report as a page, too.", "--html", new=True)
]
ImpliedGrants = Annotated[
    Literal["active", "pending", "none"],
    typer.Option(help="The grant of a linked child that has no consent."),
]
AllowEmpty = Annotated[
    bool, typer.Option("--allow-empty", help="Take a source without any patient or child.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Publish nothing if a discrepancy is an error.")
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
        help="Memory to stay within, as in 2G or 512M; a quarter of the machine's if not given.",
    ),
]


def words_after(source_env: str | None, *words: str | None) -> list[str | None]:
    """The words of a command that begins with OLD_DB, which the environment may give instead."""
    if source_env is None:
        return list(words)
    value = from_environment(source_env, "--source-env")
    if words[-1] is not None:
        raise typer.BadParameter("one word too many: it is OLD_DB.", param_hint="--source-env")
    return [value, *words[:-1]]


def old_and_new(
    old: str | None, new: str | None, source_env: str | None, target_env: str | None
) -> tuple[Path | Address, Path | Address]:
    """The two databases of a command that needs both."""
    old, new = words_after(source_env, old, new)
    return old_database(old, source_env), new_database(new, target_env)


def two_files(old: str | None, new: str | None) -> tuple[Path, Path]:
    """The same of a command that reads files alone."""
    if old is None or new is None:
        raise typer.BadParameter(f"Missing argument '{'NEW_DB' if old else 'OLD_DB'}'.")
    return existing(old), placed(new)
