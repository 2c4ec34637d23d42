"""Persons are settled from few columns of all rows, and made from whole rows part by part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tests.faults.site import write_small

from person_unify.frames.ids import FreshIds
from person_unify.frames.model import SourceFrame
from person_unify.frames.reading import Reader
from person_unify.frames.registry import Registry
from person_unify.progress import silent
from person_unify.run.clock import Clock
from person_unify.run.preflight import planned
from person_unify.run.stream import Stream
from person_unify.schema import OLD, UNIFIED
from person_unify.stages.extract import Extractor
from person_unify.stages.resolve import REPRESENTED, Outcomes, deciding_cells, deciding_columns
from person_unify.stages.transform import Options


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    extractor = Extractor(write_small(tmp_path / "old.db"))
    plan = planned(extractor, UNIFIED)
    options = Options(run_time=1_700_000_000_000)
    stream = Stream(extractor, plan, options, Clock(silent), Registry(FreshIds(options.run_time)))
    list(stream.first())
    return stream


def _settled(stream: Stream) -> tuple[Outcomes, SourceFrame]:
    outcomes = stream.people().outcomes
    ((patients, _),) = stream.extractor.parts("patients", None)
    return outcomes, patients


def test_rows_in_another_order_are_refused_before_they_get_what_others_were_told(
    stream: Stream,
) -> None:
    outcomes, patients = _settled(stream)
    turned = replace(patients, frame=patients.frame.reverse())

    with pytest.raises(RuntimeError, match="patients came in another order"):
        outcomes.made("patients", turned, last=True)


def test_what_was_settled_of_a_table_is_let_go_of_with_its_last_row(stream: Stream) -> None:
    outcomes, patients = _settled(stream)
    assert patients.height > 1
    first, rest = (
        replace(patients, frame=f) for f in (patients.frame.head(1), patients.frame.slice(1))
    )

    outcomes.made("patients", first, last=False)
    assert "patients" in outcomes.beside
    outcomes.made("patients", rest, last=True)

    assert "patients" not in outcomes.beside


def test_every_view_is_made_once(stream: Stream) -> None:
    resolution = stream.people()
    made = [
        rows["id"]
        for part in stream.represented(resolution.outcomes)
        for table, rows in part.outcome.rows.items()
        if table == "parent_child_views"
    ]
    ids = pl.concat([*made, resolution.outcomes.other_views()["id"]])

    assert ids.sort().equals(resolution.views["@view"].sort())


@pytest.mark.parametrize("table", [*REPRESENTED, "consent_grants"])
def test_deciding_columns_are_of_the_old_schema(table: str) -> None:
    unknown = set(deciding_columns(table)) - set(OLD[table].column_names)

    # The contract has a rule for it, should a file have it (section 3).
    assert unknown == ({"udid_number"} if table == "children" else set())


def test_a_column_that_was_not_read_is_not_taken_for_absent(stream: Stream) -> None:
    columns = ("id", *deciding_columns("patients"))
    frame = stream.extractor.read("patients", columns)
    reader = Reader(frame, run_time=0)
    left_out = next(name for name in OLD["patients"].column_names if name not in columns)

    assert deciding_cells(frame, "patients", run_time=0).height == frame.height
    assert reader.peek("no_such_column", "TEXT").unreadable is None
    with pytest.raises(RuntimeError, match="is asked for and was not read"):
        reader.peek(left_out, "TEXT")
