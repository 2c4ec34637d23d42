"""What must hold before the first write: options, files, both schemas (contract section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from person_unify.errors import DatabaseError, SourceError, TargetError, UsageError
from person_unify.evidence.lineage import lineage, without_line
from person_unify.files.database import Database
from person_unify.files.target_rules import demands
from person_unify.mappings import MAPPINGS
from person_unify.mappings.bind import Plan, bind, names_in_file
from person_unify.mappings.known import unified_tables
from person_unify.report import ASKS
from person_unify.schema import OLD, UNIFIED, Catalogue, Schema, Table, quote
from person_unify.stages.extract import Extractor
from person_unify.stages.resolve import PERSON, Resolution


def require_text_paths(*paths: Path | None) -> None:
    """Refuse paths that are not UTF-8: neither SQLite nor the ledger could name them."""
    for path in paths:
        try:
            str(path and path.absolute()).encode("utf-8")
        except UnicodeEncodeError as error:
            raise UsageError(
                f"{path} has bytes in its path that are not UTF-8: rename it first"
            ) from error


def require_two_files(source: Path, target: Path) -> None:
    """Refuse a target that is the source under whatever name."""
    if target.exists() and source.samefile(target):
        raise UsageError(
            "source and target are the same file: give the new database a path of its own"
        )


def schema_of(target: Path | None) -> Schema:
    """The schema of a target that may not exist yet, in which case it is the built-in one."""
    if target is None or not target.exists():
        return UNIFIED
    with Database(target, read_only=True) as database:
        return unified_tables(database)


HISTORY = "_prisma_migrations"
"""Where Prisma notes the migrations of a database."""

_MOST_COLUMNS = 1_997
"""What SQLite allows, less the archive's own ``_rowid``, ``_archived`` and ``_reason``."""


def planned(extractor: Extractor, target: Schema) -> Plan:
    """The plan of a run from this source into that schema, before a row is read.

    Raises :class:`SourceError` or :class:`TargetError` where such a run is impossible.
    """
    require_rows_in_place(extractor)
    plan = bind(extractor.tables, target, extractor.has_rows)
    require_lineage(plan, extractor.tables)
    require_room_to_archive(plan)
    require_key_columns(plan, extractor)
    require_unique_columns(plan, extractor)
    if extractor.without_nul:
        require_storable_keys(plan, extractor)
    return plan


def for_postgresql(schema: Schema) -> Schema:
    """The schema with PostgreSQL's integers of 32 bits."""
    return Catalogue(
        {
            name: replace(
                table,
                columns=tuple(
                    replace(column, type="INT4") if column.type == "INTEGER" else column
                    for column in table.columns
                ),
            )
            for name, table in schema.items()
        }
    )


def require_storable_keys(plan: Plan, extractor: Extractor) -> None:
    """Refuse a NUL character in an id or a unique column: PostgreSQL has none in its texts."""
    for bound in plan.bound:
        if bound.target is None:
            continue
        words = {b.target.name: getattr(b.word, "column", None) for b in bound.columns}
        unique = {column for key in bound.target.uniques for column in key}
        keys = {*bound.source.primary_key, *map(words.get, (*bound.target.primary_key, *unique))}
        for column in sorted(filter(None, keys)):
            rows = extractor.with_nul(bound.name, column)
            if rows:
                named = ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
                raise SourceError(
                    f"{bound.name}.{column} has a NUL character in {len(rows):,} rows ({named}), "
                    "by which rows are known in the target and which PostgreSQL cannot hold: "
                    "correct them first"
                )


def require_rows_in_place(extractor: Extractor) -> None:
    """Refuse an absent table whose rows evidently stand in another table or view of the file."""
    names = names_in_file(extractor.tables, extractor.has_rows)
    absent = [m.source for m in MAPPINGS if m.target is not None and m.source not in names]
    if not absent:
        return
    taken = set(names.values())
    others = [("table", t) for t in extractor.tables.values() if t.name not in taken]
    others += [("view", view) for view in extractor.views().values()]
    found = {
        usual: [f"{kind} {t.name}" for kind, t in others if _could_be(t, usual, extractor)]
        for usual in dict.fromkeys(absent)
    }
    problems = [
        f"there is no table {usual}, but its columns and rows stand in {' and '.join(places)}"
        for usual, places in found.items()
        if places
    ]
    if problems:
        raise SourceError(
            f"{'; '.join(problems)}: give the table that holds the rows its usual name (a view of "
            "that name goes first), or make an empty one of that name if these are other rows"
        )


def _could_be(table: Table, usual: str, extractor: Extractor) -> bool:
    """Whether another table or view has all that an old table requires, and rows."""
    known = OLD[usual]
    required = [c.name for c in known.columns if c.not_null and c.default is None]
    if not all(table.column(name) for name in (*known.primary_key, *required)):
        return False
    try:
        return extractor.has_rows(table.name)
    except DatabaseError:
        return True  # a view that cannot be read might show anything


def require_persons(extractor: Extractor, plan: Plan) -> None:
    """Refuse a source in which nobody is, which is more often the wrong file than an empty one."""
    names = [plan.source_names.get(table) for table in ("patients", "children")]
    if not any(extractor.has_rows(name) for name in names if name):
        raise SourceError(
            "the source has no row of patients or children, so there is no person to migrate: "
            "give the file that the platform uses, or --allow-empty to migrate it all the same"
        )


def require_lineage(plan: Plan, tables: Mapping[str, Table]) -> None:
    """Refuse a file with a column of which the lineage does not say what becomes of it."""
    forgotten = without_line(lineage(plan), tables)
    if forgotten:
        some = ", ".join(forgotten[:5]) + (", …" if len(forgotten) > 5 else "")
        raise SourceError(
            f"{len(forgotten)} columns of the source have no line in the lineage ({some}), so "
            "nothing was read: add their table to the mappings, or remove it from the source"
        )


def require_key_columns(plan: Plan, extractor: Extractor) -> None:
    """Refuse a known table that has rows and lacks a column of its primary key."""
    for usual, name in plan.source_names.items():
        present, known = extractor.tables[name], OLD.get(usual)
        for column in known.primary_key if known else ():
            if present.column(column) is None and extractor.has_rows(name):
                raise SourceError(
                    f"{name} has rows but no column {column}, by which its rows are known: "
                    "add the column first"
                )


def require_unique_columns(plan: Plan, extractor: Extractor) -> None:
    """Refuse a missing column that a UNIQUE of NOT NULL columns needs, where there are rows."""
    for bound in plan.bound:
        if bound.target is None:
            continue
        words = {b.target.name: getattr(b.word, "column", None) for b in bound.columns}
        not_null = {column.name for column in bound.target.columns if column.not_null}
        keys = (bound.target.primary_key, *bound.target.uniques)
        needed = [words.get(name) for key in keys if set(key) <= not_null for name in key]
        missing = next((name for name in needed if name and not bound.source.column(name)), None)
        if missing is not None and extractor.has_rows(bound.name):
            raise SourceError(
                f"{bound.name} has rows but no column {missing}, which must be unique in the "
                "target: add the column first"
            )


def require_room_to_archive(plan: Plan) -> None:
    """Refuse a table that fills SQLite's limit of columns, since the archive adds its own."""
    for table in (*(bound.source for bound in plan.bound), *plan.unmapped):
        if len(table.columns) > _MOST_COLUMNS:
            raise SourceError(
                f"{table.name} has {len(table.columns):,} columns and the ledger can archive "
                f"{_MOST_COLUMNS:,}, since a table of SQLite has 2,000 at the most: move some of "
                "its columns into a table of their own first"
            )


def require_empty(database: Database, plan: Plan) -> None:
    """Refuse a target with rows in a table that is to be filled."""
    targets = dict.fromkeys(b.target.name for b in plan.bound if b.target is not None)
    filled = [
        table
        for table in targets
        if database.value(f"SELECT EXISTS (SELECT 1 FROM {quote(table)})")
    ]
    if filled:
        raise TargetError(
            f"the target is not empty ({', '.join(filled[:5])} hold rows): give an empty database, "
            "or a path that does not exist yet"
        )


def failed_migrations(database: Database) -> tuple[str, ...]:
    """Prisma's migrations that a target records as begun and neither finished nor rolled back."""
    history = unified_tables(database).get(HISTORY)
    if history is None or not {"migration_name", "finished_at"} <= set(history.column_names):
        return ()
    undone = " AND rolled_back_at IS NULL" if history.column("rolled_back_at") else ""
    rows = database.rows(
        f"SELECT DISTINCT CAST(migration_name AS TEXT) FROM {HISTORY} "
        f"WHERE finished_at IS NULL{undone}"
    )
    return tuple(str(name) for (name,) in rows)


def needs_baseline(database: Database) -> bool:
    """Whether Prisma finds tables in a target and no migration that made them."""
    if HISTORY not in unified_tables(database):
        return True
    return not database.value(f"SELECT EXISTS (SELECT 1 FROM {HISTORY})")


def with_demands(plan: Plan, database: Database) -> Plan:
    """The plan, and what the target asks of its rows beyond the built-in schema, in its notes."""
    asked = (f"{ASKS} {demand.table}: {demand.name}" for demand in demands(database))
    return replace(plan, notes=(*plan.notes, *asked))


def must_relax_unique(resolution: Resolution, schema: Schema, relax: bool) -> bool:
    """Whether the early schema's UNIQUE on ``person_id`` is in the way and is to be dropped.

    Raises :class:`TargetError` when it is in the way and the operator did not say ``relax``.
    """
    if ("person_id",) not in schema["parent_child_views"].uniques:
        return False
    views = resolution.views.group_by(PERSON).len()
    several = views.filter(views["len"] > 1).height
    if several and not relax:
        raise TargetError(
            f"{several} persons have several parents and the target allows one (UNIQUE on "
            "parent_child_views.person_id): pass --relax-unique to drop that index, or update the "
            "target's schema"
        )
    return several > 0
