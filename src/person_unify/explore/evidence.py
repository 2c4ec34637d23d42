"""What diff and trace answer, as frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from person_unify.evidence.diff import Comparison
from person_unify.evidence.trace import Trace
from person_unify.evidence.trace.books import Record
from person_unify.explore.columns import DIFFERENCES, HIDDEN, TRACE, Columns
from person_unify.explore.derive import is_id

_Row = tuple[object, ...]


def differences(compared: Comparison, reveal: bool) -> pl.DataFrame:
    """What a comparison found, one row per wrong row that it names."""
    rows: list[_Row] = [
        (
            *(found.kind, found.source, found.target, found.column, found.detail, found.count),
            _key(compared.keys.get(found.source, ()), row.source_key, reveal),
            row.target_key and list(row.target_key),
        )
        for found in compared.found
        for row in found.rows
    ]
    rows += [
        ("check", check.table, None, None, f"{check.name}: {check.detail}", 1, None, None)
        for check in compared.unopened
    ]
    return _frame(rows, DIFFERENCES)


def traces(found: Sequence[Trace], reveal: bool) -> pl.DataFrame:
    """What is known of the traced records, one row per thing that is said."""
    return _frame(
        [
            (one.record.side, one.record.table, _shown(one.record, reveal), *said)
            for one in found
            for said in _said(one, reveal)
        ],
        TRACE,
    )


def _said(one: Trace, reveal: bool) -> Iterator[_Row]:
    """``aspect, other_table, other_key, columns, detail, rows`` of one record."""
    word = "became" if one.record.side == "old" else "came from"
    for way in one.ways:
        aspect = "reason for" if way.only_names else word
        yield (aspect, way.record.table, _shown(way.record, reveal), None, way.rule, 1)
    if one.kept_out is not None:
        yield ("kept out", None, None, None, one.kept_out, 1)
    for kept in one.archived:
        key = _shown(kept.record, reveal)
        yield ("archived", kept.record.table, key, list(kept.columns), kept.why, 1)
    for said in one.logged:
        row = None if said.source_id is None else [said.source_id]
        field = None if said.field is None else [said.field]
        yield ("discrepancy", said.table, row, field, f"{said.kind}: {said.message}", said.count)
    for answer in one.decided:
        field = None if answer.field is None else [answer.field]
        note = (answer.note if reveal else HIDDEN) if answer.note else "no note"
        who = f"{answer.decision} by {answer.reviewer or 'nobody who is named'}"
        yield ("decision", None, None, field, f"{answer.kind}: {who}, {answer.outcome}: {note}", 1)
    for related in one.related:
        where = "in the archive" if related.archived else "in the new database"
        yield ("related", related.table, None, [related.column], where, related.rows)


def _shown(record: Record, reveal: bool) -> list[str | None] | None:
    return _key(record.columns, record.key, reveal)


def _key(
    names: Sequence[str], key: Sequence[str | None] | None, reveal: bool
) -> list[str | None] | None:
    """A key whose parts are covered where they are no ids."""
    if key is None:
        return None
    return [
        part if reveal or is_id(name) else HIDDEN for name, part in zip(names, key, strict=True)
    ]


def _frame(rows: Sequence[_Row], columns: Columns) -> pl.DataFrame:
    schema = {name: dtype for name, (dtype, _) in columns.items()}
    return pl.DataFrame(rows, schema=schema, orient="row")
