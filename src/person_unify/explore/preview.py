"""What ``check`` found, kept in memory: the same findings before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from person_unify.errors import UsageError
from person_unify.evidence.lineage import lineage
from person_unify.explore.store import (
    FATE,
    LOADED,
    RECORDS,
    ArchivedCells,
    ledger_schema,
    stacked,
    timed,
)
from person_unify.frames.ledger import TABLES
from person_unify.frames.model import Archive, Outcome
from person_unify.frames.odd import ODD, ROW, Rows, concat, escaped
from person_unify.mappings import CORE_TABLES
from person_unify.mappings.bind import Plan
from person_unify.report import Report
from person_unify.schema import folded
from person_unify.stages.resolve import Resolution

_PERSON = "person_id"


@dataclass(slots=True)
class Preview:
    """Watches a check and keeps what a ledger would hold.

    archives: whether every archive is kept, or only those of patients and children.
    """

    source: str
    archives: bool
    persons_rows: list[pl.DataFrame] = field(default_factory=list)
    counted: list[pl.DataFrame] = field(default_factory=list)
    said: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    kept: dict[str, list[Archive]] = field(default_factory=dict)
    report: Report | None = None

    @property
    def name(self) -> str:
        """What was checked."""
        return f"check of {self.source}"

    def __call__(self, found: Plan | Resolution | Outcome) -> None:
        """Keep what the check hands out."""
        if isinstance(found, Plan):
            self._say("lineage", lineage(found))
        elif isinstance(found, Resolution):
            self._say("discrepancies", *found.discrepancies)
            self._say("person_notes", found.notes)
            self._say("questions", found.questions)
            self._say("decisions", found.decisions)
            self._count("parent_child_views", found.outcomes.other_views())
            self._count("access_grants", found.implied)
        else:
            self._outcome(found)

    def _outcome(self, outcome: Outcome) -> None:
        for table, rows in outcome.rows.items():
            self._count(table, rows)
            if table == "persons":
                self.persons_rows.append(rows)
        for map_, frame in outcome.maps.items():
            self._say(map_, frame)
        self._say("discrepancies", *outcome.discrepancies)
        if outcome.archive is not None and (self.archives or folded(outcome.source) in CORE_TABLES):
            self.kept.setdefault(outcome.source, []).append(outcome.archive)

    def _say(self, table: str, *frames: pl.DataFrame) -> None:
        self.said.setdefault(table, []).extend(frames)

    def _count(self, table: str, rows: pl.DataFrame) -> None:
        if _PERSON in rows.columns:
            counted = rows.filter(pl.col(_PERSON).is_not_null()).group_by(_PERSON).len("rows")
            self.counted.append(
                counted.select(_PERSON, pl.lit(table).alias("table"), "rows").cast(RECORDS)
            )

    def finish(self, report: Report) -> None:
        """Keep the counts that the check ended with."""
        self.report = report
        self._say(
            "normalisations",
            pl.DataFrame(
                [(n.table, n.column, n.rule, n.cells) for n in report.normalisations],
                schema=ledger_schema("normalisations"),
                orient="row",
            ),
        )

    def table(self, name: str) -> pl.DataFrame:
        """What a ledger's table would hold."""
        if name not in TABLES:
            raise UsageError(f"a check has no table {name}")
        schema = ledger_schema(name)
        return stacked((f.select(schema.names()) for f in self.said.get(name, ())), schema)

    def archived_tables(self) -> list[str]:
        """The old tables whose archive was kept."""
        return list(self.kept)

    def archive(self, source: str, columns: Sequence[str] | None = None) -> ArchivedCells:
        """The archive that an old table would get, or some of its columns."""
        if source not in self.kept:
            raise UsageError(
                f"the check kept no archive of {source}: there is none, or it was not asked for; "
                "open_check(..., archives=True) keeps them all, in memory"
            )
        parts = self.kept[source]
        listed = {column for part in parts for column in part.columns}
        if columns is not None:
            asked = set(map(folded, columns))
            listed = {column for column in listed if folded(column) in asked}
        key = parts[0].key or (ROW,)
        wanted = [c for c in parts[0].beside_key if c in listed]
        names = {"@archived": "_archived", "@reason": "_reason", ROW: "_rowid"}
        rows = concat(parts)
        given = [c if c == ROW else escaped(c) for c in (*key, *wanted)]
        frame = rows.frame.select(ODD, *given, "@archived", "@reason")
        return ArchivedCells(
            frame.rename(names, strict=False),
            rows.odd,
            key=tuple(names.get(name, name) for name in key),
            columns=tuple(wanted),
            archived="_archived",
            reason="_reason",
        )

    def persons(self, columns: Sequence[str]) -> Rows:
        """``id``, and columns of the persons that there would be."""
        none = pl.DataFrame(schema={"id": pl.String()})
        wanted = {"id", *columns}
        made = [rows.select(c for c in rows.columns if c in wanted) for rows in self.persons_rows]
        frame = pl.concat([none, *made], how="diagonal")
        missing = (pl.lit(None, pl.String).alias(c) for c in columns if c not in frame.columns)
        return Rows(frame.with_columns(missing))

    def records(self) -> pl.DataFrame:
        """Per new table and person, the rows that would name the person."""
        frame = stacked(self.counted, RECORDS)
        return (
            frame.group_by("table", _PERSON)
            .agg(pl.sum("rows"))
            .select(list(RECORDS))
            .sort("table", _PERSON)
        )

    def fates(self) -> pl.DataFrame:
        """What would become of the rows of every old table."""
        tables = self._report().tables
        rows = [(t.source, LOADED, t.loaded) for t in tables]
        rows += [(t.source, why, count) for t in tables for why, count in t.archived.items()]
        return pl.DataFrame(rows, schema=FATE, orient="row")

    def timings(self) -> pl.DataFrame:
        """Rows and seconds per phase of the check."""
        return timed(self._report())

    def _report(self) -> Report:
        if self.report is None:
            raise UsageError("the check has not ended")
        return self.report
