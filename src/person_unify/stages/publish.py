"""Publish: a finished staged file gets its name, or its content goes into the target that is there.

No file is ever replaced.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from person_unify.errors import DatabaseError, MigrationError, TargetError
from person_unify.files import locks
from person_unify.files.copies import Exclusive
from person_unify.files.header import fingerprint, is_database
from person_unify.files.journal import SIDE_FILES, beside
from person_unify.files.names import is_regular, require_room_for_names

PRE_MIGRATION = ".pre-migration-"
"""What stands in the name of a target's copy before the instant of its run."""


def ledger_path(target: Path) -> Path:
    """Where the ledger of a target stands: ``dev-v2.db`` -> ``dev-v2.ledger.db`` (contract).

    >>> ledger_path(Path("a/dev-v2.db")).name
    'dev-v2.ledger.db'
    """
    return _beside(target, f"ledger{target.suffix or '.db'}")


def report_path(target: Path) -> Path:
    """Where the report of a target's run stands: ``dev-v2.db`` -> ``dev-v2.report.json``."""
    return _beside(target, "report.json")


def page_path(target: Path) -> Path:
    """Where the report stands as a page."""
    return _beside(target, "report.html")


def checkpoints_path(target: Path) -> Path:
    """Where phases and tables are listed as they end."""
    return _beside(target, "checkpoints.json")


def evidence_of(target: Path) -> list[Path]:
    """What tells of a target's run besides the ledger, as far as it is there."""
    paths = (checkpoints_path(target), page_path(target), report_path(target))
    return [path for path in paths if os.path.lexists(path)]


def _beside(target: Path, ending: str) -> Path:
    return target.with_name(f"{evidence_stem(target)}.{ending}")


def evidence_stem(target: Path) -> str:
    """How the names of a target's ledger and reports begin; ``new`` and ``new.sqlite`` share it.

    >>> {evidence_stem(Path(name)) for name in ("new", "new.db", "new.sqlite")}
    {'new'}
    """
    return target.stem if target.suffix else target.name


def _ledger_of_another(target: Path) -> Path | None:
    """The ledger of a target of another suffix, whose reports have the names of this one's."""
    head, own = f"{evidence_stem(target)}.ledger.", ledger_path(target).name
    for path in sorted(target.parent.iterdir()):
        suffix = path.name.removeprefix(head)
        if path.name in (own, suffix) or "." in suffix or suffix.endswith(SIDE_FILES):
            continue
        if path.is_file() and is_database(path):
            return path
    return None


def finished_ledger(target: Path, command: str, source: Path | None = None) -> Path:
    """The ledger of a finished target; raises :class:`TargetError` unless both are there."""
    ledger = ledger_path(target)
    if source and not ledger.is_file() and ledger_path(source).is_file():
        raise TargetError(
            f"{source} has a ledger and {target} has none: did you swap OLD_DB and NEW_DB?"
        )
    for path in (target, ledger):
        if not path.is_file():
            raise TargetError(f"{path} does not exist: {command} needs the target and its ledger")
    return ledger


def require_room_for_its_files(target: Path) -> None:
    """Refuse a target whose name leaves no room for those of its other files."""
    others = (ledger_path, report_path, page_path, checkpoints_path)
    require_room_for_names(target, *(place(target) for place in others))


def require_directory(target: Path) -> None:
    """Refuse a target whose directory does not exist."""
    if not target.parent.is_dir():
        raise TargetError(f"{target.parent} is not a directory: create it first")


def require_publishable(target: Path, ledger: Path) -> bool:
    """Whether the target exists (to be filled in place); refuse what cannot be published to."""
    if target.exists() and ledger.exists():
        raise TargetError(
            f"{target} has been migrated into already, as {ledger.name} tells: take that back with "
            "rollback, or choose another target"
        )
    if os.path.lexists(ledger):
        raise TargetError(
            f"{ledger} exists already: it belongs to an earlier run; "
            "move it away or choose another target"
        )
    if target.is_symlink():
        raise TargetError(f"{target} is a symbolic link: give the path of the file itself")
    require_directory(target)
    require_room_for_its_files(target)
    other = _ledger_of_another(target)
    if other is not None:
        raise TargetError(
            f"{other} tells of a run into another target, whose reports have the same names as "
            f"those of {target.name}: choose a target whose name differs before its suffix"
        )
    for path in evidence_of(target):
        if not is_regular(path):
            raise TargetError(
                f"{path} is no file that a run wrote: move it away or choose another target"
            )
    _require_no_side_files(ledger)
    if not target.exists():
        _require_no_side_files(target)
        return False
    _require_own_database(target)
    return True


def _require_no_side_files(path: Path) -> None:
    """SQLite would take what an earlier file of that name left behind for the new one's."""
    for suffix in SIDE_FILES:
        side = beside(path, suffix)
        if side.exists() or side.is_symlink():
            raise TargetError(
                f"{side} is left over from another database of that name: move it away first"
            )


def _require_own_database(target: Path) -> None:
    facts = target.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise TargetError(f"{target} is not a file: choose another path")
    if not os.access(target, os.R_OK | os.W_OK):
        raise TargetError(f"{target} cannot be written: permission denied")
    if facts.st_size and not is_database(target):
        raise TargetError(f"{target} is not an SQLite database: choose another path")
    if facts.st_nlink > 1:
        raise TargetError(f"{target} has several hard links: give a file of its own")
    if facts.st_size == 0:  # whoever locks it to look inside would write a header into it
        raise TargetError(
            f"{target} is an empty file and does not have the unified schema: remove it, and it is "
            "created, or make it with the platform's migrations first"
        )


def publish(staged: Path, final: Path) -> None:
    """Sync a staged file and give it its name too; raises if somebody else has taken that name.

    The file is its owner's alone (mode 0600): it holds what the source holds.  Its staged name goes
    with the staging directory; until then an attempt that was cut off can be told and repeated.
    """
    staged.chmod(0o600)
    locks.sync(staged)
    try:
        os.link(staged, final)
    except FileExistsError as error:
        if not locks.alike(staged, final):
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
    locks.sync(final.parent)


def put_back(staged: Path, before: Path, target: Path, wait: float) -> None:
    """Give an existing target the content of a staged file, in one transaction of its pages.

    The file stays what it is: name, inode, mode, owner.  ``before`` is what it was when it was
    copied; raises :class:`TargetError` if somebody has written to it since, and
    :class:`TargetInUse` if another program keeps it locked for more than ``wait`` seconds.
    """
    digest = locks.sha256(staged)
    with Exclusive(target, wait, alone=False) as held:
        if held.sha256() != digest:
            # The second is an attempt that was killed between the pages and the header's counters.
            if held.fingerprint() not in (fingerprint(before), fingerprint(staged)):
                # Put back by such an attempt, it may have been written to by others since.
                if not held.shares_rows(staged, "persons"):
                    raise TargetError(
                        f"{target} was changed by another program while the run was under way, and "
                        "is left as it is now: stop that program and run again"
                    )
            else:
                held.put_back(staged)
                if held.sha256() != digest:
                    raise DatabaseError(
                        f"{target} is not what was written into it: run with --resume"
                    )
        held.remove_spent_journal()
    locks.sync(target.parent)


def is_put_back(staged: Path, target: Path, wait: float) -> bool:
    """Whether an existing target holds the rows of a staged file, whoever wrote to it since.

    Ids of persons are drawn for the run, so no other file has them.
    """
    with Exclusive(target, wait, alone=False) as held:
        return held.fingerprint() == fingerprint(staged) or held.shares_rows(staged, "persons")
