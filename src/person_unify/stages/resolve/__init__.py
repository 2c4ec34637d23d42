"""Resolve: which old records are one human, and that human's rows (contract sections 3 to 5)."""

from person_unify.stages.resolve.cases import Tables
from person_unify.stages.resolve.deciding import deciding_cells, deciding_columns
from person_unify.stages.resolve.links import PERSON
from person_unify.stages.resolve.outcomes import REPRESENTED, Outcomes
from person_unify.stages.resolve.people import Choices, Core, Resolution, resolve

__all__ = [
    "PERSON",
    "REPRESENTED",
    "Choices",
    "Core",
    "Outcomes",
    "Resolution",
    "Tables",
    "deciding_cells",
    "deciding_columns",
    "resolve",
]
