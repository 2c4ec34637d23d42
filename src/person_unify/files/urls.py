"""Paths of SQLite files as people write them: plain, or as one of the usual URLs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from person_unify.errors import UsageError

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<slashes>//)?(?P<rest>.*)", re.DOTALL)
_KEYWORDS = re.compile(r"password\s*=", re.IGNORECASE)
"""Of libpq's other way to write where a database is."""


def plain_path(text: str, directory: Path = Path()) -> str:
    """The path that is meant; a file that is really called like a URL comes first.

    directory: where a relative path begins.  Raises :class:`UsageError`, which quotes no password,
    for what is no path and would else be the name of a file, in every report of it.
    """
    if os.path.lexists(directory / text):
        return text
    if _KEYWORDS.search(text):
        raise UsageError(
            "a password stands where a path or a URL should: write postgresql://HOST/DATABASE"
        )
    return database_url(text, directory)


def database_url(text: str, directory: Path = Path()) -> str:
    """The path in ``file:./old.db`` (Prisma's), ``sqlite:///old.db`` (SQLAlchemy's) or the like.

    What follows a question mark is for the program that opens the database.  Raises
    :class:`UsageError` for a URL of something else.

    >>> database_url("file:./old.db?connection_limit=1"), database_url("sqlite:////data/old.db")
    ('./old.db', '/data/old.db')
    """
    found = _URL.fullmatch(text)
    if found is None:
        return text
    scheme, path = found["scheme"].lower(), found["rest"].partition("?")[0]
    if scheme not in ("file", "sqlite"):
        if found["slashes"]:
            raise UsageError(f"{scheme}:// names no SQLite file: give its path")
        return text
    if found["slashes"]:
        path = path.removeprefix("localhost" if scheme == "file" else "/")
    if not path:
        raise UsageError(f"{scheme}: without a path names no file")
    decoded = unquote(path)
    there = os.path.lexists(directory / path) or not os.path.lexists(directory / decoded)
    return path if there else decoded
