"""Fresh ids in bulk: UUIDs of version 7, ascending, so that they load in index order.

They are drawn from the run's seed, so that a step done again after a kill gives the same ids.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import polars as pl
from polars_uuid import u64_pair_to_uuid

SEED_BYTES = 32


def new_seed() -> bytes:
    """A seed for one run, which nobody can guess."""
    return secrets.token_bytes(SEED_BYTES)


@dataclass(frozen=True, slots=True)
class FreshIds:
    """The ids of one run: a function of its instant (ms since the epoch), its seed and a purpose.

    The 48 bits of time are the run's; the other 74 are random, and sorted within one purpose.
    """

    run_time: int
    seed: bytes = field(default_factory=new_seed, repr=False)

    def take(self, purpose: str, count: int) -> pl.Series:
        """``count`` distinct lowercase UUIDs, ascending; one run asks once for each purpose."""
        digest = blake2b(purpose.encode(), digest_size=16, key=self.seed).digest()
        bits = np.random.Philox(key=int.from_bytes(digest, "big"))
        leading = np.sort(bits.random_raw(count).astype(np.uint64, copy=False))
        trailing = bits.random_raw(count).astype(np.uint64, copy=False)
        time = np.uint64((self.run_time & 0xFFFF_FFFF_FFFF) << 16 | 0x7000)
        frame = pl.DataFrame(
            {
                "high": time | leading >> np.uint64(52),
                "low": np.uint64(1 << 63)
                | (leading << np.uint64(12) | trailing >> np.uint64(52)) >> np.uint64(2),
            }
        )
        return frame.select(id=u64_pair_to_uuid(high_bits="high", low_bits="low")).to_series()
