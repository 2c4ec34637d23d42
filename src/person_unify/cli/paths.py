"""Paths and database URLs as people write them, resolved once: where they enter.

Everything behind the command line gets absolute paths without links or ``..`` in them, so that no
driver can take them for another file.  On the screen they are shown from the working directory.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import typer

from person_unify.errors import UsageError
from person_unify.escaping.text import printable
from person_unify.files.urls import plain_path
from person_unify.postgres.address import Address, address, is_address


def existing(text: str) -> Path:
    """A file or directory that is read: links are followed, for it is the file itself that counts.

    One that is not there stays as it was written, so that it is refused under that name.
    """
    path = _plain(text)
    try:
        return Path(os.path.realpath(path, strict=True))
    except OSError:
        return _absolute(path)


def placed(text: str) -> Path:
    """A file or directory that is written: links lead to its directory, but it must be none."""
    path = _absolute(_plain(text))
    if path.name == "..":
        return existing(text)
    try:
        return Path(os.path.realpath(path.parent, strict=True)) / path.name
    except OSError:
        return path


def required(word: str | None, name: str) -> str:
    """A word that a command needs, although the environment might have given it."""
    if word is None:
        raise typer.BadParameter(f"Missing argument '{name}'.")
    return word


def from_environment(variable: str, option: str) -> str:
    """What a variable holds that an option names, in quotes or not."""
    value = os.environ.get(variable, "").strip("\"'")
    if not value:
        raise typer.BadParameter(f"{variable} is not set.", param_hint=option)
    return value


def old_database(word: str | None, source_env: str | None) -> Path | Address:
    """The old database that a command reads: a file, or one schema of a PostgreSQL database."""
    word = required(word, "OLD_DB")
    return _address(word, source_env is not None) if is_address(word) else existing(word)


def new_database(word: str | None, target_env: str | None = None) -> Path | Address:
    """The new database that a command writes: a file, or one schema of a PostgreSQL database."""
    if target_env is not None:
        if word is not None:
            raise typer.BadParameter("a URL and --target-env exclude each other: give one of them.")
        word = from_environment(target_env, "--target-env")
    word = required(word, "NEW_DB")
    return _address(word, target_env is not None) if is_address(word) else placed(word)


def _address(word: str, from_environment: bool) -> Address:
    """A password is refused as a word: everybody on the machine can read a command's words."""
    try:
        found = address(word)
    except UsageError as error:
        raise typer.BadParameter(f"{error}.") from error
    if found.has_password and not from_environment:
        raise typer.BadParameter(
            "a password on the command line can be read by everybody on this machine: give the "
            "URL by --target-env or --source-env, or the password by PGPASSWORD, .pgpass or a "
            "service file."
        )
    return found


def _plain(text: str) -> str:
    try:
        return plain_path(text)
    except UsageError as error:
        raise typer.BadParameter(f"{error}.") from error


def _absolute(path: str) -> Path:
    try:
        return Path(path).absolute()
    except FileNotFoundError as error:
        raise typer.BadParameter("the working directory has been removed: go elsewhere.") from error


def shown(text: Path | str) -> str:
    """A path, or a sentence with paths, as seen from the working directory."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        return str(text)
    # At the start of a word only: elsewhere it is the middle of another path.
    return re.sub(rf"(?<![^\s'\"(=]){re.escape(here.rstrip('/'))}/(?=[^\s])", "", str(text))


def on_screen(text: Path | str) -> str:
    """The same for people to read, in which nothing can steer what shows it."""
    return printable(shown(text))
