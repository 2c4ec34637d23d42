"""``check``, ``migrate``, ``verify``: the run, before, during and after."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from person_unify.cli.arguments import (
    AllowEmpty,
    BusyTimeout,
    DecisionsFile,
    ForPostgresql,
    Html,
    IdsFrom,
    ImpliedGrants,
    Json,
    LedgerFile,
    MemorySize,
    NewDbText,
    OldDbText,
    Quiet,
    SourceEnv,
    Strict,
    Tables,
    TargetEnv,
    TimeZone,
    file_option,
    old_and_new,
    words_after,
)
from person_unify.cli.commands.page import page_at
from person_unify.cli.commands.postgres import ledger_of, say_delivered
from person_unify.cli.ending import honest_exit
from person_unify.cli.live import watch
from person_unify.cli.paths import old_database
from person_unify.cli.render import render
from person_unify.cli.stopping import stopping_promptly
from person_unify.cli.streams import screen, write_result
from person_unify.errors import SourceChanged, VerificationFailed
from person_unify.postgres.address import working_file
from person_unify.run.budget import parse

if TYPE_CHECKING:
    from person_unify.report import Report


def check(  # noqa: PLR0913  an option is a parameter
    old_db: OldDbText = None,
    source_env: SourceEnv = None,
    target: Annotated[
        Path | None,
        file_option("NEW_DB", "Also check that this target is ready.", "--target", new=True),
    ] = None,
    timezone: TimeZone = "Asia/Kolkata",
    implied_grants: ImpliedGrants = "active",
    html: Html = None,
    decisions: DecisionsFile = None,
    memory: MemorySize = None,
    tables: Tables = False,
    quiet: Quiet = False,
    allow_empty: AllowEmpty = False,
    destination: ForPostgresql = "sqlite",
    as_json: Json = False,
) -> None:
    """Say what a migration would do, and write nothing."""
    (word,) = words_after(source_env, old_db)
    source = old_database(word, source_env)
    with honest_exit(as_json):
        limit = None if memory is None else parse(memory)
        from person_unify import pipeline
        from person_unify.postgres import ends

        checked = ends.check if destination == "postgresql" else pipeline.check
        options = pipeline.CheckOptions(
            source=Path(),
            target=target,
            timezone=timezone,
            implied_grants=implied_grants,
            decisions=decisions,
            memory=limit,
            allow_empty=allow_empty,
        )
        with page_at(html) as write:
            with (
                watch(quiet=quiet, as_json=as_json) as progress,
                ends.source_file(source, progress) as file,
            ):
                report = checked(replace(options, source=file), progress)
            write(report)
        _show(report, as_json, tables)


def migrate(  # noqa: PLR0913  an option is a parameter
    old_db: OldDbText = None,
    new_db: Annotated[
        str | None,
        typer.Argument(metavar="NEW_DB", help="The target: absent, or unified and empty."),
    ] = None,
    source_env: SourceEnv = None,
    target_env: TargetEnv = None,
    ledger: LedgerFile = None,
    destination: ForPostgresql = "sqlite",
    timezone: TimeZone = "Asia/Kolkata",
    implied_grants: ImpliedGrants = "active",
    decisions: DecisionsFile = None,
    ids_from: IdsFrom = None,
    strict: Strict = False,
    relax_unique: Annotated[
        bool,
        typer.Option(
            "--relax-unique", help="Drop a target's UNIQUE that allows one parent per person."
        ),
    ] = False,
    tables: Tables = False,
    quiet: Quiet = False,
    as_json: Json = False,
    backup_dir: Annotated[
        Path | None,
        file_option(
            "DIR", "Where the copy of the source goes, if not beside OLD_DB.", "--backup-dir"
        ),
    ] = None,
    keep_backup: Annotated[
        bool, typer.Option("--keep-backup/--no-keep-backup", help="Keep the copy of the source.")
    ] = True,
    busy_timeout: BusyTimeout = 5.0,
    memory: MemorySize = None,
    allow_empty: AllowEmpty = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an unfinished run, if there is one.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Discard an unfinished run and start anew.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", hidden=True)] = False,
    # Operators' scripts of earlier releases ask for the proof that every run makes now.
    prove: Annotated[bool, typer.Option("--prove", hidden=True)] = False,
) -> None:
    """Migrate OLD_DB into NEW_DB, prove it, and publish it."""
    if dry_run:
        raise typer.BadParameter(
            "that is what check is for: person-unify check OLD_DB says what a migration would do, "
            "and writes nothing.",
            param_hint="--dry-run",
        )
    source, new = old_and_new(old_db, new_db, source_env, target_env)
    known = ledger_of(new, ledger)
    with honest_exit(as_json):
        target = known if isinstance(new, Path) else working_file(known)
        limit = None if memory is None else parse(memory)
        with stopping_promptly(target, as_json), watch(quiet=quiet, as_json=as_json) as progress:
            from person_unify import pipeline
            from person_unify.postgres import ends

            options = pipeline.MigrateOptions(
                source=Path(),
                target=target,
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
                ids_from=ids_from,
                memory=limit,
                allow_empty=allow_empty,
                for_postgresql=destination == "postgresql",
            )
            report, delivered = ends.migrate(ends.Run.between(source, new, options), progress)
        _show(report, as_json, tables)
        if delivered is not None:
            say_delivered(delivered, as_json)


def verify(  # noqa: PLR0913  an option is a parameter
    old_db: OldDbText = None,
    new_db: NewDbText = None,
    source_env: SourceEnv = None,
    ids_from: IdsFrom = None,
    target_env: TargetEnv = None,
    ledger: LedgerFile = None,
    html: Html = None,
    tables: Tables = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Prove a finished migration again, from the databases alone."""
    source, new = old_and_new(old_db, new_db, source_env, target_env)
    known = ledger_of(new, ledger)
    with honest_exit(as_json):
        from person_unify import pipeline
        from person_unify.evidence.finished import target_of
        from person_unify.postgres import ends

        with page_at(html) as write:
            with (
                watch(quiet=quiet, as_json=as_json) as progress,
                ends.source_file(source, progress) as file,
            ):
                if isinstance(new, Path):
                    report = pipeline.verify(file, target_of(new), progress, ids_from)
                else:
                    report = ends.verify(file, new, known, progress, ids_from)
            write(report)
        _show(report, as_json, tables)


def _show(report: Report, as_json: bool, everything: bool) -> None:
    """Print the result; raises what the exit code is to say: a failing check, a changed source."""
    failed = report.failed_checks
    if as_json:
        code = SourceChanged.exit_code if report.source_changed else 0
        code = VerificationFailed.exit_code if failed else code
        write_result(code, report=report.to_json())
    else:
        render(report, screen(sys.stdout), everything=everything)
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
