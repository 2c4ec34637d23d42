"""Tables and columns that the code never saw, as an old database may hold them.

Names that clash with everything a program could call its own, every storage class in every column,
keys of every kind.  A statement that SQLite refuses is left out, so whatever is drawn can be built.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from tests.strategies.cells import BadText

from person_unify.schema import OLD, UNIFIED, quote

COLUMN_NAMES = (
    *("note", "value", "id", "person_id", "patient_id", "child_id", "created_at", "old_id"),
    *("_archived", "__archived", "_reason", "_ROWID", "_rowid", "_Archived", "rowid", "ROWID"),
    *("_rowid_", "oid", "@row", "@id", "@person", "@archived", "@reason", "@key", "@target:id"),
    *("@patient", "@parent", "@created", "@column:note", "first_name", "First_Name", "GENDER"),
    *("email", "view_id", "source_table", "list", "named", "cell", "n", "kind", "field", "literal"),
    *('quo"te', "apo'strophe", "two words", "semi;colon", "%s", "?1", ":name", "$x", "[brackets]"),
    *("*", "^.*$", "^note$", "", " ", "\t", "line\nbreak", "select", "SELECT", "order", "table"),
    *(
        "naïve",
        "имя",
        "名前",
        "😀",
        "ﬁ",
        "a.b",
        "main",
        "source",
        "ledger",
        "s",
        "a",
        "t",
        "l",
        "w",
    ),
    *("class", "integer", "real", "bytes", "printed", "decoded", "c0", "len", "count", "index"),
)
TABLE_NAMES = (
    *("notes", "stage", "notes_key", "run", "lineage", "discrepancies", "verification", "run_idx"),
    *("archive_patients", "archive_notes", "patient_to_person", "archive_stage", "verify_log"),
    *("persons", "tags", "schools", "school_student_views", "education_plans", "access_grants"),
    *('quo"te', "apo'strophe", "two words", "semi;colon", "%s?1", "select", "table", "*", "^.*$"),
    *("naïve", "таблица", "😀", "", " ", "a.b", "main", "source", "temp", "ledger", "@row"),
    *("Patients_old", "contacts", "sessions", "_prisma_migrations", "_prisma_log", "line\nbreak"),
)
TYPES = ("", "TEXT", "INTEGER", "REAL", "BLOB", "NUMERIC", "DATETIME", "BOOLEAN", "VARCHAR(9)")
STRICT_TYPES = ("TEXT", "INTEGER", "REAL", "BLOB", "ANY")
COLLATIONS = ("", " COLLATE NOCASE", " COLLATE RTRIM")
KINDS = ("rowid", "keyed", "keyed", "alias", "composite", "without rowid", "strict")
KNOWN = (
    *("patients", "children", "parent_children", "consent_grants", "users", "parents"),
    *("patient_tags", "patient_contacts", "ieps", "peps", "appointment_history", "appointments"),
)

CELLS = st.one_of(
    st.sampled_from(
        [
            *(None, "", "text", "TEXT", "text ", "1", "1.0", "1e3", "nul\x00inside", "😀", "p1"),
            *(0, 1, -1, 2**63 - 1, -(2**63), 1.0, 0.5, -0.0, 1e300, float("inf"), 5e-324),
            *(b"", b"text", b"\xff\x00", BadText(b"bad \xff"), BadText(b"\xed\xa0\x80")),
        ]
    ),
    st.text(max_size=5).filter(lambda text: text.isprintable()),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=5),
)
"""Every storage class; NaN is left out because SQLite stores it as NULL."""


@dataclass(frozen=True)
class NewColumn:
    """A column added to a table of the old schema; ``made`` is the expression that generates it."""

    table: str
    name: str
    kind: str
    made: str | None
    cells: list[Any]


@dataclass(frozen=True)
class NewTable:
    """A table that no mapping knows."""

    name: str
    kind: str
    columns: list[tuple[str, str, str]]
    generated: tuple[str, str] | None
    rows: list[list[Any]]

    @property
    def statement(self) -> str:
        """CREATE TABLE, by the kind of its key."""
        lines = [f"{quote(name)} {type_}{collation}" for name, type_, collation in self.columns]
        first = quote(self.columns[0][0])
        if self.kind == "alias":
            lines[0] = f"{first} INTEGER PRIMARY KEY"
        elif self.kind in ("keyed", "strict"):
            lines[0] += " PRIMARY KEY"
        elif self.kind in ("composite", "without rowid"):
            keys = ", ".join(quote(name) for name, _, _ in self.columns[:2][::-1])
            lines.append(f"PRIMARY KEY ({keys})")
        if self.generated is not None:
            name, how = self.generated
            type_ = "TEXT" if self.kind == "strict" else ""
            made = f"{quote(name)} {type_} GENERATED ALWAYS AS (coalesce({first}, 'none')) {how}"
            lines.insert(len(self.columns), made)
        tail = {"without rowid": " WITHOUT ROWID", "strict": " STRICT"}.get(self.kind, "")
        return f"CREATE TABLE {quote(self.name)} ({', '.join(lines)}){tail}"


@dataclass(frozen=True)
class Strangers:
    """Everything that is added to an old database."""

    columns: list[NewColumn] = field(default_factory=list)
    tables: list[NewTable] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

    def add_to(self, path: Path) -> None:
        """Add it all to a database, but for what SQLite itself refuses."""
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("BEGIN")
            for statement, values in self._steps():
                try:
                    connection.execute(statement, values)
                except (sqlite3.Error, UnicodeEncodeError):
                    continue
            connection.execute("COMMIT")
        finally:
            connection.close()

    def _steps(self) -> Iterator[tuple[str, list[Any]]]:
        for table in self.tables:
            yield table.statement, []
            listed = ", ".join(quote(name) for name, _, _ in table.columns)
            for row in table.rows:
                marks, cells = _bound(row)
                yield f"INSERT INTO {quote(table.name)} ({listed}) VALUES ({marks})", cells
        for column in self.columns:
            where, made = quote(column.table), ""
            if column.made is not None:
                made = f" GENERATED ALWAYS AS ({column.made}) VIRTUAL"
            declared = f"{quote(column.name)} {column.kind}{made}"
            yield f"ALTER TABLE {where} ADD COLUMN {declared}", []
            for position, cell in enumerate(column.cells):
                mark, cells = _bound([cell])
                update = f"UPDATE {where} SET {quote(column.name)} = {mark}"
                place = f"(SELECT rowid FROM {where} ORDER BY 1 LIMIT 1 OFFSET {position})"
                yield f"{update} WHERE rowid = {place}", cells
        for statement in self.statements:
            yield statement, []


def _bound(cells: list[Any]) -> tuple[str, list[Any]]:
    marks = ", ".join("CAST(? AS TEXT)" if isinstance(c, BadText) else "?" for c in cells)
    return marks, [c.raw if isinstance(c, BadText) else c for c in cells]


def _names(given: tuple[str, ...]) -> st.SearchStrategy[str]:
    odd = st.text(min_size=1, max_size=4).filter(lambda text: "\x00" not in text)
    return st.one_of(st.sampled_from(given), st.sampled_from(given), odd)


@st.composite
def _tables(draw: st.DrawFn) -> NewTable:
    name, kind = draw(_names(TABLE_NAMES)), draw(st.sampled_from(KINDS))
    names = draw(
        st.lists(_names(COLUMN_NAMES), min_size=2, max_size=6, unique_by=lambda n: n.lower())
    )
    types = STRICT_TYPES if kind == "strict" else TYPES
    columns = [
        (column, draw(st.sampled_from(types)), draw(st.sampled_from(COLLATIONS)))
        for column in names
    ]
    generated = None
    if draw(st.booleans()):
        generated = (draw(_names(COLUMN_NAMES)), draw(st.sampled_from(["STORED", "VIRTUAL"])))
    rows = draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=4))
    return NewTable(name, kind, columns, generated, rows)


@st.composite
def _columns(draw: st.DrawFn) -> NewColumn:
    made = draw(st.sampled_from([None, None, None, "1.0", "x'ff'", "rtrim('made ')"]))
    return NewColumn(
        draw(st.sampled_from(KNOWN)),
        draw(st.one_of(_names(COLUMN_NAMES), st.sampled_from(_of_targets()))),
        draw(st.sampled_from(TYPES)),
        made,
        draw(st.lists(CELLS, max_size=4)),
    )


def _of_targets() -> list[str]:
    """Names of target columns that no old table of the same rows has: they may be carried."""
    known = {column for name in KNOWN for column in OLD[name].column_names}
    found = {
        column
        for name in ("persons", "parent_child_views", "clinician_patient_views", "contacts")
        for column in UNIFIED[name].column_names
    }
    return sorted(found - known)


BYSTANDERS = (
    'CREATE VIEW "persons" AS SELECT * FROM patients',
    "CREATE VIEW everybody AS SELECT 1 AS one",
    "CREATE TRIGGER watch AFTER INSERT ON patients BEGIN DELETE FROM patients; END",
    "CREATE INDEX archive_patients_key ON patients (last_name)",
    "CREATE INDEX by_day ON patients (date(date_of_birth)) WHERE deleted_at IS NULL",
    "CREATE VIRTUAL TABLE search USING fts5 (body)",
    "CREATE TABLE counted (n INTEGER PRIMARY KEY AUTOINCREMENT, v)",
    "INSERT INTO counted (v) VALUES ('one')",
    "INSERT INTO search VALUES ('some words')",
    "ANALYZE",
)


def strangers() -> st.SearchStrategy[Strangers]:
    """Draws what is to be added to an old database."""
    return st.builds(
        Strangers,
        st.lists(_columns(), max_size=5),
        st.lists(_tables(), max_size=3),
        st.lists(st.sampled_from(BYSTANDERS), max_size=3, unique=True),
    )
