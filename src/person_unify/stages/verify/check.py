"""What a verification asks and answers: plain frozen values, no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "not_applicable", "error"]

NAMES: dict[str, str] = {
    # the two files as files
    "preparation": "the verifier could read source, target and ledger",
    "integrity": "PRAGMA integrity_check of the target",
    "foreign_keys": "PRAGMA foreign_key_check of the target",
    "storage_classes": "every target cell has its column's storage class and range",
    "source_indexes": "the source's indexes agree with its tables, row by row",
    "unfilled_tables": "tables that no source table fills are empty",
    "source_covered": "every table and column of the source is in the plan",
    # the ledger about itself
    "ledger_integrity": "PRAGMA integrity_check of the ledger",
    "ledger_tables": "the ledger has its tables, and archives of source tables only",
    "lineage": "lineage names every source column, with the places that the mapping gives it",
    "id_maps": "maps name each old record once, and rows that exist",
    "run_recorded": "the recorded run, its phases and its checks ended well",
    # persons
    "persons_count": "persons = patients + children - linked children",
    "children_equation": "children = linked + standalone, by the person map",
    "patient_map": "one person per patient, and it exists",
    "child_map": "one person per child: its patient's where linked, else its own",
    "new_ids": "fresh ids are canonical lower-case UUIDs of version 4 or 7",
    "kept_ids": "old records that an earlier run knew have the ids that it gave, others fresh ones",
    "old_ids_gone": "no old id is the id of a person, view, grant or tag",
    "person_references": "person references name persons and hold no old id",
    "person_notes": "notes of persons say what the logged mismatches say",
    # rows and cells, per source table
    "rows_accounted": "source rows = loaded + kept out with a reason",
    "rows_not_revived": "rows that were kept out are not in the target",
    "rows_justified": "a row kept out names a missing row or repeats a key",
    "rows_logged": "a row kept out has its one discrepancy",
    "target_rows": "the target table holds the loaded rows and no other",
    "cells_match": "every target cell is what the mapping makes of the source",
    "rebuild": "target and ledger alone give every row and cell of the source back",
    "archive_verbatim": "no archive row holds a cell that it does not name",
    "archive_lists": "archive rows name the columns they archive and belong to source rows",
    "id_collisions": "ids shared by two merged tables are fresh on the PEP side, and logged",
    # views
    "parent_views_count": "parent views = distinct (person, parent) pairs",
    "parent_views": "every view column follows from the rows of its pair",
    "primary_caregiver": "exactly one view per person is the primary caregiver's, the right one",
    "view_maps": "children, patients and links map to their views",
    "clinician_views_count": "clinician views = patients whose clinician is loaded",
    "persons_seen": "every person has a view or a logged reason",
    "linked_children": "linked children have both views and a grant or a logged reason",
    # grants
    "grants_count": "grants = loaded consents + implied grants",
    "grants_not_wider": "no grant is wider than its consent",
    "implied_grants": "implied grants are those that section 5 asks for, with its contents",
    # discrepancies
    "decisions": "applied decisions were made about what the source holds and the log says",
    "discrepancy_kinds": "kinds and severities are those of section 8",
    "discrepancy_ids": "every discrepancy names a row of the source",
    "discrepancies": "what SQL can recompute was logged, each as often as it occurs",
    "soft_references": "old ids in undeclared references are logged, column by column",
    "demographic_mismatches": "fields in which linked child and patient differ are logged",
    "suspected_duplicates": "persons of the same names and day of birth are logged",
    "normalisations": "normalised cells are as many as SQL counts",
    "unreadable_values": "what is logged as unreadable is unreadable",
}
"""Every check by its stable name, and what it proves."""


@dataclass(frozen=True, slots=True)
class Check:
    """One answer: ``detail`` holds counts, ids and column names, never a cell."""

    name: str
    table: str | None
    expected: int | str | None
    actual: int | str | None
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How the run was made: ``run_time_ms`` is its one instant, in ms since the epoch.

    ids_from: SHA-256 of the ledger whose ids it kept, if it kept any.
    """

    timezone: str
    implied_grants: str
    run_time_ms: int
    ids_from: str | None = None
    for_postgresql: bool = False
