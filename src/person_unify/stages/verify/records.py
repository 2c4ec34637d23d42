"""What the ledger says of itself: tables, lineage, id maps and the run (contract section 9)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import polars as pl

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.mappings.spec import Computed, Copy, Decided, Person
from person_unify.schema import quote
from person_unify.stages.verify.cells import Lane, alike
from person_unify.stages.verify.context import LOG, MAPS, Context, Rows

_OWN = {
    "run": {"id", "tool_version", "started", "finished", "source", "target", "source_sha256"},
    **{name: {"old_id", "new_id"} for name in MAPS},
    "tag_to_tag": {"patient_id", "tag", "new_id"},
    "collision_to_id": {"source_table", "old_id", "new_id"},
    "lineage": {
        *("source_table", "source_column", "disposition", "target_table", "target_column", "rule"),
    },
    "discrepancies": {
        *("kind", "severity", "source_table", "source_id", "related_id", "person_id", "field"),
        *("child_value", "patient_value", "chosen_value", "message"),
    },
    "normalisations": {"source_table", "source_column", "rule", "cells"},
    "person_notes": {"person_id", "note"},
    "checkpoints": {"phase", "source_table", "started", "finished", "rows", "errors"},
    "verification": {"check", "expected", "actual", "passed"},
}
"""The ledger's own tables, and the columns that the contract gives them."""
_PHASES = ("snapshot", "extract", "resolve", "transform", "load", "verify")
_TARGETS = {
    "patient_to_person": "persons",
    "child_to_person": "persons",
    "child_to_view": "parent_child_views",
    "patient_to_view": "clinician_patient_views",
    "consent_to_grant": "access_grants",
    "parent_link_to_view": "parent_child_views",
    "tag_to_tag": "tags",
}
_SOURCES = {
    "patient_to_person": "patients",
    "patient_to_view": "patients",
    "child_to_person": "children",
    "child_to_view": "children",
    "consent_to_grant": "consent_grants",
    "parent_link_to_view": "parent_children",
    "tag_to_tag": "patient_tags",
}
_ONE_TO_ONE = ("patient_to_person", "patient_to_view", "consent_to_grant", "collision_to_id")


def check_records(context: Context) -> None:
    """What the ledger says of columns, ids and the run."""
    context.progress("ledger")
    answers = context.answers
    with answers.guarded("source_covered"):
        _check_covered(context)
    with answers.guarded("lineage"):
        _check_lineage(context)
    for name in (*_SOURCES, "collision_to_id"):
        with answers.guarded("id_maps", name):
            _check_map(context, name)
    with answers.guarded("run_recorded"):
        _check_run(context)


def read_books(context: Context) -> bool:
    """Read the ledger's maps and log, if it has the tables that all checks look into.

    Archives may only be of tables that the source has.
    """
    tables = context.ledger.tables
    missing = [(f"{name} is missing", int(name not in tables)) for name in _OWN]
    missing += [
        (f"{name} lacks columns", len(wanted - set(tables[name].column_names)))
        for name, wanted in _OWN.items()
        if name in tables
    ]
    sources = {f"archive_{table}" for table in _tables_of(context)}
    strange = [
        (f"{name} is of no source table", 1)
        for name in tables
        if name.startswith("archive_") and name not in sources
    ]
    context.answers.judge("ledger_tables", None, len(tables), [*missing, *strange])
    if any(count for _, count in missing):
        return False
    for name in MAPS:
        found = context.ledger_frame(name, ("old_id", "new_id")).drop_nulls("old_id")
        context.maps[name] = found.sort("old_id").unique("old_id", keep="first")
    for name, keys in (
        ("tag_to_tag", ["patient_id", "tag"]),
        ("collision_to_id", ["source_table", "old_id"]),
    ):
        found = context.ledger_frame(name, (*keys, "new_id")).drop_nulls(keys)
        context.maps[name] = found.unique(keys, keep="first", maintain_order=True)
    context.log = known_columns(context, context.ledger_frame("discrepancies", LOG), "field")
    return True


def known_columns(context: Context, frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Names of the source's columns as mappings know them, where the file writes another case."""
    for table, names in context.plan.respelt.items():
        spelt = {written: name for name, written in names.items()}
        own = pl.col("source_table") == table
        frame = frame.with_columns(
            pl.when(own).then(pl.col(column).replace(spelt)).otherwise(column).alias(column)
        )
    return frame


def _tables_of(context: Context) -> dict[str, tuple[str, ...]]:
    """Every table of the file with its columns, as the plan has them."""
    found = {bound.name: bound.source.column_names for bound in context.plan.bound}
    return found | {table.name: table.column_names for table in context.plan.unmapped}


def _check_covered(context: Context) -> None:
    """Nothing of the file escaped the plan: every table is in it, with every column."""
    planned = _tables_of(context)
    present = {name: set(table.column_names) for name, table in context.source.tables.items()}
    failures = [
        (f"{table} is not in the plan" if table not in planned else f"{table} lacks columns", 1)
        for table, columns in present.items()
        if columns != set(planned.get(table, ()))
    ]
    total = sum(map(len, present.values()))
    context.answers.judge("source_covered", None, total, failures)


def _check_lineage(context: Context) -> None:
    """Every column of the source, with the target columns that the mapping gives it, or none."""
    expected: set[tuple[str | None, ...]] = {
        (bound.name, *place)
        for bound in context.plan.bound
        for binding in bound.columns
        if (place := _place(bound, binding)) is not None
    }
    placed = {(table, column) for table, column, *_ in expected}
    expected |= {
        (table, column, "archived", None, None)
        for table, columns in _tables_of(context).items()
        for column in columns
        if (table, column) not in placed
    }
    expected |= set(_fresh_ids(context))
    names = ("source_table", "source_column", "disposition", "target_table", "target_column")
    frame = context.ledger_frame("lineage", (*names, "rule"))
    frame = known_columns(context, frame, "source_column")
    told: list[tuple[str | None, ...]] = frame.select(names).rows()
    failures = [
        ("missing or different", len(expected - set(told))),
        ("not so", len(set(told) - expected)),
        ("repeated", len(told) - len(set(told))),
        ("without a rule", int((frame["rule"].fill_null("") == "").sum())),
    ]
    context.answers.judge("lineage", None, len(expected), failures)


def _fresh_ids(context: Context) -> Iterator[tuple[str | None, ...]]:
    """Ids of rows that get a fresh one: mapped, and archived as the name of their row."""
    fresh = {(_SOURCES[name], _TARGETS[name]) for name in MAPS}
    for bound in context.plan.bound:
        if bound.target is None or bound.source.column("id") is None:
            continue
        if (bound.mapping.source, bound.target.name) in fresh:
            for key in bound.target.primary_key:
                yield (bound.name, "id", "mapped_id", bound.target.name, key)


def _place(bound: BoundMapping, binding: Binding) -> tuple[str, str, str, str] | None:
    """Source column, disposition and place of the cell that a target column holds, if any."""
    word = binding.word
    column = word.carries if isinstance(word, Computed) else getattr(word, "column", None)
    if not isinstance(word, Copy | Person | Decided | Computed) or column is None:
        return None
    if bound.source.column(column) is None or bound.target is None:
        return None
    mapped = isinstance(word, Person) or (isinstance(word, Copy) and binding.names is not None)
    mapped = mapped or (isinstance(word, Decided) and word.rule == "person")
    return column, "mapped_id" if mapped else "carried", bound.target.name, binding.target.name


def _check_map(context: Context, name: str) -> None:
    """A map has one row per old record, of records that exist on both sides."""
    table = context.ledger.tables[name]
    cells = context.ledger.read(
        table, table.column_names, lanes=dict.fromkeys(table.column_names, "text")
    )
    frame = pl.DataFrame({c: cells.columns[c] for c in table.column_names})
    keys = [c for c in table.column_names if c != "new_id"]
    odd = frame.filter(pl.any_horizontal(pl.all().is_null()))
    news = frame["new_id"]
    failures = [
        ("repeated old ids", frame.height - frame.select(keys).n_unique()),
        ("repeated new ids", frame.height - news.n_unique() if name in _ONE_TO_ONE else 0),
        ("no texts", odd.height),
        ("new ids of no row", int((~_at_home(context, name, news)).sum())),
        ("old ids of no row", int((~_of_source(context, name, frame)).sum())),
    ]
    context.answers.judge("id_maps", name, frame.height, failures)


def _at_home(context: Context, name: str, ids: pl.Series) -> pl.Series:
    """Whether new ids are those of target rows."""
    twins = {b.target.name for b in context.plan.bound if b.mapping.shares_ids_with and b.target}
    homes = [_TARGETS[name]] if name in _TARGETS else sorted(twins)
    found = alike(False, ids.len())
    for home in homes:
        found |= context.homes[home].ids.has(ids)
    return found


def _of_source(context: Context, name: str, frame: pl.DataFrame) -> pl.Series:
    """Whether old ids are those of source rows."""
    found = alike(False, frame.height)
    if name == "collision_to_id":
        for bound in context.plan.bound:
            if bound.mapping.shares_ids_with:
                ids = _column(context, bound.mapping.source, "id")
                own = (frame["source_table"] == bound.name).fill_null(value=False)
                found |= own & frame["old_id"].is_in(ids.implode()).fill_null(value=False)
        return found
    usual = _SOURCES[name]
    if name == "tag_to_tag":
        pairs = pl.DataFrame({c: _column(context, usual, c) for c in ("patient_id", "tag")})
        known = frame.join(
            pairs.unique().with_columns(there=True),
            on=["patient_id", "tag"],
            how="left",
            maintain_order="left",
        )
        return known["there"].fill_null(value=False)
    return frame["old_id"].is_in(_column(context, usual, "id").implode()).fill_null(value=False)


def _column(context: Context, usual: str, column: str) -> pl.Series:
    """The texts of a column of an old table; none where the file lacks the table."""
    people = context.people.rows.get(usual)
    if people is not None and column in people.cells.columns:
        return people.value(column, "TEXT")
    name = context.plan.source_names.get(usual)
    table = None if name is None else context.source.tables.get(name)
    if table is None or table.column(column) is None:
        return pl.Series(column, [], dtype=pl.String)
    return Rows(table, context.source.read(table, [column])).value(column, "TEXT")


def check_counts(context: Context) -> None:
    """The counts of normalised cells are those that the source calls for (section 1)."""
    table = context.ledger.tables["normalisations"]
    cells = context.ledger.read(table, table.column_names, lanes=_COUNTS)
    frame = pl.DataFrame({name: cells.columns[name] for name in _COUNTS})
    frame = known_columns(context, frame, "source_column")
    told: dict[tuple[str, str, str], int] = {}
    for source, column, rule, number in frame.iter_rows():
        place = (str(source), str(column), str(rule))
        told[place] = told.get(place, 0) + (number or 0)
    known = {
        (bound.name, column)
        for bound in context.plan.bound
        for column in (
            *bound.source.column_names,
            *(str(getattr(binding.word, "column", "")) for binding in bound.columns),
            *(str(getattr(binding.word, "carries", "")) for binding in bound.columns),
        )
    }
    failures = [
        ("unknown columns", sum((source, column) not in known for source, column, _ in told)),
        ("unknown rules", sum(rule not in _RULES for _, _, rule in told)),
        ("no cells", sum(number <= 0 for number in told.values())),
    ]
    context.answers.judge("normalisations", None, len(told), failures)
    names = dict.fromkeys(b.name for b in context.plan.bound if b.target is not None)
    for name in names:
        if context.answers.findings is not None and not context.answers.wants(name):
            continue
        due = {p[1:]: n for p, n in context.normalised.items() if p[0] == name}
        said = {p[1:]: n for p, n in told.items() if p[0] == name and p[2] in _RULES}
        wrong = [
            (f"{column} {rule}", abs(due.get((column, rule), 0) - said.get((column, rule), 0)))
            for column, rule in sorted({*due, *said})
        ]
        number = max(sum(due.values()), sum(said.values()))
        context.answers.judge("normalisations", name, number, wrong)


_COUNTS: dict[str, Lane] = {
    "source_table": "text",
    "source_column": "text",
    "rule": "text",
    "cells": "integer",
}
_RULES = (
    *("blob_to_text", "integer_to_text", "real_to_text", "text_to_integer", "real_to_integer"),
    *("text_to_real", "integer_to_real", "required_default"),
)


def _check_run(context: Context) -> None:
    """Once the run is recorded: it ended well, and so did each of its phases and checks."""
    rows = {name: _rows(context, name) for name in ("run", "checkpoints", "verification")}
    if not rows["run"]:
        why = "the run is recorded once its checks have passed"
        context.answers.skip("run_recorded", None, why)
        return
    phases = {r["phase"] for r in rows["checkpoints"] if r.get("source_table") is None}
    failures = [
        ("run", sum(not _run_ended(row) for row in rows["run"])),
        ("phases missing", len(set(_PHASES) - phases)),
        ("phases", sum(not _phase_ended(row) for row in rows["checkpoints"])),
        ("checks", sum(not _passed(row) for row in rows["verification"])),
        ("no checks", int(not rows["verification"])),
    ]
    total = len(rows["run"]) + len(_PHASES) + len(rows["verification"])
    context.answers.judge("run_recorded", None, total, failures)


def _rows(context: Context, table: str) -> list[dict[str, Any]]:
    """The rows of one of the ledger's small tables, as plain values."""
    names = context.ledger.tables[table].column_names
    listed = ", ".join(map(quote, names))
    found = context.ledger.database.rows(f"SELECT {listed} FROM {quote(table)}")
    return [dict(zip(names, row, strict=True)) for row in found]


def _run_ended(row: dict[str, Any]) -> bool:
    started, finished = row["started"], row["finished"]
    if not isinstance(started, int) or not isinstance(finished, int) or started > finished:
        return False
    texts = all(row[name] for name in ("id", "tool_version", "source", "target", "outcome"))
    return texts and len(str(row["source_sha256"])) == 64 and _is_json(row["options"])


def _phase_ended(row: dict[str, Any]) -> bool:
    """A table lists its discrepancies by kind; a phase that ended in an error ends no run."""
    errors = row["errors"]
    if errors is not None and (row["source_table"] is None or not _is_json(errors)):
        return False
    return bool(row["started"] <= row["finished"] and row["rows"] >= 0)


def _passed(row: dict[str, Any]) -> bool:
    if row["outcome"] == "passed":
        return row["passed"] == 1 and row["expected"] is not None
    return row["outcome"] == "not_applicable" and row["passed"] is None and bool(row["detail"])


def _is_json(text: object) -> bool:
    try:
        json.loads(str(text))
    except ValueError:
        return False
    return True
