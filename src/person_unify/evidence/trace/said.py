"""What the ledger says of records: archived columns and why, discrepancies, related rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from person_unify.evidence.finished import names_of, rows_as
from person_unify.evidence.trace.books import NOT_CARRIED, Books, Record, known, matches
from person_unify.findings import Severity
from person_unify.frames.ledger import CATALOG
from person_unify.report import Kind
from person_unify.schema import OLD, literal, quote

PEOPLE = {"patients": "patient_id", "children": "child_id"}
"""What references to a record of these old tables are called, declared or not."""


@dataclass(frozen=True, slots=True)
class Archived:
    """Columns of an old record that the ledger holds, and why; ``whole``: all that it has."""

    record: Record
    why: str
    columns: tuple[str, ...]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Logged:
    """Discrepancies of one kind and wording: ``count`` of them, on a record or on related rows."""

    kind: Kind
    severity: Severity
    table: str
    source_id: str | None
    field: str | None
    message: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision about an old record: which, who made it, why, and what came of it.

    when: the time (ms since the epoch) of the run that it was given to.
    """

    kind: str
    field: str | None
    decision: str
    reviewer: str | None
    note: str | None
    outcome: str
    when: int


@dataclass(frozen=True, slots=True)
class Related:
    """Rows that refer to a record, in the target or, kept out of it, in the archive."""

    table: str
    column: str
    rows: int
    archived: bool


def archived(books: Books, records: Sequence[Record]) -> Iterator[Archived]:
    """Which columns of old records are archived, by why; the cells stay where they are."""
    for record in records:
        for listed, reason in books.lists(record):
            columns = [known(record.table, column) for column in names_of(listed, record.table)]
            if reason != NOT_CARRIED:
                yield Archived(record, reason, tuple(columns), whole=True)
                continue
            causes: dict[str, list[str]] = {}
            reasons, usual = _reasons(books, record)
            for column in columns:
                causes.setdefault(reasons.get(column, usual), []).append(column)
            yield from (Archived(record, why, tuple(names)) for why, names in causes.items())


def _reasons(books: Books, record: Record) -> tuple[dict[str, str], str]:
    """Why the archive holds the cells of a record: column -> why, and why it holds the others."""
    lines = [line for line in books.lines if line.source_table == record.table]
    # What only the archive takes says so by its rule, whatever else is known of the cell.
    rules = {line.source_column: line.rule for line in lines if line.target_table is None}
    if _is_linked(books, record):
        return rules, "the patient's record speaks for the person"
    recast = books.database.rows(
        f"SELECT source_column, group_concat(DISTINCT rule) FROM {CATALOG}.normalisations "
        f"WHERE source_table = {literal(record.table)} GROUP BY source_column"
    )
    logged = books.database.rows(
        f"SELECT field, group_concat(DISTINCT kind) FROM {CATALOG}.discrepancies "
        f"WHERE {_of_row(record)} AND field IS NOT NULL GROUP BY field"
    )
    forms = [(column, f"not in the target's form ({rule})") for column, rule in recast]
    said = {known(record.table, column): why for column, why in (*forms, *logged)}
    return said | rules, "the target holds another value"


def _is_linked(books: Books, record: Record) -> bool:
    """Whether the record is of a child whose person is a patient's."""
    if books.usual(record.table) != "children":
        return False
    return bool(
        books.database.value(
            f"SELECT EXISTS (SELECT 1 FROM {CATALOG}.child_to_person AS c "
            f"JOIN {CATALOG}.patient_to_person AS p ON p.new_id = c.new_id "
            f"WHERE c.old_id = {literal(record.key[0])})"
        )
    )


def _of_row(record: Record) -> str:
    """The discrepancies of an old record; they know it by the first column of its key."""
    return f"source_table = {literal(record.table)} AND source_id = {literal(record.key[0])}"


def logged(books: Books, old: Sequence[Record], new: Sequence[Record]) -> Iterator[Logged]:
    """Discrepancies of old records or that name one; of persons, their rows' by table and kind."""
    columns = "kind, severity, source_table, source_id, field, message"
    ids = ", ".join(literal(record.key[0]) for record in (*old, *new))
    own = " OR ".join([*(f"({_of_row(record)})" for record in old), f"related_id IN ({ids})"])
    yield from rows_as(
        Logged,
        books.database,
        "discrepancies",
        f"SELECT DISTINCT {columns} FROM {CATALOG}.discrepancies WHERE {own} "
        "ORDER BY source_table, source_id, kind, field",
    )
    persons = ", ".join(literal(record.key[0]) for record in new if record.table == "persons")
    if not persons:
        return
    columns = "kind, severity, source_table, NULL, NULL, 'on rows of this person', count(*)"
    yield from rows_as(
        Logged,
        books.database,
        "discrepancies",
        f"SELECT {columns} FROM {CATALOG}.discrepancies "
        f"WHERE person_id IN ({persons}) AND ({own}) IS NOT 1 GROUP BY 1, 2, 3 ORDER BY 3, 1",
    )


def decided(books: Books, old: Sequence[Record]) -> Iterator[Decided]:
    """What people decided about old records, or with one of them as the other record."""
    listed = f"SELECT 1 FROM {CATALOG}.sqlite_master WHERE name = 'decisions'"
    if not books.database.rows(listed):  # an earlier release
        return
    own = " OR ".join(f"({_of_row(record)})" for record in old)
    ids = ", ".join(literal(record.key[0]) for record in old)
    where = f"{own or 0} OR related_id IN ({ids}) OR link_to IN ({ids})"
    columns = ("kind", "field", "decision", "reviewer", "note", "outcome")
    when = int(books.database.value(f"SELECT max(started) FROM {CATALOG}.run"))
    for kind, field, decision, reviewer, note, outcome in books.texts(
        columns, f"{CATALOG}.decisions", where
    ):
        yield Decided(str(kind), field, str(decision), reviewer, note, str(outcome), when)


def related(books: Books, records: Sequence[Record]) -> Iterator[Related]:
    """How many rows refer to the records, table by table and column by column."""
    for record in dict.fromkeys(records):
        if len(record.key) == 1:
            side = _in_target if record.side == "new" else _in_archive
            yield from side(books, record)


def _in_target(books: Books, record: Record) -> Iterator[Related]:
    for table in books.target.values():
        columns = [key.column for key in table.foreign_keys if key.table == record.table]
        if record.table == "persons" and table.column("person_id") is not None:
            columns.append("person_id")
        for column in dict.fromkeys(columns):
            where = matches([column], record.key)
            rows = books.database.value(
                f"SELECT count(*) FROM main.{quote(table.name)} WHERE {where}"
            )
            if rows:
                yield Related(table.name, column, int(rows), archived=False)


def _in_archive(books: Books, record: Record) -> Iterator[Related]:
    """Rows that only the archive holds; those of the target are counted there."""
    usual = books.usual(record.table)
    for source, archive in books.archives.items():
        table = OLD.get(books.usual(source))
        columns = (
            [] if table is None else [k.column for k in table.foreign_keys if k.table == usual]
        )
        columns.append(PEOPLE.get(usual, ""))
        for column in dict.fromkeys(columns):
            if column not in archive.columns:
                continue
            where = f"{matches([column], record.key)} AND {archive.reason} <> '{NOT_CARRIED}'"
            rows = books.database.value(f"SELECT count(*) FROM {archive.table} WHERE {where}")
            if rows:
                yield Related(source, column, int(rows), archived=True)
