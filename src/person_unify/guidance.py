"""What a kind of discrepancy says and what to do about it, in words for people.

The README's table and the report's page print these; contract section 8 defines the kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guidance:
    """``says``: what was found; ``advice``: what a person does about it."""

    says: str
    advice: str


GUIDANCE: Mapping[str, Guidance] = {
    "orphaned_record": Guidance(
        "a row needs another that is not there; the row (or the view) was not made",
        "usually a leftover of a deletion; restore the missing row in the old database and migrate "
        "again if it matters",
    ),
    "orphaned_consent_grant": Guidance(
        "a consent whose patient or parent does not exist",
        "usually a leftover of a deletion; no access was granted",
    ),
    "duplicate_key": Guidance(
        "an earlier row holds a value that must be unique",
        "decide which row is right and correct the other in the old database",
    ),
    "duplicate_udid": Guidance(
        "another, earlier patient keeps the UDID number; here it became NULL",
        "find out whose number it is; perhaps the two are one person",
    ),
    "missing_linked_patient": Guidance(
        "a child is linked to a patient that does not exist; it became a person of its own",
        "link it again, if the patient still exists under another id",
    ),
    "unreadable_value": Guidance(
        "a cell is not of its column's type; the target has the default, the ledger the cell",
        "look the cell up in the archive; correct it before or after",
    ),
    "demographic_mismatch": Guidance(
        "name, birth date or gender of a linked child differ from the patient's, which counts",
        "compare the three value columns; less than a day apart is mostly a time zone",
    ),
    "shared_linked_patient": Guidance(
        "several children are linked to one patient and became one person",
        "make sure that they are one child",
    ),
    "suspected_duplicate": Guidance(
        "two persons share name and day of birth; both were kept",
        "merge them in the platform, if they are one",
    ),
    "multiple_primary_caregivers": Guidance(
        "several parents were flagged as primary; the earliest won",
        "ask the family",
    ),
    "implied_grant": Guidance(
        "a linked child had no consent; the clinician got (or, by option, did not get) view access",
        "have the parent confirm it",
    ),
    "dangling_reference": Guidance(
        "a reference that may be empty names nothing; it is NULL now, or unchanged where no key "
        "guards it",
        "mostly harmless",
    ),
    "soft_reference": Guidance(
        "a free-form column (an audit log, a link in a notification) mentions old ids; it was left "
        "as it is",
        "translate through the id maps when reading it",
    ),
    "id_collision": Guidance(
        "an IEP and a PEP record shared an id; the PEP's is new",
        "tell whoever stored that id elsewhere",
    ),
    "merged_child_rows": Guidance(
        "several children of one parent fell on one view; their texts were joined",
        "nothing",
    ),
    "merged_tag": Guidance(
        "a person had the same tag twice",
        "nothing",
    ),
    "missing_gender": Guidance(
        "nobody knew the gender; it is unknown",
        "fill it in at the next visit",
    ),
    "no_primary_caregiver": Guidance(
        "several parents and none was flagged; the earliest was taken",
        "ask the family",
    ),
    "child_id_in_patient_column": Guidance(
        "a patient column held a child's id; it was resolved as such",
        "nothing",
    ),
}
"""Kind -> words, in the order in which a person should look at them."""
