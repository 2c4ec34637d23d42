"""A finished run as its two files: target and ledger, opened read-only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from person_unify.errors import DatabaseError, DatabaseLocked, TargetError, UsageError
from person_unify.files.database import Database
from person_unify.frames.ledger import CATALOG, TABLES
from person_unify.frames.timezones import zone
from person_unify.mappings.known import old_table
from person_unify.report import INSTANTS, CheckResult, FileFacts, LineageLine, Report, Shape, shaped
from person_unify.schema import Table, folded, literal, quote
from person_unify.stages.publish import ledger_path


@dataclass(frozen=True, slots=True)
class ArchiveTable:
    """The archive of one old table: its key, and the ledger's own two columns.

    Columns that the old schema has go by the name that it gives them.
    """

    source: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    catalog: str = CATALOG

    @property
    def table(self) -> str:
        """The archive as SQL."""
        return f"{self.catalog}.{quote(f'archive_{self.source}')}"

    @property
    def listed(self) -> str:
        """The column with the JSON list of what the row archives, as SQL."""
        return quote(self.columns[-2])

    @property
    def reason(self) -> str:
        """The column that says why, as SQL."""
        return quote(self.columns[-1])


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The latest run of a ledger; started: ms since the epoch.  source, target: names of files."""

    id: str
    started: int
    source: str
    target: str
    source_sha256: str
    options: Mapping[str, Any]

    def is_of(self, started: object, source_sha256: object) -> bool:
        """Whether a report that says when its run began, and of which source, is of this run."""
        return (started, source_sha256) == (self.started, self.source_sha256)


_DEMANDED = {"run", "lineage", "patient_to_person", "child_to_person", "discrepancies"}
"""Tables that every release has written."""


@contextmanager
def reading_ledger(ledger: Path) -> Iterator[None]:
    """Have what a driver cannot read be a :class:`TargetError` that names the ledger."""
    try:
        yield
    except DatabaseLocked:
        raise
    except DatabaseError as error:
        raise TargetError(f"{ledger} is no ledger, or is damaged: {error}") from error


def run_record(database: Database, ledger: Path, catalog: str = CATALOG) -> RunRecord:
    """The run that a ledger stands for, checked: it is a file that travels and may be edited.

    Raises :class:`TargetError` for what is no ledger, records no finished run, or says of it what
    no release writes.
    """
    with reading_ledger(ledger):
        _require_form(database, ledger, catalog)
        names = ("id", "started", "source", "target", "source_sha256", "options")
        rows = database.rows(
            f"SELECT {', '.join(names)} FROM {catalog}.run ORDER BY started DESC LIMIT 1"
        )
    if not rows:
        raise TargetError(f"{ledger} records no finished run: the migration was broken off")
    wrong = [name for name, cell in zip(names, rows[0], strict=True) if not _can_be(name, cell)]
    if wrong:
        raise TargetError(
            f"{ledger} says of its run what no run has ({', '.join(wrong)}): it was edited or "
            "damaged"
        )
    id_, started, source, target, digest, options = rows[0]
    return RunRecord(id_, started, source, target, digest, json.loads(options))


def _require_form(database: Database, ledger: Path, catalog: str) -> None:
    """Refuse a file that lacks the tables of a ledger, or has others under their names.

    What SQLite has made of the schema counts, not what the schema says that it is: a view may
    never end, and a virtual table is a program.
    """
    for name, really, said in database.rows(
        "SELECT l.name, l.type, m.type FROM pragma_table_list AS l "
        f"LEFT JOIN {catalog}.sqlite_master AS m ON m.name = l.name WHERE l.schema = '{catalog}'"
    ):
        ours = folded(name) in TABLES or folded(name).startswith("archive_")
        if really != "table" and (ours or said == "table"):
            raise TargetError(
                f"{ledger} has a {really} called {name}, which no run makes: it was edited"
            )
    found: dict[str, set[str]] = {}
    for table, column in database.rows(
        f"SELECT m.name, c.name FROM {catalog}.sqlite_master AS m, "
        f"pragma_table_info(m.name, '{catalog}') AS c WHERE m.type = 'table'"
    ):
        found.setdefault(folded(table), set()).add(folded(column))
    if not found.keys() >= _DEMANDED:
        raise TargetError(f"{ledger} is not the ledger of a finished migration")
    other = [name for name in TABLES if name in found and not found[name] >= TABLES[name].keys()]
    if other:
        raise TargetError(
            f"{ledger} has a table {other[0]} of another form: it was edited, or is of another "
            "release"
        )


def _can_be(name: str, cell: object) -> bool:
    """Whether a cell of ``run`` is what a release of ours writes there."""
    if name == "started":
        return isinstance(cell, int) and cell in INSTANTS
    if not isinstance(cell, str) or not cell or "\0" in cell:
        return False
    match name:
        case "source" | "target":
            return cell != ".." and Path(cell).name == cell
        case "source_sha256":
            return re.fullmatch("[0-9a-f]{64}", cell) is not None
        case "options":
            return _are_options(cell)
    return True


def _are_options(text: str) -> bool:
    try:
        options = json.loads(text)
        zone(options["timezone"])
        return options["implied_grants"] in ("active", "pending", "none")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, UsageError):
        return False


def recorded_run_of(ledger: Path) -> RunRecord:
    """The run that a ledger stands for, from the ledger alone; raises :class:`TargetError`."""
    if not ledger.is_file():
        raise TargetError(f"{ledger} does not exist: give the ledger of a finished migration")
    with reading_ledger(ledger), Database(ledger, read_only=True) as database:
        return run_record(database, ledger, "main")


@contextmanager
def finished_run(target: Path, ledger: Path | None = None) -> Iterator[Database]:
    """Open a target with its ledger attached; raises :class:`TargetError` where there is no run."""
    ledger = ledger or ledger_path(target)
    for path in (target, ledger):
        if not path.is_file():
            raise TargetError(f"{path} does not exist: name a migrated database beside its ledger")
    with Database(target, read_only=True) as database:
        with reading_ledger(ledger):
            database.attach(ledger, CATALOG, read_only=True)
        run_record(database, ledger)
        yield database


def names_of(listed: object, table: str) -> list[str]:
    """The columns in the JSON list of an archive's row; raises :class:`TargetError`."""
    try:
        names = json.loads(listed) if isinstance(listed, str) else None
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TargetError(
            f"the ledger's archive of {table} has a row that does not say what it archives: the "
            "ledger has been changed since the run"
        )
    return names


def target_of(path: Path) -> Path:
    """The new database that a path names: itself, or the one of whose run it is the ledger.

    Raises :class:`TargetError` for a ledger that says it belongs to a file of another name.
    """
    if not path.is_file():
        return path
    try:
        with Database(path, read_only=True) as database:
            names = {str(n) for (n,) in database.rows("SELECT name FROM sqlite_master")}
            if not {"run", "lineage", "patient_to_person"} <= names:
                return path
            record = run_record(database, path, "main")
    except DatabaseError:
        return path  # whoever reads it next says what is wrong with it
    target = path.with_name(record.target)
    if ledger_path(target) != path:
        raise TargetError(
            f"{path} is the ledger of a database called {target.name}: give both their names back"
        )
    return target


def finished_report(target: Path) -> Report:
    """The report of a finished run, from its ledger alone.

    Raises :class:`TargetError` where the ledger has none, or one that cannot be read.
    """
    with finished_run(target) as database:
        return report_in(database, target, ledger_path(target))


def report_in(database: Database, target: Path, ledger: Path) -> Report:
    """The report of a verified run, whose target and attached ledger may be staged files yet."""
    names = {str(n) for (n,) in database.rows(f"SELECT name FROM {CATALOG}.sqlite_master")}
    if "report" not in names:
        raise TargetError(f"{ledger} was written by an earlier release: no report")
    texts = database.rows(f"SELECT json FROM {CATALOG}.report ORDER BY rowid DESC LIMIT 1")
    checks = 'SELECT "check", source_table, expected, actual, outcome, detail'
    checks += f" FROM {CATALOG}.verification"
    listed = database.rows(
        f"SELECT kind, path, coalesce(bytes, 0), sha256 FROM {CATALOG}.artefacts ORDER BY rowid"
    )
    try:
        report = Report.from_json(json.loads(texts[0][0]))
        artefacts = {
            kind: shaped(FileFacts, {"path": path, "bytes": size, "sha256": digest})
            for kind, path, size, digest in listed
        }
        after = artefacts["source_after"].sha256 if "source_after" in artefacts else None
        size, digest = target.stat().st_size, artefacts["target"].sha256
        return replace(
            report,
            outcome="published",
            verification=rows_as(CheckResult, database, "verification", checks),
            lineage=lines_in(database),
            target=FileFacts(str(target), size, digest),
            ledger=str(ledger),
            files={
                name: artefacts[kind].path
                for name, kind in (("backup", "snapshot"), ("target before", "pre_migration"))
                if kind in artefacts and (kind != "snapshot" or report.options.get("keep_backup"))
            },
            source_sha256_after=after,
            source_changed=after not in (None, report.source.sha256),
        )
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise TargetError(
            f"{ledger} holds no readable report of its run: it was edited or damaged, or "
            "is of another release"
        ) from error


def rows_as(kind: type[Shape], database: Database, table: str, query: str) -> tuple[Shape, ...]:
    """The rows of a query over a table of the ledger, as they are shaped who show them.

    Raises :class:`TargetError` for a row that no run writes.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    try:
        return tuple(
            shaped(kind, dict(zip(names, row, strict=False))) for row in database.rows(query)
        )
    except (ValueError, TypeError) as error:
        raise TargetError(
            f"the ledger's {table} has a row that no run writes: the ledger has been changed since "
            "the run"
        ) from error


def lines_in(database: Database) -> tuple[LineageLine, ...]:
    """The lineage that an attached ledger holds; raises :class:`TargetError`."""
    columns = "source_table, source_column, disposition, target_table, target_column, rule"
    query = f"SELECT {columns} FROM {CATALOG}.lineage"
    return rows_as(LineageLine, database, "lineage", query)


def archives(database: Database, catalog: str = CATALOG) -> dict[str, ArchiveTable]:
    """The archives of a ledger, attached as ``catalog``, by the old table's name in the file."""
    found: dict[str, ArchiveTable] = {}
    for (name,) in database.rows(
        f"SELECT name FROM {catalog}.sqlite_master WHERE type = 'table' "
        "AND name GLOB 'archive_*' ORDER BY rowid"
    ):
        columns = database.rows(
            f"SELECT name FROM pragma_table_info({literal(name)}, '{catalog}') ORDER BY cid"
        )
        # An archive has one index, on what names its rows.
        key = database.rows(
            f"SELECT c.name FROM pragma_index_list({literal(name)}, '{catalog}') AS i, "
            f"pragma_index_info(i.name, '{catalog}') AS c ORDER BY c.seqno"
        )
        source = name.removeprefix("archive_")
        known = old_table(source) or Table(source, ())
        found[source] = ArchiveTable(
            source,
            tuple(known.known(column) for (column,) in key),
            tuple(known.known(column) for (column,) in columns),
            catalog,
        )
    return found
