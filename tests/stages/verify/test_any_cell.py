"""Whatever cell of target or ledger is changed, the verifier fails: nothing goes unchecked.

``make test`` changes some cells; ``PERSON_UNIFY_EXAMPLES=500`` changes that many.
"""

from __future__ import annotations

from hypothesis import assume, event, given
from hypothesis import strategies as st
from tests.strategies.examples import drawn

from person_unify.errors import DatabaseError
from person_unify.files.database import Database
from person_unify.schema import quote

from .support import Migrated, bad, copied

UNCHECKED = {
    ("ledger", "discrepancies", "message"): "words for people; what they say is checked",
    ("ledger", "lineage", "rule"): "words for people; that there are some is checked",
    ("ledger", "run", "*"): "one row about the run, of which the files know nothing more",
    ("ledger", "checkpoints", "*"): "times and counts of phases; that they ended well is checked",
    ("ledger", "questions", "*"): "what a reviewer may be asked; answers are proved by themselves",
    ("ledger", "artefacts", "*"): "names and digests of files, which rollback compares with them",
    ("ledger", "source_schema", "*"): "the old definitions, which a rebuild is compared by",
    ("ledger", "verification", "*"): "the answers of another run; that they passed is checked",
}
"""Cells that cannot be told wrong, and why: none of the target, of an archive or of a map."""

CHANGES = {
    "other": "CASE typeof({c}) WHEN 'integer' THEN {c} + 1 WHEN 'real' THEN {c} + 0.5 "
    "WHEN 'null' THEN 'x' WHEN 'blob' THEN CAST({c} || '!' AS BLOB) ELSE {c} || '!' END",
    "class": "CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) WHEN 'null' THEN '' "
    "WHEN 'blob' THEN CAST({c} AS TEXT) ELSE CAST({c} AS TEXT) END",
    "empty": "CASE WHEN {c} IS NULL THEN 0 END",
}


def columns(database: Database) -> list[tuple[str, str, str]]:
    """Catalog, table and column of every checked column of a table with rows."""
    found = []
    for catalog in ("main", "ledger"):
        for table, column in database.rows(
            f"SELECT m.name, c.name FROM {catalog}.sqlite_master AS m, "
            f"pragma_table_info(m.name, '{catalog}') AS c WHERE m.type = 'table' ORDER BY 1, c.cid"
        ):
            place = (catalog, str(table), str(column))
            if not {place, (catalog, str(table), "*")} & set(UNCHECKED):
                found.append(place)
    filled = {
        (catalog, table)
        for catalog, table in {place[:2] for place in found}
        if database.value(f"SELECT EXISTS (SELECT 1 FROM {catalog}.{quote(table)})")
    }
    return [place for place in found if place[:2] in filled]


@drawn(16, shrink=True)
@given(st.data())
def test_a_changed_cell_fails_the_verification(broken: Migrated, data: st.DataObject) -> None:
    with copied(broken, broken.target, broken.ledger) as copies:
        database = copies.database
        catalog, table, column = data.draw(st.sampled_from(columns(database)))
        place, cell = f"{catalog}.{quote(table)}", quote(column)
        rows = int(database.value(f"SELECT count(*) FROM {place}"))
        offset = data.draw(st.integers(0, rows - 1))
        kind = data.draw(st.sampled_from(sorted(CHANGES)))
        row = database.value(f"SELECT rowid FROM {place} LIMIT 1 OFFSET {offset}")
        look = f"SELECT typeof({cell}), hex(CAST({cell} AS BLOB)) FROM {place} WHERE rowid = {row}"
        before = database.rows(look)
        try:
            database.execute(
                f"UPDATE {place} SET {cell} = {CHANGES[kind].format(c=cell)} WHERE rowid = {row}"
            )
        except DatabaseError:
            event("refused by a constraint")
            return
        assume(database.rows(look) != before)

        assert bad(copies.checks()), f"{kind} in {place}.{cell}, row {row}"


def test_every_exception_has_a_reason_and_none_is_data() -> None:
    assert all(UNCHECKED.values())
    assert not [place for place in UNCHECKED if place[0] != "ledger"]
    assert not [t for _, t, _ in UNCHECKED if t.startswith("archive_") or "_to_" in t]
