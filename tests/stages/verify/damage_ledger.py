"""Damage to what the ledger says: archives, the log, and its records of itself (see ``damage``)."""

from __future__ import annotations

from .damage import FRESH, Damage, change, lose

ARCHIVE = (
    Damage(
        "another reason of a table without a counterpart",
        (change("ledger.archive_appointment_history", "_reason = 'not_carried'", "1"),),
        ("archive_lists", "appointment_history"),
    ),
    Damage(
        "an archive row that names a column too many",
        (
            change(
                "ledger.archive_reports",
                "_archived = replace(_archived, ']', ', \"title\"]')",
                "_reason = 'not_carried' AND _archived NOT LIKE '%\"title\"%'",
            ),
        ),
        ("rebuild", "reports"),
    ),
    Damage(
        "an archive row that names a column that is not there",
        (
            change(
                "ledger.archive_reports",
                "_archived = replace(_archived, ']', ', \"nowhere\"]')",
                "_reason = 'not_carried'",
            ),
        ),
        ("archive_lists", "reports"),
    ),
    Damage(
        "an archived cell that its list does not name",
        (
            "UPDATE ledger.archive_patients SET first_name = (SELECT s.first_name FROM "
            "source.patients AS s WHERE s.id = archive_patients.id) WHERE rowid = (SELECT rowid "
            "FROM ledger.archive_patients WHERE _archived NOT LIKE '%\"first_name\"%' LIMIT 1)",
        ),
        ("archive_verbatim", "patients"),
        faulty=True,
    ),
    Damage(
        "two archive rows that swapped their keys",
        (
            "CREATE TEMP TABLE pair AS SELECT id FROM ledger.archive_ieps ORDER BY rowid LIMIT 2",
            "UPDATE ledger.archive_ieps SET id = (SELECT p.id FROM temp.pair AS p WHERE p.id <> "
            "archive_ieps.id) WHERE id IN (SELECT id FROM temp.pair)",
            "DROP TABLE temp.pair",
        ),
        ("rebuild", "ieps"),
        ("rows_accounted", "target_rows", "rows_not_revived"),
    ),
    Damage(
        "an archive of a table that the source has not",
        ("CREATE TABLE ledger.archive_nothing AS SELECT 1 AS id",),
        ("ledger_tables", None),
    ),
)

LOG = (
    Damage(
        "a discrepancy that blames another row",
        (
            "UPDATE ledger.discrepancies SET source_id = (SELECT min(id) FROM source.patients AS p "
            "WHERE p.id <> source_id) WHERE rowid = (SELECT rowid FROM ledger.discrepancies "
            "WHERE kind = 'orphaned_record' AND source_table = 'patients' LIMIT 1)",
        ),
        ("discrepancies", "patients"),
        ("persons_seen", "linked_children"),
        faulty=True,
    ),
    Damage(
        "a discrepancy with another missing id",
        (change("ledger.discrepancies", "related_id = 'x'", "kind = 'missing_linked_patient'"),),
        ("discrepancies", "children"),
        faulty=True,
    ),
    Damage(
        "a discrepancy of another person",
        (
            change(
                "ledger.discrepancies",
                f"person_id = {FRESH}",
                "kind = 'child_id_in_patient_column'",
            ),
        ),
        ("discrepancies", None),
        faulty=True,
    ),
    Damage(
        "a discrepancy in another column",
        (change("ledger.discrepancies", "field = 'notes'", "kind = 'dangling_reference'"),),
        ("discrepancies", None),
        faulty=True,
    ),
    Damage(
        "a mismatch that states another value",
        (
            change(
                "ledger.discrepancies",
                "child_value = child_value || '?'",
                "kind = 'demographic_mismatch'",
            ),
        ),
        ("demographic_mismatches", "children"),
        faulty=True,
    ),
    Damage(
        "a mismatch whose choice is the child's",
        (
            change(
                "ledger.discrepancies",
                "chosen_value = child_value",
                "kind = 'demographic_mismatch'",
            ),
        ),
        ("demographic_mismatches", "children"),
        faulty=True,
    ),
    Damage(
        "a suspected duplicate of somebody else",
        (
            change(
                "ledger.discrepancies",
                "related_id = source_id",
                "kind = 'suspected_duplicate'",
            ),
        ),
        ("suspected_duplicates", "persons"),
        faulty=True,
    ),
    Damage(
        "a note of a person lost",
        (lose("ledger.person_notes"),),
        ("person_notes", "persons"),
        ("cells_match",),
        faulty=True,
    ),
)

RECORDS = (
    Damage("a column without lineage", (lose("ledger.lineage"),), ("lineage", None)),
    Damage(
        "a column with another place",
        (change("ledger.lineage", "target_column = 'notes'", "target_column = 'title'"),),
        ("lineage", None),
    ),
    Damage(
        "a carried column that is said to be archived",
        (
            change(
                "ledger.lineage",
                "disposition = 'archived', target_table = NULL, target_column = NULL",
                "disposition = 'carried'",
            ),
        ),
        ("lineage", None),
    ),
    Damage(
        "a column of nowhere in the lineage",
        (
            "INSERT INTO ledger.lineage VALUES "
            "('users', 'nowhere', 'archived', NULL, NULL, 'no home in the target')",
        ),
        ("lineage", None),
    ),
    Damage(
        "a count that is one too high",
        (
            change(
                "ledger.normalisations",
                "cells = cells + 1",
                "source_table = 'journal_entries'",
            ),
        ),
        ("normalisations", "journal_entries"),
        faulty=True,
    ),
    Damage(
        "a count that was lost",
        (lose("ledger.normalisations", "source_table = 'appointments'"),),
        ("normalisations", "appointments"),
        faulty=True,
    ),
    Damage(
        "a count of an unknown rule",
        ("INSERT INTO ledger.normalisations VALUES ('patients', 'gender', 'guessed', 1)",),
        ("normalisations", None),
    ),
    Damage(
        "a consent that maps to two grants",
        (
            f"INSERT INTO ledger.consent_to_grant SELECT old_id, {FRESH} FROM "
            "ledger.consent_to_grant LIMIT 1",
        ),
        ("id_maps", "consent_to_grant"),
    ),
    Damage(
        "a map entry of a stranger",
        (
            "INSERT INTO ledger.child_to_view SELECT 'stranger', new_id FROM "
            "ledger.child_to_view LIMIT 1",
        ),
        ("id_maps", "child_to_view"),
        ("view_maps",),
    ),
    Damage(
        "an id in a map that is no text",
        (
            "INSERT INTO ledger.patient_to_view SELECT CAST(old_id AS BLOB), new_id FROM "
            "ledger.patient_to_view LIMIT 1",
        ),
        ("id_maps", "patient_to_view"),
        ("view_maps",),
    ),
    Damage(
        "a tag of nobody in the map",
        ("INSERT INTO ledger.tag_to_tag SELECT patient_id, '?', new_id FROM ledger.tag_to_tag",),
        ("id_maps", "tag_to_tag"),
    ),
    Damage(
        "a phase that was not recorded",
        (lose("ledger.checkpoints", "phase = 'load' AND source_table IS NULL"),),
        ("run_recorded", None),
    ),
    Damage(
        "a recorded check that had failed",
        (change("ledger.verification", "passed = 0, outcome = 'failed'", "outcome = 'passed'"),),
        ("run_recorded", None),
    ),
)

DROPPED = tuple(
    Damage(f"the ledger's table {table} dropped", (f"DROP TABLE ledger.{table}",), finds, also)
    for table, finds, also in (
        ("lineage", ("ledger_tables", None), ()),
        ("discrepancies", ("ledger_tables", None), ()),
        ("normalisations", ("ledger_tables", None), ()),
        ("patient_to_person", ("ledger_tables", None), ()),
        ("person_notes", ("ledger_tables", None), ()),
        ("checkpoints", ("ledger_tables", None), ()),
        ("archive_session_templates", ("rows_accounted", "session_templates"), ()),
        (
            "archive_reports",
            ("archive_lists", "reports"),
            ("rows_accounted", "unreadable_values", "normalisations"),
        ),
        ("archive_children", ("rebuild", "children"), ("archive_lists",)),
    )
)
"""Whole tables of the ledger, its own and archives."""
