"""Old ids in columns that nobody resolves: equality in references, whole words in notifications."""

from __future__ import annotations

import polars as pl
import pytest

from person_unify.frames.model import ROW
from person_unify.frames.registry import People
from person_unify.mappings.bind import BoundMapping, bind
from person_unify.schema import OLD, UNIFIED
from person_unify.stages.transform.soft import holders, soft_references
from person_unify.stages.transform.state import Met

PLAN = bind(OLD, UNIFIED, lambda table: False)
_NOBODY = pl.DataFrame(schema={"old_id": pl.String, "person_id": pl.String})
PEOPLE = People(
    patients=pl.DataFrame({"old_id": ["p1", "p 5", ""], "person_id": ["n1", "n2", "n3"]}),
    children=pl.DataFrame(
        {"old_id": ["c-2", "na\u00efve.7", "p1"], "person_id": ["n1", "n2", "n4"]}
    ),
    clinicians=_NOBODY.rename({"old_id": "clinician_id"}),
)


def _bound(table: str) -> BoundMapping:
    (bound,) = PLAN.of(table)
    return bound


def _rows(bound: BoundMapping, **cells: list[str | None]) -> pl.DataFrame:
    height = len(next(iter(cells.values())))
    columns = {
        f"@target:{binding.target.name}": pl.Series(
            cells.get(binding.target.name, [None] * height), dtype=pl.String
        )
        for binding in bound.columns
    }
    keys = [f"row{position}" for position in range(height)]
    return pl.DataFrame({ROW: range(height), "id": keys, **columns})


def _found(table: str, **cells: list[str | None]) -> dict[str, str]:
    """Source column -> message."""
    bound = _bound(table)
    met: dict[str, Met] = {}
    for column, keys in holders(_rows(bound, **cells), bound, pl.col("id"), PEOPLE):
        met.setdefault(column, Met()).add(keys)
    logged = soft_references(bound.name, met)
    return {row["field"]: row["message"] for frame in logged for row in frame.to_dicts()}


def test_equal_ids_are_counted_with_five_examples() -> None:
    found = _found("audit_logs", resource_id=["p1", "p10", None, *["c-2"] * 6])

    assert set(found) == {"resource_id"}
    assert found["resource_id"].startswith("7 rows ")
    assert found["resource_id"].endswith("row0, row3, row4, row5, row6")


def test_columns_with_a_foreign_key_are_not_searched() -> None:
    assert _found("audit_logs", user_id=["p1"]) == {}


@pytest.mark.parametrize(
    "text",
    ["p1", "/patients/p1?tab=2", "see (c-2).", "p 5", "a p 5!", "\u00e9 na\u00efve.7\n"],
)
def test_whole_words_are_found(text: str) -> None:
    assert set(_found("notifications", action_url=[text])) == {"action_url"}


@pytest.mark.parametrize(
    "text",
    ["p10", "_p1", "p1-a", "\u00e9p1", "xp 5", "p 5\u0967", "c-22", "", "na\u00efve 7", None],
)
def test_parts_of_words_are_not(text: str | None) -> None:
    assert _found("notifications", action_data=[text]) == {}
