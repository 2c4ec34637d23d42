"""Persons and the two views on them (contract sections 3 and 4).

These rows are settled for a whole person or a whole (person, parent) pair, so several words here
are ``decided``: the resolve stage knows the rule by its name.
"""

from person_unify.mappings.spec import Mapping, copy, decided, reference

PATIENT_PERSONS = Mapping(
    "patients",
    "persons",
    {
        "id": decided("person"),
        "gender": decided("gender", "gender"),
        "udid_number": decided("unique_udid", "udid_number"),
        "migration_notes": decided("migration_note"),
    },
)

CHILD_PERSONS = Mapping(
    "children",
    "persons",
    {
        "id": decided("person", considers="linked_patient_id"),
        "gender": decided("gender", "gender"),
        "udid_number": decided("unique_udid", "udid_number"),
        "migration_notes": decided("migration_note"),
    },
)

CLINICIAN_VIEWS = Mapping(
    "patients",
    "clinician_patient_views",
    {
        "id": decided("clinician_view"),
        "person_id": decided("person"),
        "clinician_id": reference("clinician_id", "users"),
        "developmental_history": copy("developmental_milestones"),
        "case_status": copy("status"),
        "referral_notes": copy("referral_details"),
        "admitted_at": copy("created_at"),
    },
)

PARENT_VIEWS_OF_CHILDREN = Mapping(
    "children",
    "parent_child_views",
    {
        "id": decided("parent_view"),
        "person_id": decided("person"),
        "parent_id": reference("parent_id", "parents"),
        "medical_history": decided("joined_text", "medical_history"),
        "current_concerns": decided("joined_text", "current_concerns"),
        "developmental_notes": decided("joined_text", "developmental_notes"),
        "relationship_type": decided("relationship"),
        "is_primary_caregiver": decided("primary_caregiver"),
        "added_at": decided("added_at", "created_at"),
        "updated_at": decided("updated_at", "updated_at"),
    },
)

PARENT_VIEWS_OF_LINKS = Mapping(
    "parent_children",
    "parent_child_views",
    {
        "id": decided("parent_view"),
        "person_id": decided("person", "patient_id"),
        "parent_id": reference("parent_id", "parents"),
        "relationship_type": decided("relationship", "relationship_type"),
        "is_primary_caregiver": decided("primary_caregiver", considers="is_primary"),
        "added_at": decided("added_at", "added_at"),
        "updated_at": decided("updated_at"),
    },
)

MAPPINGS = (
    PATIENT_PERSONS,
    CLINICIAN_VIEWS,
    CHILD_PERSONS,
    PARENT_VIEWS_OF_CHILDREN,
    PARENT_VIEWS_OF_LINKS,
)
