"""The one room in which files come into being, and prove to be ours before they go.

* :mod:`~person_unify.files.new`: a file that a command writes appears whole, under a name that was
  free, or not at all;
* :mod:`~person_unify.files.private`: a directory to work in, which nobody else can enter, and which
  is found again if its process is killed;
* :mod:`~person_unify.files.received`: what somebody hands in, read within bounds;
* :mod:`~person_unify.files.locks`: which SQLite library has which file, so that no lock is lost.
"""

from person_unify.files.new import (
    NewFiles,
    as_json,
    create_private,
    replace_private,
    rewrite,
)
from person_unify.files.private import private_directory
from person_unify.files.received import NotRead, read_bounded

__all__ = [
    "NewFiles",
    "NotRead",
    "as_json",
    "create_private",
    "private_directory",
    "read_bounded",
    "replace_private",
    "rewrite",
]
