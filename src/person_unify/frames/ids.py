"""Ids of new records in bulk: fresh UUIDs of version 7, or those that an earlier run gave.

Fresh ones ascend, so that they load in index order, and are drawn from the run's seed, so that a
step done again after a kill gives the same ids.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray

from person_unify.errors import TargetError

SEED_BYTES = 32


def new_seed() -> bytes:
    """A seed for one run, which nobody can guess."""
    return secrets.token_bytes(SEED_BYTES)


@dataclass(frozen=True, slots=True)
class FreshIds:
    """The ids of one run: a function of its instant (ms since the epoch), its seed and a purpose.

    The 48 bits of time are the run's; the other 74 are random, and sorted within one purpose.
    earlier: the id maps of a run whose ids are kept (:mod:`person_unify.run.earlier`).
    """

    run_time: int
    seed: bytes = field(default_factory=new_seed, repr=False)
    earlier: Mapping[str, pl.DataFrame] = field(default_factory=dict, repr=False)

    def take(self, purpose: str, count: int) -> pl.Series:
        """``count`` distinct lowercase UUIDs, ascending; one run asks once for each purpose."""
        digest = blake2b(purpose.encode(), digest_size=16, key=self.seed).digest()
        bits = np.random.Philox(key=int.from_bytes(digest, "big"))
        leading = np.sort(bits.random_raw(count).astype(np.uint64, copy=False))
        trailing = bits.random_raw(count).astype(np.uint64, copy=False)
        time = np.uint64((self.run_time & 0xFFFF_FFFF_FFFF) << 16 | 0x7000)
        high = time | leading >> np.uint64(52)
        rest = (leading << np.uint64(12) | trailing >> np.uint64(52)) >> np.uint64(2)
        return spelled(high, np.uint64(1 << 63) | rest)

    def keep(
        self, records: pl.DataFrame, column: str, claims: Mapping[str, pl.DataFrame]
    ) -> pl.DataFrame:
        """New records with the ids that the earlier run gave, where it knew an old record of them.

        ``column`` holds their fresh ids.  claims: id map -> that column and the map's key, a row
        per old record.  Where several claim one id, or a new record has several, the first claim
        that can be met wins: maps in their order, rows in theirs.
        """
        known = [
            frame.join(
                self.earlier[name],
                on=[key for key in frame.columns if key != column],
                how="inner",
                nulls_equal=True,
                maintain_order="left",
            ).select(column, "new_id")
            for name, frame in claims.items()
            if name in self.earlier
        ]
        if not known:
            return records
        kept = _met(pl.concat(known).unique(maintain_order=True))
        return records.with_columns(pl.col(column).replace(kept[column], kept["new_id"]))

    def require_apart(self, *old: pl.Series) -> None:
        """Refuse earlier ids that old records have; raises :class:`TargetError`."""
        if not self.earlier:
            return
        earlier = pl.concat([frame["new_id"] for frame in self.earlier.values()])
        shared = earlier.filter(earlier.is_in(pl.concat(old).implode())).n_unique()
        if shared:
            raise TargetError(
                f"the ledger given with --ids-from has {shared} ids of new records that old "
                "records of the source have: it was edited, or is of another database"
            )


def _met(claims: pl.DataFrame) -> pl.DataFrame:
    """The claims (new record, earlier id) that are met, each record and each id once."""
    record, earlier = claims.columns
    several = (pl.len().over(record) > 1) | (pl.len().over(earlier) > 1)
    # Few are contested: records that were one and are two now, or the reverse.
    taken: dict[str, str] = {}
    given: set[str] = set()
    for one, id_ in claims.filter(several).iter_rows():
        if one not in taken and id_ not in given:
            taken[one] = id_
            given.add(id_)
    contested = pl.DataFrame({record: taken.keys(), earlier: taken.values()}, claims.schema)
    return pl.concat([claims.filter(~several), contested])


def spelled(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> pl.Series:
    """UUIDs in their canonical form from the two halves of their bits.

    >>> spelled(np.array([0x7000], np.uint64), np.array([1 << 63], np.uint64)).item()
    '00000000-0000-7000-8000-000000000000'
    """
    octets = np.stack([high, low], axis=1).astype(">u8", copy=False).view(np.uint8)
    digits = _DIGITS[octets].view(np.uint8).reshape(len(high), 32)
    text = np.full((len(high), 36), ord("-"), np.uint8)
    for dashes, (begin, end) in enumerate(((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))):
        text[:, begin + dashes : end + dashes] = digits[:, begin:end]
    ends = np.arange(0, text.size + 1, 36, dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(text)]
    return pl.Series("id", pa.Array.from_buffers(pa.large_string(), len(high), buffers))


_DIGITS = np.array([f"{octet:02x}" for octet in range(256)], dtype="S2").view(np.uint16)
