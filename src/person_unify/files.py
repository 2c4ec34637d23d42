"""Files that hold what only their owner may see, and never replace another."""

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
