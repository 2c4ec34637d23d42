"""Files that hold what only their owner may see, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from person_unify import custody
from person_unify.errors import UsageError


def create_private(path: Path, content: bytes) -> None:
    """Create a file of mode 0600; raises :class:`UsageError` when there is one of that name."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(
            f"{path} exists already: name a file that does not, or remove it first"
        ) from None
    with open(handle, "wb") as file:
        file.write(content)


def replace_private(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file of mode 0600 in place of an earlier one; ``durable``: also by a power cut.

    Whole or not at all: what an :class:`OSError` stops leaves nothing of the new one.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(handle)
        new.replace(path)
        if durable:
            custody.sync(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
