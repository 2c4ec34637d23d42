"""A run, or a check before it, with everything that was found as Polars frames."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import polars as pl

from person_unify.errors import UsageError
from person_unify.evidence.diff import diff
from person_unify.evidence.trace import trace
from person_unify.explore import derive, evidence
from person_unify.explore.cells import CLASSES, as_type, spelled
from person_unify.explore.columns import INSTANT, VALUES, schema_of
from person_unify.explore.files import Files, find_ledger
from person_unify.explore.preview import Preview
from person_unify.explore.store import Store
from person_unify.frames.model import left_join
from person_unify.options import CheckOptions
from person_unify.pipeline import check

__all__ = ["CLASSES", "Run", "open_check", "open_run"]


class Run:
    """Everything a run or a check found; each frame is read when it is first asked for, and kept.

    Personal values are covered unless it was opened with ``reveal=True``: the value columns of
    ``discrepancies`` and the tags of ``maps`` read ``•••`` where there is a value, and ``archive``
    says only which class each cell has.  Ids, counts, names of tables and columns always show.
    The columns of every frame: :data:`person_unify.explore.FRAMES`.
    """

    def __init__(self, store: Store, *, reveal: bool = False) -> None:
        """Use :func:`open_run` or :func:`open_check`."""
        self._store = store
        self.reveal = reveal

    def __repr__(self) -> str:
        values = "values revealed: personal data" if self.reveal else "values covered"
        return f"<{self._store.name}, {values}>"

    @cached_property
    def discrepancies(self) -> pl.DataFrame:
        """What a person should look at, one row each (contract section 8)."""
        found = derive.covered(self._found, VALUES, self.reveal)
        return self._shaped("discrepancies", self._named(found))

    @cached_property
    def questions(self) -> pl.DataFrame:
        """What a person may decide, and how."""
        return self._decidable("questions", ("evidence",))

    @cached_property
    def decisions(self) -> pl.DataFrame:
        """What was decided, and what came of it."""
        return self._decidable("decisions", ("evidence", "note"))

    @cached_property
    def persons(self) -> pl.DataFrame:
        """One row per person: its origin, and how many records of each sort hang on it."""
        return self._shaped("persons", self._named(derive.persons(self._store, self._found)))

    @cached_property
    def records(self) -> pl.DataFrame:
        """One row per person and new table: how many rows name the person."""
        return self._shaped("records", self._store.records())

    @cached_property
    def maps(self) -> pl.DataFrame:
        """Every id map: which old id became which new one."""
        return self._shaped("maps", derive.maps(self._store, self.reveal))

    @cached_property
    def tables(self) -> pl.DataFrame:
        """One row per old table: ``rows = loaded + archived``, and why."""
        return self._shaped("tables", derive.tables(self._fates, self.lineage))

    @cached_property
    def flow(self) -> pl.DataFrame:
        """One row per old table and end of its rows."""
        return self._shaped("flow", derive.flow(self._fates, self.lineage))

    @cached_property
    def completeness(self) -> pl.DataFrame:
        """How many old records fill each demographic field, by sort of record."""
        return self._shaped("completeness", derive.completeness(self._store))

    @cached_property
    def birth_dates(self) -> pl.DataFrame:
        """The linked children whose date of birth differs from their patient's, and by how much."""
        return self._shaped("birth_dates", derive.birth_dates(self._found))

    @cached_property
    def lineage(self) -> pl.DataFrame:
        """Where every old column went, and by which rule."""
        return self._shaped("lineage", self._store.table("lineage"))

    @cached_property
    def normalisations(self) -> pl.DataFrame:
        """How many cells of every old column a rule brought into canonical form."""
        return self._shaped("normalisations", self._store.table("normalisations"))

    @cached_property
    def notes(self) -> pl.DataFrame:
        """Which fields of a person differed between patient and child."""
        return self._shaped("notes", self._store.table("person_notes"))

    @cached_property
    def verification(self) -> pl.DataFrame:
        """Every check of the run; empty before a migration, which has nothing to verify."""
        found = self._store.table("verification")
        return self._shaped("verification", found.with_columns(pl.col("passed").cast(pl.Boolean)))

    @cached_property
    def timings(self) -> pl.DataFrame:
        """Rows and seconds of every phase."""
        return self._shaped("timings", self._store.timings())

    @cached_property
    def runs(self) -> pl.DataFrame:
        """The run as the ledger records it; empty before a migration."""
        runs = self._store.table("run")
        return self._shaped("runs", runs.with_columns(pl.col("started", "finished").cast(INSTANT)))

    def archive(self, table: str) -> pl.DataFrame:
        """What the new database does not hold of an old table, one row per old row concerned.

        Every archived column is followed by ``<column>_class``, one of :data:`CLASSES`, NULL where
        this row archives other columns only; with ``reveal=False`` the class stands alone.  Cells
        are text: numbers in decimal, BLOBs and text that is not UTF-8 in hexadecimal.  Key columns
        that are ids, ``_archived`` and ``_reason`` always show.  Raises :class:`UsageError` when
        there is no such archive.
        """
        if table not in self._store.archived_tables():
            kept = ", ".join(self._store.archived_tables()) or "nothing"
            raise UsageError(f"there is no archive of {table}; archived is: {kept}")
        found = self._store.archive(table)
        ids = [name for name in found.key if derive.is_id(name)]
        values = [name for name in (*found.key, *found.columns) if name not in ids]
        concealed = () if self.reveal else values
        return pl.concat(
            [
                found.frame.select(as_type(found, c, "TEXT").alias(c) for c in ids),
                spelled(found, values, found.archived, concealed),
                found.frame.select(found.archived, found.reason),
            ],
            how="horizontal",
        )

    @property
    def archived_tables(self) -> list[str]:
        """The names that :meth:`archive` takes."""
        return self._store.archived_tables()

    def diff(
        self,
        table: str,
        column: str | None = None,
        *,
        source: str | Path | None = None,
        limit: int = 20,
    ) -> pl.DataFrame:
        """Where the new database differs from the old one, of an old table or all that fill a new.

        ``source`` is the old database or its backup; by default the file of its name beside the
        ledger.  Columns: :data:`person_unify.explore.DIFFERENCES`; empty when nothing differs.
        Raises :class:`UsageError` for an unknown table or column, and for a check.
        """
        files = self._files("diff compares finished databases")
        old = Path(source) if source is not None else files.source
        return evidence.differences(diff(old, files.target, table, column, limit), self.reveal)

    def trace(self, kind: str, *key: str) -> pl.DataFrame:
        """What became of an old record, or what a new one comes from; ids and columns only.

        ``kind`` is ``patient``, ``child``, ``person``, … or the name of an old or a new table.
        Columns: :data:`person_unify.explore.TRACE`.  Raises :class:`UsageError` for an unknown kind
        or key, and for a check.
        """
        files = self._files("trace follows records into the new database")
        return evidence.traces(trace(files.target, kind, *key), self.reveal)

    def _files(self, why: str) -> Files:
        if not isinstance(self._store, Files):
            raise UsageError(f"{why}, and this is a check: migrate first, then open_run")
        return self._store

    def _decidable(self, name: str, covered: tuple[str, ...]) -> pl.DataFrame:
        return self._shaped(name, derive.covered(self._store.table(name), covered, self.reveal))

    @cached_property
    def _found(self) -> pl.DataFrame:
        return self._store.table("discrepancies")

    @cached_property
    def _fates(self) -> pl.DataFrame:
        return self._store.fates()

    def _named(self, frame: pl.DataFrame) -> pl.DataFrame:
        if not self.reveal:
            return frame
        names = derive.identity(self._store)
        return left_join(frame, names, "person_id")

    def _shaped(self, name: str, frame: pl.DataFrame) -> pl.DataFrame:
        schema = schema_of(name, reveal=self.reveal)
        return frame.select(schema.names()).cast(schema)


def open_run(path: str | Path, *, target: str | Path | None = None, reveal: bool = False) -> Run:
    """Open a finished migration by its ledger, or by the new database that has it beside it.

    ``target`` is needed only when the new database was moved.  With ``reveal`` names and values are
    shown.  Nothing is written.  Raises :class:`TargetError` when the files are not those of a run.
    """
    return Run(
        Files(find_ledger(Path(path)), None if target is None else Path(target)), reveal=reveal
    )


def open_check(
    source: str | Path | CheckOptions, *, archives: bool = False, reveal: bool = False
) -> Run:
    """Check an old database as ``person-unify check`` does, and keep what it found in memory.

    ``archives`` keeps the archive of every table and not only of patients and children: as much
    memory as the cells need that have no home in the new database.  No file is kept.  Raises what
    :func:`person_unify.pipeline.check` raises.
    """
    options = source if isinstance(source, CheckOptions) else CheckOptions(Path(source))
    preview = Preview(str(options.source), archives)
    preview.finish(check(options, witness=preview))
    return Run(preview, reveal=reveal)
