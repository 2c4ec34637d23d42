"""What every frame of :class:`~person_unify.explore.Run` holds: the one list, also for the docs."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from person_unify.frames.model import DISCREPANCY, QUESTION_KEY

INSTANT = pl.Datetime("ms", "UTC")
HIDDEN = "•••"
"""Stands for a value that is there and not shown."""

Columns = Mapping[str, tuple[pl.DataType, str]]

_TEXT, _COUNT, _SECONDS, _YES = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean()

VALUES = ("child_value", "patient_value", "chosen_value")
"""Columns of ``discrepancies`` that hold cells of the data."""

IDENTITY: Columns = {
    "first_name": (_TEXT, "of the person; only with `reveal=True`"),
    "last_name": (_TEXT, "the same"),
    "date_of_birth": (pl.Date(), "the same; UTC day"),
}

_SAID = {
    "kind": "see FINDINGS.md for every kind",
    "severity": "`error`, `warning` or `info`",
    "source_table": "table in the old database",
    "source_id": "its row",
    "related_id": f"the other record; `{HIDDEN}` where the cell does not look like an id",
    "person_id": "the person concerned",
    "field": "the column concerned",
    "child_value": f"`{HIDDEN}` unless `reveal=True`",
    "patient_value": "the same",
    "chosen_value": "the same",
    "message": "what happened, in ids",
}

FRAMES: Mapping[str, Columns] = {
    "discrepancies": {
        **{name: (_TEXT, _SAID[name]) for name in DISCREPANCY},
        **IDENTITY,
    },
    "questions": {
        **{name: (_TEXT, _SAID[name]) for name in QUESTION_KEY},
        "options": (_TEXT, "the possible decisions, separated by blanks"),
        "evidence": (_TEXT, f"digest of the compared values; `{HIDDEN}` unless `reveal=True`"),
    },
    "decisions": {
        **{name: (_TEXT, _SAID[name]) for name in QUESTION_KEY},
        "decision": (_TEXT, "one of the question's options"),
        "link_to": (_TEXT, "the patient, where the question names none"),
        "reviewer": (_TEXT, "who decided"),
        "note": (_TEXT, f"why; `{HIDDEN}` unless `reveal=True`"),
        "evidence": (_TEXT, f"as of the question; `{HIDDEN}` unless `reveal=True`"),
        "outcome": (_TEXT, "`applied`, `stale` or `not_needed`"),
    },
    "persons": {
        "person_id": (_TEXT, "id in the new database"),
        "origin_table": (_TEXT, "`patients`, or `children` for a child that is its own person"),
        "origin_id": (_TEXT, "the record that the person comes from"),
        "children": (_COUNT, "child records that became this person"),
        "parents": (_COUNT, "parents, which is rows of `parent_child_views`"),
        "clinicians": (_COUNT, "rows of `clinician_patient_views`"),
        "grants": (_COUNT, "rows of `access_grants`"),
        "records": (_COUNT, "rows of all other tables that name the person"),
        "discrepancies": (_COUNT, "discrepancies about the person"),
        "errors": (_COUNT, "those of severity `error`"),
        **IDENTITY,
    },
    "records": {
        "person_id": (_TEXT, "the person"),
        "table": (_TEXT, "table of the new database"),
        "rows": (_COUNT, "how many of its rows name the person"),
    },
    "maps": {
        "map": (_TEXT, "name of the id map, such as `patient_to_person`"),
        "source_table": (_TEXT, "only in `collision_to_id`: which table's id collided"),
        "old_id": (_TEXT, "id in the old database (of the patient, for a tag)"),
        "tag": (_TEXT, f"only in `tag_to_tag`; `{HIDDEN}` unless `reveal=True`"),
        "new_id": (_TEXT, "id in the new database"),
    },
    "tables": {
        "source_table": (_TEXT, "table of the old database"),
        "target_tables": (_TEXT, "where its rows went, NULL for the archive only"),
        "rows": (_COUNT, "rows in the old database"),
        "loaded": (_COUNT, "rows that the new database holds"),
        "archived": (_COUNT, "rows that the ledger alone holds; `rows = loaded + archived`"),
        "reasons": (_TEXT, "why, with counts"),
    },
    "flow": {
        "source_table": (_TEXT, "table of the old database"),
        "target_table": (_TEXT, "its first target, NULL for the archive only"),
        "reason": (_TEXT, "`loaded`, or why not"),
        "rows": (_COUNT, "rows of the old table"),
    },
    "completeness": {
        "field": (_TEXT, "column of `persons` that the old record has too"),
        "record": (_TEXT, "`patient`, `linked child` or `standalone child`"),
        "rows": (_COUNT, "old records of that sort"),
        "filled": (_COUNT, "of them, those where the cell is neither NULL nor empty"),
    },
    "birth_dates": {
        "person_id": (_TEXT, "the person"),
        "child_id": (_TEXT, "the linked child"),
        "patient_id": (_TEXT, "its patient, whose date counts"),
        "days": (_SECONDS, "child's date minus patient's, in days"),
        "likely": (_TEXT, "what the two dates look like, see the chart"),
    },
    "lineage": {
        "source_table": (_TEXT, "table of the old database"),
        "source_column": (_TEXT, "its column"),
        "disposition": (_TEXT, "`carried`, `mapped_id` or `archived`"),
        "target_table": (_TEXT, "NULL where archived"),
        "target_column": (_TEXT, "the same"),
        "rule": (_TEXT, "how it got there"),
    },
    "normalisations": {
        "source_table": (_TEXT, "table of the old database"),
        "source_column": (_TEXT, "its column"),
        "rule": (_TEXT, "such as `text_to_integer` or `required_default`"),
        "cells": (_COUNT, "how many cells it brought into canonical form"),
    },
    "notes": {
        "person_id": (_TEXT, "the person"),
        "note": (_TEXT, "which fields differ between patient and child"),
    },
    "verification": {
        "check": (_TEXT, "name of the check"),
        "source_table": (_TEXT, "table concerned"),
        "expected": (_TEXT, "count or digest"),
        "actual": (_TEXT, "the same"),
        "passed": (_YES, "NULL where there was nothing to check"),
        "outcome": (_TEXT, "`passed`, `failed`, `not_applicable` or `error`"),
        "detail": (_TEXT, "ids and columns, never values"),
    },
    "timings": {
        "phase": (_TEXT, "in the order of the run"),
        "rows": (_COUNT, "rows handled"),
        "seconds": (_SECONDS, "seconds of work; from the ledger alone, between start and end"),
    },
    "runs": {
        "id": (_TEXT, "of the run"),
        "tool_version": (_TEXT, "of person-unify"),
        "started": (INSTANT, "the run's time"),
        "finished": (INSTANT, "when the ledger was complete"),
        "source": (_TEXT, "file name"),
        "target": (_TEXT, "file name"),
        "source_sha256": (_TEXT, "of the old database"),
        "options": (_TEXT, "JSON"),
        "outcome": (_TEXT, "how it ended"),
    },
}
"""Frame -> column -> (type, meaning), in the order of the columns."""

DIFFERENCES: Columns = {
    "kind": (_TEXT, "`missing`, `extra`, `changed` …, or `check` where no row can be named"),
    "source_table": (_TEXT, "table of the old database"),
    "target_table": (_TEXT, "table of the new one"),
    "column": (_TEXT, "of the new table where a cell changed, else of the old; or NULL"),
    "detail": (_TEXT, "what is wrong, without values"),
    "count": (_COUNT, "how many rows are wrong in this way"),
    "source_key": (pl.List(pl.String()), "key of one of them in the old database"),
    "target_key": (pl.List(pl.String()), "and in the new one"),
}
"""Columns of :meth:`~person_unify.explore.Run.diff`; one row per wrong row, up to the limit."""

TRACE: Columns = {
    "side": (_TEXT, "the traced record is `old` or `new`"),
    "table": (_TEXT, "its table"),
    "key": (pl.List(pl.String()), "its key"),
    "aspect": (
        _TEXT,
        "`became` or `came from` (or is `reason for`), `kept out`, `archived`, `discrepancy`, "
        "`decision`, `related`",
    ),
    "other_table": (_TEXT, "the table that this is about"),
    "other_key": (pl.List(pl.String()), "the record that this is about"),
    "columns": (pl.List(pl.String()), "the columns that this is about"),
    "detail": (_TEXT, "by which rule, why, or what happened"),
    "rows": (_COUNT, "how many"),
}
"""Columns of :meth:`~person_unify.explore.Run.trace`; one row per thing that is said."""


_KIND = {name: (_TEXT, _SAID[name]) for name in ("kind", "severity", *QUESTION_KEY[1:])}

COMPARED: Mapping[str, Columns] = {
    "counts": {
        "what": (_TEXT, "persons, rows, or a kind of discrepancy"),
        "before": (_COUNT, "how many in the first run"),
        "after": (_COUNT, "how many in the second"),
    },
    "persons": {
        "origin_table": (_TEXT, "`patients` or `children`"),
        "origin_id": (_TEXT, "the record that the person comes from"),
        "what": (_TEXT, "`children`, `parents`, `clinicians`, `grants` or `records`"),
        "before": (_COUNT, "how many; NULL where the first run has no such person"),
        "after": (_COUNT, "the same of the second"),
    },
    "discrepancies": {
        "change": (_TEXT, "`gone`, `new` or `changed`"),
        **_KIND,
        "before": (_TEXT, "what the first run said of it"),
        "after": (_TEXT, "what the second says"),
    },
    "decisions": {
        **{name: (_TEXT, _SAID[name]) for name in QUESTION_KEY},
        "decision": (_TEXT, "what was decided"),
        "reviewer": (_TEXT, "by whom"),
        "before": (_TEXT, "its outcome in the first run, NULL where it was not asked"),
        "after": (_TEXT, "in the second"),
    },
}
"""Frames of :class:`~person_unify.explore.Compared`: what differs between two runs."""


def schema_of(name: str, *, reveal: bool) -> pl.Schema:
    """The columns of a frame; those of :data:`IDENTITY` are there only when revealed."""
    return pl.Schema(
        {
            column: dtype
            for column, (dtype, _) in FRAMES[name].items()
            if reveal or column not in IDENTITY
        }
    )
