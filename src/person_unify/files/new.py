"""New files: whole, their owner's only, and under a name that was free, or not there at all.

What is written has no name while it is written (``O_TMPFILE``): there is nothing to guess, to
replace by a link, or to be left by a kill.  When it is complete and on the disk it is linked to its
name, which fails, unlike a rename, if somebody took that name meanwhile.  Everything is done
relative to the opened directory, so that no path is followed twice.

Where the volume knows no files without a name, one with a random name stands in; where it knows no
hard links, ``renameat2`` with ``RENAME_NOREPLACE``.  A file is locked until it is closed: so one
that has such a name, which a kill left, is told from one that is being written.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from person_unify.errors import DiskError, MigrationError, TargetError, UsageError
from person_unify.files import locks
from person_unify.files.names import is_regular

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNNAMED = getattr(os, "O_TMPFILE", 0) | os.O_RDWR | os.O_CLOEXEC
_RENAME_NOREPLACE = 1
_WITHOUT_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

PREFIX = ".person-unify-"
"""How the names begin that stand in for a time; something random follows.

What a kill leaves of them, :func:`person_unify.files.private.abandoned` finds.
"""


@dataclass(slots=True)
class _Coming:
    """A file that has no name of its own yet.  temporary: the one that stands in, if any."""

    path: Path
    directory: int
    file: BinaryIO
    temporary: str | None
    named: bool = False


@dataclass(slots=True)
class NewFiles:
    """Files that get their names together when a ``with`` block ends, and none if it fails.

    Each is mode 0600 and whole under its name, also after a power cut where it is ``durable``.  A
    name that exists already, be it by a link that leads nowhere, is a :class:`UsageError`, both
    when it is asked for and when somebody took it meanwhile; with ``overwrite`` the earlier file
    (or the link itself, never what it leads to) is replaced in one step.  What keeps a file from
    being written is a :class:`MigrationError` that names it.  A kill while names are given leaves
    some of the files, each of them whole.

        with NewFiles() as new:
            frame.write_csv(new.open(path))
    """

    overwrite: bool = False
    durable: bool = True
    _coming: list[_Coming] = field(default_factory=list)
    _directories: dict[Path, int] = field(default_factory=dict)

    def open(self, path: Path) -> BinaryIO:
        """A file to be written, seekable and readable; it is closed by the block, not by you."""
        if not self.overwrite and os.path.lexists(path):
            raise _taken(path)
        with _telling(path):
            coming = _begin(path, self._handle(path.parent))
        self._coming.append(coming)
        return coming.file

    def _handle(self, directory: Path) -> int:
        if directory not in self._directories:
            self._directories[directory] = os.open(directory, _DIRECTORY)
        return self._directories[directory]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, OSError) and error.filename is None and self._coming:
                raise _cannot_write(self._coming[-1].path, error) from error
            if error is None:
                self._finish()
        finally:
            self._close()

    def _finish(self) -> None:
        for coming in self._coming:
            with _telling(coming.path):
                coming.file.flush()
                if self.durable:
                    os.fsync(coming.file.fileno())
        try:
            for coming in self._coming:
                with _telling(coming.path):
                    _give_name(coming, self.overwrite)
            for path, directory in self._directories.items() if self.durable else ():
                with _telling(path):
                    os.fsync(directory)
        except BaseException:
            if not self.overwrite:
                self._take_back()
            raise

    def _take_back(self) -> None:
        for coming in self._coming:
            with contextlib.suppress(OSError):
                if coming.named and _stands_there(coming):
                    os.unlink(coming.path.name, dir_fd=coming.directory)

    def _close(self) -> None:
        for coming in self._coming:
            with contextlib.suppress(OSError):
                if coming.temporary is not None:
                    os.unlink(coming.temporary, dir_fd=coming.directory)
            with contextlib.suppress(OSError):
                coming.file.close()  # what a full disk did not take is of no use any more
        for directory in self._directories.values():
            os.close(directory)
        self._coming.clear()
        self._directories.clear()


def create_private(path: Path, content: bytes) -> None:
    """Create a file of mode 0600, whole or not at all; the errors are those of :class:`NewFiles`.

    It never replaces anything: :class:`UsageError` when there is something of that name.
    """
    with NewFiles() as new:
        new.open(path).write(content)


def replace_private(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file of mode 0600 in place of an earlier one of ours, whole or not at all.

    For files in directories that nobody else can enter, and where the operator said so.
    """
    with NewFiles(overwrite=True, durable=durable) as new:
        new.open(path).write(content)


def as_json(value: Any) -> bytes:
    """A value as JSON for people, too."""
    return f"{json.dumps(value, indent=2)}\n".encode()


def rewrite(path: Path, content: bytes, own: Path, *, durable: bool = False) -> None:
    """Write a file of mode 0600 anew where others see it, and only over what was so written.

    own: another name of it, in a directory on the same volume that nobody else can enter.  It has
    the new content first, so that a kill leaves no file that is not known.  Raises
    :class:`TargetError` where there is something of the name that is not ours, and
    :class:`MigrationError` when it cannot write.
    """
    coming, name = _coming_after(own), own.with_name(f"{own.name}.link")
    with _telling(path):
        if os.path.lexists(path):
            if not is_rewritten(path, own):
                raise _of_others(path)
            if coming.exists() and locks.alike(coming, path):
                coming.replace(own)  # a kill came before this
        replace_private(coming, content, durable=durable)
        try:
            os.link(coming, path)
        except FileExistsError:
            if not is_rewritten(path, own):
                raise _of_others(path) from None
            name.unlink(missing_ok=True)
            os.link(coming, name)
            name.replace(path)
        coming.replace(own)
        if durable:
            locks.sync(path.parent)


def is_rewritten(path: Path, own: Path) -> bool:
    """Whether a file is the one that :func:`rewrite` wrote, or, in a copied directory, like it."""
    if not is_regular(path):
        return False
    try:
        known = (known for known in (own, _coming_after(own)) if known.exists())
        return any(locks.alike(path, one) for one in known)
    except OSError:
        return False


def require_hard_links(directory: Path) -> None:
    """Refuse a volume on which no file can be given a second name, by trying it there.

    ``directory``: one of ours, which nobody else can enter.  Raises :class:`MigrationError`.
    """
    one, other = (directory / f"{PREFIX}{secrets.token_hex(8)}" for _ in range(2))
    try:
        os.close(os.open(one, _NEW, 0o600))
        os.link(one, other)
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise _cannot_write(one, error) from error
        raise MigrationError(
            f"the volume of {directory.parent} knows no hard links, by which a finished file gets "
            "its name without replacing another: choose another volume"
        ) from error
    finally:
        for path in (one, other):
            path.unlink(missing_ok=True)


def rename_to_free(path: Path, final: Path) -> None:
    """Give a finished file another name in its directory's volume, never one that is taken.

    Raises :class:`FileExistsError`, and :class:`OSError` where it cannot be done.
    """
    try:
        os.link(path, final, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        _rename_to_free(os.fspath(path), os.fspath(final), None, None)
    else:
        path.unlink()


def _begin(path: Path, directory: int) -> _Coming:
    handle, temporary = _opened(directory)
    os.fchmod(handle, 0o600)
    with contextlib.suppress(OSError):  # where there are no locks, nothing is told by them either
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return _Coming(path, directory, open(handle, "w+b"), temporary)


def _opened(directory: int) -> tuple[int, str | None]:
    """A new file in a directory, without a name where that can be had."""
    if _UNNAMED & ~(os.O_RDWR | os.O_CLOEXEC):
        try:
            handle = os.open(".", _UNNAMED, 0o600, dir_fd=directory)
        except OSError as error:
            # What kernels and file systems say that do not know it.
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
                raise
        else:
            if os.path.lexists(_unnamed(handle)):
                return handle, None
            os.close(handle)
    name = f"{PREFIX}{secrets.token_hex(16)}"
    return os.open(name, _NEW, 0o600, dir_fd=directory), name


def _unnamed(handle: int) -> str:
    return f"/proc/self/fd/{handle}"


def _give_name(coming: _Coming, overwrite: bool) -> None:
    try:
        _link(coming, coming.path.name)
    except FileExistsError:
        if not overwrite:
            raise _taken(coming.path) from None
        if coming.temporary is None:
            temporary = f"{PREFIX}{secrets.token_hex(16)}"
            _link(coming, temporary)
            coming.temporary = temporary
        os.replace(
            coming.temporary,
            coming.path.name,
            src_dir_fd=coming.directory,
            dst_dir_fd=coming.directory,
        )
        coming.temporary = None
    coming.named = True


def _link(coming: _Coming, name: str) -> None:
    there = coming.directory
    if coming.temporary is None:
        # A directory's descriptor makes this linkat, which follows the link to the open file.
        os.link(_unnamed(coming.file.fileno()), name, dst_dir_fd=there, follow_symlinks=True)
        return
    try:
        os.link(coming.temporary, name, src_dir_fd=there, dst_dir_fd=there, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        _rename_to_free(coming.temporary, name, there, there)
        coming.temporary = None


def _rename_to_free(old: str, new: str, old_fd: int | None, new_fd: int | None) -> None:
    """``renameat2`` that replaces nothing, which Python does not offer."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOTSUP, "the volume knows no hard links", new)
    here = -100  # AT_FDCWD
    places = [here if handle is None else handle for handle in (old_fd, new_fd)]
    if call(places[0], os.fsencode(old), places[1], os.fsencode(new), _RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)


def _stands_there(coming: _Coming) -> bool:
    there = os.stat(coming.path.name, dir_fd=coming.directory, follow_symlinks=False)
    return os.path.samestat(there, os.fstat(coming.file.fileno()))


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Have what stops a file from being written name that file."""
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> MigrationError:
    if error.errno is None:  # Polars tells no number: a limit looks like any other error
        return DiskError(f"cannot write {path}: the disk is full or failing")
    kind = DiskError if error.errno in _FULL else MigrationError
    return kind(f"cannot write {path}: {error.strerror}")


def _coming_after(own: Path) -> Path:
    """What is about to be ``own``, and may have its place in sight already."""
    return own.with_name(f"{own.name}.new")


def _of_others(path: Path) -> TargetError:
    return TargetError(f"{path} appeared while the run was under way: move it away first")


def _taken(path: Path) -> UsageError:
    return UsageError(f"{path} exists already: name a file that does not, or remove it first")
