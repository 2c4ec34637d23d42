"""``rollback`` and ``purge``: the way back, and the end of what a run leaves behind."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from person_unify.cli.arguments import (
    BusyTimeout,
    Json,
    LedgerFile,
    NewDb,
    NewDbText,
    TargetEnv,
)
from person_unify.cli.commands.postgres import ledger_of, roll_back_delivery
from person_unify.cli.ending import honest_exit
from person_unify.cli.paths import new_database, on_screen
from person_unify.cli.render import sized
from person_unify.cli.streams import write_event, write_line, write_result

if TYPE_CHECKING:
    from person_unify.run.purge import Leftover


def rollback(
    new_db: NewDbText = None,
    target_env: TargetEnv = None,
    ledger: LedgerFile = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also if it has changed since the run; a copy of it is kept."),
    ] = False,
    busy_timeout: BusyTimeout = 5.0,
    as_json: Json = False,
) -> None:
    """Undo a migration: NEW_DB as it was before, or gone if it was new; OLD_DB plays no part."""
    new = new_database(new_db, target_env)
    known = ledger_of(new, ledger)
    with honest_exit(as_json):
        if not isinstance(new, Path):
            roll_back_delivery(new, known, force, busy_timeout, as_json)
            return
        from person_unify.evidence.finished import target_of
        from person_unify.run.rollback import rollback as roll_back

        done = roll_back(target_of(new), force=force, wait=busy_timeout)
        if as_json:
            write_result(
                target=str(done.target),
                restored=done.restored,
                kept=[str(path) for path in done.kept],
                left=[str(path) for path in done.left],
            )
            return
        name = on_screen(done.target)
        said = f"{name} is as it was before the run" if done.restored else f"{name} is removed"
        write_line(said)
        for path in done.kept:
            write_line(f"  kept  {on_screen(path)}")
        for path in done.left:
            write_line(f"  {on_screen(path)} is not provably of the run, and stays")


def purge(
    new_db: NewDb,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed, for good.")] = False,
    with_ledger: Annotated[
        bool,
        typer.Option(
            "--with-ledger", help="Also ledger and report: no rollback, verify or look-up any more."
        ),
    ] = False,
    places: Annotated[
        list[Path] | None,
        typer.Option(
            "--in",
            metavar="DIR",
            help="Look into DIR, too: for backups, rebuilt and exported files.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the copies and remains of the runs into NEW_DB, and with --yes remove them."""
    with honest_exit(as_json):
        from person_unify.evidence.finished import target_of
        from person_unify.run.purge import leftovers
        from person_unify.run.purge import purge as remove

        target = target_of(new_db)
        found = leftovers(target, with_ledger=with_ledger, places=places or ())
        here = [leftover for leftover in found if leftover.state == "here"]
        if as_json:
            listed = [
                {"path": str(f.path), "kind": f.kind, "bytes": f.bytes, "modified_s": f.modified}
                for f in here
            ]
            left = [
                {"path": str(f.path), "kind": f.kind, "state": f.state}
                for f in found
                if f.state != "here"
            ]
            write_event({"event": "leftovers", "files": listed, "left": left})
        else:
            _list(here)
            for leftover in found:
                if leftover.state != "here":
                    write_line(_told(leftover))
        if yes:
            remove(target, found)
        if as_json:
            write_result(removed=len(here) if yes else 0)
        else:
            write_line(_closing(here, yes))


def _list(found: list[Leftover]) -> None:
    width = max((len(f.kind) for f in found), default=0)
    for leftover in found:
        size, age = sized(leftover.bytes), _age(time.time() - leftover.modified)
        path = on_screen(leftover.path)
        write_line(f"  {leftover.kind:<{width}}  {size:>8}  {age:>7}  {path}")


def _told(leftover: Leftover) -> str:
    """Why a file stays, and where to look for a copy that only the ledger knows of."""
    path, place = (on_screen(p) for p in (leftover.path, leftover.path.parent))
    if leftover.state == "unproven":
        return f"  {leftover.kind} that is not provably of a run stays: {path}"
    return f"  {leftover.kind} in another directory: {path}; --in {place} lists it"


def _age(seconds: float) -> str:
    """How long ago, in one unit.

    >>> _age(50), _age(150), _age(3 * 3600), _age(200 * 3600)
    ('< 1 min', '2 min', '3 h', '8 days')
    """
    if seconds < 60:
        return "< 1 min"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min"
    return f"{seconds // 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds // 86400:.0f} days"


def _closing(found: list[Leftover], removed: bool) -> str:
    if not found:
        return "nothing is left of any run"
    if removed:
        return f"removed {len(found)}, {sized(sum(f.bytes for f in found))}"
    return "nothing removed; --yes removes these for good"
