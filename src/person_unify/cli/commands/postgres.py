"""``deliver``: a migrated database into the platform's PostgreSQL tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from person_unify.cli.arguments import BusyTimeout, Json, MemorySize, NewDb, Quiet, TargetEnv
from person_unify.cli.ending import honest_exit
from person_unify.cli.live import watch
from person_unify.cli.paths import new_database
from person_unify.cli.streams import printable, write_line, write_result
from person_unify.postgres.address import Address
from person_unify.run.budget import parse

if TYPE_CHECKING:
    from person_unify.postgres.deliver import Delivered


def deliver(  # noqa: PLR0913  an option is a parameter
    new_db: NewDb,
    url: Annotated[
        str | None,
        typer.Argument(metavar="URL", help="The platform's database, as postgresql://HOST/NAME."),
    ] = None,
    target_env: TargetEnv = None,
    busy_timeout: BusyTimeout = 5.0,
    memory: MemorySize = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Copy a migrated NEW_DB into the empty tables of a PostgreSQL database, and compare."""
    place = new_database(url, target_env)
    if isinstance(place, Path):
        raise typer.BadParameter(
            "that is no PostgreSQL URL: write postgresql://USER@HOST/DATABASE."
        )
    with honest_exit(as_json):
        limit = None if memory is None else parse(memory)
        with watch(quiet=quiet, as_json=as_json) as progress:
            from person_unify.evidence.finished import target_of
            from person_unify.postgres.deliver import deliver as carry_out

            done = carry_out(
                target_of(new_db), place, wait=busy_timeout, memory=limit, progress=progress
            )
        say_delivered(done, as_json)


def ledger_of(new: Path | Address, ledger: Path | None) -> Path:
    """The ledger of a run into PostgreSQL, or the new file, beside which the ledger stands."""
    if isinstance(new, Path):
        if ledger is not None:
            raise typer.BadParameter("--ledger goes with a URL: beside a file it has its place.")
        return new
    if ledger is None:
        raise typer.BadParameter("a URL needs the place of the ledger: --ledger new.ledger.db.")
    return ledger


def say_delivered(done: Delivered, as_json: bool) -> None:
    """Print what was delivered."""
    if as_json:
        write_result(target=str(done.address), rows=dict(done.rows))
        return
    filled = sum(1 for rows in done.rows.values() if rows)
    write_line(
        f"delivered {sum(done.rows.values()):,} rows of {filled} tables into "
        f"{printable(str(done.address))}; every cell was read back and is equal"
    )


def roll_back_delivery(
    place: Address, ledger: Path, force: bool, wait: float, as_json: bool
) -> None:
    """Empty the tables that were delivered to, and say so."""
    from person_unify.postgres.rollback import rollback

    rows = rollback(ledger, place, force=force, wait=wait)
    if as_json:
        write_result(target=str(place), rows=rows)
    else:
        name = printable(str(place))
        write_line(f"{name} is empty again: {rows:,} rows are gone from its tables")
