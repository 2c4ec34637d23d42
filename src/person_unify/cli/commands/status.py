"""``status`` and ``doctor``: how far a run is, and whether one can begin."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from person_unify.cli.arguments import Json, NewDb, OldDbText, SourceEnv, words_after
from person_unify.cli.ending import honest_exit
from person_unify.cli.paths import existing, on_screen, placed, required
from person_unify.cli.render import sized
from person_unify.cli.streams import write_line, write_result
from person_unify.errors import SourceError
from person_unify.files import read_bounded
from person_unify.report import shaped

_BYTES_PER_SECOND = 11_000_000
"""Of the source, from the snapshot to the published target; measured on two cores."""

_MOST_BYTES = 64_000_000
"""Of the list of checkpoints."""

_DRIVERS = ("polars", "pyarrow", "connectorx", "adbc-driver-sqlite", "tzdata")


def status(new_db: NewDb, as_json: Json = False) -> None:
    """Say how far a run into NEW_DB is: under way, stopped, finished, or none."""
    with honest_exit(as_json):
        from person_unify.evidence.finished import target_of
        from person_unify.progress import PHASES
        from person_unify.run.directory import holder
        from person_unify.run.unfinished import state_of
        from person_unify.stages.publish import checkpoints_path

        target = target_of(new_db)
        points = _Points.of(checkpoints_path(target))
        state, pid = state_of(target), holder(target)
        if as_json:
            write_result(target=str(target), state=state, pid=pid, **asdict(points))
            return
        name = on_screen(target)
        said = {
            "under way": f"a run into {name} is under way (pid {pid})",
            "stopped": f"a run into {name} was stopped: --resume goes on, --fresh starts anew",
            "finished": f"{name} is migrated and published: verify proves it again",
            "none": f"no run into {name} has begun",
        }
        write_line(said[state])
        for line in points.told(PHASES):
            write_line(line)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A checkpoint as far as it is told, by the names that its file has."""

    timestamp: str
    phase: str
    table: str | None
    recordsProcessed: int  # noqa: N815


@dataclass(frozen=True, slots=True)
class _Points:
    """What the checkpoints of a run come to; last: when the latest was made, ISO 8601."""

    phases: tuple[str, ...] = ()
    tables: int = 0
    rows: int = 0
    last: str | None = None

    @classmethod
    def of(cls, path: Path) -> _Points:
        """Those of a file; none where it is not there or not ours."""
        try:
            entries = [shaped(_Entry, raw) for raw in json.loads(read_bounded(path, _MOST_BYTES))]
            last = entries[-1].timestamp if entries else None
            if last is not None and datetime.fromisoformat(last).utcoffset() != timedelta(0):
                return cls()
        except (ValueError, TypeError, RecursionError):
            return cls()
        over = tuple(entry.phase for entry in entries if entry.table is None)
        loaded = [entry.recordsProcessed for entry in entries if entry.table is not None]
        return cls(over, len(loaded), sum(loaded), last)

    def told(self, phases: tuple[str, ...]) -> Iterator[str]:
        """A line for what there is of each."""
        if self.phases:
            yield f"  over    {', '.join(phase for phase in phases if phase in self.phases)}"
        if self.tables:
            yield f"  tables  {self.tables:,}, {self.rows:,} rows"
        if self.last is not None:
            last = datetime.fromisoformat(self.last)
            ago = (datetime.now(UTC) - last).total_seconds()
            yield f"  last    {last:%Y-%m-%d %H:%M:%S} UTC, {ago:,.0f} s ago"


def doctor(
    old_db: OldDbText = None,
    new_db: Annotated[
        str | None, typer.Argument(metavar="[NEW_DB]", help="Where the new database is to stand.")
    ] = None,
    source_env: SourceEnv = None,
) -> None:
    """Say whether a migration could begin here: disk, locks, versions, memory, time it takes."""
    old, new = words_after(source_env, old_db, new_db)
    source = existing(required(old, "OLD_DB"))
    target = source.with_name("new.db") if new is None else placed(new)
    with honest_exit():
        problems = 0
        for good, line in _examined(source, target):
            problems += not good
            write_line(f"{'ok ' if good else 'NO '} {on_screen(line)}")
        if problems:
            raise SourceError(f"{problems} of these must be settled before a migration can begin")


def _examined(source: Path, target: Path) -> Iterator[tuple[bool, str]]:
    from person_unify.files.locks import open_elsewhere
    from person_unify.run.budget import usual
    from person_unify.run.directory import holder
    from person_unify.stages.publish import ledger_path
    from person_unify.stages.snapshot import require_file

    require_file(source)
    size = source.stat().st_size
    yield True, f"{source} is {sized(size)}: a migration takes about {_duration(size)}"
    for directory, times, what in ((target.parent, 2, "the run"), (source.parent, 1, "its backup")):
        if not directory.is_dir():
            yield False, f"{directory} is not a directory: create it first"
            continue
        free, need = shutil.disk_usage(directory).free, times * size
        yield (
            free >= need,
            f"{sized(free)} free in {directory}: {what} needs about {sized(need)}",
        )
        yield os.access(directory, os.W_OK | os.X_OK), f"{directory} can be written"
    used = open_elsewhere(source)
    yield (
        True,
        (
            f"another program has {source} open: stop it before the cut-over"
            if used
            else f"no other program has {source} open"
        ),
    )
    pid = holder(target)
    yield pid is None, "no run into the target is under way" + (f" (pid {pid})" if pid else "")
    if ledger_path(target).exists():
        yield False, f"{target} has been migrated into already: rollback takes that back"
    if target.exists():
        lacks = _lacking(target)
        yield (
            not lacks,
            f"{target} lacks {', '.join(lacks[:5]) or 'no table'} of the unified schema",
        )
    yield True, f"memory: {sized(usual())} at the most, unless --memory says otherwise"
    installed = ", ".join(f"{name} {version(name)}" for name in _DRIVERS)
    yield True, f"Python {platform.python_version()}, {installed}"


def _lacking(target: Path) -> list[str]:
    from person_unify.run.preflight import schema_of
    from person_unify.schema import UNIFIED

    there = {name.lower() for name in schema_of(target)}
    return [name for name in UNIFIED if name.lower() not in there]


def _duration(size: int) -> str:
    seconds = 2 + size / _BYTES_PER_SECOND
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
