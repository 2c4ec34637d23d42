"""A fleet: one migration for each line of a list, carried out as tasks of Dask distributed.

Dask gives tasks to workers, and to other workers where one dies.  What became of a database is
never what a task returned: it stands in its run directory and its ledger, and is asked there.
"""

from __future__ import annotations

import csv
import io
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from person_unify.errors import (
    MigrationError,
    SourceChanged,
    TargetError,
    TenantsRefused,
    UsageError,
)
from person_unify.evidence.finished import finished_report
from person_unify.files import NotRead, locks, private_directory, read_bounded
from person_unify.options import MigrateOptions
from person_unify.page.fleet import TenantResult
from person_unify.pipeline import migrate
from person_unify.run.budget import usual
from person_unify.run.directory import holder, run_directory
from person_unify.run.unfinished import state_of
from person_unify.stages.publish import checkpoints_path, ledger_path, page_path, report_path
from person_unify.stages.snapshot import sha256_now

MOST_BYTES = 4_000_000
REQUIRED, OPTIONAL = ("source", "target"), ("decisions", "ids_from")
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


def read_tenants(path: Path, common: Callable[..., MigrateOptions]) -> list[MigrateOptions]:
    """The runs of a list; relative paths in it begin at its own directory.

    common: makes the options of a run from its own.  Raises :class:`TenantsRefused` with every
    problem at once, also where the files of one run are those of another.
    """
    try:
        text = read_bounded(path, MOST_BYTES).decode("utf-8-sig")
    except NotRead as error:
        raise TenantsRefused(f"{path} {error}: give a CSV file of source,target") from error
    except UnicodeDecodeError as error:
        raise TenantsRefused(f"{path} is not UTF-8 text: save it as CSV UTF-8") from error
    problems: list[str] = []
    runs: dict[int, MigrateOptions] = {}
    for line, cells in _rows(text, problems):
        files = {name: _resolved(path.parent, name, cell) for name, cell in cells.items() if cell}
        runs[line] = common(**files)
    problems += _conflicts(runs)
    if not runs and not problems:
        problems.append("there is no database in it")
    if problems:
        raise TenantsRefused(f"{path} is refused, nothing was written:", problems)
    return list(runs.values())


def _rows(text: str, problems: list[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The lines with their cells by heading; adds what is wrong with their form."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        heads = [cell.strip().lower() for cell in next(reader, [])]
        known = {*REQUIRED, *OPTIONAL}
        if len(set(heads)) < len(heads) or not known >= set(heads) >= set(REQUIRED):
            problems.append(
                "line 1: the headings are source and target, and decisions and ids_from where "
                "there are such files"
            )
            return
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            found = dict(zip(heads, map(str.strip, cells), strict=False))
            if len(cells) != len(heads) or not all(found[name] for name in REQUIRED):
                problems.append(f"line {reader.line_num}: {len(heads)} cells are needed")
            elif any("\0" in cell for cell in cells):
                problems.append(f"line {reader.line_num}: no path has a NUL")
            else:
                yield reader.line_num, found
    except csv.Error:
        problems.append(f"line {reader.line_num}: a quote is stray or not closed")


def _resolved(directory: Path, name: str, text: str) -> Path:
    """A path as the command line would take it: links are followed, but for a target itself."""
    path = Path(os.path.normpath(directory.absolute() / text))
    if name == "target":
        return Path(os.path.realpath(path.parent)) / path.name
    return Path(os.path.realpath(path))


def _conflicts(runs: Mapping[int, MigrateOptions]) -> Iterator[str]:
    """Where a file is missing, or two runs want one file, or one writes what another reads."""
    written: dict[object, int] = {}
    read: dict[object, int] = {}
    for line, run in runs.items():
        for file in filter(None, (run.source, run.decisions, run.ids_from)):
            if not file.is_file():
                yield f"line {line}: {file} is not a file"
        if not run.target.parent.is_dir():
            yield f"line {line}: {run.target.parent} is not a directory: create it first"
        for key in _keys(run.source):
            if read.setdefault(key, line) != line:
                yield f"line {line}: {run.source} is the source of line {read[key]} already"
                break
    for line, run in runs.items():
        beside = (ledger_path, report_path, page_path, checkpoints_path, run_directory)
        for file in (run.target, *(place(run.target) for place in beside)):
            taken = [written.setdefault(key, line) for key in _keys(file)]
            other = next((n for n in taken if n != line), None)
            if other is not None:
                yield f"line {line}: {file} would be written by line {other} too"
                break
    for line, run in runs.items():
        for file in filter(None, (run.source, run.decisions, run.ids_from)):
            other = next((written[key] for key in _keys(file) if key in written), None)
            if other is not None:
                yield f"line {line}: {file} is read, and line {other} writes it"


def _keys(path: Path) -> list[object]:
    """What names a file: its path, and which file it is where it exists."""
    try:
        found = path.stat()
    except OSError:
        return [path]
    return [path, (found.st_dev, found.st_ino)]


_ALONE = threading.Lock()
"""A worker of somebody's cluster may have several threads, and a run's memory is a process's."""


def carry_out(run: MigrateOptions) -> tuple[int, str]:
    """The task: go on with a run, or begin it, unless it is done; returns an exit code and why.

    Whatever goes wrong ends here, for Dask would log it, and drivers quote cells.
    """
    try:
        with _ALONE:
            os.umask(0o077)  # everything that a run writes holds personal data
            while holder(run.target) is not None:
                time.sleep(1)  # a worker that was given up may still be at work
            if not _is_done(run):
                migrate(replace(run, resume=True))
            report = finished_report(run.target)
            if sha256_now(run.source) not in (None, report.source.sha256):
                raise SourceChanged(
                    f"{run.source} has changed since its snapshot: the target is verified, but "
                    "holds nothing of what was written since; roll it back and migrate again"
                )
    except MigrationError as error:
        return error.exit_code, "; ".join([str(error), *getattr(error, "__notes__", ())])
    except BaseException as error:  # noqa: BLE001  Rust panics are no Exception
        return 1, f"internal error: {type(error).__name__}"
    return 0, ""


def _is_done(run: MigrateOptions) -> bool:
    """Whether an earlier attempt has finished this very run; any other one is in the way."""
    if state_of(run.target) != "finished":
        return False
    report = finished_report(run.target)
    files = {"decisions": run.decisions, "ids_from": run.ids_from}
    asked = run.recorded() | {n: locks.sha256(file) for n, file in files.items() if file}
    if report.source.path != str(run.source) or dict(report.options) != asked:
        raise TargetError(
            f"{run.target} has been migrated into already, from another source or with other "
            "options: take that back with rollback, or choose another target"
        )
    return True


def run_fleet(
    runs: list[MigrateOptions],
    options: FleetOptions,
    told: Callable[[TenantResult], None] = lambda _: None,
) -> list[TenantResult]:
    """Carry out all runs, and ask their ledgers what became of them, in the order of the list.

    told: hears of each as it ends.  Raises :class:`MigrationError` where there is no cluster.
    """
    try:
        from distributed import as_completed
    except ImportError as error:
        raise UsageError(
            "fleet needs Dask distributed: install it with pip install '.[fleet]' in the checkout"
        ) from error
    with _client(options, len(runs)) as (client, workers):
        memory = None if options.scheduler else usual() // workers
        call = uuid4().hex
        futures = {
            client.submit(
                carry_out,
                run if run.memory or memory is None else replace(run, memory=memory),
                key=f"{run.target.name}-{call}-{number}",
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


def result_of(run: MigrateOptions, code: int, message: str) -> TenantResult:
    """What became of a run, as its run directory and its ledger tell; why, as its task says."""
    state, report = state_of(run.target), None
    if state == "finished":
        try:
            report = finished_report(run.target)
        except MigrationError as error:
            code, message = error.exit_code, str(error)
    if report is not None and code == 1:
        code, message = 0, ""  # it was done before its worker died
    return TenantResult(run.source, run.target, state, report, code, message)


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
        stack.enter_context(
            dask.config.set({"distributed.scheduler.allowed-failures": options.attempts})
        )
        settings: Mapping[str, Any] = {
            "threads_per_worker": 1,
            "memory_limit": 0,  # --memory bounds a run, and a kill at a limit would only repeat it
            "local_directory": str(scratch),
            "silence_logs": 60,  # above CRITICAL: what counts is said by us
            # Without an address they would listen to the whole network.
            "dashboard_address": f"127.0.0.1:{8787 if _has_dashboard() else 0}",
            "worker_dashboard_address": "127.0.0.1:0",
            # Whoever may connect to a scheduler may run what they like as its user.
            "security": Security.temporary(),
            "host": "127.0.0.1",
        }
        cluster = stack.enter_context(LocalCluster(n_workers=workers, **settings))
        yield stack.enter_context(Client(cluster)), workers


def _has_dashboard() -> bool:
    from importlib.util import find_spec

    return find_spec("bokeh") is not None
