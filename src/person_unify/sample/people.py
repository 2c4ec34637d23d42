"""Builders of the people's tables: users, parents, children, patients and what hangs on them.

A builder takes the rows of its table and a :class:`Draw` and returns one entry per column; columns
that it leaves out are NULL.
"""

from __future__ import annotations

import numpy as np

from person_unify.sample import vocab
from person_unify.sample.clinic import DAY, PARENT_USERS, TODAY
from person_unify.sample.columns import Columns, emails, hexadecimal, names, place, stamps
from person_unify.sample.draw import Draw, text, where
from person_unify.sample.identity import keys
from person_unify.sample.rows import Rows


def users(rows: Rows, draw: Draw) -> Columns:
    """Clinicians and parents; the e-mail is unique."""
    parent = rows.position == 1
    return {
        "id": rows.ids(),
        "email": emails(rows.clinic, rows.key),
        "password_hash": text("$2b$12${}", hexadecimal(rows, "password")),
        "role": where(parent, "parent", "clinician"),
        "status": draw.pick(("active", "pending_verification", "suspended"), (0.95, 0.04, 0.01)),
        "email_verified": draw.chance(0.95),
        "email_verification_token": draw.maybe(hexadecimal(rows, "verification"), 0.05),
        "email_verification_expires": draw.maybe(draw.after(rows.created, 7), 0.05),
        "password_reset_token": draw.maybe(hexadecimal(rows, "reset"), 0.02),
        "password_reset_expires": draw.maybe(draw.after(rows.created, 400), 0.02),
        "last_login_at": draw.maybe(draw.after(np.full_like(rows.created, TODAY), -200), 0.8),
        "deleted_at": draw.maybe(draw.after(rows.created, 30), 0.01),
        **stamps(rows, draw),
    }


def user_preferences(rows: Rows, draw: Draw) -> Columns:
    """Seven users in ten changed their settings; the key is the user."""
    return {
        "user_id": rows.parent_ids("users"),
        "language": draw.pick(vocab.LANGUAGE_CODES),
        "timezone": draw.pick(("Asia/Kolkata", "Asia/Dubai"), (0.98, 0.02)),
        "date_format": "DD/MM/YYYY",
        "time_format": draw.pick(("12-hour", "24-hour")),
        "theme": draw.pick(("light", "dark")),
        "notification_email": draw.chance(0.9),
        "notification_sms": draw.chance(0.6),
        "notification_push": draw.chance(0.8),
        "notification_settings": draw.pick(("{}", '{"digest": "weekly"}')),
        **stamps(rows, draw),
    }


def refresh_tokens(rows: Rows, draw: Draw) -> Columns:
    """Sign-ins; each token is unique."""
    return {
        "id": rows.ids(),
        "user_id": rows.parent_ids("users"),
        "token": hexadecimal(rows, "token"),
        "expires_at": rows.created + 30 * DAY,
        "created_at": rows.created,
        "revoked_at": draw.maybe(draw.after(rows.created, 30), 0.4),
        "ip_address": text("10.{}.{}.7", draw.integers(0, 255), draw.integers(0, 255)),
        "user_agent": draw.pick(vocab.AGENTS),
    }


def parents(rows: Rows, draw: Draw) -> Columns:
    """One or two parents a family, each a user."""
    return {
        "id": rows.ids(),
        "user_id": rows.ids("users", rows.key + PARENT_USERS),
        "phone": draw.maybe(draw.phone(), 0.95),
        "phone_verified": draw.chance(0.8),
        "emergency_contact": draw.maybe(draw.pick(vocab.SURNAMES), 0.5),
        "emergency_phone": draw.maybe(draw.phone(), 0.5),
        "preferred_language": draw.pick(vocab.LANGUAGE_CODES),
        "email_notifications": draw.chance(0.9),
        "sms_notifications": draw.chance(0.3),
        "accountStatus": draw.pick(("active", "inactive"), (0.97, 0.03)),
        "last_login_at": draw.maybe(draw.after(np.full_like(rows.created, TODAY), -90), 0.8),
        **stamps(rows, draw),
    }


def children(rows: Rows, draw: Draw) -> Columns:
    """What a parent entered; names, gender and birthday equal the linked patient's."""
    first, last, gender = names(rows)
    linked = rows.clinic.has_patient(rows.owner)
    return {
        "id": rows.ids(),
        "parent_id": rows.guardian_ids(),
        "first_name": first,
        "last_name": last,
        "date_of_birth": rows.clinic.born(rows.owner),
        "gender": gender,
        "medical_history": draw.maybe(draw.prose(1, 3), 0.6),
        "current_concerns": draw.maybe(draw.prose(1, 2), 0.8),
        "developmental_notes": draw.maybe(draw.prose(1, 3), 0.5),
        "linked_patient_id": where(linked, rows.patient_ids(), None),
        **stamps(rows, draw),
    }


def patients(rows: Rows, draw: Draw) -> Columns:
    """What the clinician entered."""
    first, last, gender = names(rows)
    medicines = where(draw.chance(0.25), draw.words(vocab.MEDICINES), "[]")
    return {
        "id": rows.ids(),
        "clinician_id": rows.clinician_ids(),
        "first_name": first,
        "middle_name": draw.maybe(draw.pick(vocab.MIDDLE_NAMES), 0.3),
        "last_name": last,
        "date_of_birth": rows.clinic.born(rows.owner),
        "gender": gender,
        "place_of_birth": draw.maybe(draw.pick([town for town, _, _ in vocab.PLACES]), 0.7),
        **place(draw),
        "country": "India",
        "primary_language": draw.pick(vocab.LANGUAGES),
        "languages_spoken": draw.words(vocab.LANGUAGES),
        "udid_number": draw.maybe(text("UD{}", rows.owner + 10_000_000_000), 0.4),
        "aadhaar_encrypted": draw.maybe(hexadecimal(rows, "aadhaar"), 0.6),
        "school_id": draw.maybe(text("SCH-{}", draw.integers(100, 999)), 0.5),
        "primary_concerns": draw.maybe(draw.prose(1, 3), 0.9),
        "existing_diagnosis": draw.maybe(draw.pick(vocab.DIAGNOSES), 0.7),
        "diagnosis_codes": draw.words(vocab.ICD_CODES),
        "developmental_milestones": draw.maybe(draw.prose(1, 3), 0.7),
        "medical_history": draw.maybe(draw.prose(1, 3), 0.7),
        "current_medications": medicines,
        "allergies": draw.maybe(draw.pick(vocab.ALLERGIES), 0.3),
        "family_history": draw.maybe(draw.prose(1, 2), 0.4),
        "status": draw.pick(("active", "discharged", "on_hold"), (0.8, 0.15, 0.05)),
        "referral_source": draw.maybe(draw.pick(("school", "paediatrician", "self")), 0.6),
        "referral_details": draw.maybe(draw.prose(1, 2), 0.4),
        **stamps(rows, draw),
    }


def parent_children(rows: Rows, draw: Draw) -> Columns:
    """A row per patient and known parent; the first parent is the primary one."""
    return {
        "id": rows.ids(),
        "parent_id": rows.parent_ids("parents"),
        "patient_id": rows.patient_ids(),
        "relationship_type": draw.pick(vocab.RELATIONS, (0.5, 0.35, 0.03, 0.03, 0.05, 0.02, 0.02)),
        "is_primary": rows.position == 0,
        "can_consent": (rows.position == 0) | draw.chance(0.8),
        "added_at": draw.after(rows.created, 30),
    }


def consent_grants(rows: Rows, draw: Draw) -> Columns:
    """One or two consents of the first parent for each patient who has one, some ended."""
    status = draw.pick(("active", "pending", "revoked", "expired"), (0.8, 0.08, 0.07, 0.05))
    state = {name: (status == name).to_numpy() for name in ("active", "pending", "revoked")}
    granted = rows.created
    claimed = ~state["pending"]
    ended = ~(state["active"] | state["pending"] | state["revoked"])
    permissions = (
        '{"view": true, "edit": false, "assessments": true, "reports": true, "iep": false}',
        '{"view": true, "edit": true, "assessments": true, "reports": true, "iep": true}',
    )
    lasts = where(draw.chance(0.3), granted + 400 * DAY, None)
    return {
        "id": rows.ids(),
        "token": hexadecimal(rows, "token"),
        "parent_id": rows.guardian_ids(),
        "patient_id": rows.patient_ids(),
        "clinician_id": where(claimed, rows.clinician_ids(), None),
        "permissions": draw.pick(permissions, (0.7, 0.3)),
        "access_level": draw.pick(("view", "edit"), (0.7, 0.3)),
        "status": status,
        "granted_at": granted,
        "activated_at": where(claimed, draw.after(granted, 5), None),
        "expires_at": where(ended, draw.after(granted, 20), lasts),
        "revoked_at": where(state["revoked"], draw.after(granted, 60), None),
        "granted_by_name": text("{} {}", draw.pick(vocab.GIRLS), draw.pick(vocab.SURNAMES)),
        "granted_by_email": emails(rows.clinic, rows.clinic.parent(rows.owner) + PARENT_USERS),
        "clinician_email": draw.maybe(
            emails(rows.clinic, keys(rows.clinic.clinician(rows.owner))), 0.9
        ),
        "notes": draw.maybe(draw.prose(1, 1), 0.2),
        "audit_log": draw.pick(("[]", '[{"event": "created", "by": "parent"}]')),
        **stamps(rows, draw),
    }


BUILDERS = (
    users,
    user_preferences,
    refresh_tokens,
    parents,
    children,
    patients,
    parent_children,
    consent_grants,
)
