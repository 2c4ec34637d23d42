"""Transform: source frames become target rows by the mappings alone (contract sections 6, 7)."""

from person_unify.stages.transform.rows import (
    Options,
    Task,
    archive_whole,
    known_by_row,
    transform,
)

__all__ = ["Options", "Task", "archive_whole", "known_by_row", "transform"]
