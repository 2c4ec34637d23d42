"""Kinds of damage to a finished migration, each as SQL, and the check that must find it."""

from __future__ import annotations

import re
from dataclasses import dataclass

FRESH = "'0197f3a0-0000-7000-8000-00000000d0d0'"
LATEST = "ORDER BY rowid DESC LIMIT 1"


@dataclass(frozen=True)
class Damage:
    """One planted defect.

    finds: check and table that must fail.  also: other checks that see it too; the inverse may
    where cells, rows, ids or archives are wrong.  faulty: only a database with faults has the rows
    that it needs.
    """

    name: str
    statements: tuple[str, ...]
    finds: tuple[str, str | None]
    also: tuple[str, ...] = ()
    faulty: bool = False

    @property
    def others(self) -> frozenset[str]:
        """The other checks that may fail."""
        inverted = ("rebuild",) if self.written - NOT_INVERTED else ()
        return frozenset((*self.also, *inverted))

    @property
    def written(self) -> frozenset[str]:
        """The tables that the statements write to or drop."""
        return frozenset(table for text in self.statements for table in _WRITTEN.findall(text))


_WRITTEN = re.compile(r"(?:UPDATE|INSERT INTO|DELETE FROM|TABLE) ((?:main|ledger)\.\w+)")
NOT_INVERTED = frozenset(
    f"ledger.{table}"
    for table in (
        *("discrepancies", "normalisations", "lineage", "person_notes"),
        *("checkpoints", "verification"),
    )
)
"""What the ledger says of the run, which no source cell comes from."""


def change(table: str, values: str, where: str) -> str:
    """Change one row: the first that fits."""
    return (
        f"UPDATE {table} SET {values} WHERE rowid = "
        f"(SELECT rowid FROM {table} WHERE {where} ORDER BY rowid LIMIT 1)"
    )


def lose(table: str, where: str = "1") -> str:
    """Delete one row: the first that fits."""
    return (
        f"DELETE FROM {table} WHERE rowid = "
        f"(SELECT rowid FROM {table} WHERE {where} ORDER BY rowid LIMIT 1)"
    )


def double(table: str, where: str = "1", **other: str) -> tuple[str, ...]:
    """Copy one row under a fresh id, with other columns changed as well."""
    changes = ", ".join(f"{name} = {value}" for name, value in {"id": FRESH, **other}.items())
    return (
        f"CREATE TEMP TABLE doubled AS SELECT * FROM {table} WHERE {where} LIMIT 1",
        f"UPDATE temp.doubled SET {changes}",
        f"INSERT INTO {table} SELECT * FROM temp.doubled",
        "DROP TABLE temp.doubled",
    )


ROWS = (
    Damage(
        "a lost row",
        (lose("main.journal_attachments"),),
        ("rows_accounted", "journal_attachments"),
    ),
    Damage(
        "a lost row that others need",
        (lose("main.journal_entries", "id IN (SELECT entry_id FROM main.journal_attachments)"),),
        ("rows_accounted", "journal_entries"),
        ("foreign_keys", "cells_match"),
    ),
    Damage("a doubled row", double("main.contacts"), ("target_rows", "contacts")),
    Damage(
        "two rows swapped",
        (
            "CREATE TEMP TABLE pair AS SELECT id, entry_type, title FROM main.journal_entries "
            "GROUP BY title ORDER BY id LIMIT 2",
            "UPDATE main.journal_entries SET title = (SELECT title FROM temp.pair AS p "
            "WHERE p.id <> journal_entries.id) WHERE id IN (SELECT id FROM temp.pair)",
            "DROP TABLE temp.pair",
        ),
        ("cells_match", "journal_entries"),
    ),
    Damage(
        "a row under another row's id",
        (change("main.session_attachments", f"id = {FRESH}", "1"),),
        ("rows_accounted", "session_attachments"),
        ("target_rows",),
    ),
    Damage(
        "a row in a table that nothing fills",
        (
            "INSERT INTO main.schools (id, name, school_type, created_at, updated_at) "
            "VALUES ('s', 'School', 'public', 0, 0)",
        ),
        ("unfilled_tables", None),
    ),
    Damage(
        "a reason that does not hold",
        (
            change(
                "ledger.archive_appointments",
                "_reason = 'duplicate_key'",
                "_reason = 'orphaned_record'",
            ),
        ),
        ("rows_justified", "appointments"),
        ("rows_logged", "discrepancies"),
        faulty=True,
    ),
    Damage(
        "a healthy row kept out",
        (
            "CREATE TEMP TABLE victim AS SELECT id FROM main.documents ORDER BY rowid LIMIT 1",
            "DELETE FROM main.documents WHERE id IN (SELECT id FROM temp.victim)",
            "DELETE FROM ledger.archive_patient_documents WHERE id IN (SELECT id FROM temp.victim)",
            "INSERT INTO ledger.archive_patient_documents (id, _archived, _reason) "
            "SELECT id, '[]', 'orphaned_record' FROM temp.victim",
            "DROP TABLE temp.victim",
        ),
        ("rows_justified", "patient_documents"),
        ("rows_logged", "archive_lists", "unreadable_values", "discrepancies"),
        faulty=True,
    ),
    Damage(
        "a row that was kept out is in the target",
        (
            "INSERT INTO main.journal_attachments (id, entry_id, file_type, file_name, file_url) "
            "SELECT id, (SELECT id FROM main.journal_entries LIMIT 1), 'a', 'b', 'c' "
            "FROM ledger.archive_journal_attachments WHERE _reason = 'orphaned_record' LIMIT 1",
        ),
        ("rows_not_revived", "journal_attachments"),
        ("target_rows",),
        faulty=True,
    ),
    Damage(
        "a merged tag that points to another tag",
        (
            "UPDATE ledger.tag_to_tag SET new_id = (SELECT id FROM main.tags WHERE id <> "
            "tag_to_tag.new_id LIMIT 1) WHERE rowid = (SELECT m.rowid FROM ledger.tag_to_tag AS m "
            "JOIN ledger.archive_patient_tags AS a ON a.patient_id = m.patient_id AND a.tag = "
            "m.tag "
            "WHERE a._reason = 'merged_tag' LIMIT 1)",
        ),
        ("rows_justified", "patient_tags"),
        faulty=True,
    ),
    Damage(
        "a tag mapped to another tag",
        (
            "UPDATE ledger.tag_to_tag SET new_id = (SELECT id FROM main.tags ORDER BY rowid DESC "
            "LIMIT 1) WHERE rowid = (SELECT rowid FROM ledger.tag_to_tag AS m WHERE NOT EXISTS "
            "(SELECT 1 FROM ledger.tag_to_tag AS o WHERE o.new_id = m.new_id AND "
            "o.rowid <> m.rowid) LIMIT 1)",
        ),
        ("cells_match", "patient_tags"),
        ("target_rows", "rows_accounted"),
    ),
)

CELLS = (
    Damage(
        "'' for NULL",
        (change("main.journal_entries", "linked_goal_id = ''", "linked_goal_id IS NULL"),),
        ("cells_match", "journal_entries"),
    ),
    Damage(
        "NULL for ''",
        (change("main.contacts", "occupation = NULL", "occupation = ''"),),
        ("cells_match", "patient_contacts"),
    ),
    Damage(
        "a text for an instant",
        (change("main.appointments", "date = '2024-01-01 10:00:00'", "1"),),
        ("storage_classes", "appointments"),
        ("cells_match",),
    ),
    Damage(
        "bytes for a text",
        (change("main.journal_entries", "title = CAST(title AS BLOB)", "title <> ''"),),
        ("storage_classes", "journal_entries"),
        ("cells_match",),
    ),
    Damage(
        "a REAL for an INTEGER",
        (change("main.documents", "file_size = file_size + 0.5", "file_size IS NOT NULL"),),
        ("storage_classes", "documents"),
        ("cells_match",),
    ),
    Damage(
        "a boolean that is 2",
        (change("main.messages", "is_read = 2", "1"),),
        ("storage_classes", "messages"),
        ("cells_match",),
    ),
    Damage(
        "an instant beyond the year 9999",
        (change("main.audit_logs", "created_at = 253402300800000", "1"),),
        ("storage_classes", "audit_logs"),
        ("cells_match",),
    ),
    Damage(
        "one flipped bit in a text",
        (
            change(
                "main.journal_entries",
                "content = substr(content, 1, 1) || char(unicode(substr(content, 2, 1)) + 1) "
                "|| substr(content, 3)",
                "length(content) > 3 AND unicode(substr(content, 2, 1)) BETWEEN 97 AND 120",
            ),
        ),
        ("cells_match", "journal_entries"),
    ),
    Damage(
        "an instant that is one millisecond off",
        (change("main.appointments", "updated_at = updated_at + 1", "1"),),
        ("cells_match", "appointments"),
    ),
    Damage(
        "a trimmed text",
        (
            change(
                "main.contacts",
                "relationship = trim(relationship)",
                "relationship <> trim(relationship)",
            ),
        ),
        ("cells_match", "patient_contacts"),
    ),
    Damage(
        "a text cut at an embedded NUL",
        (
            change(
                "main.contacts",
                "relationship = substr(relationship, 1, 2)",
                "octet_length(relationship) > length(relationship) + 2 "
                "AND instr(relationship, char(0)) = 3",
            ),
        ),
        ("cells_match", "patient_contacts"),
    ),
    Damage(
        "a line missing in a folded text",
        (
            change(
                "main.education_plans",
                "notes = substr(notes, instr(notes, char(10)) + 1)",
                "plan_type = 'IEP' AND instr(notes, char(10)) > 0",
            ),
        ),
        ("cells_match", "ieps"),
    ),
    Damage(
        "a session that starts an hour late",
        (change("main.consultation_sessions", "start_time = '23:59'", "start_time <> '23:59'"),),
        ("cells_match", "consultation_sessions"),
    ),
    Damage(
        "an owner of the other kind",
        (
            change(
                "main.documents", "uploaded_by_type = 'parent'", "uploaded_by_type = 'clinician'"
            ),
        ),
        ("cells_match", "patient_documents"),
    ),
    Damage(
        "a default where the source has a value",
        (change("main.appointments", "status = 'scheduled'", "status <> 'scheduled'"),),
        ("cells_match", "appointments"),
    ),
    Damage(
        "a value in a column that nothing fills",
        (change("main.consultation_sessions", "home_recommendations = 'rest'", "1"),),
        ("cells_match", "consultation_sessions"),
    ),
    Damage(
        "a progress of a PEP goal under another creator",
        (
            "UPDATE main.goal_progress_updates SET updated_by = 'somebody' WHERE id IN "
            "(SELECT id FROM source.pep_goal_progress) AND updated_by_type = 'parent' AND rowid = "
            "(SELECT max(rowid) FROM main.goal_progress_updates)",
        ),
        ("cells_match", "pep_goal_progress"),
    ),
)

REFERENCES = (
    Damage(
        "a person reference to nobody",
        (change("main.contacts", "person_id = 'nobody'", "1"),),
        ("person_references", "contacts"),
        ("foreign_keys", "cells_match"),
    ),
    Damage(
        "an old patient id left in place",
        (change("main.contacts", "person_id = (SELECT min(id) FROM source.patients)", "1"),),
        ("person_references", "contacts"),
        ("foreign_keys", "cells_match"),
    ),
    Damage(
        "a record that moved to another person",
        (
            "UPDATE main.journal_entries SET person_id = (SELECT p.id FROM main.persons AS p "
            "WHERE p.id <> journal_entries.person_id LIMIT 1) "
            "WHERE rowid = (SELECT min(rowid) FROM main.journal_entries)",
        ),
        ("cells_match", "journal_entries"),
    ),
    Damage(
        "an appointment with another clinician",
        (
            "UPDATE main.appointments SET clinician_id = (SELECT u.id FROM main.users AS u "
            "WHERE u.id <> appointments.clinician_id LIMIT 1) "
            "WHERE rowid = (SELECT min(rowid) FROM main.appointments)",
        ),
        ("cells_match", "appointments"),
    ),
    Damage(
        "a dangling foreign key",
        (change("main.session_attachments", "session_id = 'none'", "1"),),
        ("foreign_keys", None),
        ("cells_match",),
    ),
    Damage(
        "an optional reference that was lost",
        (change("main.appointments", "location_id = NULL", "location_id IS NOT NULL"),),
        ("cells_match", "appointments"),
    ),
    Damage(
        "a PEP goal under the IEP of the same id",
        (
            "UPDATE main.education_goals SET plan_id = (SELECT c.old_id FROM "
            "ledger.collision_to_id AS c WHERE c.new_id = education_goals.plan_id) WHERE rowid = "
            "(SELECT g.rowid FROM main.education_goals AS g JOIN ledger.collision_to_id AS c "
            "ON c.new_id = g.plan_id JOIN main.education_plans AS p ON p.id = c.old_id LIMIT 1)",
        ),
        ("cells_match", "pep_goals"),
        faulty=True,
    ),
)
