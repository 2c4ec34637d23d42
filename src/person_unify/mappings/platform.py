"""The platform's own tables, and those that only the archive takes (contract section 6)."""

from person_unify.mappings.spec import Mapping, computed, copy

CLOSED = ("suspended", "deactivated", "inactive", "disabled", "blocked", "deleted")
"""What ``status`` says, in any case, of an account that nothing may be implied for (section 5)."""

USERS = Mapping(
    "users",
    "users",
    exposes={"closed": computed("closed_account", deleted_at="DATETIME", status="TEXT")},
)

PARENTS = Mapping("parents", "parents", {"account_status": copy("accountStatus")})

UNCHANGED = tuple(
    Mapping(table, table)
    for table in (
        "clinician_profiles",
        "credentials",
        "refresh_tokens",
        "user_preferences",
        "audit_logs",
        "practice_locations",
        "clinician_availability",
        "clinician_time_off",
        "notifications",
        "resources",
        "mchat_questions",
        "asq_questions",
    )
)

ARCHIVED_WHOLE = tuple(
    Mapping(table, None)
    for table in (
        "appointment_history",
        "appointment_participants",
        "appointment_reminders",
        "session_templates",
        "patient_activity_log",
    )
)

MAPPINGS = (USERS, PARENTS, *UNCHANGED, *ARCHIVED_WHOLE)
