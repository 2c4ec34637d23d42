"""Where a trial takes place: a small old database, a target, backups and temporary files."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from tests.migration.support import make_target
from tests.strategies.handmade import Row, filled, loose_table

from person_unify.cli.app import app
from person_unify.schema import OLD, quote
from person_unify.stages.publish import ledger_path

CANARY = "Kanarienvogel"
"""A word in every personal cell of the source; it must not appear in anything but databases."""

PEOPLE: Mapping[str, Sequence[Row]] = {
    "users": [
        {"id": "u1", "email": f"{CANARY}1@example.org", "password_hash": CANARY},
        {"id": "u2", "email": f"{CANARY}2@example.org", "last_login_at": CANARY},
    ],
    "parents": [{"id": "r1", "user_id": "u2", "phone": CANARY, "phone_verified": CANARY}],
    "patients": [
        {"id": "p1", "clinician_id": "u1", "first_name": CANARY, "date_of_birth": CANARY},
        {"id": "p2", "clinician_id": "u1", "first_name": CANARY, "last_name": f"{CANARY} too"},
    ],
    "children": [
        {"id": "c1", "parent_id": "r1", "linked_patient_id": "p1", "first_name": f"x{CANARY}"},
        {"id": "c2", "parent_id": "r1", "first_name": CANARY, "medical_history": CANARY},
    ],
    "patient_tags": [{"patient_id": "p1", "tag": CANARY}, {"patient_id": "c1", "tag": CANARY}],
    "journal_entries": [{"id": "j1", "patient_id": "p1", "content": CANARY, "created_at": CANARY}],
    "legacy": [{"note": CANARY, "other": CANARY.encode() + b"\xff"}],
}


def write_small(path: Path, tables: Mapping[str, Sequence[Row]] = PEOPLE) -> Path:
    """An old database of these tables only: fewer tables make a run, and so a trial, shorter."""
    with closing(sqlite3.connect(path)) as connection:
        for name, rows in tables.items():
            full = [filled(name, row, position) for position, row in enumerate(rows, start=1)]
            table = OLD.get(name)
            if table:
                connection.execute(loose_table(table))
                for column in [c for c in full[0] if c not in table.column_names]:
                    connection.execute(f"ALTER TABLE {quote(name)} ADD COLUMN {quote(column)}")
            else:
                listed = ", ".join(map(quote, full[0]))
                connection.execute(f"CREATE TABLE {quote(name)} ({listed})")
            for row in full:
                columns, marks = ", ".join(map(quote, row)), ", ".join("?" for _ in row)
                connection.execute(
                    f"INSERT INTO {quote(name)} ({columns}) VALUES ({marks})", list(row.values())
                )
        connection.commit()
    return path


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a process ended: its exit code (minus the signal that killed it) and what it said."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Site:
    """Four directories, as if each were a volume of its own, and the pristine files to start from.

    ``in_place``: the target exists, with the unified schema and no rows.
    """

    root: Path
    pristine: Path
    in_place: bool = False

    @property
    def source(self) -> Path:
        return self.root / "source" / "old.db"

    @property
    def target(self) -> Path:
        return self.root / "target" / "new.db"

    @property
    def ledger(self) -> Path:
        return ledger_path(self.target)

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    @property
    def places(self) -> tuple[Path, ...]:
        """The directories that a run may change."""
        return (self.source.parent, self.target.parent, self.backups, self.temporary)

    @property
    def original(self) -> bytes:
        """The source as it was before anything ran; a trial may have put another in its place."""
        return self.pristine_source.read_bytes()

    @property
    def pristine_source(self) -> Path:
        return self.root / "pristine" / "old.db"

    @property
    def pristine_target(self) -> Path:
        return self.pristine / "new.db"

    def reset(self, source: bytes | None = None) -> None:
        """Everything as before the first run, with the usual source or the given one."""
        for place in (self.source, self.target, self.pristine_source):
            shutil.rmtree(place.parent, ignore_errors=True)
            place.parent.mkdir(parents=True)
        for directory in (self.backups, self.temporary):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
        content = (self.pristine / "old.db").read_bytes() if source is None else source
        self.source.write_bytes(content)
        self.pristine_source.write_bytes(content)
        if self.in_place:
            shutil.copyfile(self.pristine_target, self.target)

    def arguments(self, *more: str) -> list[str]:
        """The arguments of the trial's ``migrate``."""
        paths = [str(self.source), str(self.target), "--backup-dir", str(self.backups)]
        return ["migrate", *paths, "--quiet", *more]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "TMPDIR": str(self.temporary), "PYTHONDONTWRITEBYTECODE": "1"}

    def command(self, *arguments: str, prefix: Sequence[str] = ()) -> list[str]:
        """The command line of a process of its own; ``prefix`` is what it runs under."""
        return [*prefix, sys.executable, "-m", "person_unify", *(arguments or self.arguments())]

    def run(self, *arguments: str, prefix: Sequence[str] = ()) -> Outcome:
        """A real process, by default the trial's ``migrate``."""
        done = subprocess.run(
            self.command(*arguments, prefix=prefix),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=self.environment(),
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def run_here(self, *arguments: str) -> Outcome:
        """The same within this process, for trials that need none of their own: no imports."""
        with ExitStack() as until_the_end:
            enter = until_the_end.enter_context
            enter(_environment(TMPDIR=str(self.temporary)))
            until_the_end.callback(os.umask, os.umask(0o077))
            stdout, stderr = (enter(_captured(stream)) for stream in (1, 2))
            with redirect_stdout(stdout), redirect_stderr(stderr):
                code = _exit_code([*(arguments or self.arguments())])
            texts = []
            for file in (stdout, stderr):
                file.seek(0)
                texts.append(file.read())
        return Outcome(code, *texts)


def _exit_code(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ending:
        app(arguments, prog_name="person-unify")
    assert isinstance(ending.value.code, int)
    return ending.value.code


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(tempfile, "tempdir", variables["TMPDIR"])
        yield


@contextmanager
def _captured(number: int) -> Iterator[IO[str]]:
    """Everything that arrives at a file descriptor, as native libraries write past Python."""
    with tempfile.TemporaryFile("w+") as file:
        saved = os.dup(number)
        os.dup2(file.fileno(), number)
        try:
            yield file
        finally:
            os.dup2(saved, number)
            os.close(saved)


def make_pristine(directory: Path) -> Path:
    """The files that trials start from, made once."""
    write_small(directory / "old.db")
    make_target(directory / "new.db")
    return directory
