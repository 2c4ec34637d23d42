"""Education plans: IEPs of clinicians and PEPs of parents become one family of tables (section 6).

An id that an IEP table and its PEP twin share stays with the IEP row; the PEP row gets a fresh one
and the references of the PEP side follow (``shares_ids_with``).
"""

from person_unify.mappings.spec import (
    Mapping,
    clinician_of,
    computed,
    constant,
    copy,
    fold,
    owner,
    person,
    reference,
    via,
)

IEPS = Mapping(
    "ieps",
    "education_plans",
    {
        "person_id": person(),
        "created_by": clinician_of(),
        "created_by_type": constant("clinician"),
        "plan_type": constant("IEP"),
        "plan_name": computed("iep_plan_name", academic_year="TEXT"),
        "focus_areas": constant("[]"),
        "notes": fold(
            "academic_performance",
            "functional_performance",
            "strengths",
            "concerns",
            "impact_of_disability",
            "placement_type",
            "placement_percentage",
            "placement_justification",
            "lre_justification",
            "school_name",
            "grade",
            "teacher",
        ),
    },
)

PEPS = Mapping(
    "peps",
    "education_plans",
    {
        "person_id": person(),
        "created_by": via("parent_id", "parents", "user_id", otherwise=copy("parent_id", "")),
        "created_by_type": constant("parent"),
        "plan_type": constant("PEP"),
        "focus_areas": copy("focusAreas"),
        "notes": copy("parent_notes"),
    },
    shares_ids_with="ieps",
)

IEP_GOALS = Mapping(
    "iep_goals",
    "education_goals",
    {"plan_id": reference("iep_id", "ieps"), "milestones": constant("[]")},
)

PEP_GOALS = Mapping(
    "pep_goals",
    "education_goals",
    {
        "plan_id": reference("pep_id", "peps"),
        "target_criteria": copy("target_criteria", otherwise=""),
    },
    shares_ids_with="iep_goals",
    exposes={"domain": copy("domain"), "plan_creator": via("pep_id", "peps", "created_by")},
)

IEP_OBJECTIVES = Mapping(
    "iep_objectives", "goal_objectives", {"goal_id": reference("goal_id", "iep_goals")}
)

GOAL_PROGRESS = Mapping(
    "goal_progress_updates",
    "goal_progress_updates",
    {
        "goal_id": reference("goal_id", "iep_goals"),
        "updated_by_type": owner("updated_by"),
    },
)

PEP_GOAL_PROGRESS = Mapping(
    "pep_goal_progress",
    "goal_progress_updates",
    {
        "goal_id": reference("goal_id", "pep_goals"),
        "updated_by": via("goal_id", "pep_goals", "plan_creator"),
        "updated_by_type": constant("parent"),
        "notes": fold("observations", plain="notes"),
    },
    shares_ids_with="goal_progress_updates",
)

ACCOMMODATIONS = Mapping(
    "iep_accommodations", "accommodations", {"plan_id": reference("iep_id", "ieps")}
)

SERVICES = Mapping("iep_services", "services", {"plan_id": reference("iep_id", "ieps")})

TEAM_MEMBERS = Mapping("iep_team_members", "team_members", {"plan_id": reference("iep_id", "ieps")})

PROGRESS_REPORTS = Mapping(
    "iep_progress_reports",
    "progress_records",
    {
        "person_id": via("iep_id", "ieps", "person_id"),
        "recorded_by": copy("created_by"),
        "recorded_by_type": constant("clinician"),
        "record_type": constant("iep_progress_report"),
        "metric": constant("overall_progress"),
        "value": computed("as_text", overall_progress="TEXT"),
        "record_date": copy("report_date"),
        "notes": fold("reporting_period", plain="summary"),
    },
)

ACTIVITIES = Mapping(
    "pep_activities",
    "activities",
    {
        "person_id": via("pep_id", "peps", "person_id"),
        "goal_id": reference("goal_id", "pep_goals"),
        "created_by": via("pep_id", "peps", "created_by"),
        "created_by_type": via("pep_id", "peps", "created_by_type"),
        "domain": via("goal_id", "pep_goals", "domain", otherwise="general"),
        "materials": copy("materials", otherwise="[]"),
        "notes": copy("parent_notes"),
    },
)

ACTIVITY_COMPLETIONS = Mapping(
    "activity_completions",
    "activity_completions",
    {
        "activity_id": reference("activity_id", "pep_activities"),
        "photos": copy("photos", otherwise="[]"),
        "videos": copy("videos", otherwise="[]"),
    },
)

MAPPINGS = (
    IEPS,
    PEPS,
    IEP_GOALS,
    PEP_GOALS,
    IEP_OBJECTIVES,
    GOAL_PROGRESS,
    PEP_GOAL_PROGRESS,
    ACCOMMODATIONS,
    SERVICES,
    TEAM_MEMBERS,
    PROGRESS_REPORTS,
    ACTIVITIES,
    ACTIVITY_COMPLETIONS,
)
