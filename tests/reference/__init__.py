"""The migration once more, slowly and on its own: row by row, plain sqlite3 and dicts.

It shares nothing with the tool but the description of the two schemas, so that where both agree
about a database, both read the contract the same way.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .desk import NAMES, Desk
from .desk import Key as QuestionKey
from .grants import make_grants
from .humans import make_people
from .mappings import FIRST_RULES, RULES
from .record import Archived, Discrepancy, New, State, Stored, TargetRow
from .related import load_conventions, load_tables
from .soft import log_soft_references
from .source import Key, Refused, Source, read_source
from .tags import make_tags
from .views import make_views

__all__ = ["New", "ReferenceResult", "Refused", "migrate_reference"]


@dataclass
class ReferenceResult:
    """Everything a run must have written; :class:`New` stands for each fresh id.

    ``archive`` maps source table -> row key (primary key cells, or the rowid) -> (column -> cell,
    reason); ``counts`` has ``<table>`` and ``<table>.loaded`` / ``.<reason>`` for the equations.
    """

    tables: dict[str, list[TargetRow]]
    discrepancies: list[Discrepancy]
    normalisations: Counter[tuple[str, str, str]]
    person_notes: dict[New, str]
    archive: dict[str, dict[Key, Archived]]
    maps: dict[str, dict[Any, Stored]]
    counts: Counter[str]
    key_columns: dict[str, tuple[str, ...]]
    old_ids: frozenset[str]
    questions: list[dict[str, str | None]]
    decided: dict[QuestionKey, dict[str, Any]]


def migrate_reference(
    path: Path,
    *,
    run_time_ms: int,
    timezone: str = "Asia/Kolkata",
    implied_grants: str = "active",
    target: Path | None = None,
    decisions: Sequence[Mapping[str, Any]] = (),
) -> ReferenceResult:
    """Migrates the old database at ``path`` in memory.

    ``target`` is looked at for whether ``persons.migration_notes`` exists, and for its NOCASE.
    Raises :class:`Refused` for the preconditions of contract section 2 that concern the source, and
    for ``decisions`` that cannot be carried out together.
    """
    source = read_source(path)
    written = {
        table.name: table.written for table in [*source.known.values(), *source.unknown.values()]
    }
    key_columns = {
        table.name: tuple(table.written.get(c, c) for c in table.key_columns)
        for table in [*source.known.values(), *source.unknown.values()]
    }
    old_ids = {row.text("id") for t in ("patients", "children") for row in source.rows(t)} - {""}
    names = {table: {v: k for k, v in columns.items()} for table, columns in written.items()}
    given = {_named(tuple(d[name] for name in NAMES), names): dict(d) for d in decisions}
    state = State(source, run_time_ms, timezone, implied_grants, frozenset(old_ids), Desk(given))
    state.nocase = frozenset() if target is None else _nocase(target)
    load_tables(state, FIRST_RULES)
    people = make_people(state)
    make_views(state, people)
    make_grants(state, people)
    make_tags(state)
    if state.desk.problems:
        raise Refused("decisions")
    for record in [*people.patients.values(), *people.children.values()]:
        record.commit()
    load_tables(state, RULES)
    load_conventions(state)
    for table in source.unknown.values():
        for row in table.rows:
            state.keep_whole(table, row, "unmapped_table")
    log_soft_references(state)
    for (name, column), rows in state.early.items():
        state.log("implausible_instant", name, None, field=column, count=rows)
    if target is not None and not _has_notes(target):
        for person in state.tables["persons"]:
            del person["migration_notes"]
    for entry in [*state.discrepancies, *state.desk.asked.values()]:
        columns = written.get(str(entry["source_table"]), {})
        entry["field"] = columns.get(str(entry["field"]), entry["field"])
    counted: Counter[tuple[str, str, str]] = Counter()
    for (name, column, rule), cells in state.normalisations.items():
        counted[name, written[name].get(column, column), rule] = cells
    return ReferenceResult(
        tables=state.tables,
        discrepancies=state.discrepancies,
        normalisations=counted,
        person_notes=state.notes,
        archive={
            name: {
                key: ({written[name][c]: cell for c, cell in cells.items()}, reason)
                for key, (cells, reason) in rows.items()
            }
            for name, rows in state.archive.items()
        },
        maps=state.maps,
        counts=_counts(state, source),
        key_columns=key_columns,
        old_ids=frozenset(old_ids),
        questions=list(state.desk.asked.values()),
        decided={_named(key, written): said for key, said in state.desk.outcomes().items()},
    )


def _named(key: QuestionKey, names: Mapping[str, Mapping[str, str]]) -> QuestionKey:
    """The key of a question with another name of its field; names: by table."""
    *question, field = key
    return (*question, names.get(str(key[1]), {}).get(str(field), field))


def _nocase(target: Path) -> frozenset[tuple[str, str]]:
    """The columns that a UNIQUE of the target compares without case."""
    connection = sqlite3.connect(f"{target.resolve().as_uri()}?mode=ro", uri=True)
    try:
        found = connection.execute(
            "SELECT m.name, c.name FROM sqlite_master AS m, pragma_index_list(m.name) AS i, "
            "pragma_index_xinfo(i.name) AS c WHERE m.type = 'table' AND i.\"unique\" AND c.key "
            "AND NOT i.partial AND upper(c.coll) = 'NOCASE'"
        ).fetchall()
    finally:
        connection.close()
    return frozenset((table, column) for table, column in found if column is not None)


def _has_notes(target: Path) -> bool:
    connection = sqlite3.connect(f"{target.resolve().as_uri()}?mode=ro", uri=True)
    try:
        columns = connection.execute("PRAGMA table_info(persons)").fetchall()
    finally:
        connection.close()
    return any(column[1] == "migration_notes" for column in columns)


def _counts(state: State, source: Source) -> Counter[str]:
    """Rows per source table, and how many of them were kept out, by reason."""
    counts: Counter[str] = Counter()
    for table in [*source.known.values(), *source.unknown.values()]:
        counts[table.name] = len(table.rows)
    for name, rows in state.archive.items():
        counts.update(f"{name}.{reason}" for _, reason in rows.values() if reason != "not_carried")
    for usual, loaded in state.loaded.items():
        name = source.known[usual].name if usual in source.known else usual
        counts[f"{name}.loaded"] = len(loaded)
    return counts
