"""The one room in which files come into being, and prove to be ours before they go.

* :mod:`~person_unify.files.new`: a file that a command writes appears whole, under a name that was
  free, or not at all;
* :mod:`~person_unify.files.private`: a directory to work in, which nobody else can enter, and which
  is found again if its process is killed.
"""

from person_unify.files.new import NewFiles, create_private, replace_private
from person_unify.files.private import private_directory

__all__ = ["NewFiles", "create_private", "private_directory", "replace_private"]
