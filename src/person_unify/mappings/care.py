"""What clinicians and parents record about a person (contract section 6)."""

from person_unify.mappings.spec import (
    Mapping,
    clinician_of,
    computed,
    constant,
    copy,
    fold,
    new_id,
    owner,
    person,
    reference,
)

CONTACTS = Mapping("patient_contacts", "contacts", {"person_id": person()})

DOCUMENTS = Mapping(
    "patient_documents",
    "documents",
    {
        "person_id": person(),
        "uploaded_by_type": owner("uploaded_by"),
        "visibility": constant("private"),
    },
)

TAGS = Mapping(
    "patient_tags",
    "tags",
    {
        "id": new_id(),
        "person_id": person(),
        "added_by": clinician_of(),
        "added_by_type": constant("clinician"),
    },
    merge_on=("person_id", "tag"),
)

SCREENINGS = Mapping(
    "parent_screenings",
    "screenings",
    {
        "person_id": person(),
        "conducted_by": copy("parent_id"),
        "conducted_by_type": constant("parent"),
    },
)

SCREENING_RESPONSES = Mapping(
    "screening_responses",
    "screening_responses",
    {"screening_id": reference("screening_id", "parent_screenings")},
)

ASSESSMENTS = Mapping("assessments", "assessments", {"person_id": person()})

ASSESSMENT_EVIDENCE = Mapping("assessment_evidence", "assessment_evidence")

SESSIONS = Mapping(
    "consultation_sessions",
    "consultation_sessions",
    {
        "person_id": person(),
        "start_time": computed("session_start", session_date="DATETIME"),
        "end_time": computed("session_end", session_date="DATETIME", duration="INTEGER"),
        "status": constant("completed"),
        "progress_notes": copy("notes"),
    },
)

SESSION_PARTICIPANTS = Mapping(
    "session_participants", "session_participants", {"participant_id": constant("")}
)

SESSION_ATTACHMENTS = Mapping("session_attachments", "session_attachments")

INTERVENTIONS = Mapping(
    "interventions",
    "interventions",
    {
        "person_id": person(),
        "intervention_type": copy("protocol", otherwise="other"),
        "target_behavior": copy("target_behaviors", otherwise=copy("focus")),
        "goal_statement": copy("focus"),
        "notes": fold(
            "provider",
            "provider_role",
            "total_sessions",
            "sessions_completed",
            "target_completion_date",
            instants=("target_completion_date",),
        ),
    },
)

INTERVENTION_STRATEGIES = Mapping(
    "intervention_strategies",
    "intervention_strategies",
    {"description": copy("strategy_text")},
)

INTERVENTION_PROGRESS = Mapping(
    "intervention_progress",
    "intervention_progress",
    {
        "record_date": copy("update_date"),
        "progress_percentage": constant(0),
        "observations": copy("progress_note"),
        "recorded_by": copy("updated_by"),
    },
)

JOURNAL_ENTRIES = Mapping("journal_entries", "journal_entries", {"person_id": person()})

JOURNAL_ATTACHMENTS = Mapping("journal_attachments", "journal_attachments")

APPOINTMENTS = Mapping("appointments", "appointments", {"person_id": person()})

REPORTS = Mapping(
    "reports",
    "reports",
    {
        "person_id": person(),
        "report_date": copy("generated_at"),
        "created_at": copy("generated_at"),
        "updated_at": copy("last_modified_at"),
        "summary": copy("content"),
    },
    created="generated_at",
)

CONVERSATIONS = Mapping("conversations", "conversations", {"person_id": person()})

MESSAGES = Mapping("messages", "messages", {"attachments": copy("attachments", otherwise="[]")})

MAPPINGS = (
    CONTACTS,
    DOCUMENTS,
    TAGS,
    SCREENINGS,
    SCREENING_RESPONSES,
    ASSESSMENTS,
    ASSESSMENT_EVIDENCE,
    SESSIONS,
    SESSION_PARTICIPANTS,
    SESSION_ATTACHMENTS,
    INTERVENTIONS,
    INTERVENTION_STRATEGIES,
    INTERVENTION_PROGRESS,
    JOURNAL_ENTRIES,
    JOURNAL_ATTACHMENTS,
    APPOINTMENTS,
    REPORTS,
    CONVERSATIONS,
    MESSAGES,
)
