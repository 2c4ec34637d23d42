"""Resolve: which old records are one human, and that human's rows (contract sections 3 to 5)."""

from person_unify.stages.resolve.people import Core, Resolution, resolve

__all__ = ["Core", "Resolution", "resolve"]
