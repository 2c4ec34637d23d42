"""Target and ledger as files: soundness, references, forms of cells, tables that stay empty."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from person_unify.background import Beside, Task
from person_unify.errors import DatabaseError
from person_unify.files.damage import has_unreadable_pages, is_damaged
from person_unify.schema import ForeignKey, Table, folded, quote
from person_unify.stages.verify.cells import LANES, Cells, Lane, equal, mark
from person_unify.stages.verify.check import Check
from person_unify.stages.verify.context import Context
from person_unify.stages.verify.homes import Home
from person_unify.stages.verify.people import FRESH, check_fresh_ids
from person_unify.stages.verify.places import Places
from person_unify.stages.verify.reader import File

CORE = ("persons", "parent_child_views", "clinician_patient_views", "access_grants")


FILES = {"integrity": "target", "ledger_integrity": "ledger", "source_indexes": "source"}
"""The checks of files as files."""


@dataclass
class Soundness:
    """What is wrong with the pages of a file, and with its indexes as far as they were looked at.

    indexes: by table those that are left, by index its columns, None for an expression.
    """

    file: File
    beside: Beside
    looks: list[Task[list[str]]] = field(default_factory=list)
    indexes: dict[str, dict[str, list[str | None]]] = field(default_factory=dict)

    @classmethod
    def of(cls, file: File, beside: Beside, *, pages: bool) -> Soundness:
        """Look at the pages, if they are asked for, and list the indexes."""
        found = cls(file, beside)
        if pages:
            found.looks.append(beside.call(partial(_damaged, file)))
        for table, index, column in file.database.rows(
            "SELECT m.name, i.name, x.name FROM sqlite_master AS m, pragma_index_list(m.name) "
            "AS i, pragma_index_info(i.name) AS x WHERE m.type = 'table' "
            "ORDER BY m.name, i.seq, x.seqno"
        ):
            found.indexes.setdefault(folded(table), {}).setdefault(index, []).append(column)
        return found

    def look(self, name: str) -> None:
        """Hold the indexes of a table against it, best while it is held.

        Each is read once in its own order: SQLite's ``integrity_check`` looks every entry up by
        itself, which takes longer than everything else.
        """
        indexes, table = self.indexes.pop(folded(name), None), self.file.tables.get(name)
        if indexes is not None and table is not None:
            held = self.file.held(table)
            call = partial(_disagreeing, self.file, table, indexes, held)
            self.looks.append(Task(call) if self.file.small(table) else self.beside.call(call))

    def finish(self) -> list[str]:
        """All problems, once every index was looked at."""
        for name in list(self.indexes):
            self.look(name)
        return [problem for look in self.looks for problem in look.result()]


def look_at_files(context: Context) -> None:
    """Whether the pages of target and ledger are sound; the indexes are looked at by table."""
    context.progress("integrity")
    for check, name in FILES.items():
        with context.answers.guarded(check):
            file: File = getattr(context, name)
            context.sound[check] = Soundness.of(file, context.beside, pages=name != "source")


def check_files(context: Context) -> None:
    """Pages and indexes of target and ledger are sound, and the source's indexes."""
    context.progress("integrity")
    for name, sound in context.sound.items():
        with context.answers.guarded(name):
            problems = sound.finish()
            said, detail = f"{len(problems)} problems", "; ".join(problems[:5])
            found = Check(name, None, "ok", said, "failed", detail)
            if not problems:
                found = Check(name, None, "ok", "ok", "passed")
            context.answers.checks.append(found)


def _damaged(file: File) -> list[str]:
    settled = file.settled  # and so looked at without keeping others from the connection
    path, database = file.path, file.database
    damaged = has_unreadable_pages(path) if settled else is_damaged(database, "quick_check")
    return ["its pages are not what SQLite's file format says"] if damaged else []


def _disagreeing(
    file: File, table: Table, indexes: dict[str, list[str | None]], held: Cells | None
) -> list[str]:
    """The indexes of a table that do not agree with it; held: the table, if it is in memory."""
    rowid = file.rowid(table)
    plain = {i: [c for c in listed if c is not None] for i, listed in indexes.items()}
    try:
        if rowid is None or any(None in listed for listed in indexes.values()):
            raise DatabaseError("an index over expressions, or a table that is an index itself")
        columns = {column for listed in plain.values() for column in listed}
        hashes = None if file.small(table) else _Hashes.of(file, table, columns, held)
        return [
            f"index {index} does not agree with table {table.name}"
            for index, listed in plain.items()
            if not _agrees(file, table, (rowid, index), listed, hashes)
        ]
    except DatabaseError:
        return _remarked(file, table)


@dataclass(frozen=True, slots=True)
class _Hashes:
    """Columns of a table by the hashes of their cells, and the lanes in which they were read."""

    row: pl.Series
    cells: dict[str, pl.Series]
    lanes: dict[str, Lane]

    @classmethod
    def of(cls, file: File, table: Table, columns: Set[str], held: Cells | None) -> _Hashes:
        """Those without an odd cell, as they are ``held`` in memory, else read part by part."""
        names = sorted(map(table.known, columns))
        parts: Iterable[Cells] = file.parts(table, names)
        rows: list[pl.Series] = []
        hashes: dict[str, list[pl.Series]] = {name: [] for name in names}
        lanes: dict[str, Lane] = {}
        if held is not None and held.columns.keys() >= set(names):
            parts = [held]
        for part in parts:
            rows.append(part.row)
            for name in part.odd.keys() & hashes.keys():
                del hashes[name]
            for name, found in hashes.items():
                found.append(part.columns[name].hash())
                lanes[name] = LANES[part.columns[name].dtype]
        return cls(pl.concat(rows), {n: pl.concat(found) for n, found in hashes.items()}, lanes)


def _remarked(file: File, table: Table) -> list[str]:
    """What SQLite itself says of a table's indexes, where it can read them at all."""
    try:
        answers = file.database.rows(f"PRAGMA integrity_check({quote(table.name)})")
    except DatabaseError:  # a collation or a function that this SQLite lacks
        return []
    # It remarks on content too, such as a NULL where none is allowed: that is no damage.
    if any(re.search("missing from index|entries in index", str(said)) for (said,) in answers):
        return [f"an index does not agree with table {table.name}"]
    return []


def _agrees(
    file: File,
    table: Table,
    names: tuple[str, str],
    columns: list[str],
    hashes: _Hashes | None,
) -> bool:
    """Whether an index (behind the rowid's name) holds the cells of its columns of each row."""
    rowid, index = names
    by_index = f"INDEXED BY {quote(index)}"
    if file.small(table):
        name, cells = quote(table.name), ", ".join(f"{quote(c)} COLLATE BINARY" for c in columns)
        counts = (f"(SELECT count(*) FROM {name} {how})" for how in (by_index, "NOT INDEXED"))
        both = (f"SELECT {rowid}, {cells} FROM {name} {how}" for how in ("NOT INDEXED", by_index))
        query = f"SELECT {' = '.join(counts)} AND NOT EXISTS ({' EXCEPT '.join(both)})"
        return bool(file.database.value(query))
    own = list(map(table.known, columns))
    if hashes is None or not hashes.cells.keys() >= set(own):
        return _sorted(file, table, rowid, columns, by_index).equals(
            _sorted(file, table, rowid, columns, "NOT INDEXED")
        )
    found = file.by_index(table, rowid, {name: hashes.lanes[name] for name in own}, by_index)
    return _agrees_with(hashes.row, [hashes.cells[name] for name in own], found)


def _agrees_with(row: pl.Series, hashes: list[pl.Series], found: pl.DataFrame) -> bool:
    """Whether rows (their rowid, then their cells) are those of a table, in any order."""
    theirs, *columns = found.get_columns()
    if found.height != row.len():
        return False
    at = row.search_sorted(theirs)
    if not mark(at, row.len() + 1)[: row.len()].all() or not equal(theirs, row[at]).all():
        return False
    # Numbers are gathered in an index's order many times as fast as texts.
    return all((o.gather(at) == c.hash()).all() for o, c in zip(hashes, columns, strict=True))


def _sorted(file: File, table: Table, rowid: str, columns: list[str], how: str) -> pl.DataFrame:
    """Rowids and hashes of cells, in the order of the rowids."""
    listed = ", ".join(f"CAST({quote(c)} AS TEXT)" for c in columns)
    literals = ", ".join("''" for _ in columns)
    frame = file.database.frame(
        f"SELECT 0, {literals} UNION ALL SELECT {rowid}, {listed} FROM {quote(table.name)} {how}"
    )[1:]
    return frame.with_columns(pl.col(c).hash() for c in frame.columns[1:]).sort("c0")


def check_structure(context: Context) -> None:
    """What the cells of the target hold by themselves: forms, references, fresh ids."""
    answers, homes = context.answers, context.homes
    for name, home in homes.items():
        with answers.guarded("storage_classes", name):
            home.finish()
            number = home.height * len(home.table.columns)
            answers.judge("storage_classes", name, number, list(home.flaws.items()))
    _check_references(context)
    _check_persons(context)
    for table in FRESH:
        if table in homes:
            check_fresh_ids(context, table, homes[table])
    _check_unfilled(context)


def _check_references(context: Context) -> None:
    """Every reference with a foreign key names a row."""
    broken: list[tuple[str, int]] = []
    keys = 0
    for name, home in context.homes.items():
        for key in home.table.foreign_keys:
            keys += 1
            lost = home.references(key.column)
            if lost.len():
                there = _referenced(context, key).has_hashes(lost)
                broken.append((f"{name}.{key.column}", int((~there).sum())))
    context.answers.judge("foreign_keys", None, keys, broken)


def _referenced(context: Context, key: ForeignKey) -> Places:
    """The values that a foreign key may have."""
    home = context.homes.get(key.table)
    if home is None:
        table = context.target.tables.get(key.table)
        if table is None:
            return Places(pl.Series([], dtype=pl.String))
        home = Home.of(context.target, table)
    column = home.column(key.referenced).name
    if column == home.table.primary_key[0]:
        return home.ids
    every = pl.arange(0, home.height, eager=True, dtype=pl.UInt32)
    return Places(home.read([column], every).columns[column])


def _check_persons(context: Context) -> None:
    """Person references of every target table name persons, and none is an old id."""
    persons, people = context.homes["persons"].ids, context.people
    for name, home in context.homes.items():
        if name == "persons" or home.table.column("person_id") is None:
            continue
        held = home.references("person_id")
        failures = [
            ("no person", int((~persons.has_hashes(held)).sum())),
            ("old id", int(people.has_hashes(held).sum())),
        ]
        context.answers.judge("person_references", name, held.len(), failures)


def filled_tables(context: Context) -> set[str]:
    """The target tables that some source table, or the program itself, may fill."""
    from person_unify.mappings import MAPPINGS

    known = {bound.target.name for bound in context.plan.bound if bound.target is not None}
    return known | {m.target for m in MAPPINGS if m.target is not None} | set(CORE)


def _check_unfilled(context: Context) -> None:
    """Tables of the unified schema that no source table fills are empty; others' are left alone."""
    from person_unify.schema import UNIFIED

    filled = {b.target.name for b in context.plan.bound if b.target is not None} | set(CORE)
    others = [name for name in context.target.tables if name in UNIFIED and name not in filled]
    rows = [(name, context.target.counts[name]) for name in others]
    context.answers.judge("unfilled_tables", None, len(others), rows)
