"""Files that somebody hands in, read only if they are files, and not longer than they can be."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NotRead(ValueError):
    """Why a file was not read, as the end of a sentence about it."""


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a regular file; raises :class:`NotRead` for one that is longer or none at all.

    A pipe or a device, which may never end, is not waited for.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise NotRead("is not a file")
        with open(handle, "rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError as error:
        raise NotRead("does not exist") from error
    except OSError as error:
        raise NotRead(f"cannot be read: {error.strerror}") from error
    if len(content) > most:
        raise NotRead(f"is larger than {most // 1_000_000} MB")
    return content
