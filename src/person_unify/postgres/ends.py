"""Runs with PostgreSQL at an end: the verified SQLite form in the middle is the same for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from person_unify import pipeline
from person_unify.errors import MigrationError, SourceError, TargetError
from person_unify.files import private_directory
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
from person_unify.schema import UNIFIED, Catalogue, Schema

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def migrate(
    options: MigrateOptions, address: Address, progress: Progress = silent
) -> tuple[Report, Delivered]:
    """Migrate into PostgreSQL: into the verified SQLite target first, which is then delivered.

    That is made with the tables that the server has, of values that it can hold.  It stays, and
    what a delivery that fails needs is to be delivered again.
    """
    with Server(address) as server:
        schema = _schema(server)
        # Before anything else is done; the delivery looks again.
        require_empty(server, [name for name in schema if name in UNIFIED])
    made = replace(options, for_postgresql=True, schema=schema)
    report = pipeline.migrate(made, progress)
    try:
        delivered = deliver(
            options.target,
            address,
            wait=options.busy_timeout,
            memory=options.memory,
            progress=progress,
        )
    except (MigrationError, KeyboardInterrupt) as error:
        error.add_note(
            f"{options.target} is complete and verified, and not delivered: give it to deliver"
        )
        raise
    return report, delivered


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
    return Catalogue({name: home.table for name, home in found.items()})


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
            mirror(server, [found[name] for name in delivery.tables], path, progress)
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
def source_file(source: Path | Address, kept: Path | None, progress: Progress) -> Iterator[Path]:
    """A source as a file: one snapshot of a PostgreSQL schema in Prisma's own forms of SQLite.

    kept: where it stays; else it is private, and gone at the end.
    """
    if isinstance(source, Path):
        yield source
        return
    with private_directory(None if kept is None else kept.parent) as directory:
        path = directory / "source.db"
        if kept is None or not kept.exists():
            with Server(source) as server:
                server.execute(_SNAPSHOT)
                found = homes(server, SOURCE)
                if not {"patients", "children"} & found.keys():
                    raise SourceError(f"{source} is not an old-schema database: no patients")
                mirror(server, found.values(), path, progress)
            if kept is not None:
                path.rename(kept)
        yield kept or path
