"""The run as the ledger records it: written before the commit, read again by later commands."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from person_unify.errors import DatabaseError, TargetError
from person_unify.evidence.checkpoints import Checkpoint
from person_unify.evidence.finished import run_record
from person_unify.files.database import Database
from person_unify.files.names import moment_of, stamped
from person_unify.frames.ledger import CATALOG, Ledger
from person_unify.options import POSTGRESQL
from person_unify.report import CheckResult, Report
from person_unify.stages.publish import PRE_MIGRATION
from person_unify.stages.verify import VerifyOptions

_SHA256 = re.compile("[0-9a-f]{64}")
_PASSED = {"passed": 1, "failed": 0, "error": 0}


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What a later verification needs to know of a run."""

    options: VerifyOptions
    source_sha256: str


ArtefactKind = Literal["source", "source_after", "snapshot", "pre_migration", "created", "target"]
_KINDS = frozenset(get_args(ArtefactKind))


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file of a run: where it is, and what it was when it was recorded.

    ``source`` is the old database before the run and ``source_after`` after it, ``pre_migration``
    an in-place target's backup, ``created`` says that there was no target before; ``target`` is the
    target as committed (SHA-256 None if unknown).  The path says what the file was called, and is
    no proof of anything: a ledger travels.
    """

    kind: ArtefactKind
    path: str
    sha256: str | None
    bytes: int | None


def record_artefacts(ledger: Ledger, artefacts: Iterable[Artefact]) -> None:
    """Add the files of a run to the ledger's ``artefacts``."""
    ledger.append_rows("artefacts", map(asdict, artefacts))


def recorded_files(ledger: Path, target: Path) -> Mapping[ArtefactKind, Artefact]:
    """The files of the run that the ledger beside ``target`` stands for; it is only read.

    Raises :class:`TargetError` where it is no ledger of a finished run, where that run was into a
    file of another name, and where it does not say what every run says, in the form in which every
    run says it.
    """
    try:
        with Database(ledger, read_only=True) as database:
            run = run_record(database, ledger, "main")
            if not database.value(
                "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'artefacts'"
            ):
                raise DatabaseError("no list of files")
            runs = database.value("SELECT count(*) FROM run")
            rows = database.rows("SELECT kind, path, sha256, bytes FROM artefacts LIMIT 100")
    except DatabaseError as error:
        raise TargetError(
            f"{ledger} is not the ledger of a finished run: nothing can be told of it"
        ) from error
    files = {row[0]: Artefact(*row) for row in rows if _as_a_run_writes(run.target, *row)}
    if (
        runs != 1
        or len(files) != len(rows)
        or not {"source", "snapshot"} <= files.keys()
        or len({"created", "pre_migration"} & files.keys()) != 1
        or ("created" in files and _was_there(target, run.started))
    ):
        raise TargetError(f"{ledger} was changed since its run: what it says of files is not used")
    if run.target != target.name:
        raise TargetError(
            f"{ledger} is about {run.target}, not about {target.name}: give that name"
        )
    return files


def _was_there(target: Path, started: int) -> bool:
    """Whether the copy stands there that a run of that moment made of a target in place."""
    for path in stamped(target, PRE_MIGRATION):
        with contextlib.suppress(ValueError):  # digits that are no date
            if int(moment_of(path.name.rpartition(PRE_MIGRATION)[2]).timestamp() * 1000) == started:
                return True
    return False


def _as_a_run_writes(target: str, kind: object, path: object, digest: object, size: object) -> bool:
    """Whether a row of ``artefacts`` has the shape that a run into a file of that name gives it.

    Only the word that there was no target before is about no file that was hashed.
    """
    hashed = digest is not None and size is not None
    if kind == "created":
        return (path, digest, size) == (target, None, None)
    if kind in ("snapshot", "pre_migration") and not hashed:
        return False
    return (
        kind in _KINDS
        and isinstance(path, str)
        and bool(Path(path).name)
        and (digest is None or (isinstance(digest, str) and bool(_SHA256.fullmatch(digest))))
        and (size is None or (isinstance(size, int) and size >= 0))
    )


def recorded_run_id(ledger: Path) -> str | None:
    """The id of the run that a ledger stands for; None if it is no complete ledger.

    Opened for writing, so that SQLite can settle what a commit that was cut off left behind.
    """
    if not ledger.is_file():
        return None
    try:
        with Database(ledger) as database:
            found = database.rows("SELECT id FROM run ORDER BY started DESC LIMIT 1")
    except DatabaseError:
        return None
    return str(found[0][0]) if found else None


def record_run(
    ledger: Ledger,
    report: Report,
    named: Mapping[str, str],
    checkpoints: Iterable[Mapping[str, object]],
) -> None:
    """Write run, checkpoints and verification into the ledger.

    named: ``id`` of the run, names of the files of ``source`` and ``target``.
    """
    ledger.append_rows(
        "run",
        [
            {
                **named,
                "tool_version": report.tool_version,
                "started": report.started_ms,
                "finished": report.finished_ms,
                "source_sha256": report.source.sha256,
                "options": json.dumps(dict(report.options), sort_keys=True),
                "outcome": report.outcome,
            }
        ],
    )
    # What has tables of its own is not written twice.
    rest = replace(report, verification=(), lineage=())
    ledger.append_rows("report", [{"json": json.dumps(rest.to_json())}])
    ledger.append_rows("checkpoints", checkpoints)
    ledger.append_rows(
        "verification",
        (
            {
                "check": check.name,
                "source_table": check.table,
                "expected": check.expected,
                "actual": check.actual,
                "passed": _PASSED.get(check.outcome),
                "outcome": check.outcome,
                "detail": check.detail,
            }
            for check in report.verification
        ),
    )


def recorded_checkpoints(database: Database, catalog: str = CATALOG) -> Iterator[Checkpoint]:
    """The checkpoints of a ledger, attached as ``catalog``."""
    columns = "phase, source_table, started, finished, rows, errors"
    for phase, table, started, finished, rows, errors in database.rows(
        f"SELECT {columns} FROM {catalog}.checkpoints ORDER BY rowid"
    ):
        said = tuple(json.loads(errors or "[]"))
        yield Checkpoint(phase, table, started, finished, rows, said)


def recorded_run(database: Database, ledger: Path) -> RecordedRun:
    """The latest run of an attached ledger; raises :class:`TargetError` if it records none."""
    record = run_record(database, ledger)
    zone, grants = record.options["timezone"], record.options["implied_grants"]
    kept, profile = record.options.get("ids_from"), record.options.get("for") == POSTGRESQL
    options = VerifyOptions(zone, grants, record.started, kept, profile)
    return RecordedRun(options, record.source_sha256)


def source_check(run: RecordedRun, digest: str) -> CheckResult:
    """Whether the source is byte for byte the one that was migrated; a later one only is a hint."""
    same = digest == run.source_sha256
    return CheckResult(
        name="source_hash",
        table=None,
        expected=run.source_sha256,
        actual=digest,
        outcome="passed" if same else "not_applicable",
        detail="" if same else "the source file has changed since the run",
    )


def recorded_decisions(database: Database) -> pl.DataFrame:
    """What became of the decisions of an attached ledger.

    Columns: ``kind``, ``outcome``, ``source_table``, ``source_id``.
    """
    columns = ("kind", "outcome", "source_table", "source_id")
    rows = database.rows(f"SELECT {', '.join(columns)} FROM {CATALOG}.decisions")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
