"""A finished run on disk: the ledger and, where persons are asked for, the target beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import polars as pl

from person_unify.errors import TargetError
from person_unify.evidence.finished import (
    ArchiveTable,
    archives,
    names_of,
    reading_ledger,
    recorded_run_of,
)
from person_unify.explore.cells import as_type, text
from person_unify.explore.store import (
    FATE,
    LOADED,
    NOT_CARRIED,
    RECORDS,
    ArchivedCells,
    ledger_schema,
    timed,
)
from person_unify.files import read_bounded
from person_unify.files.database import Database, read_frame
from person_unify.frames.ledger import TABLES
from person_unify.frames.odd import ODD, Rows, escaped, respelt
from person_unify.progress import PHASES
from person_unify.report import Report
from person_unify.schema import folded, literal, quote
from person_unify.stages.extract import Extractor
from person_unify.stages.publish import ledger_path, report_path

ARCHIVE = "archive_"
_MOST_BYTES = 64_000_000
"""Of a report."""
_ONE_TO_ONE = {"patients": "patient_to_person", "children": "child_to_person"}


def find_ledger(path: Path) -> Path:
    """The ledger that a path names: itself, or the one beside a new database.

    Raises :class:`TargetError` when there is neither.
    """
    if not path.is_file():
        raise TargetError(f"{path} does not exist: give a ledger, or the new database beside it")
    with reading_ledger(path), Database(path, read_only=True) as database:
        names = {name for (name,) in database.rows("SELECT name FROM sqlite_master")}
    if {"run", "lineage", "patient_to_person"} <= names:
        return path
    beside = ledger_path(path)
    if "persons" in names and beside.is_file():
        return beside
    raise TargetError(
        f"{path} is no ledger and none stands beside it: give the file that ends in .ledger.db"
    )


class Files:
    """Reads a finished ledger and its target; neither is ever written."""

    def __init__(self, ledger: Path, target: Path | None = None) -> None:
        """Look at the ledger; raises :class:`TargetError` when it records no finished run."""
        self.ledger = ledger
        self._ledger = Extractor(ledger, lasting=False)
        self.record = recorded_run_of(ledger)
        self.source = ledger.with_name(self.record.source)
        self.target = target or ledger.with_name(self.record.target)

    @property
    def name(self) -> str:
        """The ledger's path."""
        return str(self.ledger)

    @property
    def tables(self) -> tuple[str, ...]:
        """Every table of the ledger, archives included."""
        return tuple(self._ledger.tables)

    def table(self, name: str) -> pl.DataFrame:
        """One of the ledger's own tables, with its columns in the types that it declares.

        Raises :class:`TargetError` where a cell is of another type, which no release writes.
        """
        if name not in self._ledger.tables:  # the ledger of an earlier release
            return pl.DataFrame(schema=ledger_schema(name))
        source = self._ledger.read(name)
        frame = source.frame.select(
            text(source, c) if source.has_odd(c) else pl.col(escaped(c)).alias(c)
            for c in source.table.column_names
        )
        declared = ledger_schema(name) if name in TABLES else frame.schema
        other = [c for c, dtype in declared.items() if frame.schema[c] not in (dtype, pl.Null)]
        if other:
            raise TargetError(
                f"{self.ledger} holds in {name}.{other[0]} what no run writes: it was edited or "
                "damaged"
            )
        return frame

    def archived_tables(self) -> list[str]:
        """The old tables that have an archive."""
        return [name.removeprefix(ARCHIVE) for name in self.tables if name.startswith(ARCHIVE)]

    def archive(self, source: str, columns: Sequence[str] | None = None) -> ArchivedCells:
        """The archive of an old table, or of some of its columns, in the order it was written."""
        table = self._ledger.tables[f"{ARCHIVE}{source}"]
        *names, archived, reason = table.column_names
        key = tuple(map(table.known, self._archives[source].key))
        asked = None if columns is None else set(map(folded, columns))
        wanted = [c for c in names if c not in key and (asked is None or folded(c) in asked)]
        kept = [*key, *wanted]
        read = self._ledger.read(table.name, [*kept, archived, reason])
        for listed in read.frame.select(text(read, archived)).to_series().unique():
            names_of(listed, source)
        own = (text(read, archived), text(read, reason))
        frame = read.frame.select(ODD, *[escaped(c) for c in kept], *own)
        rows = respelt(Rows(frame, read.odd), table.respelt)
        return ArchivedCells(
            rows.frame,
            rows.odd,
            key=tuple(map(table.written, key)),
            columns=tuple(map(table.written, wanted)),
            archived=archived,
            reason=reason,
        )

    @cached_property
    def _archives(self) -> Mapping[str, ArchiveTable]:
        with Database(self.ledger, read_only=True) as database:
            return archives(database, "main")

    def persons(self, columns: Sequence[str]) -> Rows:
        """``id`` as text, and columns of the new ``persons``."""
        source = self._target.read("persons", ["id", *columns])
        named = as_type(source, "id", "TEXT").alias("id")
        return Rows(source.frame.select(named, ODD, *columns), source.odd)

    def records(self) -> pl.DataFrame:
        """Per new table and person, the rows that name the person."""
        tables = [table.name for table in self._target.tables.values() if table.column("person_id")]
        queries = [
            f"SELECT CAST(person_id AS TEXT) AS c0, {literal(name)} AS c1, count(*) AS c2 "
            f"FROM {quote(name)} WHERE person_id IS NOT NULL GROUP BY person_id"
            for name in tables
        ]
        sentinel = "SELECT '' AS c0, '' AS c1, 0 AS c2 LIMIT 0"
        frame = read_frame(self._target.snapshot, sentinel, queries, list(RECORDS))
        return frame.cast(RECORDS).sort("table", "person_id")

    def fates(self) -> pl.DataFrame:
        """What became of the rows of every old table: verification, archives and maps say so."""
        checks = self.table("verification").filter(pl.col("expected").is_not_null())
        counted = checks.filter(check="rows_accounted").select("source_table", "expected")
        rows = {name: self._whole(count) for name, count in counted.iter_rows()}
        names = self.table("lineage")["source_table"].unique(maintain_order=True)
        rows |= {n: self._count(_ONE_TO_ONE[folded(n)]) for n in names if folded(n) in _ONE_TO_ONE}
        kept_out = self._kept_out()
        lost = dict(kept_out.group_by("source_table").agg(pl.sum("rows")).iter_rows())
        loaded = [(n, LOADED, rows.get(n, lost.get(n, 0)) - lost.get(n, 0)) for n in names]
        return pl.concat([pl.DataFrame(loaded, schema=FATE, orient="row"), kept_out])

    def _whole(self, text: str) -> int:
        if not text.isdecimal():
            raise TargetError(
                f"{self.ledger} counts rows in verification with what is no number: it was edited "
                "or damaged"
            )
        return int(text)

    def _count(self, table: str) -> int:
        with Database(self.ledger, read_only=True) as database:
            return int(database.value(f"SELECT count(*) FROM {quote(table)}"))

    def _kept_out(self) -> pl.DataFrame:
        queries = [
            f"SELECT {literal(kept.source)} AS c0, {kept.reason} AS c1, count(*) AS c2 "
            f"FROM {kept.table} WHERE {kept.reason} <> '{NOT_CARRIED}' GROUP BY {kept.reason}"
            for kept in self._archives.values()
        ]
        if not queries:
            return pl.DataFrame(schema=FATE)
        sentinel = "SELECT '' AS c0, '' AS c1, 0 AS c2 LIMIT 0"
        # Several connections answer in any order.
        found = read_frame(self.ledger, sentinel, queries, list(FATE)).cast(FATE)
        return found.sort("source_table", "reason")

    def timings(self) -> pl.DataFrame:
        """Rows and seconds per phase, from the report beside the ledger where it is of this run."""
        report = self._report()
        if report is not None:
            return timed(report)
        points = self.table("checkpoints").filter(pl.col("phase").is_in(PHASES))
        return points.select(
            "phase", "rows", seconds=(pl.col("finished") - pl.col("started")) / 1000
        ).sort(pl.col("phase").replace_strict(list(PHASES), list(range(len(PHASES)))))

    def _report(self) -> Report | None:
        path = report_path(self.target)
        try:
            report = Report.from_json(json.loads(read_bounded(path, _MOST_BYTES)))
        except (ValueError, TypeError, RecursionError):
            return None  # moved away, or written by something else: the ledger knows enough
        ours = self.record.is_of(report.started_ms, report.source.sha256)
        return report if ours else None

    @cached_property
    def _target(self) -> Extractor:
        if not self.target.is_file():
            raise TargetError(
                f"{self.target} does not exist, and persons are read from there: "
                "name the new database, as in open_run(ledger, target=...)"
            )
        return Extractor(self.target, lasting=False)
