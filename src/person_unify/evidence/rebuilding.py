"""``rebuild``: a new file with the old database in it, made from target and ledger alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from person_unify.errors import TargetError, VerificationFailed
from person_unify.files import private_directory
from person_unify.files.database import Database
from person_unify.files.journal import SIDE_FILES
from person_unify.files.new import require_hard_links
from person_unify.mappings.bind import bind
from person_unify.mappings.known import readable_tables, unified_tables
from person_unify.progress import PhaseFinished, PhaseStarted, Progress, TableStarted, silent
from person_unify.stages.publish import finished_ledger, publish
from person_unify.stages.rebuild import (
    CELLS_AT_ONCE,
    File,
    Rebuilder,
    RebuiltTable,
    StoredSchema,
    TableComparison,
    compare_table,
    stored_schema,
    write,
)
from person_unify.stages.snapshot import require_file, require_space, take

_PRAGMAS = (
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA cache_size = -65536",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA ignore_check_constraints = ON",
)


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What was rebuilt, and how it compares with the old database where one was given.

    not_created: views, triggers and the like that this SQLite could not create.
    """

    path: Path
    tables: tuple[RebuiltTable, ...]
    not_created: tuple[str, ...]
    comparison: tuple[TableComparison, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The report as JSON types."""
        compared = [{**asdict(found), "outcome": found.outcome} for found in self.comparison]
        return {**asdict(self), "path": str(self.path), "comparison": compared}

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def compared(self) -> int:
        """Tables that were compared and held rows."""
        return sum(found.outcome == "passed" for found in self.comparison)


def rebuild(
    target: Path, rebuilt: Path, old: Path | None = None, progress: Progress = silent
) -> RebuildReport:
    """Make the old database again as ``rebuilt``; compare it with ``old`` if that is given.

    Raises :class:`TargetError` for files that are not there or are in the way,
    :class:`MigrationError` for a volume on which nothing can be published, and
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
        require_hard_links(staging)
        staged = staging / "rebuilt.db"
        staged.touch(mode=0o600)
        snapshot = None if old is None else take(old, staging, datetime.now(UTC)).path
        with Database(ledger, read_only=True) as database:
            stored = stored_schema(database)
        with (
            File(target, unified_tables, settled=False) as there,
            File(ledger, settled=False) as kept,
            Database(staged) as database,
        ):
            for pragma in _PRAGMAS:
                database.execute(pragma)
            database.execute("BEGIN EXCLUSIVE")
            stored.create_tables(database)
            tables = readable_tables(database)
            plan = bind(tables, there.tables, lambda name: stored.rows[name] > 0)
            rebuilder = Rebuilder(there, kept, plan, tables)
            written, others = _written(database, rebuilder, stored, progress)
            comparison = () if snapshot is None else tuple(_compared(snapshot, rebuilder, progress))
            report = RebuildReport(rebuilt, written, others, comparison, 0.0)
            _require_equal(report)
            database.execute("COMMIT")
        publish(staged, rebuilt)
    return replace(report, seconds=perf_counter() - started)


def _written(
    database: Database, rebuilder: Rebuilder, stored: StoredSchema, progress: Progress
) -> tuple[tuple[RebuiltTable, ...], tuple[str, ...]]:
    """Fill every table, and make everything else that can be made; returns what cannot, too."""
    progress(PhaseStarted("rebuild"))
    started = perf_counter()
    written = []
    for name, table in rebuilder.tables.items():
        progress(TableStarted("rebuild", name))
        at_once = max(1, CELLS_AT_ONCE // max(1, len(table.columns)))
        rows = stored.rows.get(name, 0)
        written.append(write(database, rebuilder.table(name), rows, at_once))
    not_created = stored.create_others(database)
    rows = sum(table.rows for table in written)
    progress(PhaseFinished("rebuild", rows, perf_counter() - started))
    return tuple(written), not_created


def _compared(
    snapshot: Path, rebuilder: Rebuilder, progress: Progress
) -> Iterator[TableComparison]:
    """Every table of either database; one that only one of them has is a difference."""
    progress(PhaseStarted("compare"))
    started = perf_counter()
    with File(snapshot, readable_tables) as old:
        tables = rebuilder.tables
        if not old.tables and not tables:
            raise VerificationFailed("neither file has a table: there is nothing to compare")
        for name in dict.fromkeys((*old.tables, *tables)):
            progress(TableStarted("compare", name))
            mine, theirs = tables.get(name), old.tables.get(name)
            if mine is None or theirs is None or mine.columns != theirs.columns:
                problem = "the table or its columns are not the same in both"
                yield TableComparison(name, 0, 0, problem=problem)
            else:
                yield compare_table(old.store(name), rebuilder.table(name))
    progress(PhaseFinished("compare", 0, perf_counter() - started))


def _require_equal(report: RebuildReport) -> None:
    failed = [found for found in report.comparison if found.outcome in ("failed", "error")]
    if failed:
        shown = "; ".join(f"{found.table}: {found.said()}" for found in failed)
        raise VerificationFailed(
            f"{len(failed)} tables differ from the old database, nothing was published: {shown}"
        )
    wrong = [f"{t.name} {t.rows} of {t.expected}" for t in report.tables if t.rows != t.expected]
    if wrong:
        raise VerificationFailed(
            f"rows are not those that the ledger counted ({', '.join(wrong)}), nothing was "
            "published: the target or its ledger has been changed since the migration"
        )


def _require_free(path: Path) -> None:
    for name in (path.name, *(path.name + suffix for suffix in SIDE_FILES)):
        taken = path.with_name(name)
        if taken.exists() or taken.is_symlink():
            raise TargetError(f"{taken} exists already: give a path that does not exist yet")
    if not path.parent.is_dir():
        raise TargetError(f"{path.parent} is not a directory: create it first")
