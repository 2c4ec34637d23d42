"""Builders of what clinicians and parents record about a patient."""

from __future__ import annotations

import numpy as np

from person_unify.sample import vocab
from person_unify.sample.clinic import DAY
from person_unify.sample.columns import (
    Columns,
    author_ids,
    emails,
    hexadecimal,
    lot,
    place,
    staff_ids,
    stamps,
)
from person_unify.sample.draw import Draw, text, where
from person_unify.sample.identity import keys
from person_unify.sample.rows import Rows

_QUESTIONS = 20
_SESSION_KINDS = ("therapy", "assessment", "consultation", "parent_training")
_FORMATS = ("in_person", "online", "phone")


def patient_contacts(rows: Rows, draw: Draw) -> Columns:
    """People to call; the first is the primary contact."""
    phone = draw.phone()
    return {
        "id": rows.ids(),
        "patient_id": rows.patient_ids(),
        "contact_type": draw.pick(("parent", "guardian", "emergency", "school")),
        "relationship": draw.maybe(draw.pick(vocab.RELATIONS), 0.9),
        "first_name": draw.pick((*vocab.GIRLS, *vocab.BOYS)),
        "last_name": draw.pick(vocab.SURNAMES),
        "phone": draw.maybe(phone, 0.95),
        "alternate_phone": draw.maybe(draw.phone(), 0.2),
        "email": draw.maybe(emails(rows.clinic, rows.key), 0.6),
        "whatsapp_number": draw.maybe(phone, 0.6),
        "occupation": draw.maybe(draw.pick(vocab.OCCUPATIONS), 0.5),
        **place(draw),
        "is_primary_contact": rows.position == 0,
        "can_receive_updates": draw.chance(0.9),
        "preferred_contact_method": draw.maybe(draw.pick(("phone", "email", "whatsapp")), 0.8),
        "language_preference": draw.maybe(draw.pick(vocab.LANGUAGES), 0.7),
        **stamps(rows, draw),
    }


def patient_documents(rows: Rows, draw: Draw) -> Columns:
    """Uploads of clinicians and parents."""
    return {
        "id": rows.ids(),
        "patient_id": rows.patient_ids(),
        "document_type": draw.maybe(draw.pick(("medical_report", "udid_card", "school")), 0.9),
        "file_name": draw.pick(vocab.FILES),
        "file_url": text("https://files.example/{}", hexadecimal(rows, "file")),
        "file_size": draw.maybe(draw.integers(9_000, 9_000_000), 0.95),
        "mime_type": draw.maybe(draw.pick(("application/pdf", "image/jpeg")), 0.95),
        "uploaded_by": author_ids(rows, draw)[0],
        "uploaded_at": rows.created,
        "notes": draw.maybe(draw.prose(1, 1), 0.3),
    }


def patient_tags(rows: Rows, draw: Draw) -> Columns:
    """Labels, no two alike on one patient."""
    first = rows.clinic.lot("first tag", rows.owner).astype(np.int64) % len(vocab.TAGS)
    tags = np.array(vocab.TAGS)[(first + rows.position) % len(vocab.TAGS)]
    return {
        "patient_id": rows.patient_ids(),
        "tag": text("{}", tags),
        "created_at": rows.created,
    }


def patient_activity_log(rows: Rows, draw: Draw) -> Columns:
    """What happened when; the archive alone takes it."""
    return {
        "id": rows.ids(),
        "patient_id": rows.patient_ids(),
        "activity_type": draw.pick(("session", "note", "report", "profile_update")),
        "description": draw.maybe(draw.phrase(), 0.8),
        "metadata": draw.maybe(draw.pick(('{"source": "web"}', '{"source": "mobile"}')), 0.5),
        "created_by": staff_ids(rows, draw),
        "created_at": rows.created,
    }


def parent_screenings(rows: Rows, draw: Draw) -> Columns:
    """Questionnaires that parents filled in, one in five unfinished."""
    done = draw.chance(0.8)
    score = draw.integers(0, _QUESTIONS)
    return {
        "id": rows.ids(),
        "parent_id": rows.guardian_ids(),
        "patient_id": rows.patient_ids(),
        "screening_type": draw.pick(("mchat", "asq")),
        "age_at_screening": draw.integers(16, 66),
        "status": where(done, "completed", "in_progress"),
        "current_question": where(done, _QUESTIONS, draw.integers(1, _QUESTIONS)),
        "total_questions": _QUESTIONS,
        "responses": text('{"1": "yes", "2": "no", "3": {}}', score),
        "total_score": where(done, score, None),
        "risk_level": where(done, draw.pick(("low", "medium", "high")), None),
        "screener_result": where(done, draw.pick(("pass", "refer", "follow_up")), None),
        "recommendations": draw.maybe(draw.prose(1, 2), 0.5),
        "follow_up_required": draw.chance(0.3),
        "professional_referral": draw.chance(0.2),
        "mchat_initial_score": draw.maybe(score, 0.4),
        "mchat_follow_up_score": draw.maybe(score, 0.1),
        "started_at": rows.created,
        "completed_at": where(done, draw.after(rows.created, 2), None),
        **stamps(rows, draw),
    }


def screening_responses(rows: Rows, draw: Draw) -> Columns:
    """Answers to a screening."""
    yes = draw.chance(0.6)
    return {
        "id": rows.ids(),
        "screening_id": rows.parent_ids("parent_screenings"),
        "question_id": rows.ids("mchat_questions", keys(lot(rows, "question", _QUESTIONS))),
        "question_text": draw.pick(QUESTIONS),
        "answer": where(yes, "yes", "no"),
        "answer_value": where(yes, 1, 0),
        "is_follow_up": draw.chance(0.1),
        "parent_follow_up_answer": draw.maybe(draw.phrase(), 0.1),
        "answered_at": draw.after(rows.created, 1),
    }


def assessments(rows: Rows, draw: Draw) -> Columns:
    """Tests by a clinician; a second one names the first as its baseline."""
    done = draw.chance(0.85)
    return {
        "id": rows.ids(),
        "patient_id": rows.patient_ids(),
        "clinician_id": rows.clinician_ids(),
        "assessment_type": draw.pick(("CARS-2", "ISAA", "VSMS", "ADHD-RS", "DST")),
        "status": where(done, "completed", "in_progress"),
        "responses": text('{"q1": {}, "q2": {}}', draw.integers(0, 4), draw.integers(0, 4)),
        "current_domain": draw.maybe(draw.pick(vocab.DOMAINS), 0.6),
        "current_question": draw.maybe(draw.integers(1, 40), 0.6),
        "total_questions": draw.maybe(draw.integers(15, 60), 0.9),
        "total_score": where(done, draw.integers(10, 200), None),
        "domain_scores": draw.maybe(text('{"social": {}}', draw.integers(0, 60)), 0.8),
        "interpretation": where(done, draw.prose(1, 3), None),
        "severity_level": draw.maybe(draw.pick(("mild", "moderate", "severe")), 0.7),
        "dsm5_criteria": draw.maybe(draw.words(("A1", "A2", "A3", "B1", "B2")), 0.4),
        "recommendations": draw.maybe(draw.prose(1, 3), 0.7),
        "administered_by": staff_ids(rows, draw),
        "administered_date": draw.maybe(rows.created, 0.95),
        "duration": draw.maybe(draw.integers(20, 120), 0.8),
        "completed_at": where(done, draw.after(rows.created, 3), None),
        "baseline_assessment_id": where(
            rows.position > 0, rows.ids("assessments", rows.key - keys(rows.position)), None
        ),
        **stamps(rows, draw),
    }


def assessment_evidence(rows: Rows, draw: Draw) -> Columns:
    """Files that support an assessment."""
    return {
        "id": rows.ids(),
        "assessment_id": rows.parent_ids("assessments"),
        "evidence_type": draw.pick(("video", "photo", "worksheet")),
        **_file(rows, draw),
        "description": draw.maybe(draw.phrase(), 0.6),
        "timestamp": draw.maybe(text("00:{}:{}", *[draw.integers(10, 59) for _ in "ms"]), 0.4),
        "uploaded_at": rows.created,
    }


def consultation_sessions(rows: Rows, draw: Draw) -> Columns:
    """Sessions, starting on the quarter of an hour."""
    return {
        "id": rows.ids(),
        "patient_id": rows.patient_ids(),
        "clinician_id": rows.clinician_ids(),
        "session_date": rows.created // 900_000 * 900_000,
        "duration": draw.integers(2, 8) * 15,
        "session_type": draw.pick(_SESSION_KINDS),
        "format": draw.pick(_FORMATS, (0.75, 0.2, 0.05)),
        "location": draw.maybe(draw.pick(("Room 1", "Room 2", "Sensory room", "Home")), 0.8),
        "notes": draw.maybe(draw.prose(1, 3), 0.85),
        "linked_goal_id": draw.maybe(rows.goal_ids(), 0.3),
        "linked_intervention_id": draw.maybe(rows.sibling_ids("interventions"), 0.4),
        "template_used": draw.maybe(draw.pick(("SOAP", "DAP", "Free text")), 0.4),
        **stamps(rows, draw),
    }


def session_participants(rows: Rows, draw: Draw) -> Columns:
    """Who else was there."""
    return {
        "id": rows.ids(),
        "session_id": rows.parent_ids("consultation_sessions"),
        "participant_type": draw.pick(("parent", "clinician", "teacher", "grandparent")),
        "participant_name": text("{} {}", draw.pick(vocab.GIRLS), draw.pick(vocab.SURNAMES)),
    }


def session_attachments(rows: Rows, draw: Draw) -> Columns:
    """Files of a session."""
    return {
        "id": rows.ids(),
        "session_id": rows.parent_ids("consultation_sessions"),
        "file_type": draw.pick(("pdf", "image", "video")),
        **_file(rows, draw),
        "description": draw.maybe(draw.phrase(), 0.4),
        "uploaded_at": rows.created,
    }


def interventions(rows: Rows, draw: Draw) -> Columns:
    """Therapy programmes."""
    start = draw.day_after(rows.created, 10)
    return {
        "id": rows.ids(),
        "patient_id": rows.patient_ids(),
        "clinician_id": rows.clinician_ids(),
        "intervention_name": draw.pick(vocab.STRATEGIES),
        "protocol": draw.maybe(draw.pick(("ABA", "DIR/Floortime", "PECS", "PROMPT")), 0.8),
        "focus": draw.phrase(),
        "target_behaviors": draw.maybe(draw.phrase(), 0.6),
        "status": draw.pick(("active", "completed", "paused"), (0.6, 0.3, 0.1)),
        "frequency": draw.maybe(draw.pick(vocab.FREQUENCIES), 0.9),
        "duration": draw.maybe(draw.integers(20, 60), 0.9),
        "total_sessions": draw.maybe(draw.integers(8, 40), 0.8),
        "sessions_completed": draw.integers(0, 8),
        "provider": draw.maybe(text("Dr. {}", draw.pick(vocab.SURNAMES)), 0.7),
        "provider_role": draw.maybe(draw.pick(vocab.SPECIALITIES), 0.7),
        "start_date": start,
        "end_date": draw.maybe(draw.day_after(start, 300), 0.5),
        "target_completion_date": draw.maybe(start + 180 * DAY, 0.8),
        "overall_progress": draw.integers(0, 100),
        "linked_iep_goal_id": draw.maybe(rows.goal_ids(), 0.3),
        **stamps(rows, draw),
    }


def intervention_strategies(rows: Rows, draw: Draw) -> Columns:
    """What is tried within an intervention."""
    return {
        "id": rows.ids(),
        "intervention_id": rows.parent_ids("interventions"),
        "strategy_name": draw.pick(vocab.STRATEGIES),
        "strategy_text": draw.prose(1, 2),
        "implementation": draw.phrase(),
        "frequency": draw.maybe(draw.pick(vocab.FREQUENCIES), 0.7),
    }


def intervention_progress(rows: Rows, draw: Draw) -> Columns:
    """Dated notes on an intervention."""
    return {
        "id": rows.ids(),
        "intervention_id": rows.parent_ids("interventions"),
        "update_date": rows.created,
        "progress_note": draw.prose(1, 3),
        "session_count": draw.maybe(draw.integers(1, 12), 0.8),
        "data_points": draw.maybe(text("[{}, {}]", *[draw.integers(0, 10) for _ in "xy"]), 0.5),
        "attachments": draw.maybe(draw.words(vocab.FILES, 2), 0.2),
        "updated_by": staff_ids(rows, draw),
    }


def _file(rows: Rows, draw: Draw) -> Columns:
    return {
        "file_name": draw.pick(vocab.FILES),
        "file_url": text("https://files.example/{}", hexadecimal(rows, "file")),
        "file_size": draw.maybe(draw.integers(9_000, 9_000_000), 0.9),
    }


QUESTIONS = (
    "If you point at something across the room, does your child look at it?",
    "Have you ever wondered if your child might be deaf?",
    "Does your child play pretend or make-believe?",
    "Does your child like climbing on things?",
    "Does your child point with one finger to ask for something?",
    "क्या आपका बच्चा दूसरे बच्चों में रुचि लेता है?",
    "உங்கள் குழந்தை பெயர் சொல்லி அழைத்தால் திரும்பிப் பார்க்கிறதா?",
)

BUILDERS = (
    patient_contacts,
    patient_documents,
    patient_tags,
    patient_activity_log,
    parent_screenings,
    screening_responses,
    assessments,
    assessment_evidence,
    consultation_sessions,
    session_participants,
    session_attachments,
    interventions,
    intervention_strategies,
    intervention_progress,
)
