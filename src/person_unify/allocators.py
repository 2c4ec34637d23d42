"""Memory that a run has freed goes back to the machine, instead of being kept for later.

glibc gives each thread an arena of its own, which keeps what is freed in it.  The threads that read
tables thus held as much as if no part of a table had ever been let go of.  (Polars has an allocator
of its own, which gives back within a second or two.)
"""

from __future__ import annotations

import ctypes

_ARENA_MAX = -8
"""``M_ARENA_MAX`` of ``mallopt``."""


def share_one_arena() -> None:
    """Let all threads share one arena; another C library than glibc has its own ways."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)


def give_memory_back() -> None:
    """Give back what was freed inside the arenas.

    Some milliseconds, and what is allocated next takes longer: so once per table, not per part.
    Does nothing with another C library than glibc.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
