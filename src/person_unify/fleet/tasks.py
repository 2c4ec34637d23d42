"""The runs of a fleet as tasks of Dask distributed.

Dask gives tasks to workers, and to other workers where one dies.  What became of a database is
never what a task returned: it stands in its run directory and its ledger, and is asked there.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4
from warnings import catch_warnings

from person_unify.errors import (
    MigrationError,
    SourceChanged,
    TargetError,
    UsageError,
)
from person_unify.evidence.finished import finished_report
from person_unify.files import locks, private_directory
from person_unify.page.fleet import TenantResult
from person_unify.postgres import ends, record
from person_unify.postgres.address import Address
from person_unify.postgres.ends import Run
from person_unify.run.budget import usual
from person_unify.run.directory import holder
from person_unify.run.unfinished import state_of
from person_unify.stages.publish import ledger_path
from person_unify.stages.snapshot import sha256_now

_KILLED = "its worker died again and again: run fleet once more, and it goes on"


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """scheduler: the address of one that runs, None for a cluster on this machine.

    workers: processes of that cluster, None for half the cores.  attempts: how often a database may
    lose its worker there.
    """

    scheduler: str | None = None
    workers: int | None = None
    attempts: int = 5


_ALONE = threading.Lock()
"""A worker of somebody's cluster may have several threads, and a run's memory is a process's."""


def carry_out(run: Run) -> tuple[int, str]:
    """The task: go on with a run, or begin it, unless it is done; returns an exit code and why.

    Whatever goes wrong ends here, for Dask would log it, and drivers quote cells.
    """
    try:
        with _ALONE:
            os.umask(0o077)  # everything that a run writes holds personal data
            options = run.options
            while holder(options.target) is not None:
                time.sleep(1)  # a worker that was given up may still be at work
            if not _is_made(run):
                ends.make(replace(run, options=replace(options, resume=True)))
            ends.hand_over(run)
            report = finished_report(options.target)
            if sha256_now(options.source) not in (None, report.source.sha256):
                raise SourceChanged(
                    f"{run.source} has changed since its snapshot: the target is verified, but "
                    "holds nothing of what was written since; roll it back and migrate again"
                )
    except MigrationError as error:
        return error.exit_code, "; ".join([str(error), *getattr(error, "__notes__", ())])
    except BaseException as error:  # noqa: BLE001  Rust panics are no Exception
        return 1, f"internal error: {type(error).__name__}"
    return 0, ""


def _is_made(run: Run) -> bool:
    """Whether an earlier attempt has made this very target; that of any other is in the way."""
    options = run.options
    if state_of(options.target) != "finished":
        return False
    report = finished_report(options.target)
    files = {"decisions": options.decisions, "ids_from": options.ids_from}
    asked = options.recorded() | {n: locks.sha256(file) for n, file in files.items() if file}
    if report.source.path != str(options.source) or dict(report.options) != asked:
        raise TargetError(
            f"{options.target} has been migrated into already, from another source or with other "
            "options: take that back with rollback, or choose another target"
        )
    return True


def run_fleet(
    runs: list[Run],
    options: FleetOptions,
    told: Callable[[TenantResult], None] = lambda _: None,
    dashboard: Callable[[str], None] = lambda _: None,
) -> list[TenantResult]:
    """Carry out all runs, and ask their ledgers what became of them, in the order of the list.

    told: hears of each as it ends.  dashboard: hears where the tasks are shown.
    Raises :class:`MigrationError` where there is no cluster.
    """
    try:
        from distributed import as_completed
    except ImportError as error:
        raise UsageError(
            "fleet needs Dask distributed: install it with pip install '.[fleet]' in the checkout"
        ) from error
    with _client(options, len(runs)) as (client, workers):
        dashboard(str(client.dashboard_link))
        memory = None if options.scheduler else usual() // workers
        call = uuid4().hex
        futures = {
            client.submit(
                carry_out,
                replace(run, options=replace(run.options, memory=run.options.memory or memory)),
                key=f"{run.options.target.name}-{call}-{number}",
                pure=False,
            ): run
            for number, run in enumerate(runs)
        }
        answers = {}
        for future in as_completed(futures):
            run = futures[future]
            answers[run.target] = _answer(future)
            told(result_of(run, *answers[run.target]))
    return [result_of(run, *answers[run.target]) for run in runs]


def _answer(future: Any) -> tuple[int, str]:
    if future.status == "error":
        name = type(future.exception()).__name__
        return 1, _KILLED if name == "KilledWorker" else f"internal error: {name}"
    if future.status == "finished":
        code, message = future.result()
        return code, message
    return 1, f"its task is {future.status}"


def result_of(run: Run, code: int, message: str) -> TenantResult:
    """What became of a run, as its run directory and its ledger tell; why, as its task says."""
    target = run.options.target
    state: str = state_of(target)
    report = None
    if state == "finished":
        try:
            if isinstance(run.target, Address) and not record.stands(
                ledger_path(target), run.target
            ):
                state = "undelivered"
            else:
                report = finished_report(target)
        except MigrationError as error:
            code, message = error.exit_code, str(error)
    if report is not None and code == 1:
        code, message = 0, ""  # it was done before its worker died
    return TenantResult(str(run.target), state, report, code, message)


@contextmanager
def _client(options: FleetOptions, runs: int) -> Iterator[tuple[Any, int]]:
    """A client of the cluster, and how many workers a local one has."""
    import dask
    from distributed import Client, LocalCluster, Security

    workers = min(runs, options.workers or max(1, (os.cpu_count() or 2) // 2))
    with ExitStack() as stack:
        if options.scheduler is not None:
            try:
                client = stack.enter_context(Client(options.scheduler, timeout=10))
            except (OSError, ValueError, TypeError) as error:
                raise MigrationError(
                    f"no scheduler of Dask answers at {options.scheduler}: start one, or leave "
                    "--scheduler out"
                ) from error
            yield client, workers
            return
        scratch = stack.enter_context(private_directory())
        told = {
            "distributed.scheduler.allowed-failures": options.attempts,
            # Else one that is slow to come back is given up, and its tasks wait for ever.
            "distributed.deploy.lost-worker-timeout": "1 day",
        }
        stack.enter_context(dask.config.set(told))
        settings: Mapping[str, Any] = {
            "threads_per_worker": 1,
            "memory_limit": 0,  # --memory bounds a run, and a kill at a limit would only repeat it
            "local_directory": str(scratch),
            "silence_logs": 60,  # above CRITICAL: what counts is said by us
            # Without an address they would listen to the whole network.
            "dashboard_address": "127.0.0.1:8787",
            "worker_dashboard_address": "127.0.0.1:0",
            # Whoever may connect to a scheduler may run what they like as its user.
            "security": Security.temporary(),
            "host": "127.0.0.1",
        }
        with catch_warnings(action="ignore"):  # of a taken port it says only that it takes another
            cluster = stack.enter_context(LocalCluster(n_workers=workers, **settings))
        yield stack.enter_context(Client(cluster)), workers
