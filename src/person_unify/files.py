"""Files that hold what only their owner may see, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

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
    """Write a file of mode 0600 in place of an earlier one; ``durable``: also by a power cut."""
    new = path.with_name(f"{path.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "wb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(handle)
    new.replace(path)
    if durable:
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
