"""Runs with PostgreSQL at an end: the verified SQLite form in the middle is the same for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from person_unify import pipeline
from person_unify.errors import MigrationError, SourceError, TargetError
from person_unify.files import locks, private_directory
from person_unify.options import CheckOptions, MigrateOptions
from person_unify.postgres import record
from person_unify.postgres.address import Address, working_file
from person_unify.postgres.catalogue import SOURCE, TARGET, homes
from person_unify.postgres.deliver import Delivered, deliver, require_empty
from person_unify.postgres.entries import LongEntries
from person_unify.postgres.mirror import mirror
from person_unify.postgres.server import Server
from person_unify.progress import Progress, silent
from person_unify.report import Report
from person_unify.run.directory import RunDirectory, place_of
from person_unify.run.unfinished import state_of
from person_unify.schema import UNIFIED, Catalogue, Schema
from person_unify.stages.publish import ledger_path, publish

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@dataclass(frozen=True, slots=True)
class Run:
    """A migration from a file or a schema into a file or a schema.

    options: of the migration in the middle, which is one of files; its target is the verified one.
    """

    source: Path | Address
    target: Path | Address
    options: MigrateOptions

    @classmethod
    def between(
        cls, source: Path | Address, target: Path | Address, options: MigrateOptions
    ) -> Self:
        """The run with the options that its ends ask for; ``options`` names the target's file."""
        if isinstance(source, Address):
            # That is the copy that is kept: one of the copy would be one too many.
            kept = options.target.with_suffix(".source.db")
            options = replace(options, source=kept, origin=source.shown, keep_backup=False)
        else:
            options = replace(options, source=source)
        if isinstance(target, Address):
            options = replace(options, for_postgresql=True)
        return cls(source, target, options)


def migrate(run: Run, progress: Progress = silent) -> tuple[Report, Delivered | None]:
    """Migrate between the ends of a run: :func:`make` and :func:`hand_over`."""
    report = make(run, progress)
    return report, hand_over(run, progress)


def make(run: Run, progress: Progress = silent) -> Report:
    """Migrate into the verified SQLite target; for PostgreSQL with the tables that it has there.

    A schema as source is read in one snapshot, which is kept unless the run comes to nothing.
    Raises :class:`TargetError` where the server's tables hold rows already.
    """
    options = run.options
    if isinstance(run.target, Address):
        with Server(run.target) as server:
            schema = _schema(server)
            # Before anything else is done; the delivery looks again.
            require_empty(server, [name for name in schema if name in UNIFIED])
        options = replace(options, schema=schema)
    if isinstance(run.source, Path):
        return pipeline.migrate(options, progress)
    _keep_snapshot(run.source, options, progress)
    kept = place_of(options.source)
    try:
        return pipeline.migrate(options, progress)
    except BaseException:
        with suppress(FileNotFoundError):
            if state_of(options.target) == "none" and place_of(options.source) == kept:
                options.source.unlink()
        raise


def hand_over(run: Run, progress: Progress = silent) -> Delivered | None:
    """Deliver what :func:`make` left, where the run is to end in PostgreSQL.

    None where there is nothing to do, also because an earlier call has done it: that is what the
    ledger tells, and of one that was killed at its COMMIT the server.
    """
    target, options = run.target, run.options
    ledger = ledger_path(options.target)
    if isinstance(target, Path) or record.stands(ledger, target):
        return None
    directory = RunDirectory.claim(options.target)
    try:
        with Server(target) as server:
            record.latest(ledger, server)
        if record.stands(ledger, target):
            return None
        return deliver(
            options.target,
            target,
            wait=options.busy_timeout,
            memory=options.memory,
            progress=progress,
        )
    except (MigrationError, KeyboardInterrupt) as error:
        error.add_note(
            f"{options.target} is complete and verified, and not delivered: give it to deliver"
        )
        raise
    finally:
        directory.leave()


def check(options: CheckOptions, progress: Progress = silent) -> Report:
    """Say what a run for PostgreSQL would do, and which rows its indexes may not hold."""
    entries = LongEntries()
    options = replace(options, for_postgresql=True)
    report = pipeline.check(options, progress, entries.see)
    return replace(report, drift=(*report.drift, *entries.notes()))


def _schema(server: Server) -> Schema:
    found = homes(server, TARGET)
    demanded = [
        f"{name}.{home.demanded[0]}"
        for name, home in found.items()
        if home.demanded and name in UNIFIED
    ]
    if demanded:
        raise TargetError(
            f"{server.address} requires columns of types that rows do not fill "
            f"({', '.join(demanded)}): give them a default, or drop NOT NULL"
        )
    return Catalogue({name: home.planned().table for name, home in found.items()})


def verify(
    source: Path,
    address: Address,
    ledger: Path,
    progress: Progress = silent,
    ids_from: Path | None = None,
) -> Report:
    """Prove what PostgreSQL holds now, by the verification that every target has.

    One snapshot of the delivered tables is read back into a private SQLite file.  Raises
    :class:`TargetError` where nothing was delivered.
    """
    with private_directory() as directory:
        path = directory / working_file(ledger).name
        with Server(address) as server:
            delivery = delivered_by(ledger, server)
            server.execute(_SNAPSHOT)
            found = homes(server, TARGET)
            gone = [name for name in delivery.tables if name not in found]
            if gone:
                raise TargetError(f"{address} has no table {gone[0]} any more")
            read = [found[name].planned() for name in delivery.tables]
            # The run had a plan for these, and nothing to put into them.
            others = (record.planned(ledger) & {*found}) - {*delivery.tables}
            unread = [found[name].planned() for name in sorted(others)]
            mirror(server, read, path, progress, unread)
        report = pipeline.verify(source, path, progress, ids_from, ledger)
    facts = report.target and replace(report.target, path=address.shown)
    return replace(report, target=facts)


def delivered_by(ledger: Path, server: Server) -> record.Delivery:
    """The committed delivery of a ledger into the server's schema, or :class:`TargetError`."""
    if not ledger.is_file():
        raise TargetError(f"{ledger} does not exist: give the ledger of the delivery by --ledger")
    delivery = record.latest(ledger, server)
    if delivery is None or delivery.outcome != "committed":
        raise TargetError(f"{ledger} tells of no delivery into {server.address} that stands")
    return delivery


@contextmanager
def source_file(
    source: Path | Address, progress: Progress, beside: Path | None = None
) -> Iterator[Path]:
    """A source as a file: one snapshot of a PostgreSQL schema in Prisma's own forms of SQLite.

    It is private, in a directory ``beside`` if that is given, and gone at the end.
    """
    if isinstance(source, Path):
        yield source
        return
    with private_directory(beside) as directory:
        path = directory / "source.db"
        with Server(source) as server:
            server.execute(_SNAPSHOT)
            found = homes(server, SOURCE)
            if not {"patients", "children"} & found.keys():
                raise SourceError(f"{source} is not an old-schema database: no patients")
            mirror(server, found.values(), path, progress)
        yield path


def _keep_snapshot(source: Address, options: MigrateOptions, progress: Progress) -> None:
    """Have the snapshot under its name, unless a run has begun with it.

    One that a kill left before its run began is taken if it is what would be read now.
    """
    kept = options.source
    if kept.exists() and not options.fresh and state_of(options.target) != "none":
        return
    with source_file(source, progress, kept.parent) as path:
        if kept.exists() and not locks.alike(path, kept):
            raise SourceError(
                f"{kept} exists already and is not what {source} holds now: move it away first"
            )
        publish(path, kept)
