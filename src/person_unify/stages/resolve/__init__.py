"""Resolve: which old records are one human, and what that human's rows are (contract sections 3–5)."""

from person_unify.stages.resolve.people import Core, Resolution, resolve

__all__ = ["Core", "Resolution", "resolve"]
