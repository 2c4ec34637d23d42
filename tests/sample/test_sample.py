"""What every sample promises: all tables, the size asked for, one content for one seed."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from pathlib import Path

import pytest

from person_unify.errors import DatabaseError, UsageError
from person_unify.sample import SampleOptions, vocab, write_sample, writer
from person_unify.sample.columns import SPECIAL
from person_unify.schema import OLD, create_statements


def one(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def content(path: Path) -> str:
    """Hash of every cell of every table in the order of the rows, storage classes included."""
    digest = blake2b()
    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    for table in OLD:
        digest.update(table.encode())
        for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY rowid'):
            digest.update(repr(row).encode())
    connection.close()
    return digest.hexdigest()


def test_every_line_of_the_vocabulary_speaks_of_a_column_there_is() -> None:
    columns = {column.name for table in OLD.values() for column in table.columns}
    known = columns | {f"{t.name}.{c.name}" for t in OLD.values() for c in t.columns} | {"street"}
    lists = (SPECIAL, vocab.WORDS, vocab.ODDS, vocab.NUMBERS, vocab.SHARES, vocab.FILLED)

    assert {name for each in (*lists, vocab.PROSE, vocab.LISTS) for name in each} <= known


def test_even_one_person_fills_every_table(tmp_path: Path) -> None:
    rows = write_sample(tmp_path / "one.db", SampleOptions(persons=1, faults=0))

    assert set(rows) == set(OLD)
    assert min(rows.values()) >= 1


@pytest.mark.parametrize("faults", [0.0, 0.3])
def test_same_seed_gives_same_content(tmp_path: Path, faults: float) -> None:
    for name in ("a.db", "b.db"):
        write_sample(tmp_path / name, SampleOptions(persons=60, seed=3, faults=faults))

    assert content(tmp_path / "a.db") == content(tmp_path / "b.db")


def test_other_seed_gives_other_content(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_sample(tmp_path / f"{seed}.db", SampleOptions(persons=100, seed=seed, faults=0))

    assert content(tmp_path / "1.db") != content(tmp_path / "2.db")


def test_rows_grow_with_persons(tmp_path: Path) -> None:
    small = write_sample(tmp_path / "small.db", SampleOptions(persons=300, faults=0))
    large = write_sample(tmp_path / "large.db", SampleOptions(persons=1200, faults=0))

    assert 3.5 < sum(large.values()) / sum(small.values()) < 4.5
    assert 15 < sum(large.values()) / large["patients"] < 40


def test_returned_counts_are_those_of_the_file(tmp_path: Path) -> None:
    rows = write_sample(tmp_path / "x.db", SampleOptions(persons=20, faults=0.5))

    connection = sqlite3.connect(tmp_path / "x.db")
    assert rows == {table: one(connection, f"SELECT count(*) FROM {table}") for table in OLD}
    connection.close()


def test_progress_sums_up_to_the_rows(tmp_path: Path) -> None:
    seen = dict.fromkeys(OLD, 0)

    def progress(table: str, count: int) -> None:
        seen[table] += count

    assert seen.keys() == OLD.keys()
    assert write_sample(tmp_path / "x.db", SampleOptions(persons=50, faults=0), progress) == seen


def test_chunks_of_persons_fit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PERSONS_PER_CHUNK", 100)
    write_sample(tmp_path / "x.db", SampleOptions(persons=350, faults=0))

    connection = sqlite3.connect(tmp_path / "x.db")
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert _persons(connection) == 350
    connection.close()


def _persons(connection: sqlite3.Connection) -> int:
    return one(
        connection,
        "SELECT (SELECT count(*) FROM patients) + (SELECT count(*) FROM children) - "
        "(SELECT count(*) FROM children WHERE linked_patient_id IN (SELECT id FROM patients))",
    )


def test_clean_sample_has_the_old_schema_word_for_word(clean: sqlite3.Connection) -> None:
    found = clean.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()

    assert sorted(row[0] for row in found) == sorted(create_statements(OLD))


def test_clean_sample_keeps_every_constraint(clean: sqlite3.Connection) -> None:
    assert clean.execute("PRAGMA foreign_key_check").fetchall() == []
    assert clean.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_clean_sample_has_as_many_persons_as_asked(clean: sqlite3.Connection) -> None:
    assert _persons(clean) == 1000


def test_clean_sample_stores_what_prisma_stores(clean: sqlite3.Connection) -> None:
    classes = {"DATETIME": "integer", "BOOLEAN": "integer", "INTEGER": "integer", "TEXT": "text"}
    for table in OLD.values():
        for column in table.columns:
            found = clean.execute(f'SELECT DISTINCT typeof("{column.name}") FROM {table.name}')
            assert {row[0] for row in found} <= {classes[column.type], "null"}
            if column.type == "BOOLEAN":
                beyond = f'SELECT count(*) FROM {table.name} WHERE "{column.name}" NOT IN (0, 1)'
                assert one(clean, beyond) == 0


CLEAN_QUERIES = {
    "a linked pair differs": "SELECT count(*) FROM children c JOIN patients p "
    "ON p.id = c.linked_patient_id WHERE (c.first_name, c.last_name, c.date_of_birth, c.gender) "
    "IS NOT (p.first_name, p.last_name, p.date_of_birth, p.gender)",
    "a link leads nowhere": "SELECT count(*) FROM children "
    "WHERE linked_patient_id NOT IN (SELECT id FROM patients)",
    "two children share a patient": "SELECT count(*) - count(DISTINCT linked_patient_id) "
    "FROM children WHERE linked_patient_id IS NOT NULL",
    "a linked child lacks its parent link": "SELECT count(*) FROM children "
    "WHERE linked_patient_id IS NOT NULL AND (parent_id, linked_patient_id) NOT IN "
    "(SELECT parent_id, patient_id FROM parent_children WHERE is_primary = 1)",
    "a patient has other than one primary parent": "SELECT count(*) FROM (SELECT 1 "
    "FROM parent_children GROUP BY patient_id HAVING sum(is_primary) <> 1)",
    "a linked child lacks a consent": "SELECT count(*) FROM children "
    "WHERE linked_patient_id IS NOT NULL AND (parent_id, linked_patient_id) NOT IN "
    "(SELECT parent_id, patient_id FROM consent_grants)",
    "a UDID is used twice": "SELECT count(udid_number) - count(DISTINCT udid_number) FROM patients",
    "a gender is missing": "SELECT (SELECT count(*) FROM patients WHERE coalesce(gender, '') = '')"
    " + (SELECT count(*) FROM children WHERE coalesce(gender, '') = '')",
    "two persons look the same": "SELECT count(*) FROM (SELECT 1 FROM (SELECT first_name, "
    "last_name, date_of_birth FROM patients UNION ALL SELECT first_name, last_name, date_of_birth "
    "FROM children WHERE linked_patient_id IS NULL) GROUP BY 1, first_name, last_name, "
    "date_of_birth HAVING count(*) > 1)",
    "an IEP and a PEP share an id": "SELECT count(*) FROM ieps JOIN peps USING (id)",
    "an answer has no screening": "SELECT count(*) FROM screening_responses "
    "WHERE screening_id NOT IN (SELECT id FROM parent_screenings)",
    "a conversation is about nobody known": "SELECT count(*) FROM conversations "
    "WHERE patient_id NOT IN (SELECT id FROM patients)",
    "an audit log names a patient": "SELECT count(*) FROM audit_logs "
    "WHERE resource_id IN (SELECT id FROM patients UNION SELECT id FROM children)",
    "something happened after the sample was taken": "SELECT count(*) FROM patients "
    "WHERE updated_at > 1751241600000 OR created_at > updated_at",
}


@pytest.mark.parametrize("query", CLEAN_QUERIES.values(), ids=CLEAN_QUERIES.keys())
def test_in_a_clean_sample_never(clean: sqlite3.Connection, query: str) -> None:
    assert one(clean, query) == 0


def test_clean_sample_speaks_many_scripts(clean: sqlite3.Connection) -> None:
    names = "".join(row[0] for row in clean.execute("SELECT first_name FROM patients"))

    assert any("\u0900" <= letter <= "\u097f" for letter in names)
    assert any("\u0b80" <= letter <= "\u0bff" for letter in names)
    assert "é" in names or "ç" in names or "ü" in names


def test_free_texts_have_the_length_of_real_ones(clean: sqlite3.Connection) -> None:
    lengths = [row[0] for row in clean.execute("SELECT length(content) FROM journal_entries")]

    assert min(lengths) >= 50
    assert max(lengths) <= 600
    assert 150 < sum(lengths) / len(lengths) < 400


def test_existing_file_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("precious")

    with pytest.raises(UsageError, match="exists already"):
        write_sample(path, SampleOptions(persons=1))
    assert path.read_text() == "precious"


def test_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        write_sample(tmp_path / "no" / "x.db", SampleOptions(persons=1))


@pytest.mark.parametrize("wrong", [{"persons": 0}, {"faults": -0.1}, {"faults": 1.1}, {"seed": -1}])
def test_options_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        SampleOptions(**wrong)


def test_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "create_table", lambda table: "CREATE TABLE (")

    with pytest.raises(DatabaseError):
        write_sample(tmp_path / "x.db", SampleOptions(persons=1))
    assert list(tmp_path.iterdir()) == []
