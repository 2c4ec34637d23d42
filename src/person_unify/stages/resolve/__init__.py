"""Resolve: which old records are one human, and that human's rows (contract sections 3 to 5)."""

from person_unify.stages.resolve.deciding import DECIDING
from person_unify.stages.resolve.links import PERSON
from person_unify.stages.resolve.outcomes import Outcomes
from person_unify.stages.resolve.people import Choices, Core, Resolution, resolve

__all__ = ["DECIDING", "PERSON", "Choices", "Core", "Outcomes", "Resolution", "resolve"]
