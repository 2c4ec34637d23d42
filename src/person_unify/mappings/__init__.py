"""The document: what becomes of every old table.  Open the files of this folder first.

``platform`` holds users, parents and what moves unchanged, ``people`` the persons and views,
``sharing`` the grants, ``care`` and ``plans`` everything that is recorded about a person.
"""

from person_unify.mappings import care, people, plans, platform, sharing
from person_unify.mappings.spec import Mapping

MAPPINGS: tuple[Mapping, ...] = (
    *platform.MAPPINGS,
    *people.MAPPINGS,
    *sharing.MAPPINGS,
    *care.MAPPINGS,
    *plans.MAPPINGS,
)

SHORT_NAMES = {
    "patient_contacts": "contacts",
    "patient_documents": "documents",
    "patient_tags": "tags",
    "parent_screenings": "screenings",
    "consultation_sessions": "sessions",
    "pep_activities": "activities",
}
"""The names that some deployments use instead (contract section 2)."""

CORE_TABLES = ("patients", "children", "parent_children")
"""Tables whose rows the resolve stage settles person by person instead of row by row."""

ID_MAPS = {
    ("patients", "persons"): "patient_to_person",
    ("patients", "clinician_patient_views"): "patient_to_view",
    ("children", "persons"): "child_to_person",
    ("children", "parent_child_views"): "child_to_view",
    ("parent_children", "parent_child_views"): "parent_link_to_view",
    ("consent_grants", "access_grants"): "consent_to_grant",
}
"""Old table and target table -> the ledger's map from ``old_id`` to ``new_id`` (section 9)."""

TAGS, COLLISIONS = "tag_to_tag", "collision_to_id"
MAP_KEYS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(ID_MAPS.values(), ("old_id",)),
    TAGS: ("patient_id", "tag"),
    COLLISIONS: ("source_table", "old_id"),
}
"""Every id map -> what names an old record in it, beside ``new_id``."""

__all__ = ["COLLISIONS", "CORE_TABLES", "ID_MAPS", "MAPPINGS", "MAP_KEYS", "SHORT_NAMES", "TAGS"]
