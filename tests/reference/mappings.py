"""The table of contract section 6, as data and small functions over one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from person_unify.schema import OLD

from .record import Loaded, Record, State, Stored
from .values import Value, clock, iso_day, minute_of_day, read


@dataclass
class Context:
    """What a derived column may look at: the row, its target so far, and the row it hangs on."""

    record: Record
    target: dict[str, Stored]
    via: Loaded | None

    @property
    def state(self) -> State:
        return self.record.state


Derive = Callable[[Context], Stored]


@dataclass(frozen=True)
class Rule:
    """How one source table fills one target table; what is not said is carried by name."""

    target: str
    person: str | None = None
    optional_person: bool = False
    via: tuple[str, str] | None = None
    renames: Mapping[str, str] = field(default_factory=dict)
    fallbacks: Mapping[str, Value] = field(default_factory=dict)
    derive: Mapping[str, Derive] = field(default_factory=dict)
    through: Mapping[str, str] = field(default_factory=dict)
    collides_with: str | None = None


def constant(value: Value) -> Derive:
    """A column that always holds the same value."""
    return lambda context: value


def owner_of(column: str) -> Derive:
    """``parent`` if the column holds the id or user id of a loaded parent, else ``clinician``."""

    def derive(context: Context) -> Stored:
        parents = context.state.loaded.get("parents", {})
        users = {parent.target["user_id"] for parent in parents.values()}
        value = context.target[column]
        return "parent" if value in parents or value in users else "clinician"

    return derive


def fold(*columns: str, bare: str | None = None) -> Derive:
    """One ``Label: value`` line per non-empty column; ``bare`` names one without its label."""

    def derive(context: Context) -> Stored:
        lines = []
        described = OLD[context.record.table.usual]
        for column in columns:
            declared = described.column(column)
            instant = declared is not None and declared.type == "DATETIME"
            value = context.record.candidate(column, "DATETIME" if instant else "TEXT")
            if value is None or value == "":
                continue
            text = iso_day(int(value)) if instant else str(value)
            label = column.replace("_", " ")
            lines.append(text if column == bare else f"{label[0].upper()}{label[1:]}: {text}")
        return "\n".join(lines) if lines else None

    return derive


def clinician_of_patient(context: Context) -> Stored:
    """The readable ``clinician_id`` of the person's patient, else ''."""
    return context.state.clinician_of(context.record.person) or ""


def plan_name(context: Context) -> Stored:
    """``IEP `` and the academic year."""
    return f"IEP {context.record.candidate('academic_year', 'TEXT') or ''}"


def pep_creator(context: Context) -> Stored:
    """The parent's user id, else the parent id as it is."""
    parent_id = context.record.candidate("parent_id", "TEXT")
    if parent_id is None:
        return ""
    loaded = context.state.loaded.get("parents", {}).get(str(parent_id))
    if loaded is None:
        context.record.log("dangling_reference", field="parent_id", related_id=parent_id)
        return parent_id
    return loaded.target["user_id"]


def of_plan(column: str) -> Derive:
    """A column of the plan that the row hangs on."""

    def derive(context: Context) -> Stored:
        assert context.via is not None
        return context.via.target[column]

    return derive


def creator_of_goals_plan(context: Context) -> Stored:
    """``created_by`` of the PEP that the progress row's goal belongs to."""
    goal_id = context.record.text("goal_id")
    goal = context.state.loaded["pep_goals"][str(goal_id)]
    pep_id = read(goal.source.cells["pep_id"], "TEXT").value
    return context.state.loaded["peps"][str(pep_id)].target["created_by"]


def domain_of_goal(context: Context) -> Stored:
    """The domain of the activity's goal, else ``general``."""
    goal = context.state.loaded.get("pep_goals", {}).get(context.record.text("goal_id") or "")
    if context.record.text("goal_id") is None or goal is None:
        return "general"
    cell = goal.source.cells.get("domain")
    found = None if cell is None else read(cell, "TEXT").value
    return "general" if found is None else found


def overall_progress_text(context: Context) -> Stored:
    """``overall_progress`` as text."""
    value = context.record.candidate("overall_progress", "TEXT")
    return "" if value is None else value


def session_start(context: Context) -> Stored:
    """Local time of the session, ``''`` without a readable date."""
    start = context.record.candidate("session_date", "DATETIME")
    return "" if start is None else clock(minute_of_day(int(start), context.state.timezone))


def session_end(context: Context) -> Stored:
    """Start plus duration, wrapping at midnight; without a duration it ends when it starts."""
    start = context.record.candidate("session_date", "DATETIME")
    minutes = context.record.candidate("duration", "INTEGER")
    if start is None:
        return ""
    return clock(minute_of_day(int(start), context.state.timezone) + int(minutes or 0))


def behaviour_or_focus(context: Context) -> Value:
    """What a missing ``target_behaviors`` takes: the focus."""
    return context.record.quietly("focus", "TEXT").value


PERSON = "patient_id"
PLAN_OF_IEP: Mapping[str, str] = {"plan_id": "iep_id"}

RULES: dict[str, Rule] = {
    "practice_locations": Rule("practice_locations"),
    "clinician_profiles": Rule("clinician_profiles"),
    "credentials": Rule("credentials"),
    "refresh_tokens": Rule("refresh_tokens"),
    "user_preferences": Rule("user_preferences"),
    "audit_logs": Rule("audit_logs"),
    "clinician_availability": Rule("clinician_availability"),
    "clinician_time_off": Rule("clinician_time_off"),
    "notifications": Rule("notifications"),
    "resources": Rule("resources"),
    "mchat_questions": Rule("mchat_questions"),
    "asq_questions": Rule("asq_questions"),
    "patient_contacts": Rule("contacts", PERSON),
    "patient_documents": Rule(
        "documents",
        PERSON,
        derive={"uploaded_by_type": owner_of("uploaded_by"), "visibility": constant("private")},
    ),
    "parent_screenings": Rule(
        "screenings",
        PERSON,
        renames={"conducted_by": "parent_id"},
        derive={"conducted_by_type": constant("parent")},
    ),
    "screening_responses": Rule("screening_responses"),
    "assessments": Rule("assessments", PERSON),
    "assessment_evidence": Rule("assessment_evidence"),
    "ieps": Rule(
        "education_plans",
        PERSON,
        derive={
            "plan_type": constant("IEP"),
            "plan_name": plan_name,
            "created_by": clinician_of_patient,
            "created_by_type": constant("clinician"),
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
        through={"created_by": "patient_id"},
    ),
    "peps": Rule(
        "education_plans",
        PERSON,
        renames={"focus_areas": "focusAreas", "notes": "parent_notes"},
        derive={
            "plan_type": constant("PEP"),
            "created_by": pep_creator,
            "created_by_type": constant("parent"),
        },
        through={"created_by": "parent_id"},
        collides_with="ieps",
    ),
    "iep_goals": Rule(
        "education_goals", renames=PLAN_OF_IEP, derive={"milestones": constant("[]")}
    ),
    "pep_goals": Rule("education_goals", renames={"plan_id": "pep_id"}, collides_with="iep_goals"),
    "iep_objectives": Rule("goal_objectives"),
    "goal_progress_updates": Rule(
        "goal_progress_updates", derive={"updated_by_type": owner_of("updated_by")}
    ),
    "pep_goal_progress": Rule(
        "goal_progress_updates",
        derive={
            "updated_by": creator_of_goals_plan,
            "updated_by_type": constant("parent"),
            "notes": fold("notes", "observations", bare="notes"),
        },
        through={"updated_by": "goal_id"},
        collides_with="goal_progress_updates",
    ),
    "iep_accommodations": Rule("accommodations", renames=PLAN_OF_IEP),
    "iep_services": Rule("services", renames=PLAN_OF_IEP),
    "iep_team_members": Rule("team_members", renames=PLAN_OF_IEP),
    "iep_progress_reports": Rule(
        "progress_records",
        via=("iep_id", "ieps"),
        renames={"recorded_by": "created_by", "record_date": "report_date"},
        derive={
            "recorded_by_type": constant("clinician"),
            "record_type": constant("iep_progress_report"),
            "metric": constant("overall_progress"),
            "value": overall_progress_text,
            "notes": fold("summary", "reporting_period", bare="summary"),
        },
    ),
    "pep_activities": Rule(
        "activities",
        via=("pep_id", "peps"),
        renames={"notes": "parent_notes"},
        derive={
            "created_by": of_plan("created_by"),
            "created_by_type": of_plan("created_by_type"),
            "domain": domain_of_goal,
        },
        through={"created_by": "pep_id"},
    ),
    "activity_completions": Rule("activity_completions"),
    "consultation_sessions": Rule(
        "consultation_sessions",
        PERSON,
        renames={"progress_notes": "notes"},
        derive={
            "start_time": session_start,
            "end_time": session_end,
            "status": constant("completed"),
        },
    ),
    "session_participants": Rule("session_participants", derive={"participant_id": constant("")}),
    "session_attachments": Rule("session_attachments"),
    "interventions": Rule(
        "interventions",
        PERSON,
        renames={
            "intervention_type": "protocol",
            "target_behavior": "target_behaviors",
            "goal_statement": "focus",
        },
        fallbacks={"intervention_type": "other"},
        derive={
            "notes": fold(
                "provider",
                "provider_role",
                "total_sessions",
                "sessions_completed",
                "target_completion_date",
            )
        },
    ),
    "intervention_strategies": Rule(
        "intervention_strategies", renames={"description": "strategy_text"}
    ),
    "intervention_progress": Rule(
        "intervention_progress",
        renames={
            "record_date": "update_date",
            "observations": "progress_note",
            "recorded_by": "updated_by",
        },
        derive={"progress_percentage": constant(0)},
    ),
    "journal_entries": Rule("journal_entries", PERSON),
    "journal_attachments": Rule("journal_attachments"),
    "appointments": Rule("appointments", PERSON),
    "reports": Rule(
        "reports",
        PERSON,
        renames={
            "report_date": "generated_at",
            "created_at": "generated_at",
            "updated_at": "last_modified_at",
            "summary": "content",
        },
    ),
    "conversations": Rule("conversations", PERSON, optional_person=True),
    "messages": Rule("messages"),
    "schools": Rule("schools"),
    "teachers": Rule("teachers"),
    "school_student_views": Rule("school_student_views", PERSON),
}
"""Related tables in an order that loads every row before those that need it."""

FIRST_RULES: dict[str, Rule] = {
    "users": Rule("users"),
    "parents": Rule("parents", renames={"account_status": "accountStatus"}),
}
"""Tables that persons, views and grants look at."""
