"""``fleet``: many databases at once, each as a migration of its own."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from person_unify.cli.arguments import (
    AllowEmpty,
    BusyTimeout,
    Html,
    ImpliedGrants,
    Json,
    MemorySize,
    Quiet,
    Strict,
    TimeZone,
    file_argument,
)
from person_unify.cli.ending import honest_exit
from person_unify.cli.paths import on_screen, shown
from person_unify.cli.streams import printable, screen, write_event, write_line, write_result
from person_unify.files import NewFiles
from person_unify.run.budget import parse

if TYPE_CHECKING:
    from person_unify.page.fleet import TenantResult


def fleet(  # noqa: PLR0913  an option is a parameter
    tenants: Annotated[
        Path, file_argument("TENANTS", "A CSV file: source,target and a line per database.")
    ],
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A scheduler of Dask that runs, as in tcp://host:8786."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Migrations at once; half the cores if not given."),
    ] = None,
    attempts: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="How often a database may lose its process."),
    ] = 5,
    timezone: TimeZone = "Asia/Kolkata",
    implied_grants: ImpliedGrants = "active",
    strict: Strict = False,
    busy_timeout: BusyTimeout = 5.0,
    memory: MemorySize = None,
    allow_empty: AllowEmpty = False,
    html: Html = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Migrate every database of a list; run it again, and it goes on where it was stopped."""
    code = 0
    with honest_exit(as_json):
        limit = None if memory is None else parse(memory)
        from person_unify.fleet.tasks import FleetOptions, run_fleet
        from person_unify.fleet.tenants import read_tenants
        from person_unify.options import MigrateOptions
        from person_unify.page.fleet import exit_code_of, render_fleet

        common = partial(
            MigrateOptions,
            timezone=timezone,
            implied_grants=implied_grants,
            strict=strict,
            busy_timeout=busy_timeout,
            memory=limit,
            allow_empty=allow_empty,
        )
        runs = read_tenants(tenants, common)
        with NewFiles() as new:
            file = None if html is None else new.open(html)
            told = partial(_told, as_json=as_json, quiet=quiet)
            dashboard = partial(_dashboard, as_json=as_json, quiet=quiet)
            results = run_fleet(runs, FleetOptions(scheduler, workers, attempts), told, dashboard)
            if file is not None:
                file.write(render_fleet(results, str(tenants)).encode())
        code = exit_code_of(results)
        _show(results, str(tenants), code, as_json)
    if code:
        raise typer.Exit(code)


def _dashboard(url: str, *, as_json: bool, quiet: bool) -> None:
    """Where Dask shows the tasks, which is most of use while they run."""
    if as_json:
        write_event({"event": "dashboard", "url": url})
    elif not quiet:
        write_line(printable(f"tasks at {url}"), sys.stderr)


def _told(result: TenantResult, *, as_json: bool, quiet: bool) -> None:
    """A line for a database whose task has ended."""
    if as_json:
        said = {"state": result.state, "exit_code": result.code, "message": result.message}
        write_event({"event": "tenant", "target": result.target, **said})
    elif not quiet:
        why = f": {result.message}" if result.message else ""
        write_line(on_screen(f"{result.target} {result.state}{why}"), sys.stderr)


def _show(results: list[TenantResult], tenants: str, code: int, as_json: bool) -> None:
    """The summary."""
    if as_json:
        write_result(code, tenants={result.target: result.state for result in results})
        return
    from person_unify.cli.render import render_parts
    from person_unify.page.fleet import fleet_sections, fleet_steps, fleet_verdict

    steps = fleet_steps(results, tenants)
    near = [replace(result, target=shown(result.target)) for result in results]
    parts = [part for part in fleet_sections(near) if part.brief]
    render_parts("fleet", fleet_verdict(results), parts, steps, screen(sys.stdout))
