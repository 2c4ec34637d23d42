"""A finished run as its two files: target and ledger, opened read-only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote as percent

from person_unify.database import Database
from person_unify.errors import DatabaseError, TargetError
from person_unify.ledger import CATALOG
from person_unify.mappings.known import old_table
from person_unify.report import CheckResult, FileFacts, LineageLine, Report
from person_unify.schema import Table, quote
from person_unify.stages.publish import ledger_path


@dataclass(frozen=True, slots=True)
class ArchiveTable:
    """The archive of one old table: its key, and the ledger's own two columns.

    Columns that the old schema has go by the name that it gives them.
    """

    source: str
    key: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def table(self) -> str:
        """The archive as SQL."""
        return f"{CATALOG}.{quote(f'archive_{self.source}')}"

    @property
    def listed(self) -> str:
        """The column with the JSON list of what the row archives, as SQL."""
        return quote(self.columns[-2])

    @property
    def reason(self) -> str:
        """The column that says why, as SQL."""
        return quote(self.columns[-1])


@contextmanager
def finished_run(target: Path) -> Iterator[Database]:
    """Open a target with its ledger attached; raises :class:`TargetError` where there is no run."""
    ledger = ledger_path(target)
    for path in (target, ledger):
        if not path.is_file():
            raise TargetError(f"{path} does not exist: name a migrated database beside its ledger")
    with Database(target, read_only=True) as database:
        uri = f"file:{percent(str(ledger))}?mode=ro".replace("'", "''")
        database.execute(f"ATTACH '{uri}' AS {CATALOG}")
        tables = {str(n) for (n,) in database.rows(f"SELECT name FROM {CATALOG}.sqlite_master")}
        if "run" not in tables or not database.value(f"SELECT count(*) FROM {CATALOG}.run"):
            raise TargetError(f"{ledger} records no finished run: it does not belong to {target}")
        yield database


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
            found = database.rows("SELECT target FROM run ORDER BY started DESC LIMIT 1")
    except DatabaseError:
        return path  # whoever reads it next says what is wrong with it
    if not found:
        raise TargetError(f"{path} records no finished run: the migration was broken off")
    target = path.with_name(Path(str(found[0][0])).name or path.name)
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
        names = {str(n) for (n,) in database.rows(f"SELECT name FROM {CATALOG}.sqlite_master")}
        if "report" not in names:
            raise TargetError(f"{ledger_path(target)} was written by an earlier release: no report")
        texts = database.rows(f"SELECT json FROM {CATALOG}.report ORDER BY rowid DESC LIMIT 1")
        checks = database.rows(
            'SELECT "check", source_table, expected, actual, outcome, detail '
            f"FROM {CATALOG}.verification"
        )
        lines = database.rows(
            "SELECT source_table, source_column, disposition, target_table, target_column, rule "
            f"FROM {CATALOG}.lineage"
        )
        artefacts = {
            kind: (path, size, digest)
            for kind, path, size, digest in database.rows(
                f"SELECT kind, path, bytes, sha256 FROM {CATALOG}.artefacts ORDER BY rowid"
            )
        }
    try:
        report = Report.from_json(json.loads(texts[0][0]))
        after = artefacts.get("source_after", (None, None, None))[2]
        return replace(
            report,
            outcome="published",
            verification=tuple(CheckResult(*row) for row in checks),
            lineage=tuple(LineageLine(*row) for row in lines),
            target=FileFacts(str(target), target.stat().st_size, artefacts["target"][2]),
            ledger=str(ledger_path(target)),
            files={
                name: artefacts[kind][0]
                for name, kind in (("backup", "snapshot"), ("target before", "pre_migration"))
                if kind in artefacts and (kind != "snapshot" or report.options.get("keep_backup"))
            },
            source_sha256_after=after,
            source_changed=after not in (None, report.source.sha256),
        )
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise TargetError(f"{ledger_path(target)} holds no readable report of its run") from error


def archives(database: Database) -> dict[str, ArchiveTable]:
    """The archives of an attached ledger, by the old table's name in the file."""
    found: dict[str, ArchiveTable] = {}
    for (name,) in database.rows(
        f"SELECT name FROM {CATALOG}.sqlite_master WHERE type = 'table' "
        "AND name GLOB 'archive_*' ORDER BY rowid"
    ):
        text = "'" + name.replace("'", "''") + "'"
        columns = database.rows(
            f"SELECT name FROM pragma_table_info({text}, '{CATALOG}') ORDER BY cid"
        )
        # An archive has one index, on what names its rows.
        key = database.rows(
            f"SELECT c.name FROM pragma_index_list({text}, '{CATALOG}') AS i, "
            f"pragma_index_info(i.name, '{CATALOG}') AS c ORDER BY c.seqno"
        )
        source = name.removeprefix("archive_")
        known = old_table(source) or Table(source, ())
        found[source] = ArchiveTable(
            source,
            tuple(known.known(column) for (column,) in key),
            tuple(known.known(column) for (column,) in columns),
        )
    return found
