"""Target and ledger as a trace reads them: keys, maps and archive lists, no other cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from person_unify.errors import TargetError
from person_unify.evidence.finished import ArchiveTable, archives, lines_in
from person_unify.files.database import Database
from person_unify.frames.ledger import CATALOG
from person_unify.mappings import COLLISIONS, ID_MAPS, SHORT_NAMES
from person_unify.mappings.known import old_table
from person_unify.report import LineageLine
from person_unify.schema import OLD, Catalogue, Schema, folded, literal, quote

NOT_CARRIED = "not_carried"

_FEW = 10
"""Ids of each place that are looked up by their beginning."""


@dataclass(frozen=True, slots=True)
class Record:
    """A row of the old (``side``) or the new database: its table, key columns and their values."""

    side: Literal["old", "new"]
    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


@dataclass(frozen=True)
class Books:
    """Target and ledger of a finished run.

    target: its tables.  lines: the recorded lineage, with the old schema's names of columns.
    archives: by the old table's name.
    """

    database: Database
    target: Schema
    lines: tuple[LineageLine, ...]
    archives: Mapping[str, ArchiveTable]

    @classmethod
    def of(cls, database: Database, target: Schema) -> Books:
        """The books of a finished run; the ledger is attached.

        Raises :class:`TargetError` where its lineage does not go with the target.
        """
        said = tuple(
            replace(line, source_column=known(line.source_table, line.source_column))
            for line in lines_in(database)
        )
        reached = (line.target_table for line in said)
        lacks = [name for name in reached if name and name not in target]
        if lacks:
            raise TargetError(
                f"the ledger's lineage leads to {lacks[0]}, a table that the new database lacks: "
                "one of the two has been changed since the run"
            )
        return cls(database, target, said, archives(database))

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The old tables, as the file names them."""
        return tuple(dict.fromkeys(line.source_table for line in self.lines))

    @cached_property
    def homes(self) -> dict[str, tuple[str, ...]]:
        """Old table -> the target tables that its rows go to."""
        found: dict[str, dict[str, None]] = {name: {} for name in self.sources}
        for line in self.lines:
            if line.target_table is not None:
                found[line.source_table][line.target_table] = None
        return {name: tuple(targets) for name, targets in found.items()}

    def filling(self, target: str) -> tuple[str, ...]:
        """The old tables whose rows go to a target table."""
        return tuple(name for name, targets in self.homes.items() if target in targets)

    def in_file(self, name: str) -> list[str]:
        """An old table by its usual or its short name, as the file names it, if it has it."""
        there = Catalogue({source: source for source in self.sources})
        asked = folded(name)
        usual = next((u for u, short in SHORT_NAMES.items() if short == asked), asked)
        names = (asked, usual, SHORT_NAMES.get(asked, asked))
        return [there[n] for n in names if n in there][:1]

    def usual(self, source: str) -> str:
        """The contract's name of an old table."""
        there = set(map(folded, self.sources))
        for usual, short in SHORT_NAMES.items():
            if short == folded(source) and usual not in there:
                return usual
        return OLD[source].name if source in OLD else source

    def key_of(self, source: str) -> tuple[str, ...]:
        """The columns that name a row of an old table; ``_rowid`` where nothing else does."""
        known = OLD.get(self.usual(source))
        if known is not None and known.primary_key:
            return known.primary_key
        archive = self.archives.get(source)
        if archive is not None:
            return archive.key
        for target in self.homes.get(source, ()):
            pairs = [self.source_of(source, target, c) for c in self.target[target].primary_key]
            if all(pairs):
                return tuple(str(column) for column in pairs)
        return ()

    def source_of(self, source: str, target: str, column: str) -> str | None:
        """The column of an old table that a target column holds."""
        place = (target, column)
        mine = (line for line in self.lines if line.source_table == source)
        found = (line for line in mine if (line.target_table, line.target_column) == place)
        return next((line.source_column for line in found), None)

    def always_archived(self, source: str) -> bool:
        """Whether every row of an old table has a row in its archive, found by its key."""
        archive = self.archives.get(source)
        if archive is None or not set(self.key_of(source)) <= set(archive.columns):
            return False
        mine = (line for line in self.lines if line.source_table == source)
        return any(line.target_table is None for line in mine)

    def texts(
        self, columns: Sequence[str], origin: str, where: str
    ) -> list[tuple[str | None, ...]]:
        """Key cells as texts; whatever their bytes are, they travel as hexadecimal digits."""
        listed = ", ".join(
            f"CASE WHEN {c} IS NOT NULL THEN hex(CAST({c} AS BLOB)) END" for c in columns
        )
        rows = self.database.rows(f"SELECT DISTINCT {listed} FROM {origin} WHERE {where}")
        return [
            tuple(
                None if c is None else bytes.fromhex(str(c)).decode("utf-8", "backslashreplace")
                for c in row
            )
            for row in rows
        ]

    def keys(
        self, columns: Sequence[str], origin: str, key: Sequence[str]
    ) -> list[tuple[str, ...]]:
        """The keys of an origin that begin so, in order; columns: those of the key."""
        rows = self.texts(list(map(quote, columns)), origin, matches(columns, key))
        return [tuple(map(str, row)) for row in rows]

    def beginning(self, prefix: str) -> list[str]:
        """The ids of old and new records that begin so, a few more than one at the most."""
        places = [
            (f"{CATALOG}.{name}", column)
            for name in (*ID_MAPS.values(), COLLISIONS)
            for column in ("old_id", "new_id")
        ]
        places += [(a.table, quote(a.key[0])) for a in self.archives.values() if a.key]
        places += [
            (f"main.{quote(table.name)}", quote(table.primary_key[0]))
            for table in self.target.values()
            if table.primary_key
        ]
        found: dict[str, None] = {}
        for origin, column in places:
            where = f"substr({column}, 1, {len(prefix)}) = {literal(prefix)} LIMIT {_FEW}"
            rows = self.texts([column], origin, where)
            found.update(dict.fromkeys(str(row[0]) for row in rows))
        return list(found)

    def exists(self, record: Record) -> bool:
        """Whether the target has a record of the new side."""
        where = matches(record.columns, record.key)
        return bool(
            self.database.value(
                f"SELECT EXISTS (SELECT 1 FROM main.{quote(record.table)} WHERE {where})"
            )
        )

    def lists(self, record: Record) -> list[tuple[str, str]]:
        """``(list of archived columns, reason)`` of an old record's row in the archive."""
        archive = self.archives.get(record.table)
        if archive is None or not set(record.columns) <= set(archive.columns):
            return []
        where = matches(record.columns, record.key)
        return [
            (str(listed), str(reason))
            for listed, reason in self.database.rows(
                f"SELECT {archive.listed}, {archive.reason} FROM {archive.table} WHERE {where}"
            )
        ]

    def kept_out(self, record: Record) -> str | None:
        """Why an old record is in the archive alone; None where it is not."""
        reasons = (reason for _, reason in self.lists(record))
        return next((reason for reason in reasons if reason != NOT_CARRIED), None)


def known(table: str, column: str) -> str:
    """A column of an old table by the name that the old schema gives it."""
    of = old_table(table)
    return column if of is None else of.known(column)


def matches(columns: Sequence[str], key: Sequence[str]) -> str:
    """A condition on the columns of a key, as far as the key goes."""
    pairs = zip(columns, key, strict=False)
    return " AND ".join(f"{quote(column)} IN ({_literals(part)})" for column, part in pairs)


def _literals(part: str) -> str:
    """A text, and the number that it may be: archive columns have no affinity to bridge the two."""
    text = literal(part)
    return f"{text}, {part}" if part.isascii() and part.isdigit() and len(part) < 19 else text
