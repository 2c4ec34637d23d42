"""A verification lets go of a table once it is told, and keeps no more of it than it needs."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import polars as pl
import pytest

from person_unify.stages.verify import Files, verify
from person_unify.stages.verify.cells import ODD, Cells, owned
from person_unify.stages.verify.compare import Side
from person_unify.stages.verify.context import Context, Rows

from .support import Migrated

_TEXTS = pl.Series("text", [f"a text longer than a view holds {n}" for n in range(10_000)])
_FEW = pl.Series([n * 1_000 for n in range(10)])


def held(values: pl.Series) -> int:
    """Bytes of every buffer that a column points into."""
    newest = pl.CompatLevel.newest()
    arrays = (chunk.to_arrow(compat_level=newest) for chunk in values.get_chunks())
    return sum(buffer.size for array in arrays for buffer in array.buffers() if buffer)


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_rows_taken_from_a_table_take_memory_of_their_own_only() -> None:
    few = _TEXTS.gather(_FEW)
    odd = pl.DataFrame({"at": [0], "class": [3], "integer": None, "real": None, "bytes": [b"x"]})
    cells = Cells(pl.Series(range(10)), {"name": few}, {"name": odd.cast(ODD)})  # type: ignore[arg-type]

    frame, kept = owned(few.to_frame()), cells.owned()

    assert held(few) > held(_TEXTS) // 2
    for one in (frame["text"], kept.columns["name"]):
        assert one.equals(few, check_names=True, check_dtypes=True)
        assert held(one) < 1_000
    assert kept.row.equals(cells.row)
    assert kept.odd["name"].equals(odd.cast(ODD))  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_collector")
def test_what_a_table_was_compared_by_goes_without_the_collector(broken: Migrated) -> None:
    files = Files(broken.source, broken.target, broken.ledger)
    verify(files, broken.plan, broken.options, lambda _: None)

    left = [o for o in gc.get_objects() if isinstance(o, Side | Rows | Context)]

    assert left == []
