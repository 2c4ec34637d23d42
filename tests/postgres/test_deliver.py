"""Deliver: either every row is there and equal, or the tables are as they were."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import adbc_driver_postgresql.dbapi
import polars as pl
import pytest
from tests.migration.support import SMALL, change, query
from tests.postgres.server import Database
from tests.postgres.support import FURTHER, Run, every_version, made, place, rows_of, untouched

from person_unify.errors import (
    MigrationError,
    ServerError,
    TargetError,
    TargetInUse,
    VerificationFailed,
)
from person_unify.postgres import ends
from person_unify.postgres.deliver import deliver
from person_unify.postgres.rollback import rollback
from person_unify.postgres.server import Server


def refused(run: Run, database: Database, kind: type[MigrationError], says: str) -> None:
    """Deliver, and see that nothing came of it."""
    with untouched(database), pytest.raises(kind, match=says):
        deliver(run.target, place(database), wait=0.2)


@every_version("empty")
def test_every_row_arrives_and_the_schema_stays(run: Run, empty: Database) -> None:
    before = empty.dump()

    done = deliver(run.target, place(empty))

    counts = " UNION ALL ".join(f"SELECT '{t}' AS t, count(*) AS n FROM {t}" for t in done.rows)
    expected = {row["t"]: row["n"] for row in query(run.target, counts)}
    assert done.rows == expected == dict(empty.rows(counts))
    assert sum(done.rows.values()) == rows_of(empty) > 0
    assert empty.dump() == before
    assert run.outcomes() == ["committed"]


def test_cells_are_in_prismas_forms(run: Run, empty: Database) -> None:
    deliver(run.target, place(empty))

    (expected,) = query(run.target, "SELECT * FROM appointments ORDER BY id LIMIT 1")
    found = empty.rows(
        "SELECT (extract(epoch FROM created_at) * 1000)::bigint, status "
        f"FROM appointments WHERE id = '{expected['id']}'"
    )

    assert found == [(expected["created_at"], expected["status"])]


def test_the_same_again_is_refused(run: Run, empty: Database) -> None:
    deliver(run.target, place(empty))

    refused(run, empty, TargetError, "delivered to .* already")


def test_rows_of_others_are_never_touched(run: Run, empty: Database) -> None:
    empty.execute(
        "INSERT INTO users (id, email, password_hash, updated_at) VALUES ('u', 'e', 'x', now())"
    )

    refused(run, empty, TargetError, "not empty .users hold rows")


def test_a_target_changed_since_its_run_is_refused(run: Run, empty: Database) -> None:
    change(run.target, "UPDATE users SET email = 'other@example.org' WHERE rowid = 1")

    refused(run, empty, TargetError, "has changed since its run")


@every_version("empty")
def test_further_tables_and_columns_are_left_alone(run: Run, empty: Database) -> None:
    empty.execute(
        "ALTER TABLE persons DROP COLUMN migration_notes",
        "ALTER TABLE persons ADD COLUMN tenant text DEFAULT 'clinic'",
        "ALTER TABLE contacts ADD COLUMN data jsonb",
        "CREATE TABLE activity_notes (id text PRIMARY KEY, activity_id text REFERENCES activities)",
        "COMMENT ON CONSTRAINT activity_notes_activity_id_fkey ON activity_notes IS 'ours'",
    )
    before = empty.dump()

    deliver(run.target, place(empty))

    assert empty.value("SELECT DISTINCT tenant FROM persons") == "clinic"
    assert empty.dump() == before


def test_further_tables_keep_their_rows(run: Run, empty: Database) -> None:
    empty.execute(*FURTHER)
    before = empty.dump()

    deliver(run.target, place(empty))

    assert empty.rows("SELECT DISTINCT entered_by, entered_at IS NULL FROM persons") == [
        ("postgres", False)
    ]
    assert not ends.verify(run.source, place(empty), run.ledger).failed_checks
    rollback(run.ledger, place(empty))
    assert empty.rows("SELECT id FROM activity_notes") == [("n",)]
    assert rows_of(empty) == 1
    assert empty.dump() == before


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DROP TABLE contacts", "there is no table contacts"),
        ("ALTER TABLE contacts DROP COLUMN person_id", "contacts has no column person_id"),
        ("ALTER TABLE contacts ALTER created_at TYPE text", "contacts.created_at is TEXT"),
        ("ALTER TABLE contacts ADD COLUMN x text NOT NULL", "contacts.x is required"),
        ("ALTER TABLE contacts ADD COLUMN x jsonb NOT NULL", "contacts.x has a type"),
    ],
)
def test_a_schema_that_cannot_take_the_rows_is_refused(
    run: Run, empty: Database, statement: str, says: str
) -> None:
    empty.execute(statement)

    refused(run, empty, TargetError, says)


@every_version("empty")
def test_what_a_definition_does_not_bring_back_stays(run: Run, empty: Database) -> None:
    empty.execute(
        "COMMENT ON INDEX users_email_key IS 'one address, one user'",
        "ALTER TABLE contacts CLUSTER ON contacts_pkey",
        "ALTER TABLE users REPLICA IDENTITY USING INDEX users_email_key",
        "CREATE UNIQUE INDEX ON users (lower(email))",
        "CREATE VIEW by_key AS SELECT id, first_name FROM persons GROUP BY id",
    )
    before = empty.dump()

    deliver(run.target, place(empty))

    assert empty.dump() == before


@every_version("empty")
def test_triggers_stay_and_do_not_fire(run: Run, empty: Database) -> None:
    empty.execute(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER t BEFORE INSERT ON persons FOR EACH ROW EXECUTE FUNCTION no()",
        "CREATE TRIGGER u BEFORE INSERT ON persons FOR EACH ROW EXECUTE FUNCTION no()",
        "ALTER TABLE persons ENABLE ALWAYS TRIGGER u",
    )
    before = empty.dump()

    deliver(run.target, place(empty))

    assert empty.value("SELECT count(*) FROM persons") > 0
    assert empty.dump() == before


def test_another_schema_of_the_database(run: Run, empty: Database) -> None:
    empty.execute('ALTER SCHEMA public RENAME TO "Tenant 1"', "CREATE SCHEMA public")

    deliver(run.target, replace(place(empty), schema="Tenant 1"))

    assert empty.value('SELECT count(*) FROM "Tenant 1".persons') > 0


PLANTED = {
    "a text": ("persons", "first_name", pl.lit("other")),
    "an instant": ("persons", "created_at", pl.col("created_at") + pl.duration(milliseconds=1)),
    "a boolean": ("users", "email_verified", ~pl.col("email_verified")),
    "an integer": ("activities", "duration", pl.col("duration") + 1),
    "a NULL": ("persons", "middle_name", pl.lit("")),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_one_changed_cell_is_found(
    run: Run, empty: Database, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    place_, column, other = PLANTED[planted]
    whole = Server.copy

    def copy(server: Server, table: str, frame: pl.DataFrame) -> None:
        if table == place_:
            first = pl.int_range(pl.len()) == 0
            type_ = frame.schema[column]
            cell = pl.when(first).then(other).otherwise(pl.col(column)).cast(type_)
            frame = frame.with_columns(cell.alias(column))
        whole(server, table, frame)

    monkeypatch.setattr(Server, "copy", copy)

    refused(run, empty, VerificationFailed, f"does not hold what was sent.*{place_}")


def test_a_table_locked_by_another_connection(run: Run, empty: Database) -> None:
    with closing(adbc_driver_postgresql.dbapi.connect(empty.url)) as other:
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE messages IN ROW EXCLUSIVE MODE")
        refused(run, empty, TargetInUse, "another connection has tables")


def test_a_privilege_that_is_missing(run: Run, empty: Database) -> None:
    empty.execute(
        "CREATE ROLE clerk LOGIN",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk",
    )
    try:
        clerk = replace(place(empty), uri=empty.url.replace("postgres@", "clerk@"))
        with untouched(empty), pytest.raises(TargetError, match="deliver as the owner"):
            deliver(run.target, clerk)
    finally:
        empty.execute("DROP OWNED BY clerk", "DROP ROLE clerk")


def test_the_owner_need_not_be_a_superuser(run: Run, empty: Database) -> None:
    tables = empty.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    empty.execute(
        "CREATE ROLE owner LOGIN",
        "GRANT CREATE ON SCHEMA public TO owner",
        *(f'ALTER TABLE "{table}" OWNER TO owner' for (table,) in tables),
    )
    try:
        deliver(run.target, replace(place(empty), uri=empty.url.replace("postgres@", "owner@")))
        assert rows_of(empty) > 0
    finally:
        empty.execute("DROP OWNED BY owner", "DROP ROLE owner")


def test_a_statement_timeout_of_the_database(
    run: Run, empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Server.copy

    def slow(server: Server, table: str, frame: pl.DataFrame) -> None:
        server.rows("SELECT 1 FROM pg_sleep(30)")
        whole(server, table, frame)

    monkeypatch.setattr(Server, "copy", slow)
    empty.execute(f"ALTER DATABASE {empty.name} SET statement_timeout = '2s'")

    refused(run, empty, ServerError, "57014")


def test_an_index_entry_that_is_too_long_names_rows(tmp_path: Path, empty: Database) -> None:
    drawn = Random(3)
    text = "".join(chr(drawn.randrange(0x4E00, 0x9000)) for _ in range(2000))
    entry = {"id": "j2", "patient_id": "p1", "content": text}
    entries = [{"id": "j1", "patient_id": "p1"}, entry]
    run = made(tmp_path, {**SMALL, "journal_entries": entries})
    empty.execute("CREATE INDEX by_text ON journal_entries (content)")

    refused(run, empty, TargetError, r"1 rows of journal_entries .* index by_text .*\(rows 2\)")


@pytest.mark.parametrize(
    "definition",
    [
        "(content)",
        "(upper(content))",
        "(id, content) WHERE content IS NOT NULL",
        "(title, content); COMMENT ON INDEX by_text IS 'stays where it is'",
    ],
)
def test_entries_that_are_too_long_are_refused_before_any_row_is_sent(
    tmp_path: Path, empty: Database, monkeypatch: pytest.MonkeyPatch, definition: str
) -> None:
    drawn = Random(3)
    texts = [chr(drawn.randrange(0x4E00, 0x9000)) * 3000 for _ in range(9)]
    for number in (1, 4, 7):
        texts[number] = "".join(chr(drawn.randrange(0x4E00, 0x9000)) for _ in range(1500))
    entries = [{"id": f"j{n}", "patient_id": "p1", "content": t} for n, t in enumerate(texts)]
    run = made(tmp_path, {**SMALL, "journal_entries": entries})
    empty.execute("ALTER TABLE journal_entries DROP COLUMN title, ADD COLUMN title text")
    empty.execute(*f"CREATE INDEX by_text ON journal_entries {definition}".split("; "))
    sent, copy = [], Server.copy

    def noted(server: Server, table: str, frame: pl.DataFrame, schema: str | None = None) -> None:
        copy(server, table, frame, schema)
        sent.append((table, schema))

    monkeypatch.setattr(Server, "copy", noted)

    refused(run, empty, TargetError, r"3 rows of journal_.* index by_text .*\(rows 2, 5, 8\)")
    assert all(schema == "pg_temp" for _, schema in sent)

    empty.execute("DROP INDEX by_text")
    deliver(run.target, place(empty))
    assert empty.value("SELECT count(*) FROM journal_entries") == len(entries)


def test_a_cell_beyond_what_postgresql_holds_names_its_row(tmp_path: Path, empty: Database) -> None:
    entries = [
        {"id": "j1", "patient_id": "p1"},
        {"id": "j2", "patient_id": "p1", "content": "a\0b"},
    ]
    run = made(tmp_path, {**SMALL, "journal_entries": entries})

    refused(run, empty, TargetError, r"journal_entries.content has 1 cells with a NUL .*\(rows 2\)")


def test_copy_takes_any_column_of_equal_width_for_the_other(empty: Database) -> None:
    # Why every frame is cast, and held against the types of its home, before it is sent.
    empty.execute("CREATE TABLE days (at timestamp(3))")
    with Server(place(empty)) as server:
        server.copy("days", pl.DataFrame({"at": [86_400_000_000]}))

    assert empty.value("SELECT at::text FROM days") == "2000-01-02 00:00:00"
