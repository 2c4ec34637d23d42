"""The kinds of contract section 8, one after the other."""

from __future__ import annotations

from collections.abc import Mapping

from person_unify.findings.model import ORDINARY, Finding, Question

FINDINGS: Mapping[str, Finding] = {
    "orphaned_record": Finding(
        severity="error",
        says="a row needs another that is not there; the row (or the view) was not made",
        advice="usually a leftover of a deletion; restore the missing row in the old database and "
        "migrate again if it matters",
        acts="engineer",
        row="row not loaded, or view not made",
        related="the missing id",
        column="the column",
        messages={
            ORDINARY: "the row needs a record that does not exist or was not loaded; it is "
            "archived whole",
            "clinician": "the clinician does not exist; the patient became a person without this "
            "view",
            "parent": "the parent does not exist; the child became a person without this view",
            "link": "the patient or parent does not exist; the row is archived whole",
        },
    ),
    "orphaned_consent_grant": Finding(
        severity="error",
        says="a consent whose patient or parent does not exist",
        advice="usually a leftover of a deletion; no access was granted",
        acts="engineer",
        row="grant",
        related="the missing id",
        column="patient_id, else parent_id",
        messages={
            ORDINARY: "the row needs a record that does not exist or was not loaded; it is "
            "archived whole",
        },
    ),
    "duplicate_key": Finding(
        severity="error",
        says="an earlier row holds a value that must be unique",
        advice="decide which row is right and correct the other in the old database",
        acts="engineer",
        row="row not loaded",
        related="the keeper",
        column="the first column of the key",
        messages={
            ORDINARY: "an earlier row has taken this unique key; the row is archived whole",
        },
    ),
    "duplicate_udid": Finding(
        severity="error",
        says="another, earlier patient keeps the UDID number; here it became NULL",
        advice="find out whose number it is; perhaps the two are one person",
        acts="clinic",
        row="patient that lost it",
        related="the keeper",
        column="udid_number",
        messages={
            ORDINARY: "an earlier patient has the same number and keeps it; it is archived here",
            "decided": "by decision another record with the same number keeps it; it is archived",
        },
        question=Question(
            "One UDID, several records",
            "Two records have the same UDID number, which only one can keep. Whose is it?",
            ("earlier", "this"),
        ),
    ),
    "missing_linked_patient": Finding(
        severity="error",
        says="a child is linked to a patient that does not exist; it became a person of its own",
        advice="link it again, if the patient still exists under another id",
        acts="clinic",
        row="child",
        related="the missing id",
        column="linked_patient_id",
        messages={
            ORDINARY: "the linked patient does not exist; the child became a person of its own",
            "decided": "the linked patient does not exist; by decision the child is one person "
            "with another record",
        },
        question=Question(
            "Patient not found",
            "The child is linked to a patient that does not exist. If you know the patient, choose "
            "to link and give its id in the old database.",
            ("standalone", "link"),
        ),
    ),
    "contradicting_link": Finding(
        severity="error",
        says="a linked child has other names and another birthday than its patient; they became "
        "one person",
        advice="find out whether they are one human; if not, unlink the child",
        acts="clinic",
        row="linked child that differs in first name, last name and birth day",
        related="the patient",
        column="linked_patient_id",
        messages={
            ORDINARY: "child and patient differ in first name, last name and day of birth; they "
            "became one person by the link",
            "parted": "child and patient differ in first name, last name and day of birth; by "
            "decision the child is a person of its own",
        },
        question=Question(
            "Another name and birthday",
            "A child is linked to a patient that has other names and another day of birth. Are "
            "they one human? If not, unlink the child: it then becomes a person of its own.",
            ("same", "unlink"),
        ),
    ),
    "missing_birth_date": Finding(
        severity="error",
        says="nobody can read a birth date; the person got a default, which is not one",
        advice="enter the date in the old database, or correct it in the platform",
        acts="clinic",
        row="person whose birth date is a default",
        column="date_of_birth",
        messages={
            ORDINARY: "the record has no readable date of birth; the person's is a default, not a "
            "birth date",
        },
    ),
    "unreadable_value": Finding(
        severity="error",
        says="a cell is not of its column's type; the target has the default, the ledger the cell",
        advice="look the cell up in the archive; correct it before or after",
        acts="engineer",
        row="cell",
        column="the column",
        messages={ORDINARY: "{field} cannot be read as its type; the cell is archived"},
    ),
    "demographic_mismatch": Finding(
        severity="warning",
        says="name, birth date or gender of a linked child differ from the patient's, which counts",
        advice="compare the three value columns; less than a day apart is mostly a time zone",
        acts="clinic",
        row="linked child and differing field",
        related="the patient",
        column="the column",
        messages={
            variant: f"child and patient differ in {{field}}; {outcome}{{hint}}"
            for variant, outcome in {
                ORDINARY: "the patient's value was taken",
                "parted": "by decision the child is a person of its own",
                "child": "by decision the child's value was taken",
                "patient": "by decision the patient's value was kept",
                "other": "by decision another child's value was taken",
            }.items()
        },
        question=Question(
            "Child or patient",
            "A linked child and its patient differ in one field. Which value is right? If they are "
            "two humans, unlink the child: it then becomes a person of its own.",
            ("child", "patient", "unlink"),
        ),
    ),
    "shared_linked_patient": Finding(
        severity="warning",
        says="several children are linked to one patient and became one person",
        advice="make sure that they are one child",
        acts="clinic",
        row="further child",
        related="the patient",
        column="linked_patient_id",
        messages={
            ORDINARY: "another child is linked to the same patient; both became one person",
            "parted": "another child is linked to the same patient; by decision this one is a "
            "person of its own",
            "alone": "another child is linked to the same patient; by decision that one is a "
            "person of its own",
        },
        question=Question(
            "One patient, many children",
            "Several children are linked to one patient and became one person. Is this child that "
            "patient?",
            ("same", "unlink"),
        ),
    ),
    "deleted_patient": Finding(
        severity="warning",
        says="a linked child's patient is marked deleted, so the parent no longer sees the child",
        advice="restore the patient, or unlink the child in the old database, if it is still cared "
        "for",
        acts="clinic",
        row="linked child whose patient has a deleted_at",
        related="the patient",
        column="deleted_at",
        messages={
            ORDINARY: "the linked patient is marked deleted, and with it the child's person",
        },
    ),
    "suspected_duplicate": Finding(
        severity="warning",
        says="two persons share name and day of birth; both were kept",
        advice="merge them in the platform, if they are one",
        acts="clinic",
        row="further person of a group",
        related="the origin of the group's first",
        messages={
            ORDINARY: "another person has the same name and day of birth; both were kept",
            "decided": "another record has the same name and day of birth; by decision both are "
            "one",
        },
        question=Question(
            "Same name and birthday",
            "Two records have the same name and day of birth. Are they one human? Two patients "
            "cannot be merged here, because a person has one clinician: use the platform for that.",
            ("separate", "link", "merge"),
        ),
    ),
    "multiple_primary_caregivers": Finding(
        severity="warning",
        says="several parents were flagged as primary; the earliest won",
        advice="ask the family",
        acts="clinic",
        row="person",
        related="the chosen parent",
        column="is_primary",
        messages={
            ORDINARY: "several parents are flagged as primary; the earliest was chosen",
            "decided": "several parents are flagged as primary; the parent was chosen by decision",
        },
        question=Question(
            "Several primary caregivers",
            "Several parents of a person are flagged as primary caregiver. Mark the right one: one "
            "row per person.",
            ("primary",),
        ),
    ),
    "implied_grant": Finding(
        severity="warning",
        says="a linked child had no consent; the clinician got (or, by option, did not get) view "
        "access",
        advice="have the parent confirm it",
        acts="clinic",
        row="grant",
        related="the patient",
        column="linked_patient_id",
        messages={
            "active": "the link implies a grant that no consent states; an active one was made"
            "{decided}",
            "pending": "the link implies a grant that no consent states; a pending one was made"
            "{decided}",
            "none": "the link implies a grant that no consent states; no grant was made{decided}",
            "closed": "the link implies a grant that no consent states; no grant was made, because "
            "the account of the parent or of the clinician is closed",
        },
        question=Question(
            "Access without consent",
            "A child is linked to a patient and no consent of the parent is known. May the "
            "clinician see what the parent shares?",
            ("active", "pending", "none"),
        ),
    ),
    "dangling_reference": Finding(
        severity="warning",
        says="a reference that may be empty names nothing; it is NULL now, or unchanged where no "
        "key guards it",
        advice="mostly harmless",
        acts="engineer",
        row="reference",
        related="the missing id",
        column="the column",
        messages={ORDINARY: "the reference names a record that does not exist or was not loaded"},
    ),
    "soft_reference": Finding(
        severity="warning",
        says="a free-form column (an audit log, a link in a notification) mentions old ids; it was "
        "left as it is",
        advice="translate through the id maps when reading it",
        acts="engineer",
        row="table and column",
        column="the column",
        messages={
            ORDINARY: "{rows} rows hold an old patient or child id, for example in {examples}",
        },
    ),
    "implausible_instant": Finding(
        severity="warning",
        says="instants of a column read as January 1970; they stay what they are",
        advice="somebody may have stored seconds, Julian days, YYYYMMDD or a spreadsheet's "
        "numbers: correct the column and migrate again",
        acts="engineer",
        row="table and column",
        column="the column",
        messages={ORDINARY: "{rows} rows hold an instant of January 1970"},
    ),
    "id_collision": Finding(
        severity="warning",
        says="an IEP and a PEP record shared an id; the PEP's is new",
        advice="tell whoever stored that id elsewhere",
        acts="engineer",
        row="row that got a new id",
        related="the new id",
        column="id",
        messages={ORDINARY: "{twin} has a row with the same id; this one got a new id"},
    ),
    "merged_child_rows": Finding(
        severity="info",
        says="several children of one parent fell on one view; their texts were joined",
        advice="nothing",
        acts="nobody",
        row="further child",
        related="the pair's first child",
        messages={
            ORDINARY: "another child row falls on the same person and parent; their texts were "
            "joined",
        },
    ),
    "merged_tag": Finding(
        severity="info",
        says="a person had the same tag twice",
        advice="nothing",
        acts="nobody",
        row="further row",
        related="the first row's patient",
        column="tag",
        messages={
            ORDINARY: "an earlier row of the same person has the same tag; both became one",
        },
    ),
    "missing_gender": Finding(
        severity="info",
        says="nobody knew the gender; it is unknown",
        advice="fill it in at the next visit",
        acts="clinic",
        row="person",
        column="gender",
        messages={ORDINARY: "no record states a gender; the person got 'unknown'"},
    ),
    "no_primary_caregiver": Finding(
        severity="info",
        says="several parents and none was flagged; the earliest was taken",
        advice="ask the family",
        acts="clinic",
        row="person",
        related="the chosen parent",
        column="is_primary",
        messages={
            ORDINARY: "no parent is flagged as primary; one was chosen",
            "decided": "no parent is flagged as primary; the parent was chosen by decision",
        },
        question=Question(
            "No primary caregiver",
            "A person has several parents and none is flagged as primary caregiver. Mark the right "
            "one: one row per person.",
            ("primary",),
        ),
    ),
    "child_id_in_patient_column": Finding(
        severity="info",
        says="a patient column held a child's id; it was resolved as such",
        advice="nothing",
        acts="nobody",
        row="row",
        related="the child",
        column="the column",
        messages={
            ORDINARY: "the column holds a child's id; it was resolved to the child's person",
        },
    ),
}
"""Kind -> what there is to know about it, in the order in which a person should look at them."""

QUESTIONS: Mapping[str, Question] = {
    kind: finding.question for kind, finding in FINDINGS.items() if finding.question is not None
}
"""The kinds that a reviewer may decide about."""
