"""Damage to persons, views and grants, and to the ledger (see ``damage``)."""

from __future__ import annotations

from .damage import FRESH, Damage, change, double, lose

PEOPLE = (
    Damage(
        "a person too many",
        double("main.persons", udid_number="NULL"),
        ("persons_count", "persons"),
    ),
    Damage(
        "a person lost",
        (lose("main.persons", "id IN (SELECT new_id FROM ledger.patient_to_person)"),),
        ("persons_count", "persons"),
        ("id_maps", "patient_map", "child_map", "foreign_keys", "person_references"),
    ),
    Damage(
        "a patient without a person",
        (lose("ledger.patient_to_person"),),
        ("patient_map", "patients"),
        (
            *(
                "children_equation",
                "child_map",
                "cells_match",
                "view_maps",
            ),
            *("parent_views_count", "grants_not_wider", "grants_count", "implied_grants"),
            *("discrepancies", "persons_seen", "linked_children", "rows_justified", "rows_logged"),
            # The log names persons, and whose a patient's entries are is told by the map.
            *("parent_views", "person_notes", "primary_caregiver", "unreadable_values"),
        ),
    ),
    Damage(
        "a child that became another person",
        (
            "UPDATE ledger.child_to_person SET new_id = (SELECT new_id FROM "
            "ledger.patient_to_person AS p WHERE p.new_id <> child_to_person.new_id LIMIT 1) "
            "WHERE rowid = (SELECT min(rowid) FROM ledger.child_to_person)",
        ),
        ("child_map", "children"),
        (
            *(
                "children_equation",
                "view_maps",
                "parent_views_count",
                "cells_match",
                "parent_views",
            ),
            *("grants_count", "implied_grants", "discrepancies", "persons_seen"),
            *("linked_children", "primary_caregiver", "grants_not_wider", "person_notes"),
            *("rows_justified", "rows_logged"),
        ),
    ),
    Damage(
        "an old id as a person's id",
        (
            "UPDATE main.persons SET id = (SELECT old_id FROM ledger.patient_to_person AS m "
            "WHERE m.new_id = persons.id) WHERE id = "
            "(SELECT new_id FROM ledger.patient_to_person ORDER BY rowid LIMIT 1)",
            "UPDATE ledger.patient_to_person SET new_id = old_id WHERE rowid = 1",
        ),
        ("old_ids_gone", "persons"),
        (
            "id_maps",
            *("new_ids", "child_map", "children_equation", "foreign_keys", "person_references"),
            *("cells_match", "parent_views_count", "view_maps", "implied_grants"),
            *("grants_not_wider", "grants_count", "discrepancies", "persons_seen", "parent_views"),
            *("linked_children", "person_notes", "primary_caregiver", "rows_justified"),
            "rows_logged",
        ),
    ),
    Damage(
        "an id in capitals",
        (change("main.tags", f"id = upper({FRESH})", "1"),),
        ("new_ids", "tags"),
        ("id_maps", "rows_accounted", "target_rows"),
    ),
    Damage(
        "another gender",
        (change("main.persons", "gender = gender || '?'", "1"),),
        ("cells_match", "patients"),
    ),
    Damage(
        "a name of the child on the patient's person",
        (
            "UPDATE main.persons SET first_name = first_name || 'x' WHERE id = "
            "(SELECT new_id FROM ledger.patient_to_person LIMIT 1)",
        ),
        ("cells_match", "patients"),
    ),
    Damage(
        "a note that was lost",
        (change("main.persons", "migration_notes = NULL", "migration_notes IS NOT NULL"),),
        ("cells_match", "patients"),
        faulty=True,
    ),
    Damage(
        "a note that says something else",
        (
            "UPDATE main.persons SET migration_notes = migration_notes || '!' WHERE id = "
            "(SELECT person_id FROM ledger.person_notes LIMIT 1)",
            "UPDATE ledger.person_notes SET note = note || '!' WHERE rowid = 1",
        ),
        ("person_notes", "persons"),
        faulty=True,
    ),
)

VIEWS = (
    Damage(
        "a parent's view lost",
        (lose("main.parent_child_views", "is_primary_caregiver = 0"),),
        ("parent_views_count", "parent_child_views"),
        (
            "id_maps",
            "view_maps",
            "linked_children",
            "persons_seen",
            "rows_accounted",
        ),
    ),
    Damage(
        "a view too many",
        double("main.parent_child_views", is_primary_caregiver="0"),
        ("parent_views_count", "parent_child_views"),
    ),
    Damage(
        "a view of another parent",
        (
            "UPDATE main.parent_child_views SET parent_id = (SELECT p.id FROM main.parents AS p "
            "WHERE p.id <> parent_child_views.parent_id LIMIT 1) WHERE rowid = "
            "(SELECT min(rowid) FROM main.parent_child_views)",
        ),
        ("view_maps", None),
        ("parent_views", "primary_caregiver"),
    ),
    Damage(
        "a changed history in a parent's view",
        (change("main.parent_child_views", "medical_history = 'none'", "1"),),
        ("parent_views", "parent_child_views"),
    ),
    Damage(
        "a relationship that nobody stated",
        (change("main.parent_child_views", "relationship_type = 'uncle'", "1"),),
        ("parent_views", "parent_child_views"),
    ),
    Damage(
        "two primary caregivers",
        (
            change(
                "main.parent_child_views", "is_primary_caregiver = 1", "is_primary_caregiver = 0"
            ),
        ),
        ("primary_caregiver", "parent_child_views"),
    ),
    Damage(
        "no primary caregiver",
        (
            change(
                "main.parent_child_views", "is_primary_caregiver = 0", "is_primary_caregiver = 1"
            ),
        ),
        ("primary_caregiver", "parent_child_views"),
    ),
    Damage(
        "another primary caregiver",
        (
            "UPDATE main.parent_child_views SET is_primary_caregiver = 1 - is_primary_caregiver "
            "WHERE person_id = (SELECT person_id FROM main.parent_child_views GROUP BY person_id "
            "HAVING count(*) = 2 LIMIT 1)",
        ),
        ("primary_caregiver", "parent_child_views"),
    ),
    Damage(
        "a clinician's view lost",
        (lose("main.clinician_patient_views"),),
        ("clinician_views_count", "clinician_patient_views"),
        ("id_maps", "view_maps", "linked_children", "persons_seen"),
    ),
    Damage(
        "two clinicians' views swapped",
        (
            "CREATE TEMP TABLE pair AS SELECT id, person_id FROM main.clinician_patient_views "
            "ORDER BY id LIMIT 2",
            "UPDATE main.clinician_patient_views SET person_id = person_id || '!' "
            "WHERE id IN (SELECT id FROM temp.pair)",
            "UPDATE main.clinician_patient_views SET person_id = (SELECT p.person_id FROM "
            "temp.pair AS p WHERE p.id <> clinician_patient_views.id) "
            "WHERE id IN (SELECT id FROM temp.pair)",
            "DROP TABLE temp.pair",
        ),
        ("view_maps", "patients"),
        ("cells_match", "linked_children", "persons_seen"),
    ),
)

GRANTS = (
    Damage(
        "a grant moved to another child",
        (
            "UPDATE main.access_grants SET person_id = (SELECT p.id FROM main.persons AS p "
            "WHERE p.id <> access_grants.person_id LIMIT 1) WHERE id = "
            "(SELECT new_id FROM ledger.consent_to_grant LIMIT 1)",
        ),
        ("grants_not_wider", "access_grants"),
        ("cells_match",),
    ),
    Damage(
        "a revived consent",
        (change("main.access_grants", "status = 'active'", "status = 'revoked'"),),
        ("grants_not_wider", "access_grants"),
        ("cells_match",),
    ),
    Damage(
        "wider permissions",
        (
            "UPDATE main.access_grants SET permissions = '{\"edit\": true}' WHERE id = "
            "(SELECT new_id FROM ledger.consent_to_grant LIMIT 1)",
        ),
        ("cells_match", "consent_grants"),
    ),
    Damage(
        "an implied grant lost",
        (lose("main.access_grants", "id NOT IN (SELECT new_id FROM ledger.consent_to_grant)"),),
        ("grants_count", "access_grants"),
        ("implied_grants",),
        faulty=True,
    ),
    Damage(
        "an implied grant that may edit",
        (
            change(
                "main.access_grants",
                "access_level = 'edit'",
                "id NOT IN (SELECT new_id FROM ledger.consent_to_grant)",
            ),
        ),
        ("implied_grants", "access_grants"),
        faulty=True,
    ),
    Damage(
        "an implied grant beside a revoked consent",
        double("main.access_grants", "status = 'revoked'", status="'active'", token="NULL"),
        ("implied_grants", "access_grants"),
        ("grants_count",),
    ),
    Damage(
        "a lost grant of a consent",
        (lose("main.access_grants", "id IN (SELECT new_id FROM ledger.consent_to_grant)"),),
        ("rows_accounted", "consent_grants"),
        ("id_maps",),
    ),
)

LEDGER = (
    Damage(
        "a lost archive cell",
        (change("ledger.archive_ieps", "concerns = NULL", "concerns IS NOT NULL"),),
        ("rebuild", "ieps"),
    ),
    Damage(
        "a flipped bit in the archive",
        (
            change(
                "ledger.archive_reports",
                "shared_with = shared_with || ' '",
                "typeof(shared_with) = 'text'",
            ),
        ),
        ("rebuild", "reports"),
    ),
    Damage(
        "a number archived as a text",
        (
            change(
                "ledger.archive_ieps",
                "placement_percentage = CAST(placement_percentage AS TEXT)",
                "typeof(placement_percentage) = 'integer' AND _reason = 'not_carried'",
            ),
        ),
        ("rebuild", "ieps"),
    ),
    Damage(
        "an archived cell that nobody archived",
        (change("ledger.archive_ieps", "academic_year = 'x'", "academic_year IS NULL"),),
        ("archive_verbatim", "ieps"),
        faulty=True,
    ),
    Damage(
        "a lost archive row",
        (lose("ledger.archive_reports", "_reason = 'not_carried'"),),
        ("archive_lists", "reports"),
    ),
    Damage(
        "a lost archive row of a table without a counterpart",
        (lose("ledger.archive_appointment_history"),),
        ("rows_accounted", "appointment_history"),
    ),
    Damage(
        "a changed cell of a table without a counterpart",
        (change("ledger.archive_session_templates", "name = name || '.'", "1"),),
        ("rebuild", "session_templates"),
    ),
    Damage(
        "a doubled archive row",
        ("INSERT INTO ledger.archive_reports SELECT * FROM ledger.archive_reports LIMIT 1",),
        ("archive_lists", "reports"),
        ("rows_accounted", "rows_logged", "target_rows"),
    ),
    Damage(
        "an archive row of no source row",
        (change("ledger.archive_reports", "id = 'stranger'", "_reason = 'not_carried'"),),
        ("archive_lists", "reports"),
    ),
    Damage(
        "an archive row that names nothing",
        (change("ledger.archive_reports", "_archived = '[]'", "_reason = 'not_carried'"),),
        ("archive_lists", "reports"),
        ("archive_verbatim",),
    ),
    Damage(
        "an archive row with broken JSON",
        (
            change(
                "ledger.archive_reports", "_archived = '[\"content\"'", "_reason = 'not_carried'"
            ),
        ),
        ("archive_lists", "reports"),
        ("archive_verbatim",),
    ),
    Damage(
        "a linked child that is not archived whole",
        (
            "UPDATE ledger.archive_children SET first_name = NULL WHERE id = "
            "(SELECT old_id FROM ledger.child_to_person AS m WHERE m.new_id IN "
            "(SELECT new_id FROM ledger.patient_to_person) LIMIT 1)",
        ),
        ("rebuild", "children"),
    ),
    Damage(
        "a discrepancy lost",
        (lose("ledger.discrepancies", "kind = 'missing_linked_patient'"),),
        ("discrepancies", "children"),
        faulty=True,
    ),
    Damage(
        "a discrepancy of an orphan lost",
        (
            lose(
                "ledger.discrepancies",
                "kind = 'orphaned_record' AND source_table = 'appointments'",
            ),
        ),
        ("rows_logged", "appointments"),
        faulty=True,
    ),
    Damage(
        "a dangling reference not logged",
        (lose("ledger.discrepancies", "kind = 'dangling_reference'"),),
        ("discrepancies", None),
        faulty=True,
    ),
    Damage(
        "a discrepancy of an unknown kind",
        (
            "INSERT INTO ledger.discrepancies (kind, severity, source_table, message) "
            "VALUES ('mystery', 'info', 'users', 'x')",
        ),
        ("discrepancy_kinds", None),
        ("discrepancy_ids",),
    ),
    Damage(
        "a discrepancy of the wrong severity",
        (
            "INSERT INTO ledger.discrepancies (kind, severity, source_table, source_id, message) "
            "SELECT 'suspected_duplicate', 'error', 'patients', id, 'x' FROM source.patients "
            "LIMIT 1",
        ),
        ("discrepancy_kinds", None),
        ("suspected_duplicates",),
    ),
    Damage(
        "a discrepancy about no row",
        (
            "INSERT INTO ledger.discrepancies (kind, severity, source_table, source_id, message) "
            "VALUES ('suspected_duplicate', 'warning', 'patients', 'nobody', 'x')",
        ),
        ("discrepancy_ids", "patients"),
        ("suspected_duplicates",),
    ),
    Damage(
        "a readable cell that is said to be unreadable",
        (
            "INSERT INTO ledger.discrepancies (kind, severity, source_table, source_id, field, "
            "message) SELECT 'unreadable_value', 'error', 'resources', id, 'title', 'x' "
            "FROM source.resources WHERE typeof(title) = 'integer' OR title GLOB '[A-Za-z]*' "
            "LIMIT 1",
        ),
        ("unreadable_values", "resources"),
        # What is unreadable takes a default, and defaults are counted.
        also=("normalisations",),
    ),
    Damage(
        "an unreadable cell not logged",
        (
            lose(
                "ledger.discrepancies",
                "kind = 'unreadable_value' AND field IN ('created_at', 'updated_at') "
                "AND source_table NOT IN ('patients', 'children', 'parent_children')",
            ),
        ),
        ("unreadable_values", None),
        faulty=True,
    ),
    Damage(
        "a soft reference not logged",
        (lose("ledger.discrepancies", "kind = 'soft_reference' AND source_table = 'audit_logs'"),),
        ("soft_references", "audit_logs"),
        faulty=True,
    ),
    Damage(
        "a mismatch between child and patient not logged",
        (
            lose("ledger.discrepancies", "kind = 'demographic_mismatch'"),
            "DELETE FROM ledger.person_notes",
            "UPDATE main.persons SET migration_notes = NULL",
        ),
        ("demographic_mismatches", "children"),
        ("person_notes",),
        faulty=True,
    ),
    Damage(
        "a suspected duplicate not logged",
        (lose("ledger.discrepancies", "kind = 'suspected_duplicate'"),),
        ("suspected_duplicates", "persons"),
        faulty=True,
    ),
    Damage(
        "a collision that was not logged",
        (lose("ledger.discrepancies", "kind = 'id_collision'"),),
        ("id_collisions", None),
        faulty=True,
    ),
    Damage(
        "a collision map entry lost",
        (lose("ledger.collision_to_id", "source_table = 'peps'"),),
        ("rows_accounted", "peps"),
        (
            *("id_collisions", "cells_match", "rows_justified", "target_rows"),
            *("rows_logged", "discrepancies"),
        ),
        faulty=True,
    ),
    Damage(
        "a child's view not in the map",
        (lose("ledger.child_to_view"),),
        ("view_maps", "children"),
        ("linked_children", "parent_views", "primary_caregiver", "persons_seen"),
    ),
    Damage(
        "a ledger table missing",
        ("DROP TABLE ledger.collision_to_id",),
        ("ledger_tables", None),
    ),
)
