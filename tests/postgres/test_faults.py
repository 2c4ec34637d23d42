"""Whatever dies at whatever moment: the tables are as before, or complete and verified.

The client is a process that is really killed, and the server one of the test's own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from tests.postgres.server import Database, Server, create, newest
from tests.postgres.support import Run, place, rows_of

from person_unify.errors import DiskError, ServerError, TargetError
from person_unify.postgres import ends, record
from person_unify.postgres.deliver import deliver
from person_unify.postgres.rollback import rollback
from person_unify.postgres.server import Server as Connection

KILLED = """
import os, signal, sys
from pathlib import Path
from person_unify.postgres import record
from person_unify.postgres.address import address
from person_unify.postgres.deliver import deliver
from person_unify.postgres.server import Server

moment = sys.argv[3]
copy, execute, settled = Server.copy, Server.execute, record.settled

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def dying_copy(server, table, frame):
    copy(server, table, frame)
    if moment == "during COPY" and table == "messages":
        die()

def dying_execute(server, statement):
    if moment == "before COMMIT" and statement == "COMMIT":
        die()
    execute(server, statement)
    if moment == "after COMMIT" and statement == "COMMIT":
        die()

Server.copy, Server.execute = dying_copy, dying_execute
deliver(Path(sys.argv[1]), address(sys.argv[2]))
"""


def complete(run: Run, database: Database) -> bool:
    """Whether the delivery stands and is proven; else nothing of it is there."""
    with Connection(place(database)) as server:
        found = record.latest(run.ledger, server)
    if found is None or found.outcome != "committed":
        assert rows_of(database) == 0
        return False
    assert not ends.verify(run.source, place(database), run.ledger).failed_checks
    return True


@pytest.mark.parametrize(
    ("moment", "stands"),
    [("during COPY", False), ("before COMMIT", False), ("after COMMIT", True)],
)
def test_client_killed(run: Run, empty: Database, moment: str, stands: bool) -> None:
    before = empty.dump()

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, run.target, empty.url, moment], check=False
    )

    assert killed.returncode == -9
    assert complete(run, empty) is stands
    assert empty.dump() == before
    if stands:
        with pytest.raises(TargetError, match="already"):
            deliver(run.target, place(empty))
        rollback(run.ledger, place(empty))
    else:
        deliver(run.target, place(empty))
        assert complete(run, empty)


def test_connection_dropped_during_copy(
    run: Run, empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Connection.copy

    def dropped(server: Connection, table: str, frame: pl.DataFrame) -> None:
        if table == "messages":
            empty.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{empty.name}' AND pid <> pg_backend_pid()"
            )
        whole(server, table, frame)

    monkeypatch.setattr(Connection, "copy", dropped)
    before = empty.dump()

    with pytest.raises(ServerError):
        deliver(run.target, place(empty))

    assert not complete(run, empty)
    assert empty.dump() == before


@pytest.fixture(scope="module")
def mortal() -> Iterator[Server]:
    """A server that tests may kill."""
    server = create(newest())
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("moment", "stands"), [("during COPY", False), ("before COMMIT", False), ("after COMMIT", True)]
)
def test_server_killed(
    mortal: Server, run: Run, monkeypatch: pytest.MonkeyPatch, moment: str, stands: bool
) -> None:
    copy, execute = Connection.copy, Connection.execute
    killed = threading.Event()

    def die() -> None:
        if not killed.is_set():
            killed.set()
            mortal.kill()
            threading.Timer(1.0, mortal.start).start()

    def dying_copy(server: Connection, table: str, frame: pl.DataFrame) -> None:
        if moment == "during COPY" and table == "messages":
            die()
        copy(server, table, frame)

    def dying_execute(server: Connection, statement: str) -> None:
        if moment == "before COMMIT" and statement == "COMMIT":
            die()
        execute(server, statement)
        if moment == "after COMMIT" and statement == "COMMIT":
            die()

    with mortal.database("unified") as database:
        before = database.dump()
        with monkeypatch.context() as patched:
            patched.setattr(Connection, "copy", dying_copy)
            patched.setattr(Connection, "execute", dying_execute)
            if stands:
                deliver(run.target, place(database))
            else:
                with pytest.raises(ServerError):
                    deliver(run.target, place(database))
        _await(mortal, database)
        assert complete(run, database) is stands
        assert database.dump() == before


def _await(server: Server, database: Database) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            server.run("psql", "-h", str(server.directory), "-U", "postgres", "-c", "SELECT 1")
        except AssertionError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        else:
            return


def test_disk_of_the_server_is_full(mortal: Server, run: Run, tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.fail("strace is not installed: apt-get install strace")
    with mortal.database("unified") as database:
        whole = Connection.copy
        traced: list[subprocess.Popen[bytes]] = []

        def full(server: Connection, table: str, frame: pl.DataFrame) -> None:
            if not traced:
                fault = "inject=pwrite64,pwritev,pwritev2,fallocate:error=ENOSPC"
                words = [strace, "-q", "-o", "/dev/null", "-e", fault]
                pid = server.value("SELECT pg_backend_pid()")
                traced.append(subprocess.Popen([*words, "-p", str(pid)]))
                time.sleep(1)
            whole(server, table, frame)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Connection, "copy", full)
            with pytest.raises((DiskError, ServerError), match=r"53100|disk"):
                deliver(run.target, place(database))
        traced[0].terminate()
        traced[0].wait()
        assert not complete(run, database)
