"""Where ids stand: found by the hashes of their texts, which take less room than these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import polars as pl

Numbers: TypeAlias = "np.ndarray[Any, np.dtype[np.uint64]]"

_MIX = np.uint64(0x9E37_79B9_7F4A_7C15)
"""Tells keys of the same parts in another order apart: 2**64 over the golden ratio."""


class Places:
    """Keys, each by its first place.

    A part of a table is looked up in all ids of another.  A join would read these anew for every
    part; here they are sorted once, by 64 bits each, so that a part costs what it holds.  Of ten
    million keys two have the same bits once in 370,000 databases, which fails a verification; that
    a wrong id has those of a key is a chance of one in 10 to the 12th.
    """

    def __init__(self, *keys: pl.Series) -> None:
        """Sort keys of one or several texts; one with a NULL in it is never found."""
        hashes, there = _hashes(keys)
        at = np.arange(hashes.size, dtype=np.uint32) if there is None else np.flatnonzero(there)
        order = at[np.argsort(hashes[at], kind="stable")].astype(np.uint32)
        self._hashes, self._at = hashes[order], order

    def of(self, *wanted: pl.Series) -> pl.Series:
        """The first place of each key, as UInt32; null where there is none."""
        hashes, there = _hashes(wanted)
        places, found = self._found(hashes)
        return pl.Series(places).set(~pl.Series(found if there is None else found & there), None)

    def has(self, *wanted: pl.Series) -> pl.Series:
        """Whether each key is there; false for one with a NULL in it."""
        hashes, there = _hashes(wanted)
        found = self._found(hashes)[1]
        return pl.Series(found if there is None else found & there)

    def has_hashes(self, hashes: pl.Series) -> pl.Series:
        """Whether some key of one text has each hash."""
        return pl.Series(self._found(hashes.to_numpy())[1])

    def _found(self, hashes: Numbers) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """A place for each hash, and whether it is one."""
        if not self._hashes.size:
            return np.zeros(hashes.size, np.uint32), np.zeros(hashes.size, np.bool_)
        # In their own order neighbours are looked up in the same lines of the processor's cache.
        order = np.argsort(hashes)
        sought = hashes[order]
        spots = np.searchsorted(self._hashes, sought).clip(max=self._hashes.size - 1)
        places, found = np.empty(hashes.size, np.uint32), np.empty(hashes.size, np.bool_)
        places[order], found[order] = self._at[spots], self._hashes[spots] == sought
        return places, found


def _hashes(keys: Sequence[pl.Series]) -> tuple[Numbers, np.ndarray[Any, Any] | None]:
    """The hash of each key, and which have no NULL in them; None for all."""
    hashes = keys[0].hash().to_numpy()
    for part in keys[1:]:
        hashes = hashes * _MIX + part.hash().to_numpy()
    there = None
    for part in keys:
        if part.null_count():
            full = part.is_not_null().to_numpy()
            there = full if there is None else there & full
    return hashes, there
