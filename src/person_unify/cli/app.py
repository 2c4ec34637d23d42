"""The commands: each parses its arguments, makes one call and prints what came back.

Whatever is heavy is imported inside a command, so that ``--help`` and usage errors are instant.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from person_unify import __version__
from person_unify.cli.ending import EXIT_CODES, honest_exit
from person_unify.cli.live import watch
from person_unify.cli.render import render, sized
from person_unify.cli.streams import printable, screen, write_event, write_line
from person_unify.errors import UsageError, VerificationFailed
from person_unify.progress import PhaseFinished, PhaseStarted, TableAdvanced

if TYPE_CHECKING:
    from person_unify.report import Report

app = typer.Typer(
    name="person-unify",
    help="Migrate a clinical platform's SQLite database to its unified person schema.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

OldDb = Annotated[Path, typer.Argument(metavar="OLD_DB", help="The old database; never changed.")]
NewDb = Annotated[Path, typer.Argument(metavar="NEW_DB", help="The unified database.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON event per line on stdout, no text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the summary.")]
TimeZone = Annotated[
    str, typer.Option("--timezone", metavar="ZONE", help="Zone in which sessions took place.")
]
ImpliedGrants = Annotated[
    Literal["active", "pending", "none"],
    typer.Option(help="The grant of a linked child that has no consent."),
]


def _version(wanted: bool) -> None:
    if wanted:
        write_line(f"person-unify {__version__}", sys.stdout)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(epilog=EXIT_CODES)
def sample(
    old_db: Annotated[Path, typer.Argument(metavar="OLD_DB", help="The file to create.")],
    persons: Annotated[int, typer.Option(min=1, help="How many persons.")] = 5000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same content.")] = 7,
    faults: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How much of each fault of real databases.")
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
        write_line(f"wrote {printable(str(old_db))}: {rows:,} rows, {size}", sys.stdout)


@app.command(epilog=EXIT_CODES)
def check(
    old_db: OldDb,
    target: Annotated[
        Path | None, typer.Option(metavar="NEW_DB", help="Also check that this target is ready.")
    ] = None,
    timezone: TimeZone = "Asia/Kolkata",
    implied_grants: ImpliedGrants = "active",
    as_json: Json = False,
) -> None:
    """Say what a migration would do, and write nothing."""
    with honest_exit(as_json):
        from person_unify import pipeline

        options = pipeline.CheckOptions(
            source=old_db, target=target, timezone=timezone, implied_grants=implied_grants
        )
        _show(pipeline.check(options), as_json)


@app.command(epilog=EXIT_CODES)
def migrate(  # noqa: PLR0913  an option is a parameter
    old_db: OldDb,
    new_db: Annotated[
        Path, typer.Argument(metavar="NEW_DB", help="The target: absent, or unified and empty.")
    ],
    timezone: TimeZone = "Asia/Kolkata",
    implied_grants: ImpliedGrants = "active",
    strict: Annotated[
        bool, typer.Option("--strict", help="Publish nothing if a discrepancy is an error.")
    ] = False,
    relax_unique: Annotated[
        bool,
        typer.Option(
            "--relax-unique", help="Drop a target's UNIQUE that allows one parent per person."
        ),
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    backup_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where the copy of the source goes, if not beside OLD_DB."
        ),
    ] = None,
    keep_backup: Annotated[
        bool, typer.Option("--keep-backup/--no-keep-backup", help="Keep the copy of the source.")
    ] = True,
) -> None:
    """Migrate OLD_DB into NEW_DB, prove it, and publish it."""
    with honest_exit(as_json):
        from person_unify import pipeline

        options = pipeline.MigrateOptions(
            source=old_db,
            target=new_db,
            timezone=timezone,
            implied_grants=implied_grants,
            strict=strict,
            relax_unique=relax_unique,
            backup_dir=backup_dir,
            keep_backup=keep_backup,
        )
        with watch(quiet=quiet, as_json=as_json) as progress:
            report = pipeline.migrate(options, progress)
        _show(report, as_json)


@app.command(epilog=EXIT_CODES)
def verify(old_db: OldDb, new_db: NewDb, quiet: Quiet = False, as_json: Json = False) -> None:
    """Prove a finished migration again, from the files alone."""
    with honest_exit(as_json):
        from person_unify import pipeline

        with watch(quiet=quiet, as_json=as_json) as progress:
            report = pipeline.verify(old_db, new_db, progress)
        _show(report, as_json)


@app.command(epilog=EXIT_CODES)
def schema(
    unified: Annotated[bool, typer.Option("--unified", help="The unified schema.")] = False,
    old: Annotated[bool, typer.Option("--old", help="The old schema.")] = False,
    into: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Create this database instead of printing.")
    ] = None,
) -> None:
    """Print a schema, or create an empty database with it."""
    with honest_exit():
        from person_unify.schema import OLD, UNIFIED, ddl

        if unified == old:
            raise UsageError("say which schema: --unified or --old")
        chosen = UNIFIED if unified else OLD
        if into is None:
            write_line(ddl(chosen).rstrip("\n"), sys.stdout)
            return
        from person_unify.cli.empty import create_empty

        create_empty(into, chosen)
        write_line(f"wrote {printable(str(into))} ({len(chosen)} tables)", sys.stdout)


def _show(report: Report, as_json: bool) -> None:
    """Print the result; raises :class:`VerificationFailed` when it holds a failing check."""
    failed = report.failed_checks
    if as_json:
        code = VerificationFailed.exit_code if failed else 0
        write_event({"event": "result", "exit_code": code, "report": report.to_json()})
    else:
        render(report, screen(sys.stdout))
    if failed:
        raise VerificationFailed(
            f"{len(failed)} of {len(report.verification)} checks failed: "
            + ", ".join(dict.fromkeys(check.name for check in failed))
        )
