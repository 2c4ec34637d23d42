"""The document: what becomes of every old table.  Open the files of this folder first.

``platform`` holds users, parents and what moves unchanged, ``people`` the persons and views,
``sharing`` the grants, ``care`` and ``plans`` everything that is recorded about a person.
"""

from person_unify.mappings import care, people, plans, platform, sharing
from person_unify.spec import Mapping

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

__all__ = ["CORE_TABLES", "MAPPINGS", "SHORT_NAMES"]
