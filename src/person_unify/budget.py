"""How much memory a run may take, and how many rows it therefore works on at once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from person_unify.errors import UsageError

_UNITS = {"MiB": 2**20, "GiB": 2**30}
LEAST = 256 * _UNITS["MiB"]
"""What a process needs that reads and writes anything at all; measured 180 MiB."""

_SHARE_OF_MACHINE = 4
_SHARE_OF_PARTS = 4
"""One in four bytes is for the parts in flight; the others are for ids, caches and the process."""

_IN_FLIGHT = 2
"""One part is loaded while the next one is read and transformed."""

_MOST_PARTS = 16
"""Aim of parts per table: each part looks through all ids once for each reference."""

_PART = 64 * _UNITS["MiB"]
"""Bytes of the parts that a usual budget gives; smaller ones take more time each than they save."""

_CELL_BYTES = 400
"""What a cell takes as it was read, in parts, converted and archived; measured, texts short."""

_COPIES = 6
"""How often the bytes of a text stand in memory at most."""

_PERSON_BYTES = 1_000
"""What a row of patients, children or their links takes while persons are resolved; measured."""


def parse(text: str) -> int:
    """Bytes of a size such as ``512MiB`` or ``2GiB``; raises :class:`UsageError`.

    >>> parse("2GiB")
    2147483648
    """
    found = re.fullmatch(r"([1-9][0-9]{0,6})(MiB|GiB)", text)
    size = int(found[1]) * _UNITS[found[2]] if found else 0
    if size < LEAST:
        raise UsageError(
            "--memory is no size of 256 MiB or more: write a number and its unit, as in 2GiB"
        )
    return size


def shown(size: int) -> str:
    """A size as :func:`parse` reads it, rounded.

    >>> shown(2**31), shown(300 * 2**20)
    ('2GiB', '300MiB')
    """
    unit = "GiB" if size >= 2 * _UNITS["GiB"] else "MiB"
    return f"{round(size / _UNITS[unit])}{unit}"


def usual() -> int:
    """A quarter of the machine's memory, in bytes."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(LEAST, machine // _SHARE_OF_MACHINE)


@dataclass(frozen=True, slots=True)
class Budget:
    """``size``: the bytes that a run should not exceed."""

    size: int = field(default_factory=usual)

    def rows_at_once(self, rows: int, columns: int, text_bytes: int) -> int:
        """How many of a table's rows to work on at once; ``text_bytes`` is those of a row."""
        each = max(1, columns * _CELL_BYTES + text_bytes * _COPIES)
        wanted = max(_PART // each, rows // _MOST_PARTS)
        return max(1, min(wanted, self.size // _SHARE_OF_PARTS // _IN_FLIGHT // each))

    def too_small_for(self, people: int) -> str | None:
        """A sentence where so many rows of patients, children and links need over half of it."""
        need = people * _PERSON_BYTES
        if need <= self.size // 2:
            return None
        return (
            "persons are resolved from all patients, children and links at once, which may take "
            f"{shown(LEAST + need)} of memory; {shown(self.size)} are allowed (--memory)"
        )


def budget_of(size: int | None) -> Budget:
    """The budget that was asked for, or the usual one."""
    return Budget() if size is None else Budget(size)
