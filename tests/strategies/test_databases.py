"""What the strategy makes the reference migrates, or refuses, with its own sums coming out."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, reject
from tests.reference import Refused, migrate_reference
from tests.reference.source import read_source
from tests.strategies import Description, build, old_databases
from tests.strategies.examples import drawn

RUN = 1_750_000_000_000


@drawn(25)
@given(old_databases())
def test_every_described_database_migrates_and_adds_up(description: Description) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = build(description, Path(folder) / "old.db")
        try:
            source = read_source(path)
            result = migrate_reference(path, run_time_ms=RUN)
        except Refused:
            reject()
    linked = len(result.maps["child_to_person"]) - sum(
        person["id"].key[0] == "children"  # type: ignore[union-attr]
        for person in result.tables["persons"]
    )
    people = len(source.rows("patients")) + len(source.rows("children")) - linked
    assert len(result.tables["persons"]) == people
    caregivers: dict[object, list[object]] = {}
    for view in result.tables["parent_child_views"]:
        caregivers.setdefault(view["person_id"], []).append(view["is_primary_caregiver"])
    assert all(flags.count(1) == 1 for flags in caregivers.values())
    for table in source.known.values():
        kept_out = [r for _, r in result.archive.get(table.name, {}).values() if r != "not_carried"]
        if table.usual in ("users", "ieps", "appointments", "screening_responses"):
            assert result.counts[f"{table.name}.loaded"] + len(kept_out) == len(table.rows)
