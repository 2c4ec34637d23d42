"""How much memory a run may take, and how many rows it therefore works on at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from person_unify.errors import UsageError

_UNITS = {"MiB": 2**20, "GiB": 2**30, "MB": 10**6, "GB": 10**9, "M": 2**20, "G": 2**30}
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

_SHARE_OF_PART = 16
"""One in so many bytes is for one part of a verified table: source, target and archive have some,
those that are read ahead included."""

_PERSON_BYTES = 1_000
"""What a row of patients, children or their links takes while persons are resolved; measured."""

_KEPT_BYTES = 260
"""What the verification keeps of a row of the source until its end, ids above all; measured."""


def parse(text: str) -> int:
    """Bytes of a size such as ``512M``, ``2G`` (as ``2GiB``) or ``300MB``; else UsageError.

    >>> parse("2G") == parse("2gib") == 2**31, parse("300MB")
    (True, 300000000)
    """
    units = {unit.lower(): size for unit, size in _UNITS.items()}
    found = re.fullmatch(r"([1-9][0-9]{0,6})([a-z]+)", text.lower())
    size = int(found[1]) * units.get(found[2], 0) if found else 0
    if size < LEAST:
        raise UsageError(
            "--memory is no size of 256 MiB or more: write a number and its unit, as in 2GiB or "
            "512M"
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
    """A quarter of the memory, in bytes, that the machine or a smaller control group has."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(LEAST, min(machine, *control_group_limits()) // _SHARE_OF_MACHINE)


def control_group_limits(root: Path = Path("/")) -> Iterator[int]:
    """The memory limits, in bytes, of the groups that hold this process (Linux, v1 and v2).

    A container sees its own group as the uppermost, whatever path the kernel names.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers and "memory" not in controllers.split(","):
            continue
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        group = top / path.lstrip("/")
        for directory in (group, *group.parents):
            if not directory.is_relative_to(top):
                break
            try:
                yield int((directory / name).read_text())
            except (OSError, ValueError):  # no such group here, or "max"
                continue


@dataclass(frozen=True, slots=True)
class Budget:
    """``size``: the bytes that a run should not exceed."""

    size: int = field(default_factory=usual)

    def rows_at_once(self, rows: int, columns: int, text_bytes: int) -> int:
        """How many of a table's rows to work on at once; ``text_bytes`` is those of a row."""
        each = max(1, columns * _CELL_BYTES + text_bytes * _COPIES)
        wanted = max(_PART // each, rows // _MOST_PARTS)
        return max(1, min(wanted, self.size // _SHARE_OF_PARTS // _IN_FLIGHT // each))

    @property
    def part(self) -> int:
        """Bytes of a table that the verification has in memory at once, in a few such parts."""
        return min(_PART, self.size // _SHARE_OF_PART)

    def too_small_for(self, people: int, verified: int = 0) -> str | None:
        """A sentence where what cannot be done in parts needs over half of it.

        people: rows of patients, children and links.  verified: rows of the source, if it will be.
        """
        resolved = "persons are resolved from all patients, children and links at once"
        kept = "the verification keeps the ids of all rows until its end"
        needs = {resolved: people * _PERSON_BYTES, kept: verified * _KEPT_BYTES}
        why = max(needs, key=needs.__getitem__)
        need = needs[why]
        if need <= self.size // 2:
            return None
        return (
            f"{why}, which may take {shown(LEAST + need)} of memory; {shown(self.size)} are "
            "allowed (--memory)"
        )


def budget_of(size: int | None) -> Budget:
    """The budget that was asked for, or the usual one."""
    return Budget() if size is None else Budget(size)
