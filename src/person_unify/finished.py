"""A finished run as its two files: target and ledger, opened read-only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote as percent

from person_unify.database import Database
from person_unify.errors import TargetError
from person_unify.ledger import CATALOG
from person_unify.schema import quote
from person_unify.stages.publish import ledger_path


@dataclass(frozen=True, slots=True)
class ArchiveTable:
    """The archive of one old table: its key, and the ledger's own two columns."""

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
        found[source] = ArchiveTable(source, tuple(k for (k,) in key), tuple(c for (c,) in columns))
    return found
