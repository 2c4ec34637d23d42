"""PostgreSQL at both ends: migrate into it, verify it later, roll it back, read from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from tests.migration.support import SMALL, change, old_database, query
from tests.postgres.server import SECRET, Database
from tests.postgres.support import FURTHER, Run, every_version, fill, place, rows_of
from typer.testing import CliRunner, Result

from person_unify.cli.app import app
from person_unify.errors import ServerError, SourceError
from person_unify.files.database import Database as File
from person_unify.pipeline import CheckOptions, MigrateOptions, check
from person_unify.postgres import ends
from person_unify.postgres.address import address
from person_unify.postgres.deliver import deliver
from person_unify.postgres.mirror import differences
from person_unify.postgres.rollback import rollback
from person_unify.postgres.server import Server
from person_unify.progress import silent
from person_unify.sample import SampleOptions, write_sample
from person_unify.schema import OLD

BIG = 2**31


def call(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(app, list(words), env=environment)


def odd_source(directory: Path) -> Path:
    """A source with cells that SQLite and Prisma can hold and PostgreSQL cannot."""
    return old_database(
        directory / "old.db",
        {
            **SMALL,
            "patient_documents": [
                {"id": "d1", "patient_id": "p1", "file_size": BIG},
                {"id": "d2", "patient_id": "p1", "file_size": -BIG},
            ],
            "journal_entries": [{"id": "j1", "patient_id": "p1", "content": "a\0b"}],
        },
    )


def test_what_postgresql_cannot_hold_is_archived_and_the_rest_arrives(
    tmp_path: Path, empty: Database
) -> None:
    source, ledger = odd_source(tmp_path), tmp_path / "new.ledger.db"

    options = MigrateOptions(source, tmp_path / "new.db", keep_backup=False)
    ends.migrate(ends.Run.between(source, place(empty), options))

    assert empty.rows("SELECT file_size FROM documents ORDER BY id") == [(None,), (-BIG,)]
    assert empty.rows("SELECT content FROM journal_entries") == [("",)]
    found = query(
        ledger, "SELECT source_id, field FROM discrepancies WHERE kind = 'unreadable_value'"
    )
    assert {(row["source_id"], row["field"]) for row in found} == {
        ("d1", "file_size"),
        ("j1", "content"),
    }
    (kept,) = query(ledger, "SELECT content FROM archive_journal_entries")
    assert kept["content"] == "a\0b"
    assert not ends.verify(source, place(empty), ledger).failed_checks


def test_check_tells_of_it_beforehand(tmp_path: Path) -> None:
    source = odd_source(tmp_path)

    report = check(CheckOptions(source, for_postgresql=True))

    counts = {count.kind: count.count for count in report.discrepancies}
    assert counts["unreadable_value"] == 2
    assert not any(c.kind == "unreadable_value" for c in check(CheckOptions(source)).discrepancies)


def test_check_counts_rows_that_may_be_too_long_for_an_index(tmp_path: Path) -> None:
    source = old_database(
        tmp_path / "old.db",
        {**SMALL, "users": [{"id": "u1", "email": "x" * 3000}, {"id": "u2", "email": "u2"}]},
    )

    report = ends.check(CheckOptions(source))

    assert any("1 rows of users may be too long" in note for note in report.drift)


@pytest.mark.parametrize(("table", "column"), [("users", "id"), ("users", "email")])
def test_a_nul_by_which_rows_are_known_is_refused_before_anything(
    tmp_path: Path, table: str, column: str
) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    change(source, f"UPDATE {table} SET {column} = 'a' || char(0) || 'b' WHERE rowid = 2")

    result = call("migrate", str(source), str(tmp_path / "new.db"), "--for", "postgresql")

    assert result.exit_code == 3
    assert f"{table}.{column} has a NUL character in 1 rows (2)" in result.output
    assert not (tmp_path / "new.db").exists()


def test_a_sample_with_faults_goes_all_the_way(tmp_path: Path, empty: Database) -> None:
    source, ledger = tmp_path / "old.db", str(tmp_path / "new.ledger.db")
    write_sample(source, SampleOptions(persons=25, seed=9, faults=0.05))
    before = empty.dump()

    migrated = call("migrate", str(source), empty.url, "--ledger", ledger, "-q")
    verified = call("verify", str(source), empty.url, "--ledger", ledger, "-q", "--json")
    undone = call("rollback", empty.url, "--ledger", ledger)

    assert migrated.exit_code == 0, migrated.output
    assert "every cell was read back and is equal" in migrated.output
    assert verified.exit_code == 0, verified.output
    assert json.loads(verified.output.splitlines()[-1])["report"]["outcome"] == "verified"
    assert undone.exit_code == 0, undone.output
    assert rows_of(empty) == 0
    assert empty.dump() == before


def test_a_run_into_a_schema_with_more_in_it_leaves_that_alone(
    tmp_path: Path, empty: Database
) -> None:
    source, ledger = old_database(tmp_path / "old.db", SMALL), str(tmp_path / "new.ledger.db")
    empty.execute(
        *FURTHER,
        "ALTER TABLE persons DROP COLUMN migration_notes",
        "ALTER TABLE persons ADD COLUMN tenant text DEFAULT 'clinic'",
        "CREATE UNIQUE INDEX ON persons (id, entered_at)",
    )
    before = empty.dump()

    migrated = call("migrate", str(source), empty.url, "--ledger", ledger, "-q")
    verified = call("verify", str(source), empty.url, "--ledger", ledger, "-q")
    found = empty.rows("SELECT DISTINCT tenant, entered_by, entered_at IS NULL FROM persons")
    undone = call("rollback", empty.url, "--ledger", ledger)

    assert migrated.exit_code == 0, migrated.output
    assert verified.exit_code == 0, verified.output
    assert found == [("clinic", "postgres", False)]
    assert undone.exit_code == 0, undone.output
    assert rows_of(empty) == 1
    assert empty.dump() == before


def test_a_table_that_both_have_by_convention_is_filled(tmp_path: Path, empty: Database) -> None:
    source, ledger = old_database(tmp_path / "old.db", SMALL), tmp_path / "new.ledger.db"
    for name in ("further", "unused"):
        change(source, f"CREATE TABLE {name} (id TEXT PRIMARY KEY, word TEXT)")
        empty.execute(f"CREATE TABLE {name} (id text PRIMARY KEY, word text)")
    change(source, "INSERT INTO further VALUES ('f', 'x')")
    empty.execute("INSERT INTO unused VALUES ('n', 'theirs')")

    options = MigrateOptions(source, tmp_path / "new.db", keep_backup=False)
    ends.migrate(ends.Run.between(source, place(empty), options))

    assert empty.rows("SELECT id, word FROM further") == [("f", "x")]
    assert not ends.verify(source, place(empty), ledger).failed_checks
    rollback(ledger, place(empty))
    assert empty.rows("SELECT word FROM unused") == [("theirs",)]
    assert rows_of(empty) == 1


@every_version("empty")
def test_verify_finds_what_the_platform_changed(run: Run, empty: Database) -> None:
    deliver(run.target, place(empty))
    empty.execute(
        "UPDATE persons SET first_name = 'Other' WHERE id = (SELECT min(id) FROM persons)"
    )

    report = ends.verify(run.source, place(empty), run.ledger)

    assert {check.name for check in report.failed_checks} >= {"cells_match"}


def test_rollback_keeps_what_others_wrote(run: Run, empty: Database) -> None:
    deliver(run.target, place(empty))
    rows = rows_of(empty)
    empty.execute("UPDATE users SET role = 'other' WHERE id = (SELECT min(id) FROM users)")

    refused = call("rollback", empty.url, "--ledger", str(run.ledger))

    assert refused.exit_code == 3
    assert "written to since the delivery (users)" in refused.output
    assert rows_of(empty) == rows
    assert rollback(run.ledger, place(empty), force=True) == rows
    assert rows_of(empty) == 0
    assert run.outcomes() == ["rolled_back"]


def test_rollback_and_deliver_again(run: Run, empty: Database) -> None:
    empty.execute("CREATE TABLE further (id text PRIMARY KEY, person_id text REFERENCES persons)")
    deliver(run.target, place(empty))
    rows = rows_of(empty)
    rollback(run.ledger, place(empty))

    deliver(run.target, place(empty))

    assert rows_of(empty) == rows
    assert run.outcomes() == ["rolled_back", "committed"]


@every_version("old")
def test_a_source_in_postgresql_is_read_in_prismas_forms(tmp_path: Path, old: Database) -> None:
    """SQLite, PostgreSQL, SQLite: no table differs, storage classes included."""
    first = tmp_path / "old.db"
    write_sample(first, SampleOptions(persons=15, seed=3, faults=0.0))
    fill(old, first)

    with ends.source_file(place(old), silent) as again:
        keys = {name: (t.primary_key, t.column_names) for name, t in OLD.items()}
        with File(first, read_only=True) as file:
            names = {str(n) for (n,) in file.rows("SELECT name FROM sqlite_master")}
        known = {name: key for name, key in keys.items() if name in names}

        assert known
        assert list(differences(first, again, known)) == []


def test_a_source_in_postgresql_migrates(tmp_path: Path, old: Database) -> None:
    first = tmp_path / "old.db"
    write_sample(first, SampleOptions(persons=15, seed=3, faults=0.0))
    fill(old, first)

    done = call("migrate", old.url, str(tmp_path / "new.db"), "-q")
    proven = call("verify", old.url, str(tmp_path / "new.db"), "-q")

    assert done.exit_code == 0, done.output
    assert proven.exit_code == 0, proven.output


def test_a_snapshot_that_a_kill_left_is_taken_if_it_still_is_what_there_is(
    tmp_path: Path, old: Database
) -> None:
    write_sample(tmp_path / "old.db", SampleOptions(persons=5, seed=3, faults=0.0))
    fill(old, tmp_path / "old.db")
    kept, target = tmp_path / "new.source.db", tmp_path / "new.db"
    run = ends.Run.between(place(old), target, MigrateOptions(Path(), target))
    kept.write_bytes(b"of another database")

    with pytest.raises(SourceError, match="is not what"):
        ends.migrate(run)
    left = [kept.read_bytes(), target.exists()]
    kept.unlink()
    with ends.source_file(place(old), silent) as file:
        kept.write_bytes(file.read_bytes())
    report, _ = ends.migrate(run)

    assert left == [b"of another database", False]
    assert report.source.path == str(kept)
    assert report.options["source"] == place(old).shown


def test_a_run_that_comes_to_nothing_leaves_no_snapshot(tmp_path: Path, old: Database) -> None:
    target = tmp_path / "new.db"
    run = ends.Run.between(place(old), target, MigrateOptions(Path(), target))

    with pytest.raises(SourceError, match="allow-empty"):
        ends.migrate(run)

    assert list(tmp_path.iterdir()) == []


def test_no_output_shows_a_password(run: Run, empty: Database, tmp_path: Path) -> None:
    secret = empty.url.replace("postgres@", f"postgres:{SECRET}@")
    gone = secret.replace(empty.name, "nowhere")

    on_the_command_line = call("deliver", str(run.target), secret)
    failed = call("deliver", str(run.target), "--target-env", "URL", URL=gone)
    done = call("deliver", str(run.target), "--target-env", "URL", "--json", URL=secret)

    assert on_the_command_line.exit_code == 2
    assert failed.exit_code == 1
    assert done.exit_code == 0, done.output
    for result in (on_the_command_line, failed, done):
        assert SECRET not in result.output
    for path in tmp_path.iterdir():
        assert SECRET.encode() not in path.read_bytes()


def test_prismas_parameters_are_understood(run: Run, empty: Database) -> None:
    empty.execute("ALTER SCHEMA public RENAME TO tenant", "CREATE SCHEMA public")

    done = call("deliver", str(run.target), f"{empty.url}&schema=tenant&connection_limit=1")

    assert done.exit_code == 0, done.output
    assert empty.value("SELECT count(*) FROM tenant.persons") > 0


@pytest.mark.parametrize(
    "words",
    [
        ["deliver", "new.db", "new.db"],
        ["deliver", "new.db"],
        ["deliver", "new.db", "postgresql://a/b", "--target-env", "URL"],
        ["migrate", "old.db", "postgresql://a/b"],
        ["migrate", "old.db", "new.db", "--ledger", "new.ledger.db"],
        ["verify", "old.db", "postgresql://a/b"],
        ["rollback", "postgresql://a/b"],
        ["verify", "old.db", "postgresql://a:b@c/d", "--ledger", "new.ledger.db"],
    ],
    ids=" ".join,
)
def test_wrong_usage(words: list[str]) -> None:
    assert call(*words, URL="postgresql://a/b").exit_code == 2


def test_a_source_is_one_snapshot_whatever_is_written_meanwhile(
    tmp_path: Path, old: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old.execute(
        "INSERT INTO users (id, email, password_hash, updated_at) VALUES ('u1', 'a', 'x', now())"
    )
    whole = Server.batches

    def written(server: Server, query: str, about: str) -> Iterator[pl.DataFrame]:
        old.execute(
            "INSERT INTO users (id, email, password_hash, updated_at) "
            f"VALUES ('{about}', '{about}', 'x', now()) ON CONFLICT DO NOTHING"
        )
        yield from whole(server, query, about)

    monkeypatch.setattr(Server, "batches", written)

    with ends.source_file(place(old), silent) as path:
        assert [row["id"] for row in query(path, "SELECT id FROM users")] == ["u1"]
    assert rows_of(old) > 1


def test_rows_that_a_policy_hides_are_refused_rather_than_missed(old: Database) -> None:
    role = f"reader_{old.name}"
    old.execute(
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON users USING (role = 'parent')",
    )
    reader = address(old.url.replace("postgres@", f"{role}@"))

    with (
        pytest.raises(ServerError, match=r"could not read users .*42501"),
        ends.source_file(reader, silent),
    ):
        pytest.fail("it was read")
    old.execute("DROP OWNED BY " + role, "DROP ROLE " + role)


def test_a_source_with_partitioned_tables_is_refused_rather_than_read_in_part(
    old: Database,
) -> None:
    old.execute("CREATE TABLE visits (id text, at date) PARTITION BY RANGE (at)")

    with (
        pytest.raises(SourceError, match=r"partitioned or foreign tables \(visits\)"),
        ends.source_file(place(old), silent),
    ):
        pytest.fail("it was read")
