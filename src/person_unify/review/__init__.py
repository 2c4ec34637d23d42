"""Review: questions about a finished run out to the people who can judge, and answers back.

``export_review`` writes a workbook (``.xlsx``) or one ``.csv``, ``import_review`` reads it again,
``write_decisions`` and ``read_decisions`` keep the answers for ``migrate --decisions``.
"""

from person_unify.frames.decisions import Decision, Decisions, read_decisions, write_decisions
from person_unify.review.exporting import export_review
from person_unify.review.importing import import_review

__all__ = [
    "Decision",
    "Decisions",
    "export_review",
    "import_review",
    "read_decisions",
    "write_decisions",
]
