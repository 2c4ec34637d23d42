"""Resolve: which old records are one human, and that human's rows (contract sections 3 to 5)."""

from person_unify.stages.resolve.people import Choices, Core, Resolution, resolve

__all__ = ["Choices", "Core", "Resolution", "resolve"]
