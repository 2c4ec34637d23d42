"""``rebuild``: a new file with the old database in it, made from target and ledger alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from person_unify.database import Database
from person_unify.errors import TargetError, VerificationFailed
from person_unify.files import private_directory
from person_unify.files.journal import SIDE_FILES
from person_unify.ledger import CATALOG
from person_unify.mappings.known import known_tables
from person_unify.progress import PhaseFinished, PhaseStarted, Progress, TableStarted, silent
from person_unify.proving import comparison_check
from person_unify.report import CheckResult
from person_unify.stages.publish import finished_ledger, publish
from person_unify.stages.rebuild import Places, Rebuilder, RebuiltTable, compare_table
from person_unify.stages.snapshot import require_file, require_space, take

_PLACES = Places(target="target", ledger=CATALOG, rebuilt="main")
_OLD = "old"
_PRAGMAS = (
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA cache_size = -65536",
    "PRAGMA foreign_keys = OFF",
)


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What was rebuilt, and how it compares with the old database where one was given.

    not_created: views, triggers and the like that this SQLite could not create.
    """

    path: Path
    tables: tuple[RebuiltTable, ...]
    not_created: tuple[str, ...]
    comparison: tuple[CheckResult, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {**asdict(self), "path": str(self.path)}

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def compared(self) -> int:
        """Tables that were compared and held rows."""
        return sum(check.outcome == "passed" for check in self.comparison)


def rebuild(
    target: Path, rebuilt: Path, old: Path | None = None, progress: Progress = silent
) -> RebuildReport:
    """Make the old database again as ``rebuilt``; compare it with ``old`` if that is given.

    Raises :class:`TargetError` for files that are not there or are in the way, and
    :class:`VerificationFailed` where rows are missing or ``old`` differs; nothing is published
    then.  No existing file is ever replaced, target and ledger are only read.
    """
    started = perf_counter()
    ledger = finished_ledger(target, "rebuild")
    _require_free(rebuilt)
    require_space(rebuilt.parent, target.stat().st_size, "the rebuilt database")
    if old is not None:
        require_file(old)
    with private_directory(rebuilt.parent) as staging:
        staged = staging / "rebuilt.db"
        staged.touch(mode=0o600)
        snapshot = None if old is None else take(old, staging, datetime.now(UTC)).path
        with Database(staged) as database:
            for pragma in _PRAGMAS:
                database.execute(pragma)
            database.attach(target, _PLACES.target, read_only=True)
            database.attach(ledger, _PLACES.ledger, read_only=True)
            for place in (_PLACES.target, _PLACES.ledger):
                database.execute(f"PRAGMA {place}.cache_size = -65536")
            database.execute("BEGIN EXCLUSIVE")
            report = _fill(database, rebuilt, snapshot, progress)
            database.execute("COMMIT")
        publish(staged, rebuilt)
    return replace(report, seconds=perf_counter() - started)


def _fill(
    database: Database, rebuilt: Path, snapshot: Path | None, progress: Progress
) -> RebuildReport:
    """Make every table, and everything else that can be made; compare if there is a snapshot."""
    rebuilder = Rebuilder(database, _PLACES)
    progress(PhaseStarted("rebuild"))
    started = perf_counter()
    tables = []
    for name in rebuilder.tables:
        progress(TableStarted("rebuild", name))
        tables.append(rebuilder.fill(name))
    not_created = rebuilder.finish()
    rows = sum(table.rows for table in tables)
    progress(PhaseFinished("rebuild", rows, perf_counter() - started))
    wrong = [f"{t.name} {t.rows} of {t.expected}" for t in tables if t.rows != t.expected]
    comparison = () if snapshot is None else tuple(_compared(rebuilder, snapshot, progress))
    rebuilder.close()
    failed = [check for check in comparison if check.outcome == "failed"]
    if failed:
        shown = "; ".join(f"{check.table}: {check.detail}" for check in failed)
        raise VerificationFailed(
            f"{len(failed)} tables differ from the old database, nothing was published: {shown}"
        )
    if wrong:
        raise VerificationFailed(
            f"rows are not those that the ledger counted ({', '.join(wrong)}), nothing was "
            "published: the target or its ledger has been changed since the migration"
        )
    return RebuildReport(rebuilt, tuple(tables), not_created, comparison, 0.0)


def _compared(rebuilder: Rebuilder, snapshot: Path, progress: Progress) -> Iterator[CheckResult]:
    """Every table of either database; one that only one of them has is a difference."""
    database = rebuilder.database
    database.attach(snapshot, _OLD, read_only=True)
    database.execute(f"PRAGMA {_OLD}.cache_size = -65536")
    progress(PhaseStarted("compare"))
    started = perf_counter()
    theirs = known_tables(database, _OLD)
    if not theirs and not rebuilder.tables:
        raise VerificationFailed("neither database has a table: there is nothing to compare")
    for name in dict.fromkeys((*theirs, *rebuilder.tables)):
        progress(TableStarted("compare", name))
        ours, other = rebuilder.tables.get(name), theirs.get(name)
        if ours is None or other is None or ours.columns != other.columns:
            detail = "the table or its columns are not the same in both"
            yield CheckResult("rebuild", name, None, None, "failed", detail)
        else:
            places = (_OLD, _PLACES.rebuilt)
            found = compare_table(database, places, ours, rebuilder.instants(name))
            yield comparison_check(found)
    progress(PhaseFinished("compare", 0, perf_counter() - started))


def _require_free(path: Path) -> None:
    for name in (path.name, *(path.name + suffix for suffix in SIDE_FILES)):
        taken = path.with_name(name)
        if taken.exists() or taken.is_symlink():
            raise TargetError(f"{taken} exists already: give a path that does not exist yet")
    if not path.parent.is_dir():
        raise TargetError(f"{path.parent} is not a directory: create it first")
