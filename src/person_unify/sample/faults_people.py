"""Faults of persons, views and grants (contract sections 3 to 5)."""

from __future__ import annotations

from person_unify.sample.faults import Fault, update

_LINKED = "linked_patient_id <> ''"
_NEW_ID = "substr({0}.id, 1, 14) || '{1}' || substr({0}.id, 16)"
"""A UUID that no row has: of another version than all the others."""

LINKS = (
    update(
        "missing_link",
        "children",
        0.06,
        "linked_patient_id = '00000000' || substr(linked_patient_id, 9)",
        where=_LINKED,
    ),
    update("empty_link", "children", 0.05, "linked_patient_id = ''"),
    update(
        "link_to_child",
        "children",
        0.03,
        "linked_patient_id = (SELECT id FROM children WHERE rowid = p.other)",
        other="children",
    ),
    update(
        "shared_link",
        "children",
        0.08,
        "linked_patient_id = (SELECT linked_patient_id FROM children WHERE rowid = p.other)",
        other=f"children WHERE {_LINKED}",
    ),
    update(
        "same_child_twice",
        "children",
        0.05,
        "(linked_patient_id, parent_id) = "
        "(SELECT linked_patient_id, parent_id FROM children WHERE rowid = p.other)",
        other=f"children WHERE {_LINKED}",
    ),
)

DEMOGRAPHICS = (
    update(
        "same_name_spelt_otherwise",
        "children",
        0.15,
        "first_name = CASE p.n % 3 WHEN 0 THEN upper(first_name) "
        "WHEN 1 THEN '  ' || replace(first_name, ' ', char(160, 32)) ELSE first_name END, "
        "last_name = CASE p.n % 3 WHEN 2 THEN lower(last_name) || char(9) ELSE last_name END",
        where=_LINKED,
    ),
    update(
        "other_name",
        "children",
        0.1,
        "first_name = CASE p.n % 2 WHEN 0 THEN first_name || ' Kumari' ELSE first_name END, "
        "last_name = CASE p.n % 2 WHEN 1 THEN last_name || '-Rao' ELSE last_name END",
        where=_LINKED,
    ),
    update(
        "birth_hours_apart",
        "children",
        0.08,
        "date_of_birth = date_of_birth + CASE p.n % 2 WHEN 0 THEN -19800000 ELSE 7200000 END",
        where=_LINKED,
    ),
    update(
        "birth_days_apart",
        "children",
        0.06,
        "date_of_birth = date_of_birth + 86400000 * (1 + p.n % 400)",
        where=_LINKED,
    ),
    update(
        "other_gender",
        "children",
        0.06,
        "gender = CASE gender WHEN 'male' THEN 'female' ELSE 'male' END",
        where=_LINKED,
    ),
    update(
        "another_child_linked",
        "children",
        0.02,
        "(first_name, last_name, date_of_birth) = (SELECT first_name, last_name || '-Pillai', "
        "date_of_birth - 86400000 FROM children WHERE rowid = p.other)",
        where=_LINKED,
        other="children",
    ),
    update("missing_birth_date", "children", 0.02, "date_of_birth = 'unknown'"),
    update("missing_birth_date", "patients", 0.02, "date_of_birth = 'unknown'"),
    update("seconds_for_milliseconds", "journal_entries", 0.05, "updated_at = updated_at / 1000"),
    update("missing_gender", "children", 0.06, "gender = CASE p.n % 2 WHEN 0 THEN '' END"),
    update("missing_gender", "patients", 0.1, "gender = CASE p.n % 2 WHEN 0 THEN '' END"),
    update(
        "duplicate_udid",
        "patients",
        0.06,
        "udid_number = (SELECT udid_number FROM patients WHERE rowid = p.other)",
        other="patients WHERE udid_number IS NOT NULL",
    ),
    update("empty_udid", "patients", 0.05, "udid_number = ''"),
    update("deleted_patient", "patients", 0.05, "deleted_at = updated_at"),
    update(
        "suspected_duplicate",
        "patients",
        0.05,
        "(first_name, last_name, date_of_birth) = (SELECT upper(first_name), last_name || ' ', "
        "date_of_birth + 3600000 FROM patients WHERE rowid = p.other)",
        other="patients",
    ),
)

VIEWS = (
    Fault(
        "repeated_pair",
        "parent_children",
        0.06,
        (
            f"INSERT OR IGNORE INTO parent_children SELECT {_NEW_ID.format('l', '5')}, "
            "l.parent_id, l.patient_id, 'guardian', p.n % 2, 1, l.added_at - p.n * 1000 "
            "FROM temp._picked AS p JOIN parent_children AS l ON l.rowid = +p.row",
        ),
    ),
    Fault(
        "further_parent",
        "parent_children",
        0.1,
        (
            f"INSERT OR IGNORE INTO parent_children SELECT {_NEW_ID.format('l', '6')}, "
            "(SELECT id FROM parents WHERE rowid = p.other), l.patient_id, 'aunt', 0, 0, "
            "l.added_at + p.n FROM temp._picked AS p JOIN parent_children AS l ON l.rowid = +p.row",
        ),
        other="parents",
    ),
    update("several_primaries", "parent_children", 0.4, "is_primary = 1", where="is_primary = 0"),
    update(
        "no_primary",
        "parent_children",
        0.25,
        "is_primary = 0",
        where="is_primary = 1 "
        "AND patient_id IN (SELECT patient_id FROM parent_children WHERE is_primary = 0)",
    ),
)

GRANTS = (
    update(
        "closed_account",
        "users",
        0.03,
        "status = CASE p.n % 2 WHEN 0 THEN 'suspended' ELSE status END, "
        "deleted_at = CASE p.n % 2 WHEN 1 THEN updated_at END",
    ),
    update(
        "pending_consent",
        "consent_grants",
        0.1,
        "status = 'pending', clinician_id = NULL, activated_at = NULL, "
        "expires_at = created_at + 604800000",
    ),
    update(
        "revoked_consent",
        "consent_grants",
        0.1,
        "status = 'revoked', revoked_at = updated_at",
    ),
    update(
        "expired_consent", "consent_grants", 0.08, "status = 'expired', expires_at = updated_at"
    ),
    update(
        "unreadable_status",
        "consent_grants",
        0.04,
        "status = CASE p.n % 2 WHEN 0 THEN CAST(x'61ff' AS TEXT) END",
    ),
    update(
        "unreadable_permissions",
        "consent_grants",
        0.04,
        "permissions = CASE p.n % 2 WHEN 0 THEN CAST(x'7bc3' AS TEXT) ELSE x'fffe' END",
    ),
    update("unreadable_access", "consent_grants", 0.03, "access_level = CAST(x'80' AS TEXT)"),
    update(
        "unreadable_end",
        "consent_grants",
        0.04,
        "expires_at = CASE p.n % 2 WHEN 0 THEN 'soon' ELSE expires_at END, "
        "revoked_at = CASE p.n % 2 WHEN 1 THEN '2024-13-01' ELSE revoked_at END",
    ),
    update("nobody_claimed", "consent_grants", 0.04, "clinician_id = ''"),
)

DEFAULTED = Fault(
    "text_of_default",
    "consent_grants",
    0.0,
    (
        "UPDATE consent_grants SET granted_at = "
        "strftime('%Y-%m-%d %H:%M:%S', granted_at / 1000, 'unixepoch')",
    ),
)
"""Not a share but every row: SQLite's CURRENT_TIMESTAMP wrote them all as text."""

NO_CONSENT = Fault(
    "linked_child_without_consent",
    "children",
    0.2,
    (
        "DELETE FROM consent_grants WHERE patient_id IN (SELECT c.linked_patient_id "
        "FROM temp._picked AS p JOIN children AS c ON c.rowid = +p.row)",
    ),
    where=_LINKED,
)
"""Goes last: a deletion leaves holes in the rowids that the other faults count on."""
