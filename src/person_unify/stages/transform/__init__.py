"""Transform: source frames become target rows by the mappings alone (contract sections 6, 7)."""

from person_unify.stages.transform.rows import Options, archive_whole, transform

__all__ = ["Options", "archive_whole", "transform"]
