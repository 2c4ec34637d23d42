"""Every kind of fault that the contract names is in a broken sample, and the keys stay whole."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from person_unify.findings import FINDINGS
from person_unify.pipeline import CheckOptions, check
from person_unify.sample import SampleOptions, write_sample
from person_unify.schema import OLD

LINKED = "children c JOIN patients p ON p.id = c.linked_patient_id"
DAY = "/ 86400000"

STRUCTURE = {
    "missing link": "children WHERE linked_patient_id LIKE '00000000-%'",
    "empty link": "children WHERE linked_patient_id = ''",
    "link to a child": "children WHERE linked_patient_id IN (SELECT id FROM children)",
    "shared link": "children WHERE linked_patient_id <> '' GROUP BY linked_patient_id "
    "HAVING count(*) > 1",
    "two child rows on one pair": "children WHERE linked_patient_id <> '' "
    "GROUP BY linked_patient_id, parent_id HAVING count(*) > 1",
    "same name, spelt otherwise": f"{LINKED} WHERE c.first_name <> p.first_name "
    "AND lower(trim(replace(c.first_name, char(160, 32), ' '))) = lower(p.first_name)",
    "other name": f"{LINKED} WHERE c.first_name LIKE '% Kumari' OR c.last_name LIKE '%-Rao'",
    "birth hours apart": f"{LINKED} "
    "WHERE abs(c.date_of_birth - p.date_of_birth) BETWEEN 1 AND 86399999",
    "birth days apart": f"{LINKED} WHERE abs(c.date_of_birth - p.date_of_birth) >= 86400000",
    "other gender": f"{LINKED} WHERE c.gender <> p.gender AND c.gender <> '' AND p.gender <> ''",
    "another child": f"{LINKED} WHERE c.last_name LIKE '%-Pillai' AND c.last_name <> p.last_name",
    "no birth date": "patients WHERE date_of_birth = 'unknown'",
    "no birth date of a child": "children WHERE date_of_birth = 'unknown'",
    "seconds": "journal_entries WHERE updated_at BETWEEN 1500000000 AND 2000000000",
    "suspended account": "users WHERE status = 'suspended'",
    "deleted account": "users WHERE deleted_at IS NOT NULL",
    "patient without gender": "patients WHERE coalesce(gender, '') = ''",
    "child without gender": "children WHERE coalesce(gender, '') = ''",
    "duplicate UDID": "patients WHERE udid_number <> '' GROUP BY udid_number HAVING count(*) > 1",
    "empty UDID": "patients WHERE udid_number = ''",
    "deleted patient": "patients WHERE deleted_at IS NOT NULL",
    "suspected duplicate": "patients a JOIN patients b ON upper(a.first_name) = b.first_name "
    f"AND trim(b.last_name) = a.last_name AND a.date_of_birth {DAY} = b.date_of_birth {DAY} "
    "AND a.id <> b.id",
    "several primary parents": "parent_children WHERE is_primary = 1 "
    "GROUP BY patient_id HAVING count(DISTINCT parent_id) > 1",
    "no primary parent": "parent_children GROUP BY patient_id "
    "HAVING count(*) > 1 AND max(is_primary) = 0",
    "repeated pair": "parent_children GROUP BY patient_id, parent_id HAVING count(*) > 1",
    "three parents": "parent_children GROUP BY patient_id HAVING count(DISTINCT parent_id) > 2",
    "pending consent": "consent_grants WHERE status = 'pending'",
    "revoked consent": "consent_grants WHERE status = 'revoked'",
    "expired consent": "consent_grants WHERE status = 'expired'",
    "consent without status": "consent_grants WHERE status IS NULL OR hex(status) = '61FF'",
    "unreadable permissions": "consent_grants WHERE hex(permissions) IN ('7BC3', 'FFFE')",
    "unreadable access level": "consent_grants WHERE hex(access_level) = '80'",
    "unreadable end": "consent_grants WHERE expires_at = 'soon' OR revoked_at = '2024-13-01'",
    "consent claimed by nobody": "consent_grants WHERE clinician_id = ''",
    "consent granted by default": "consent_grants WHERE typeof(granted_at) = 'text'",
    "linked child without consent": f"{LINKED} "
    "WHERE p.id NOT IN (SELECT patient_id FROM consent_grants WHERE patient_id IS NOT NULL)",
    "merged tag": "patient_tags t JOIN children c ON c.id = t.patient_id "
    "JOIN patient_tags u ON u.patient_id = c.linked_patient_id AND u.tag = t.tag",
    "plan ids collide": "ieps JOIN peps USING (id)",
    "goal ids collide": "iep_goals JOIN pep_goals USING (id)",
    "progress ids collide": "goal_progress_updates JOIN pep_goal_progress USING (id)",
    "goals follow their plan": "pep_goals g JOIN peps ON peps.id = g.pep_id "
    "JOIN ieps ON ieps.id = peps.id",
    "patient in an audit log": "audit_logs JOIN patients p ON p.id = resource_id",
    "child in an audit log": "audit_logs JOIN children c ON c.id = resource_id",
    "patient in an action": "notifications WHERE action_url LIKE '/patients/%-%/overview%'",
    "patient in action data": 'notifications WHERE action_data LIKE \'{"patient": "%-%\'',
    "NULL in a required column": "journal_entries WHERE title IS NULL OR content IS NULL "
    "OR created_by IS NULL OR entry_type IS NULL OR created_at IS NULL OR tags IS NULL "
    "OR patient_id IS NULL OR updated_at IS NULL OR visibility IS NULL "
    "OR created_by_type IS NULL OR created_by_name IS NULL",
    "100 kB of text": "journal_entries WHERE length(content) >= 100000",
    "column that the target knows": "reports WHERE reporting_period LIKE 'Q%'",
    "column that nobody knows": "patients WHERE blood_group = 'O+'",
}
"""Faults that even the least share plants on one row or more."""

CELLS = {
    "date only": "sessions GLOB '????-??-??'",
    "minutes": "sessions GLOB '????-??-?? ??:??'",
    "seconds": "sessions GLOB '????-??-?? ??:??:??'",
    "ISO with Z": "sessions GLOB '????-??-??T??:??:??.???Z'",
    "offset with colon": "sessions GLOB '*+05:30'",
    "offset without colon": "sessions GLOB '* +0530'",
    "offset of hours": "sessions GLOB '*-08'",
    "lower case": "sessions GLOB '*t*z'",
    "finer than a millisecond": "sessions GLOB '*.123456789Z'",
    "broken instant": "typeof(sessions) = 'real' AND sessions <> 9e999",
    "day that does not exist": "sessions = '2024-02-30'",
    "hour 24": "sessions GLOB '*T24:*'",
    "blank before": "sessions GLOB ' *'",
    "no date": "sessions = 'not a date'",
    "empty": "sessions = ''",
    "year 10000": "sessions = 253402300800000",
    "infinite": "sessions = 9e999",
    "bytes": "typeof(sessions) = 'blob'",
}
"""Forms of instants, to be found in ``session_date`` or another instant of the same table."""

OTHERS = {
    "boolean word": "parent_children WHERE is_primary IN ('true', 'FALSE', 'TRUE', 'False')",
    "boolean digit": "patient_contacts WHERE typeof(is_primary_contact) = 'text' "
    "AND is_primary_contact IN ('0', '1')",
    "boolean real": "users WHERE typeof(email_verified) = 'real'",
    "no boolean": "messages WHERE is_read IN ('yes', 2, -1, '')",
    "integer text": "iep_goals WHERE typeof(current_progress) = 'text'",
    "integral real": "ieps WHERE typeof(placement_percentage) = 'real'",
    "real in an integer": "iep_services WHERE typeof(duration) = 'real'",
    "integer in a text": "patients WHERE typeof(pin_code) = 'integer'",
    "real in a text": "patients WHERE typeof(middle_name) = 'real' OR typeof(pin_code) = 'real'",
    "readable BLOB": "patients WHERE typeof(first_name) = 'blob'",
    "BLOB reference": "journal_entries WHERE typeof(patient_id) = 'blob'",
    "duplicate clinician profile": "clinician_profiles GROUP BY user_id HAVING count(*) > 1",
    "duplicate e-mail": "users GROUP BY email HAVING count(*) > 1",
    "duplicate parent": "parents GROUP BY user_id HAVING count(*) > 1",
    "duplicate session token": "refresh_tokens GROUP BY token HAVING count(*) > 1",
    "duplicate consent token": "consent_grants GROUP BY token HAVING count(*) > 1",
    "duplicate question": "asq_questions GROUP BY age_range, domain, question_number "
    "HAVING count(*) > 1",
}


HOSTILE = {
    "embedded NUL": "before\0after",
    "quotes": 'O\'Brien "quoted" `ticks`',
    "placeholders": "%s %d {0} ${x} ?1 :a",
    "injection": "'; DROP TABLE patients; --",
    "emoji": "\U0001f469\u200d\U0001f467\u200d\U0001f466 emoji",
    "right to left": "\u05e9\u05dc\u05d5\u05dd",
    "combining accent": "e\u0301",
    "byte order mark": "\ufeff",
    "last code point": "\U0010ffff",
    "line break": "line\r\n\tbreak",
}


def some(connection: sqlite3.Connection, rest: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {rest} LIMIT 1").fetchone() is not None


@pytest.mark.parametrize("rest", STRUCTURE.values(), ids=STRUCTURE.keys())
def test_structural_fault_is_planted(
    clean: sqlite3.Connection, worn: sqlite3.Connection, broken: sqlite3.Connection, rest: str
) -> None:
    natural = ("status", "WHERE typeof", "deleted_at", "blood_group", "reporting_period")

    assert some(broken, rest)
    assert some(worn, rest)
    assert any(word in rest for word in natural) or not some(clean, rest)


@pytest.mark.parametrize("test", CELLS.values(), ids=CELLS.keys())
def test_form_of_instant_is_planted(broken: sqlite3.Connection, test: str) -> None:
    columns = ("session_date", "created_at", "updated_at")

    assert any(
        some(broken, f"consultation_sessions WHERE {test.replace('sessions', column)}")
        for column in columns
    )


@pytest.mark.parametrize("rest", OTHERS.values(), ids=OTHERS.keys())
def test_cell_or_key_fault_is_planted(broken: sqlite3.Connection, rest: str) -> None:
    assert some(broken, rest)


def test_bad_utf8_is_planted_in_texts_and_references(broken: sqlite3.Connection) -> None:
    for column in ("content", "patient_id"):
        cells = broken.execute(
            f"SELECT {column} FROM journal_entries WHERE typeof({column}) = 'text'"
        )
        assert any("\udc80" <= letter <= "\udcff" for (cell,) in cells for letter in cell)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_planted(broken: sqlite3.Connection, text: str) -> None:
    for table in ("journal_entries", "patient_contacts", "messages", "patients"):
        for row in broken.execute(f"SELECT * FROM {table}"):
            if any(isinstance(cell, str) and text in cell for cell in row):
                return
    pytest.fail(f"no cell holds {text!r}")


@pytest.mark.parametrize("table", [name for name, table in OLD.items() if table.foreign_keys])
def test_every_declared_reference_is_broken_somewhere(
    broken: sqlite3.Connection, table: str
) -> None:
    for key in OLD[table].foreign_keys:
        lost = f"{key.column} NOT IN (SELECT id FROM {key.table})"
        facts = OLD[table].column(key.column)
        if facts is not None and facts.not_null:
            lost += f" OR {key.column} IS NULL"
        assert some(broken, f"{table} WHERE {lost}")


@pytest.mark.parametrize(
    "table", [name for name, table in OLD.items() if table.column("patient_id") is not None]
)
def test_child_ids_stand_in_every_patient_column(broken: sqlite3.Connection, table: str) -> None:
    assert some(broken, f"{table} WHERE patient_id IN (SELECT id FROM children)")


def test_primary_keys_stay_whole_whatever_breaks(broken: sqlite3.Connection) -> None:
    for table in OLD.values():
        key = table.primary_key
        rows = broken.execute(f"SELECT {', '.join(key)} FROM {table.name}").fetchall()
        assert len(rows) == len(set(rows))
        assert all(isinstance(cell, str) and cell.encode() for row in rows for cell in row)


def test_broken_sample_is_a_sound_file(broken: sqlite3.Connection) -> None:
    assert broken.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert broken.execute("PRAGMA encoding").fetchone() == ("UTF-8",)


def test_most_rows_of_a_broken_sample_can_still_be_loaded(broken: sqlite3.Connection) -> None:
    linked = broken.execute(f"SELECT count(*) FROM {LINKED}").fetchone()[0]
    children = broken.execute("SELECT count(*) FROM children").fetchone()[0]

    assert linked > children / 2


@pytest.mark.parametrize("name", ["missing link", "other name", "deleted patient"])
def test_more_faults_break_more(
    worn: sqlite3.Connection, broken: sqlite3.Connection, name: str
) -> None:
    few, many = (
        connection.execute(f"SELECT count(*) FROM {STRUCTURE[name]}").fetchone()[0]
        for connection in (worn, broken)
    )

    assert many > 3 * few > 0


def test_every_kind_of_finding_is_in_a_broken_sample(tmp_path: Path) -> None:
    write_sample(tmp_path / "old.db", SampleOptions(persons=60, seed=7))

    report = check(CheckOptions(tmp_path / "old.db"))

    assert {found.kind for found in report.discrepancies if found.count} == set(FINDINGS)
