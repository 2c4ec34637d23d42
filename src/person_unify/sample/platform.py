"""Builders of the clinicians' own tables and of the platform's catalogues."""

from __future__ import annotations

import numpy as np

from person_unify.sample import vocab
from person_unify.sample.care import QUESTIONS
from person_unify.sample.clinic import DAY
from person_unify.sample.columns import Columns, place, stamps
from person_unify.sample.draw import Draw, take, text, where
from person_unify.sample.rows import Rows


def clinician_profiles(rows: Rows, draw: Draw) -> Columns:
    """One profile for each clinician."""
    verified = draw.chance(0.9)
    return {
        "id": rows.ids(),
        "user_id": rows.parent_ids("users"),
        "first_name": draw.pick((*vocab.GIRLS, *vocab.BOYS)),
        "middle_name": draw.maybe(draw.pick(vocab.MIDDLE_NAMES), 0.2),
        "last_name": draw.pick(vocab.SURNAMES),
        "professional_title": draw.maybe(draw.pick(("Dr.", "Ms.", "Mr.")), 0.9),
        "designation": draw.maybe(draw.pick(vocab.SPECIALITIES), 0.9),
        "specializations": draw.words(vocab.SPECIALITIES),
        "languages": draw.words(vocab.LANGUAGES),
        "phone": draw.maybe(draw.phone(), 0.95),
        "alternate_phone": draw.maybe(draw.phone(), 0.2),
        "date_of_birth": draw.maybe(draw.integers(-9_000, 10_000) * DAY, 0.8),
        "years_of_practice": draw.maybe(draw.integers(0, 40), 0.9),
        "bio": draw.maybe(draw.prose(1, 2), 0.6),
        "photo_url": draw.maybe(text("https://files.example/clinicians/{}.jpg", rows.owner), 0.5),
        "verification_status": where(verified, "verified", "pending"),
        "verified_at": where(verified, draw.after(rows.created, 20), None),
        "verified_by": where(verified, "admin", None),
        **stamps(rows, draw),
    }


def credentials(rows: Rows, draw: Draw) -> Columns:
    """Licences and degrees."""
    verified = draw.chance(0.85)
    issued = draw.day_after(rows.created, -3000)
    return {
        "id": rows.ids(),
        "user_id": rows.parent_ids("users"),
        "credential_type": draw.pick(("RCI", "degree", "certificate")),
        "credential_number": draw.maybe(text("A{}", draw.integers(10_000, 99_999)), 0.9),
        "issuing_authority": draw.maybe(draw.pick(("RCI", "NIMHANS", "AIISH Mysuru")), 0.9),
        "issue_date": draw.maybe(issued, 0.9),
        "expiry_date": draw.maybe(issued + 3650 * DAY, 0.6),
        "document_url": draw.maybe(text("https://files.example/credentials/{}", rows.owner), 0.8),
        "verification_status": where(verified, "verified", "pending"),
        "verification_notes": draw.maybe(draw.phrase(), 0.1),
        "verified_by": where(verified, "admin", None),
        "verified_at": where(verified, draw.after(rows.created, 20), None),
        "rejection_reason": draw.maybe(draw.phrase(), 0.02),
        **stamps(rows, draw),
    }


def practice_locations(rows: Rows, draw: Draw) -> Columns:
    """One or two places for each clinician; the first is the primary one."""
    return {
        "id": rows.ids(),
        "clinician_id": rows.parent_ids("users"),
        "name": text("Asha Clinic {}", draw.pick(vocab.STREETS)),
        **place(draw),
        "country": "India",
        "room_info": draw.maybe(draw.pick(("Room 1", "First floor", "Sensory room")), 0.6),
        "is_primary": rows.position == 0,
        **stamps(rows, draw),
    }


def clinician_availability(rows: Rows, draw: Draw) -> Columns:
    """Working days; no day twice."""
    location = rows.ids("practice_locations", rows.parent * np.uint64(8))
    return {
        "id": rows.ids(),
        "clinician_id": rows.parent_ids("users"),
        "day_of_week": rows.position + 1,
        "start_time": draw.clock(9, 11),
        "end_time": draw.clock(14, 18),
        "location_id": draw.maybe(location, 0.9),
        "is_active": draw.chance(0.9),
        **stamps(rows, draw),
    }


def clinician_time_off(rows: Rows, draw: Draw) -> Columns:
    """Absences."""
    start = draw.day_after(rows.created, 200)
    all_day = draw.chance(0.8)
    return {
        "id": rows.ids(),
        "clinician_id": rows.parent_ids("users"),
        "start_date": start,
        "end_date": start + draw.integers(0, 14) * DAY,
        "reason": draw.maybe(draw.pick(("Leave", "Conference", "Diwali", "Onam")), 0.9),
        "all_day": all_day,
        "start_time": where(all_day, None, draw.clock(9, 11)),
        "end_time": where(all_day, None, draw.clock(14, 18)),
        **stamps(rows, draw),
    }


def session_templates(rows: Rows, draw: Draw) -> Columns:
    """Forms for notes; the archive alone takes them."""
    return {
        "id": rows.ids(),
        "name": draw.pick(("SOAP", "DAP", "First visit", "Parent training")),
        "session_type": draw.pick(("therapy", "assessment")),
        "template_content": draw.pick(("S:\nO:\nA:\nP:\n", '{"blocks": ["goal", "notes"]}')),
        "created_by": rows.parent_ids("users"),
        "is_global": draw.chance(0.2),
        "created_at": rows.created,
    }


def resources(rows: Rows, draw: Draw) -> Columns:
    """The library of materials."""
    url = text("https://resources.example/{}", rows.owner)
    return {
        "id": rows.ids(),
        "title": text("{}, part {}", draw.pick(vocab.ACTIVITIES), rows.owner + 1),
        "description": draw.prose(1, 2),
        "resource_type": draw.pick(("article", "video", "worksheet")),
        "content_url": draw.maybe(url, 0.8),
        "thumbnail_url": draw.maybe(url, 0.5),
        "file_url": draw.maybe(url, 0.4),
        "category": draw.pick(vocab.DOMAINS),
        "age_range": draw.pick(("0-3", "3-6", "6-12", "12+")),
        "tags": draw.words(vocab.TAGS),
        "difficulty": draw.maybe(draw.pick(("easy", "medium", "hard")), 0.7),
        "views": draw.integers(0, 5000),
        "favorites": draw.integers(0, 300),
        "author": draw.maybe(text("Dr. {}", draw.pick(vocab.SURNAMES)), 0.7),
        "source_url": draw.maybe(url, 0.3),
        "is_published": draw.chance(0.9),
        "is_featured": draw.chance(0.1),
        **stamps(rows, draw),
    }


def mchat_questions(rows: Rows, draw: Draw) -> Columns:
    """Twenty questions of the screener and as many of the follow-up."""
    initial = rows.owner < 20
    return {
        "id": rows.ids(),
        "question_number": rows.owner % 20 + 1,
        "question_text": draw.pick(QUESTIONS),
        "is_initial_screener": initial,
        "is_follow_up": ~initial,
        "critical_item": draw.chance(0.3),
        "scoring_key": draw.pick(("yes", "no")),
        "follow_up_prompt": draw.maybe(draw.phrase(), 0.5),
        "created_at": rows.created,
    }


def asq_questions(rows: Rows, draw: Draw) -> Columns:
    """Ten ages, five domains, six questions each."""
    ages = [f"{months} months" for months in range(6, 66, 6)]
    return {
        "id": rows.ids(),
        "age_range": take(ages, rows.owner // 30),
        "domain": take(vocab.DOMAINS[:5], rows.owner // 6 % 5),
        "question_number": rows.owner % 6 + 1,
        "question_text": draw.pick(QUESTIONS),
        "yes_value": 10,
        "sometimes_value": 5,
        "not_yet_value": 0,
        "created_at": rows.created,
    }


BUILDERS = (
    clinician_profiles,
    credentials,
    practice_locations,
    clinician_availability,
    clinician_time_off,
    session_templates,
    resources,
    mchat_questions,
    asq_questions,
)
