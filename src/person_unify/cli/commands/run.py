"""``check``, ``migrate``, ``verify``: the run, before, during and after."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from person_unify.budget import parse
from person_unify.cli.arguments import (
    BusyTimeout,
    DecisionsFile,
    ImpliedGrants,
    Json,
    MemorySize,
    NewDb,
    OldDb,
    Quiet,
    TimeZone,
)
from person_unify.cli.commands.page import write_page
from person_unify.cli.ending import honest_exit
from person_unify.cli.live import watch
from person_unify.cli.render import render
from person_unify.cli.stopping import stopping_promptly
from person_unify.cli.streams import screen, write_event
from person_unify.errors import SourceChanged, VerificationFailed

if TYPE_CHECKING:
    from person_unify.report import Report


def check(  # noqa: PLR0913  an option is a parameter
    old_db: OldDb,
    target: Annotated[
        Path | None, typer.Option(metavar="NEW_DB", help="Also check that this target is ready.")
    ] = None,
    timezone: TimeZone = "Asia/Kolkata",
    implied_grants: ImpliedGrants = "active",
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as a page, too.")
    ] = None,
    decisions: DecisionsFile = None,
    memory: MemorySize = None,
    as_json: Json = False,
) -> None:
    """Say what a migration would do, and write nothing."""
    with honest_exit(as_json):
        from person_unify import pipeline

        options = pipeline.CheckOptions(
            source=old_db,
            target=target,
            timezone=timezone,
            implied_grants=implied_grants,
            decisions=decisions,
            memory=None if memory is None else parse(memory),
        )
        report = pipeline.check(options)
        if html is not None:
            write_page(report, html)
        _show(report, as_json)


def migrate(  # noqa: PLR0913  an option is a parameter
    old_db: OldDb,
    new_db: Annotated[
        Path, typer.Argument(metavar="NEW_DB", help="The target: absent, or unified and empty.")
    ],
    timezone: TimeZone = "Asia/Kolkata",
    implied_grants: ImpliedGrants = "active",
    decisions: DecisionsFile = None,
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
    busy_timeout: BusyTimeout = 5.0,
    memory: MemorySize = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an unfinished run, if there is one.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Discard an unfinished run and start anew.")
    ] = False,
    prove: Annotated[
        bool,
        typer.Option("--prove", help="Rebuild the old database and compare before publishing."),
    ] = False,
) -> None:
    """Migrate OLD_DB into NEW_DB, prove it, and publish it."""
    with honest_exit(as_json):
        with stopping_promptly(new_db, as_json), watch(quiet=quiet, as_json=as_json) as progress:
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
                busy_timeout=busy_timeout,
                resume=resume,
                fresh=fresh,
                decisions=decisions,
                prove=prove,
                memory=None if memory is None else parse(memory),
            )
            report = pipeline.migrate(options, progress)
        _show(report, as_json)


def verify(old_db: OldDb, new_db: NewDb, quiet: Quiet = False, as_json: Json = False) -> None:
    """Prove a finished migration again, from the files alone."""
    with honest_exit(as_json):
        from person_unify import pipeline

        with watch(quiet=quiet, as_json=as_json) as progress:
            report = pipeline.verify(old_db, new_db, progress)
        _show(report, as_json)


def _show(report: Report, as_json: bool) -> None:
    """Print the result; raises what the exit code is to say: a failing check, a changed source."""
    failed = report.failed_checks
    if as_json:
        code = SourceChanged.exit_code if report.source_changed else 0
        code = VerificationFailed.exit_code if failed else code
        write_event({"event": "result", "exit_code": code, "report": report.to_json()})
    else:
        render(report, screen(sys.stdout))
    if failed:
        raise VerificationFailed(
            f"{len(failed)} of {len(report.verification)} checks failed: "
            + ", ".join(dict.fromkeys(check.name for check in failed))
        )
    if report.source_changed:
        raise SourceChanged(
            f"{report.source.path} has changed since its snapshot: the target is complete and "
            "verified, but holds nothing of what was written since; stop the platform, roll back "
            "and migrate again"
        )
