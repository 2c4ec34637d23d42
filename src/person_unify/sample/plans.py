"""Builders of education plans: IEPs of clinicians and PEPs of parents, with all that they hold."""

from __future__ import annotations

import numpy as np

from person_unify.sample import vocab
from person_unify.sample.clinic import DAY
from person_unify.sample.columns import Columns, author_ids, lot, staff_ids, stamps
from person_unify.sample.draw import Draw, text, where
from person_unify.sample.identity import keys
from person_unify.sample.rows import CATALOGUES, Rows

_PROGRESS = ("not_started", "in_progress", "achieved", "discontinued")


def ieps(rows: Rows, draw: Draw) -> Columns:
    """Plans by clinicians, signed or not."""
    start = draw.day_after(rows.created, 20)
    parent_signed, clinician_signed = draw.chance(0.6), draw.chance(0.8)
    signed = draw.after(start, 20)
    return {
        "id": rows.ids(),
        "patient_id": rows.patient_ids(),
        "academic_year": draw.pick(vocab.YEARS),
        "status": draw.pick(("draft", "active", "completed"), (0.2, 0.6, 0.2)),
        "academic_performance": draw.maybe(draw.prose(1, 2), 0.8),
        "functional_performance": draw.maybe(draw.prose(1, 2), 0.7),
        "strengths": draw.maybe(draw.phrase(), 0.8),
        "concerns": draw.maybe(draw.phrase(), 0.8),
        "impact_of_disability": draw.maybe(draw.prose(1, 1), 0.5),
        "placement_type": draw.maybe(draw.pick(("inclusive", "resource room", "special")), 0.8),
        "placement_percentage": draw.maybe(draw.integers(0, 20) * 5, 0.7),
        "placement_justification": draw.maybe(draw.prose(1, 1), 0.4),
        "lre_justification": draw.maybe(draw.prose(1, 1), 0.3),
        "school_name": draw.maybe(draw.pick(vocab.SCHOOLS), 0.9),
        "grade": draw.maybe(draw.pick(vocab.GRADES), 0.9),
        "teacher": draw.maybe(text("Ms. {}", draw.pick(vocab.SURNAMES)), 0.8),
        "start_date": start,
        "end_date": start + 364 * DAY,
        "next_review_date": draw.maybe(start + 90 * DAY, 0.8),
        "last_review_date": draw.maybe(start + 45 * DAY, 0.4),
        "overall_progress": draw.integers(0, 100),
        "signed_by_parent": parent_signed,
        "parent_signed_at": where(parent_signed, signed, None),
        "parent_signature": where(parent_signed, "data:image/png;base64,iVBORw0KGgo=", None),
        "signed_by_clinician": clinician_signed,
        "clinician_signed_at": where(clinician_signed, signed, None),
        "clinician_signature": where(clinician_signed, "data:image/png;base64,iVBORw0KGg==", None),
        **stamps(rows, draw),
    }


def iep_goals(rows: Rows, draw: Draw) -> Columns:
    """Goals of an IEP, numbered from 1."""
    return {
        "id": rows.ids(),
        "iep_id": rows.parent_ids("ieps"),
        "goal_number": rows.position + 1,
        "domain": draw.pick(vocab.DOMAINS),
        "priority": draw.pick(("high", "medium", "low")),
        "goal_statement": draw.phrase(),
        "baseline_data": draw.prose(1, 1),
        "target_criteria": draw.pick(("80% in 3 sessions", "4 of 5 trials", "independently")),
        "target_date": draw.maybe(draw.day_after(rows.created, 300), 0.9),
        "measurement_method": draw.maybe(draw.pick(("observation", "work samples")), 0.7),
        "current_progress": draw.integers(0, 100),
        "progress_status": draw.pick(_PROGRESS),
        **stamps(rows, draw),
    }


def iep_objectives(rows: Rows, draw: Draw) -> Columns:
    """Steps to a goal, numbered from 1."""
    achieved = draw.chance(0.3)
    return {
        "id": rows.ids(),
        "goal_id": rows.parent_ids("iep_goals"),
        "objective_number": rows.position + 1,
        "objective_text": draw.phrase(),
        "criteria": draw.maybe(draw.pick(("3 of 5 trials", "with one prompt")), 0.8),
        "target_date": draw.maybe(draw.day_after(rows.created, 150), 0.8),
        "status": where(achieved, "achieved", "in_progress"),
        "achieved_date": where(achieved, draw.day_after(rows.created, 150), None),
    }


def goal_progress_updates(rows: Rows, draw: Draw) -> Columns:
    """Progress on a goal, by clinicians and parents."""
    return {
        "id": rows.ids(),
        "goal_id": rows.parent_ids("iep_goals"),
        "update_date": rows.created,
        "progress_percentage": draw.integers(0, 100),
        "status": draw.pick(_PROGRESS),
        "notes": draw.maybe(draw.prose(1, 2), 0.7),
        "evidence": draw.maybe(draw.words(vocab.FILES, 2), 0.3),
        "updated_by": author_ids(rows, draw)[0],
    }


def iep_accommodations(rows: Rows, draw: Draw) -> Columns:
    """Adjustments that an IEP asks for."""
    return {
        "id": rows.ids(),
        "iep_id": rows.parent_ids("ieps"),
        "category": draw.pick(("classroom", "testing", "sensory", "communication")),
        "accommodation_text": draw.phrase(),
        "frequency": draw.maybe(draw.pick(vocab.FREQUENCIES), 0.7),
    }


def iep_services(rows: Rows, draw: Draw) -> Columns:
    """Services that an IEP books."""
    start = draw.day_after(rows.created, 30)
    return {
        "id": rows.ids(),
        "iep_id": rows.parent_ids("ieps"),
        "service_name": draw.pick(vocab.SERVICES),
        "provider": draw.maybe(text("Dr. {}", draw.pick(vocab.SURNAMES)), 0.7),
        "frequency": draw.pick(vocab.FREQUENCIES),
        "duration": draw.integers(2, 6) * 10,
        "service_type": draw.pick(("direct", "consultative")),
        "setting": draw.pick(("clinic", "school", "home")),
        "start_date": start,
        "end_date": start + 300 * DAY,
        "sessions_completed": draw.integers(0, 20),
        "total_sessions_planned": draw.maybe(draw.integers(20, 60), 0.8),
    }


def iep_team_members(rows: Rows, draw: Draw) -> Columns:
    """The people around an IEP, signed or not."""
    signed = draw.chance(0.6)
    return {
        "id": rows.ids(),
        "iep_id": rows.parent_ids("ieps"),
        "member_type": draw.pick(("parent", "teacher", "therapist", "principal")),
        "name": text("{} {}", draw.pick(vocab.BOYS), draw.pick(vocab.SURNAMES)),
        "role": draw.pick(vocab.SPECIALITIES),
        "email": draw.maybe(text("team{}@school.example", rows.owner), 0.6),
        "phone": draw.maybe(draw.phone(), 0.6),
        "organization": draw.maybe(draw.pick(vocab.SCHOOLS), 0.6),
        "signed": signed,
        "signed_at": where(signed, draw.after(rows.created, 30), None),
        "signature": where(signed, "data:image/png;base64,iVBORw0KGgoAAAA=", None),
    }


def iep_progress_reports(rows: Rows, draw: Draw) -> Columns:
    """Reports on a whole IEP."""
    return {
        "id": rows.ids(),
        "iep_id": rows.parent_ids("ieps"),
        "report_date": draw.day_after(rows.created, 20),
        "reporting_period": draw.pick(("Q1", "Q2", "Q3", "Annual")),
        "overall_progress": draw.integers(0, 100),
        "summary": draw.prose(1, 3),
        "created_by": staff_ids(rows, draw),
        "created_at": rows.created,
    }


def peps(rows: Rows, draw: Draw) -> Columns:
    """Plans by parents, linked to the patient's IEP where there is one."""
    start = draw.day_after(rows.created, 20)
    return {
        "id": rows.ids(),
        "parent_id": rows.guardian_ids(),
        "patient_id": rows.patient_ids(),
        "plan_name": text("{} at home", draw.pick(vocab.STRATEGIES)),
        "focusAreas": draw.words(vocab.DOMAINS),
        "start_date": start,
        "end_date": draw.maybe(start + 180 * DAY, 0.7),
        "linked_iep_id": rows.sibling_ids("ieps"),
        "status": draw.pick(("active", "completed", "paused"), (0.7, 0.2, 0.1)),
        "overall_progress": draw.integers(0, 100),
        "description": draw.maybe(draw.prose(1, 2), 0.7),
        "parent_notes": draw.maybe(draw.prose(1, 2), 0.5),
        **stamps(rows, draw),
    }


def pep_goals(rows: Rows, draw: Draw) -> Columns:
    """Goals of a PEP, numbered from 1."""
    return {
        "id": rows.ids(),
        "pep_id": rows.parent_ids("peps"),
        "goal_number": rows.position + 1,
        "domain": draw.pick(vocab.DOMAINS),
        "goal_statement": draw.phrase(),
        "linked_iep_goal_id": draw.maybe(rows.goal_ids(), 0.7),
        "target_date": draw.maybe(draw.day_after(rows.created, 200), 0.8),
        "target_criteria": draw.maybe(draw.pick(("4 of 5 days", "without help")), 0.7),
        "current_progress": draw.integers(0, 100),
        "progress_status": draw.pick(_PROGRESS),
        "milestones": draw.words(("sits", "points", "two words", "shares a toy")),
        **stamps(rows, draw),
    }


def pep_goal_progress(rows: Rows, draw: Draw) -> Columns:
    """Progress on a parent's goal."""
    return {
        "id": rows.ids(),
        "goal_id": rows.parent_ids("pep_goals"),
        "update_date": rows.created,
        "progress_percentage": draw.integers(0, 100),
        "status": draw.pick(_PROGRESS),
        "notes": draw.maybe(draw.prose(1, 2), 0.6),
        "observations": draw.maybe(draw.prose(1, 1), 0.5),
    }


def pep_activities(rows: Rows, draw: Draw) -> Columns:
    """Exercises at home, most for the plan's first goal."""
    first_goal = keys(rows.parent * np.uint64(8))
    has_goal = rows.goes_with("pep_goals", rows.parent)
    resource = rows.ids("resources", keys(lot(rows, "resource", CATALOGUES["resources"])))
    return {
        "id": rows.ids(),
        "pep_id": rows.parent_ids("peps"),
        "goal_id": where(has_goal & draw.chance(0.8), rows.ids("pep_goals", first_goal), None),
        "activity_name": draw.pick(vocab.ACTIVITIES),
        "activity_type": draw.pick(("play", "reading", "motor", "art")),
        "description": draw.phrase(),
        "instructions": draw.maybe(draw.prose(1, 2), 0.7),
        "materials": draw.maybe(draw.words(("cards", "crayons", "ball", "beads")), 0.7),
        "duration": draw.maybe(draw.integers(1, 6) * 10, 0.9),
        "frequency": draw.maybe(draw.pick(vocab.FREQUENCIES), 0.9),
        "linked_resource_id": draw.maybe(resource, 0.4),
        "completion_count": draw.integers(0, 30),
        "last_completed_at": draw.maybe(draw.after(rows.created, 60), 0.6),
        "parent_notes": draw.maybe(draw.prose(1, 1), 0.4),
        **stamps(rows, draw),
    }


def activity_completions(rows: Rows, draw: Draw) -> Columns:
    """When an exercise was done, and how it went."""
    return {
        "id": rows.ids(),
        "activity_id": rows.parent_ids("pep_activities"),
        "completed_at": rows.created,
        "duration": draw.maybe(draw.integers(5, 60), 0.8),
        "child_engagement": draw.maybe(draw.pick(("high", "medium", "low")), 0.9),
        "parent_observations": draw.maybe(draw.prose(1, 2), 0.6),
        "challenges_faced": draw.maybe(draw.phrase(), 0.3),
        "successes_noted": draw.maybe(draw.phrase(), 0.4),
        "photos": draw.maybe(draw.words(vocab.FILES, 2), 0.3),
        "videos": draw.maybe(draw.words(vocab.FILES, 1), 0.1),
    }


BUILDERS = (
    ieps,
    iep_goals,
    iep_objectives,
    goal_progress_updates,
    iep_accommodations,
    iep_services,
    iep_team_members,
    iep_progress_reports,
    peps,
    pep_goals,
    pep_goal_progress,
    pep_activities,
    activity_completions,
)
