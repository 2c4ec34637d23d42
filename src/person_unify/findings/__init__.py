"""Every kind of discrepancy, once: how grave, what it means, who acts, what may be decided.

Contract section 8 defines the kinds.  The stages log by them; ledger, report, page, review and
docs/FINDINGS.md read them here.
"""

from __future__ import annotations

from collections.abc import Mapping

from person_unify.findings.kinds import FINDINGS, QUESTIONS
from person_unify.findings.model import ORDINARY, Acts, Finding, Question, Severity

__all__ = [
    "DECISIONS",
    "FINDINGS",
    "MISMATCH_HINTS",
    "ORDINARY",
    "QUESTIONS",
    "Acts",
    "Finding",
    "Question",
    "Severity",
]

DECISIONS: Mapping[str, str] = {
    "child": "take the child's value",
    "patient": "keep the patient's value",
    "unlink": "two humans: unlink the child",
    "same": "one human: keep the link",
    "standalone": "keep as a person of its own",
    "link": "one human: link to the patient",
    "separate": "two humans: keep apart",
    "merge": "one human: merge",
    "primary": "this is the primary caregiver",
    "earlier": "the earlier record keeps it",
    "this": "this record gets it",
    "active": "make it active",
    "pending": "keep it pending",
    "none": "make no grant",
}
"""Every decision as a reviewer reads it."""

MISMATCH_HINTS: Mapping[str, str] = {
    "zone": "; the two instants are less than 24 hours apart: a time zone may be the cause",
    "form": "; the two differ only in their Unicode form (composed or decomposed)",
    "invisible": "; the two differ only in invisible characters",
    "width": "; the two differ only in the width of characters",
    "several": "; the two differ only in Unicode form, invisible characters and width",
    "none": "",
}
"""What a ``demographic_mismatch`` may come from, as its message ends."""
