"""Names of files: what may stand beside a file, and whether there is room for its name."""

from __future__ import annotations

import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

from person_unify.errors import TargetError

STAMP = re.compile(r"\d{8}T\d{6}\.\d{6}Z")
"""How :func:`stamp` writes an instant."""

_LONGEST_SUFFIX = len(".pre-migration-20260102T030405.000000Z-journal")
_MOST_BYTES_OF_A_PATH = 512
"""What SQLite's libraries take."""


def is_regular(path: Path) -> bool:
    """Whether there is a regular file of that very name: no link to one, no directory, no pipe."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def stamp(moment: datetime) -> str:
    """The instant as it stands in the names of copies.

    >>> stamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '20260102T030405.000000Z'
    """
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"


def moment_of(stamped_as: str) -> datetime:
    """The instant that :func:`stamp` wrote; raises ValueError for what it never writes.

    >>> moment_of("20260102T030405.000006Z").microsecond
    6
    """
    return datetime.strptime(stamped_as, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)


def stamped(path: Path, infix: str) -> list[Path]:
    """The files beside ``path`` of its name, ``infix`` and an instant, oldest first."""
    head = path.name + infix
    return sorted(
        p
        for p in path.parent.iterdir()
        if p.name.startswith(head) and STAMP.fullmatch(p.name.removeprefix(head))
    )


def require_room_for_names(path: Path, *others: Path) -> None:
    """Refuse a name that leaves no room for what a run or a rollback appends to it.

    ``others`` stand beside it, under names that are made of its own.  Raises :class:`TargetError`.
    """
    longest = max(len(os.fsencode(found.name)) for found in (path, *others)) + _LONGEST_SUFFIX
    above = longest - os.pathconf(path.parent, "PC_NAME_MAX")
    if above > 0:
        raise TargetError(
            f"{path.name} is too long a name by {above} bytes, for that of its backup, or its "
            "ledger kept aside, must fit as well: choose a shorter one"
        )
    place = len(os.fsencode(path.parent.absolute()))
    above = place + len(os.fsencode(path.name)) + _LONGEST_SUFFIX - _MOST_BYTES_OF_A_PATH
    if above > 0:
        raise TargetError(
            f"{path} is too long a path by {above} bytes, for SQLite takes "
            f"{_MOST_BYTES_OF_A_PATH}, and files of a run must fit as well: choose a shorter one"
        )
