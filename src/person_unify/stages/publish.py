"""Publish: a finished staging file gets its name, without ever replacing another file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from person_unify.database import HEADER
from person_unify.errors import MigrationError, TargetError

SIDE_FILES = ("-wal", "-shm", "-journal")


def ledger_path(target: Path) -> Path:
    """Where the ledger of a target stands: ``dev-v2.db`` -> ``dev-v2.ledger.db`` (contract).

    >>> ledger_path(Path("a/dev-v2.db")).name
    'dev-v2.ledger.db'
    """
    stem = target.stem if target.suffix else target.name
    return target.with_name(f"{stem}.ledger{target.suffix or '.db'}")


def require_publishable(target: Path, ledger: Path) -> bool:
    """Whether the target exists (to be filled in place); refuse what cannot be published to."""
    if ledger.exists() or ledger.is_symlink():
        raise TargetError(
            f"{ledger} exists already: it belongs to an earlier run; "
            "move it away or choose another target"
        )
    if target.is_symlink():
        raise TargetError(f"{target} is a symbolic link: give the path of the file itself")
    if not target.exists():
        parent = target.parent
        if not parent.is_dir():
            raise TargetError(f"{parent} is not a directory: create it first")
        for suffix in SIDE_FILES:
            side = target.with_name(target.name + suffix)
            if side.exists():
                raise TargetError(
                    f"{side} is left over from another database of that name: move it away first"
                )
        return False
    facts = target.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise TargetError(f"{target} is not a file: choose another path")
    with target.open("rb") as file:
        if facts.st_size and file.read(len(HEADER)) != HEADER:
            raise TargetError(f"{target} is not an SQLite database: choose another path")
    if facts.st_nlink > 1:
        raise TargetError(f"{target} has several hard links: give a file of its own")
    return True


def publish(staged: Path, final: Path) -> None:
    """Sync a staged file and give it its name; raises if that name has been taken meanwhile.

    The file is its owner's alone (mode 0600): it holds what the source holds.
    """
    staged.chmod(0o600)
    staged.chmod(0o600)
    sync(staged)
    try:
        os.link(staged, final)
    except FileExistsError as error:
        raise TargetError(
            f"{final} appeared while the run was under way; it was not touched"
        ) from error
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise MigrationError(f"cannot publish {final}: {error.strerror}") from error
        raise MigrationError(
            f"the volume of {final} knows no hard links, which publishing needs: "
            "choose another volume"
        ) from error
    staged.unlink()
    sync(final.parent)


def sync(path: Path) -> None:
    """Flush a file, or a directory's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
