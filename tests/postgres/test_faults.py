"""Whatever dies at whatever moment: the tables are as before, or complete and verified.

The client is a process that is really killed, and the server one of the test's own.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
import polars as pl
import pytest
from tests.faults.strace import require_strace
from tests.migration.support import SMALL, old_database
from tests.postgres.server import Database, Server, create, newest
from tests.postgres.support import Run, place, rows_of, untouched

from person_unify.errors import DiskError, ServerError, TargetError
from person_unify.pipeline import MigrateOptions
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
    if moment == "between two COPYs" and table == "messages":
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
    [("between two COPYs", False), ("before COMMIT", False), ("after COMMIT", True)],
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


INTERRUPTED = """
import os, sys, threading
from person_unify.cli import main
from person_unify.postgres.server import Server

copy, number = Server.copy, int(sys.argv.pop())

def endless_copy(server, table, frame):
    copy(server, table, frame)
    if table == "messages":
        threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
        server.rows("SELECT 1 FROM pg_sleep(60)")

Server.copy = endless_copy
sys.argv[1:1] = ["deliver", "--quiet"]
main()
"""


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_client_asked_to_end(run: Run, empty: Database, number: int, said: str) -> None:
    words = [sys.executable, "-c", INTERRUPTED, str(run.target), empty.url, str(int(number))]
    with untouched(empty):
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=50)

    assert (done.returncode, done.stderr) == (128 + number, f"person-unify: {said}\n")
    assert not complete(run, empty)


def drop(database: Database) -> None:
    """End the connections of everybody else."""
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{database.name}' AND pid <> pg_backend_pid()"
    )


def dropped_at(database: Database, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a delivery's connection be gone as it comes to a table, or to the COMMIT after all."""
    copy, execute = Connection.copy, Connection.execute

    def dropped_copy(server: Connection, name: str, frame: pl.DataFrame) -> None:
        if name == table:
            drop(database)
        copy(server, name, frame)

    def dropped_commit(server: Connection, statement: str) -> None:
        if statement == table == "COMMIT":
            drop(database)
        execute(server, statement)

    monkeypatch.setattr(Connection, "copy", dropped_copy)
    monkeypatch.setattr(Connection, "execute", dropped_commit)


@pytest.mark.parametrize("moment", ["messages", "COMMIT"])
def test_connection_dropped(
    run: Run, empty: Database, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with untouched(empty), monkeypatch.context() as patched:
        dropped_at(empty, moment, patched)
        with pytest.raises(ServerError):
            deliver(run.target, place(empty))

    assert not complete(run, empty)


def test_a_run_that_could_not_be_delivered_is_delivered_later(
    tmp_path: Path, empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(old_database(tmp_path / "old.db", SMALL), tmp_path / "new.db")
    options = MigrateOptions(run.source, run.target)
    whole = ends.Run.between(run.source, place(empty), options)
    with untouched(empty), monkeypatch.context() as patched:
        dropped_at(empty, "users", patched)
        with pytest.raises(ServerError) as failed:
            ends.migrate(whole)

    deliver(run.target, place(empty))

    assert "new.db is complete and verified, and not delivered" in failed.value.__notes__[0]
    assert complete(run, empty)


def test_connection_dropped_after_a_rollback(
    run: Run, empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(run.target, place(empty))
    execute = Connection.execute

    def dropped(server: Connection, statement: str) -> None:
        execute(server, statement)
        if statement == "COMMIT":
            drop(empty)
            execute(server, "SELECT 1")

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "execute", dropped)
        with pytest.raises(ServerError):
            rollback(run.ledger, place(empty))
    assert rows_of(empty) == 0

    assert rollback(run.ledger, place(empty)) == 0
    assert run.outcomes() == ["rolled_back"]


def test_connection_dropped_while_a_source_is_read(
    tmp_path: Path, old: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, options = Connection.batches, MigrateOptions(Path(), tmp_path / "new.db")

    def dropped(server: Connection, query: str, about: str) -> Iterator[pl.DataFrame]:
        if about == "users":
            drop(old)
        yield from whole(server, query, about)

    monkeypatch.setattr(Connection, "batches", dropped)

    with pytest.raises(ServerError):
        ends.migrate(ends.Run.between(place(old), options.target, options))

    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def mortal() -> Iterator[Server]:
    """A server that tests may kill."""
    server = create(newest())
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("moment", "stands"),
    [("between two COPYs", False), ("before COMMIT", False), ("after COMMIT", True)],
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
        if moment == "between two COPYs" and table == "messages":
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


LOCK = 4711


@contextmanager
def held(database: Database) -> Iterator[Callable[[], int]]:
    """Have a COPY into messages wait in its first row, for a default that takes a lock.

    Given is a function that waits for that, and says which process of the server it is.
    """
    database.execute(
        "CREATE FUNCTION held() RETURNS integer LANGUAGE plpgsql AS "
        f"'BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN 1; END'",
        "ALTER TABLE messages ADD COLUMN held integer DEFAULT held()",
    )

    def process() -> int:
        deadline = time.monotonic() + 60
        waiting = (
            "SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted "
            "AND l.locktype = 'advisory' AND a.datname = current_database() "
            "AND a.query LIKE 'COPY%'"
        )
        while not (found := database.rows(waiting)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return int(found[0][0])

    with closing(adbc_driver_postgresql.dbapi.connect(database.url, autocommit=True)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_lock({LOCK})")
            cursor.fetchall()
        yield process


def test_client_killed_within_a_copy(run: Run, empty: Database) -> None:
    with held(empty) as process:
        before = empty.dump()
        words = [sys.executable, "-m", "person_unify", "deliver", str(run.target), empty.url, "-q"]
        client = subprocess.Popen(words)
        number = process()
        client.kill()
        client.wait()
    _until_gone(empty, number)

    assert not complete(run, empty)
    assert empty.dump() == before
    deliver(run.target, place(empty))
    assert complete(run, empty)


@pytest.mark.parametrize("how", ["terminated", "out of time"])
def test_connection_lost_within_a_copy(run: Run, empty: Database, how: str) -> None:
    with held(empty) as process, untouched(empty):
        if how == "out of time":
            empty.execute(f"ALTER DATABASE {empty.name} SET statement_timeout = '4s'")
        ending = threading.Thread(
            target=lambda: empty.execute(f"SELECT pg_terminate_backend({process()})")
        )
        if how == "terminated":
            ending.start()
        with pytest.raises(ServerError, match="57P01|connection lost" if ending.ident else "57014"):
            deliver(run.target, place(empty))
        empty.execute(f"ALTER DATABASE {empty.name} RESET statement_timeout")
        if ending.ident:
            ending.join()

    assert not complete(run, empty)


def test_server_killed_within_a_copy(mortal: Server, run: Run) -> None:
    with mortal.database("unified") as database:
        with suppress(adbc_driver_manager.Error), held(database) as process:
            before = database.dump()

            def die() -> None:
                process()
                mortal.kill()

            killing = threading.Thread(target=die)
            killing.start()
            with pytest.raises(ServerError):
                deliver(run.target, place(database))
            killing.join()
        mortal.start()

        assert not complete(run, database)
        assert database.dump() == before
        deliver(run.target, place(database))
        assert complete(run, database)


def test_a_commit_of_which_no_answer_came_is_asked_about(
    run: Run, empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = Connection.execute

    def unanswered(server: Connection, statement: str) -> None:
        execute(server, statement)
        if statement == "COMMIT":
            raise ServerError("could not run COMMIT: connection lost")

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "execute", unanswered)
        deliver(run.target, place(empty))

    assert complete(run, empty)


def _until_gone(database: Database, number: int) -> None:
    deadline = time.monotonic() + 60
    while database.rows(f"SELECT 1 FROM pg_stat_activity WHERE pid = {number}"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


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
    require_strace()
    with mortal.database("unified") as database, untouched(database):
        whole = Connection.copy
        traced: list[subprocess.Popen[bytes]] = []

        def full(server: Connection, table: str, frame: pl.DataFrame) -> None:
            if not traced:
                fault = "inject=pwrite64,pwritev,pwritev2,fallocate:error=ENOSPC"
                words = ["strace", "-q", "-o", "/dev/null", "-e", fault]
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
