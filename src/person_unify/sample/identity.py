"""Ids and draws that are a pure function of (seed, name, key), so no table needs another's rows.

A counter-based generator (the splitmix64 finaliser) turns a row's key into its random bytes.  Any
table can therefore write a reference to any row by that row's key alone, in any order of chunks.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import polars as pl

from person_unify.frames.ids import spelled

Keys = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def keys(values: npt.ArrayLike) -> Keys:
    """Row numbers as keys (unsigned 64 bit)."""
    return np.asarray(values).astype(np.uint64)


def scatter(seed: int, name: str, key: Keys) -> Keys:
    """64 random bits per key; a bijection of the keys for each (seed, name)."""
    digest = blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    mixed = key * _GOLDEN + np.uint64(int.from_bytes(digest, "big"))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def share(seed: int, name: str, key: Keys) -> Floats:
    """A uniform number in [0, 1) per key."""
    return (scatter(seed, name, key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def below(seed: int, name: str, key: Keys, limit: int) -> Ints:
    """A uniform whole number in [0, limit) per key."""
    return (share(seed, name, key) * limit).astype(np.int64)


def uuids(seed: int, table: str, key: Keys) -> pl.Series:
    """The id of each row of ``table`` as the text of a version 4 UUID, as Prisma's ``uuid()``."""
    high = scatter(seed, f"{table}/high", key)
    low = scatter(seed, f"{table}/low", key)
    version = (high & np.uint64(0xFFFFFFFFFFFF0FFF)) | np.uint64(0x4000)
    variant = (low & np.uint64(0x3FFFFFFFFFFFFFFF)) | np.uint64(0x8000000000000000)
    return spelled(version, variant)
