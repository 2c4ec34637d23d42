"""Fresh ids in bulk: UUIDs of version 7, ascending, so that they load in index order."""

from __future__ import annotations

import polars as pl
import polars_uuid


def fresh_ids(count: int) -> pl.Series:
    """``count`` distinct lowercase UUIDs (version 7), ascending within one call."""
    numbers = pl.select(pl.int_range(count, dtype=pl.Int64).alias("id"))
    return numbers.select(polars_uuid.uuid_v7_now().alias("id")).to_series().sort()
