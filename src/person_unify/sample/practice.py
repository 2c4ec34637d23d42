"""Builders of the daily practice: journals, appointments, reports, conversations, notifications."""

from __future__ import annotations

from person_unify.sample import vocab
from person_unify.sample.clinic import DAY
from person_unify.sample.columns import Columns, author_ids, hexadecimal, lot, staff_ids, stamps
from person_unify.sample.draw import Draw, text, where
from person_unify.sample.identity import keys
from person_unify.sample.rows import Rows


def journal_entries(rows: Rows, draw: Draw) -> Columns:
    """Notes by clinicians and parents."""
    author, kind = author_ids(rows, draw)
    return {
        "id": rows.ids(),
        "patient_id": rows.patient_ids(),
        "entry_type": draw.pick(("observation", "milestone", "concern", "session_note")),
        "title": draw.phrase(),
        "content": draw.prose(1, 3),
        "tags": draw.words(vocab.TAGS),
        "linked_session_id": draw.maybe(rows.sibling_ids("consultation_sessions"), 0.3),
        "linked_goal_id": draw.maybe(rows.goal_ids(), 0.2),
        "linked_intervention_id": draw.maybe(rows.sibling_ids("interventions"), 0.2),
        "visibility": draw.pick(("clinician_only", "shared", "private"), (0.6, 0.3, 0.1)),
        "created_by": author,
        "created_by_type": kind,
        "created_by_name": text("{} {}", draw.pick(vocab.GIRLS), draw.pick(vocab.SURNAMES)),
        **stamps(rows, draw),
    }


def journal_attachments(rows: Rows, draw: Draw) -> Columns:
    """Files of a journal entry."""
    return {
        "id": rows.ids(),
        "entry_id": rows.parent_ids("journal_entries"),
        "file_type": draw.pick(("image", "audio", "pdf")),
        "file_name": draw.pick(vocab.FILES),
        "file_url": text("https://files.example/{}", hexadecimal(rows, "file")),
        "file_size": draw.maybe(draw.integers(9_000, 9_000_000), 0.9),
    }


def appointments(rows: Rows, draw: Draw) -> Columns:
    """Bookings; they end later on the same day."""
    first_location = keys(rows.clinic.clinician(rows.owner) * 8)
    return {
        "id": rows.ids(),
        "patient_id": rows.patient_ids(),
        "clinician_id": rows.clinician_ids(),
        "date": draw.day_after(rows.created, 30),
        "start_time": draw.clock(9, 13),
        "end_time": draw.clock(14, 18),
        "appointment_type": draw.pick(("therapy", "review", "assessment")),
        "format": draw.pick(("in_person", "online"), (0.8, 0.2)),
        "location_id": draw.maybe(rows.ids("practice_locations", first_location), 0.8),
        "status": draw.pick(("completed", "scheduled", "cancelled", "no_show")),
        "series_id": draw.maybe(hexadecimal(rows, "series"), 0.2),
        "notes": draw.maybe(draw.prose(1, 1), 0.4),
        **stamps(rows, draw),
    }


def appointment_history(rows: Rows, draw: Draw) -> Columns:
    """Changes of a booking; the archive alone takes them."""
    return {
        "id": rows.ids(),
        "appointment_id": rows.parent_ids("appointments"),
        "change_type": draw.pick(("rescheduled", "cancelled", "status")),
        "old_value": draw.maybe(draw.clock(), 0.8),
        "new_value": draw.maybe(draw.clock(), 0.8),
        "reason": draw.maybe(draw.phrase(), 0.5),
        "changed_by": staff_ids(rows, draw),
        "changed_at": rows.created,
    }


def appointment_participants(rows: Rows, draw: Draw) -> Columns:
    """Who was asked to come; the archive alone takes them."""
    return {
        "id": rows.ids(),
        "appointment_id": rows.parent_ids("appointments"),
        "participant_type": draw.pick(("parent", "clinician", "teacher")),
        "participant_id": draw.maybe(author_ids(rows, draw)[0], 0.7),
        "participant_name": draw.maybe(draw.pick(vocab.SURNAMES), 0.8),
        "created_at": rows.created,
    }


def appointment_reminders(rows: Rows, draw: Draw) -> Columns:
    """Reminders sent; the archive alone takes them."""
    return {
        "id": rows.ids(),
        "appointment_id": rows.parent_ids("appointments"),
        "reminder_type": draw.pick(("sms", "email", "whatsapp")),
        "sent_at": draw.maybe(draw.after(rows.created, 5), 0.8),
        "created_at": rows.created,
    }


def reports(rows: Rows, draw: Draw) -> Columns:
    """Documents about a patient."""
    return {
        "id": rows.ids(),
        "patient_id": rows.patient_ids(),
        "clinician_id": rows.clinician_ids(),
        "report_type": draw.pick(("progress", "assessment", "discharge", "school")),
        "title": text("Report {}: {}", rows.position + 1, draw.pick(vocab.DIAGNOSES)),
        "content": draw.prose(2, 3),
        "sections": draw.maybe(draw.words(vocab.DOMAINS), 0.6),
        "file_url": draw.maybe(text("https://files.example/{}", hexadecimal(rows, "file")), 0.5),
        "file_name": draw.maybe(draw.pick(vocab.FILES), 0.5),
        "status": draw.pick(("draft", "final", "shared")),
        "linked_assessment_id": draw.maybe(rows.sibling_ids("assessments"), 0.4),
        "linked_iep_id": draw.maybe(rows.sibling_ids("ieps"), 0.3),
        "shared_with": draw.pick(("[]", '["parent"]', '["parent", "school"]')),
        "share_log": draw.pick(("[]", '[{"to": "parent", "via": "email"}]')),
        "generated_at": rows.created,
        "last_modified_at": draw.after(rows.created, 10),
    }


def conversations(rows: Rows, draw: Draw) -> Columns:
    """Threads between a parent and the clinician; one in ten names no patient."""
    guardian, clinician = rows.guardian_user_ids(), rows.clinician_ids()
    return {
        "id": rows.ids(),
        "participants": text('["{}", "{}"]', guardian, clinician),
        "patient_id": draw.maybe(rows.patient_ids(), 0.9),
        "subject": draw.maybe(draw.phrase(), 0.7),
        "last_message_at": draw.maybe(draw.after(rows.created, 40), 0.95),
        "created_at": rows.created,
    }


def messages(rows: Rows, draw: Draw) -> Columns:
    """The posts of a conversation."""
    guardian, clinician = rows.guardian_user_ids(), rows.clinician_ids()
    asked, read = draw.chance(0.5), draw.chance(0.8)
    sender = text("{} {}", draw.pick(vocab.BOYS), draw.pick(vocab.SURNAMES))
    return {
        "id": rows.ids(),
        "conversation_id": rows.parent_ids("conversations"),
        "sender_id": where(asked, guardian, clinician),
        "sender_type": where(asked, "parent", "clinician"),
        "sender_name": sender,
        "recipient_id": where(asked, clinician, guardian),
        "recipient_type": where(asked, "clinician", "parent"),
        "body": draw.prose(1, 3),
        "attachments": draw.maybe(draw.words(vocab.FILES, 1), 0.9),
        "is_read": read,
        "read_at": where(read, draw.after(rows.created, 3), None),
        "sent_at": rows.created,
    }


def notifications(rows: Rows, draw: Draw) -> Columns:
    """What clinicians were told; links lead to sessions, never to patients."""
    read = draw.chance(0.7)
    session = rows.sibling_ids("consultation_sessions")
    return {
        "id": rows.ids(),
        "user_id": rows.clinician_ids(),
        "user_type": "clinician",
        "notification_type": draw.pick(("appointment", "message", "report", "consent")),
        "title": draw.pick(("New message", "Session tomorrow", "Report ready", "Consent given")),
        "message": draw.phrase(),
        "action_url": draw.maybe(text("/sessions/{}", session), 0.7),
        "action_data": draw.maybe(text('{"session": "{}"}', session), 0.3),
        "priority": draw.pick(("normal", "high"), (0.9, 0.1)),
        "category": draw.maybe(draw.pick(("care", "billing", "system")), 0.8),
        "is_read": read,
        "read_at": where(read, draw.after(rows.created, 6), None),
        "sent_via": draw.pick(("[]", '["email"]', '["email", "sms"]')),
        "created_at": rows.created,
        "expires_at": draw.maybe(rows.created + 90 * DAY, 0.5),
    }


def audit_logs(rows: Rows, draw: Draw) -> Columns:
    """Who did what; no entry names a patient (that is a fault's part)."""
    resource = rows.ids("audited", keys(lot(rows, "resource", 1 << 40)))
    return {
        "id": rows.ids(),
        "user_id": draw.maybe(staff_ids(rows, draw), 0.95),
        "action": draw.pick(("VIEW", "CREATE", "UPDATE", "EXPORT", "LOGIN")),
        "resource_type": draw.maybe(draw.pick(("session", "report", "assessment")), 0.9),
        "resource_id": draw.maybe(resource, 0.9),
        "ip_address": text("10.{}.{}.9", draw.integers(0, 255), draw.integers(0, 255)),
        "user_agent": draw.maybe(draw.pick(vocab.AGENTS), 0.9),
        "details": draw.maybe(draw.pick(('{"ok": true}', '{"fields": ["status"]}')), 0.6),
        "created_at": rows.created,
    }


BUILDERS = (
    journal_entries,
    journal_attachments,
    appointments,
    appointment_history,
    appointment_participants,
    appointment_reminders,
    reports,
    conversations,
    messages,
    notifications,
    audit_logs,
)
