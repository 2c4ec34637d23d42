"""Lineage: for every source column, where its cells go and by which rule (contract section 9).

It is derived from the bound mappings.  After a run it is read from the ledger, with what became of
the cells of every column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from person_unify.evidence.finished import archives, names_of
from person_unify.files.database import Database
from person_unify.frames.ledger import CATALOG
from person_unify.mappings import ID_MAPS
from person_unify.mappings.bind import Binding, BoundMapping, Plan, bind
from person_unify.mappings.spec import Computed, Copy, Decided
from person_unify.report import LineageLine
from person_unify.schema import OLD, UNIFIED, Table

COLUMNS = (
    "source_table",
    "source_column",
    "disposition",
    "target_table",
    "target_column",
    "rule",
)
COUNTS = ("rows", "carried", "archived", "normalised", "unreadable", "discrepancies")
"""What is counted per source column after a run; rows = carried + archived."""

_Row = tuple[str, str, str, str | None, str | None, str]


def lineage(plan: Plan) -> pl.DataFrame:
    """One row per source column and target column it reaches, ``archived`` where none holds it.

    In the order of the file's columns, table by table.  The id of a row that gets a fresh one is
    both: mapped, and archived as the name of its row.
    """
    rows: list[_Row] = []
    seen: dict[str, set[str]] = {}
    for bound in plan.bound:
        held = seen.setdefault(bound.name, set())
        for binding in bound.columns:
            entry = _carried(bound, binding)
            if entry is not None:
                rows.append(entry)
                held.add(entry[1])
            rows += _fresh_id(bound, binding)
    whole = {b.name: "table without a counterpart" for b in plan.bound if b.target is None}
    whole |= {table.name: "table that nothing knows" for table in plan.unmapped}
    tables = _tables(plan)
    for name, table in tables.items():
        feeds = _feeds(plan, name)
        for column in table.column_names:
            if column not in seen.get(name, set()):
                rule = whole.get(name) or feeds.get(column, "no counterpart")
                rows.append((name, column, "archived", None, None, rule))
    columns = [(name, c) for name, table in tables.items() for c in table.columns]
    order = {(name, column.name): position for position, (name, column) in enumerate(columns)}
    rows.sort(key=lambda row: order[row[0], row[1]])
    written = [(name, tables[name].written(column), *rest) for name, column, *rest in rows]
    return pl.DataFrame(written, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


def lines(plan: Plan) -> tuple[LineageLine, ...]:
    """The same as the report holds it."""
    return tuple(LineageLine(*row) for row in lineage(plan).select(COLUMNS).iter_rows())


def built_in_lineage() -> pl.DataFrame:
    """The lineage between the two built-in schemas, columns as of :func:`lineage`."""
    return lineage(bind(OLD, UNIFIED, lambda table: False))


def without_line(found: pl.DataFrame, tables: Mapping[str, Table]) -> list[str]:
    """The columns of a file, as ``table.column``, that a lineage says nothing of."""
    lines = set(found.select("source_table", "source_column").iter_rows())
    return [
        f"{name}.{column}"
        for name, table in tables.items()
        for column in map(table.written, table.column_names)
        if (name, column) not in lines
    ]


def _tables(plan: Plan) -> dict[str, Table]:
    tables = {bound.name: bound.source for bound in plan.bound}
    return tables | {table.name: table for table in plan.unmapped}


def _carried(bound: BoundMapping, binding: Binding) -> _Row | None:
    """The line of the source column that a target column holds; None where it holds none."""
    word = binding.word
    column = word.holds
    if column is None or bound.source.column(column) is None:
        return None
    assert bound.target is not None
    place = (bound.target.name, binding.target.name)
    if not isinstance(word, Copy):
        rule = word.rule if isinstance(word, Decided | Computed) else "person"
        disposition = "mapped_id" if rule == "person" else "carried"
        return (bound.name, column, disposition, *place, rule)
    if binding.names is not None:
        return (bound.name, column, "mapped_id", *place, f"reference to {binding.names}")
    rule = "by name" if column == binding.target.name else "renamed"
    if bound.mapping.shares_ids_with and binding.target.name in bound.target.primary_key:
        rule += f", fresh where {bound.mapping.shares_ids_with} has it too (collision_to_id)"
    return (bound.name, column, "carried", *place, rule)


def _fresh_id(bound: BoundMapping, binding: Binding) -> Iterator[_Row]:
    """The id of a source row whose target row gets a fresh one, and the map between the two."""
    assert bound.target is not None
    map_ = ID_MAPS.get((bound.mapping.source, bound.target.name))
    is_key = binding.target.name in bound.target.primary_key
    if map_ is not None and is_key and bound.source.column("id") is not None:
        yield (bound.name, "id", "mapped_id", bound.target.name, binding.target.name, f"map {map_}")


def _feeds(plan: Plan, source: str) -> dict[str, str]:
    """Source column -> what it is good for although no target cell holds it."""
    feeds: dict[str, list[str]] = {}
    names: set[str] = set()
    for bound in plan.bound:
        if bound.name != source or bound.target is None:
            continue
        for binding in bound.columns:
            names.update(row[1] for row in _fresh_id(bound, binding))
            word = binding.word
            considered = word.considers if isinstance(word, Decided) else ()
            for column in (*(read for read, _ in word.read_as(binding.type)), *considered):
                place = f"{bound.target.name}.{binding.target.name}"
                feeds.setdefault(column, []).append(place)
    said = {column: f"feeds {', '.join(dict.fromkeys(places))}" for column, places in feeds.items()}
    return said | dict.fromkeys(names, "names its row in the archive")


def recorded_lineage(database: Database) -> pl.DataFrame:
    """The lineage of a finished run: the columns of :func:`lineage` and :data:`COUNTS`.

    The counts are per source column, so they repeat on each of its rows.  carried: cells that the
    target holds exactly; archived: cells that the ledger holds, whether the target does or not.
    ``database`` has the ledger attached.
    """
    lines = _frame(database, f"SELECT {', '.join(COLUMNS)} FROM {CATALOG}.lineage", COLUMNS)
    # Once per table, the verification has counted the source's rows.
    rows = _frame(
        database,
        f"SELECT source_table, CAST(max(expected) AS TEXT) FROM {CATALOG}.verification WHERE "
        "\"check\" IN ('rows_accounted', 'patient_map', 'child_map') GROUP BY 1",
        ("source_table", "rows"),
    ).with_columns(pl.col("rows").cast(pl.Int64))
    counted = lines.join(rows, on="source_table", how="left", maintain_order="left")
    column = ["source_table", "source_column"]
    for name, cells in (
        ("archived", _archived(database)),
        ("normalised", _count(database, "normalisations", "source_column", "sum(cells)")),
        ("unreadable", _count(database, _UNREADABLE, "field", "count(*)")),
        ("discrepancies", _count(database, "discrepancies", "field", "count(*)")),
    ):
        schema = {**dict.fromkeys(column, pl.String), name: pl.Int64}
        found = pl.DataFrame(cells, schema=schema, orient="row")
        counted = counted.join(found, on=column, how="left", maintain_order="left")
    filled = counted.with_columns(pl.col(name).fill_null(0) for name in COUNTS if name != "carried")
    return filled.with_columns(carried=pl.col("rows") - pl.col("archived")).select(
        *COLUMNS, *COUNTS
    )


_UNREADABLE = "discrepancies WHERE kind = 'unreadable_value'"


def _frame(database: Database, query: str, names: tuple[str, ...]) -> pl.DataFrame:
    schema = dict.fromkeys(names, pl.String)
    return pl.DataFrame(database.rows(query), schema=schema, orient="row")


def _count(database: Database, table: str, column: str, sum_: str) -> list[tuple[str, str, int]]:
    """Table, column and cells of one of the ledger's logs."""
    return database.rows(
        f"SELECT source_table, {column}, {sum_} FROM {CATALOG}.{table} GROUP BY 1, 2"
    )


def _archived(database: Database) -> list[tuple[str, str, int]]:
    """Per archived column, in how many rows: the lists are few, however many rows there are."""
    counts: dict[tuple[str, str], int] = {}
    for source, archive in archives(database).items():
        for listed, rows in database.rows(
            f"SELECT {archive.listed}, count(*) FROM {archive.table} GROUP BY 1"
        ):
            for column in names_of(listed, source):
                counts[source, column] = counts.get((source, column), 0) + int(rows)
    return [(*column, cells) for column, cells in counts.items()]
