"""Schemas of a server as tenants of a fleet: each is delivered once, whoever dies in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from tests.faults.site import write_small
from tests.fleets import PATIENCE, started, wait_for
from tests.migration.support import query
from tests.postgres.server import Database, statements
from tests.postgres.support import fill, place
from tests.processes import run
from typer.testing import CliRunner

from person_unify.cli.app import app
from person_unify.fleet.tasks import carry_out, result_of
from person_unify.fleet.tenants import read_tenants
from person_unify.options import MigrateOptions
from person_unify.pipeline import verify
from person_unify.postgres import ends
from person_unify.postgres.server import Server
from person_unify.run.directory import LOCK, run_directory
from person_unify.sample import SampleOptions, write_sample
from person_unify.schema import UNIFIED

WAITING = (
    "CREATE FUNCTION north.waits() RETURNS boolean LANGUAGE plpgsql AS "
    "$$ BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(7); RETURN true; END $$",
    "ALTER TABLE north.persons ADD CHECK (north.waits())",
)
"""A row goes into the table only while nobody holds the lock."""


def outcomes(ledger: Path) -> list[object]:
    return [row["outcome"] for row in query(ledger, "SELECT outcome FROM deliveries")]


def listed(directory: Path, *lines: str) -> Path:
    path = directory / "tenants.csv"
    path.write_text("\n".join(("source,target,ledger", *lines)), encoding="utf-8")
    return path


def delivering(database: Database, target: Path) -> int | None:
    """The process that delivers and waits for the lock."""
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    if not database.value(query):
        return None
    return int((run_directory(target) / LOCK).read_text("ascii"))


def test_a_worker_killed_while_it_delivers_loses_nothing_and_repeats_nothing(
    tmp_path: Path, old: Database
) -> None:
    write_sample(tmp_path / "first.db", SampleOptions(persons=8, seed=3, faults=0.0))
    fill(old, tmp_path / "first.db")
    for schema in ("north", "south"):
        old.execute(f"CREATE SCHEMA {schema}", f"SET search_path = {schema}", *statements(UNIFIED))
    old.execute(*WAITING)
    for name in ("south", "west"):
        write_small(tmp_path / f"{name}-old.db")
    tenants = listed(
        tmp_path,
        f"{old.url},{old.url}&schema=north,north.ledger.db",
        f"south-old.db,{old.url}&schema=south,south.ledger.db",
        "west-old.db,west.db,",
    )

    with started(tenants, "--html", tmp_path / "fleet.html") as process:
        with Server(place(old)) as other:
            other.execute("SELECT pg_advisory_lock(7)")
            pid = wait_for(partial(delivering, old, tmp_path / "north.db"))
            os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE)
    content = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    again = run("fleet", tenants, "--quiet")

    assert process.returncode == again.returncode == 0, (err, again.stderr)
    assert "3 databases migrated, verified and published" in out
    assert place(old, "north").shown in err
    assert (
        place(old, "north").shown.replace("&", "&amp;") in content[tmp_path / "fleet.html"].decode()
    )
    assert {path: path.read_bytes() for path in content} == content
    for name, source in (("north", "north.source.db"), ("south", "south-old.db")):
        ledger = tmp_path / f"{name}.ledger.db"
        assert outcomes(ledger) == ["committed"]
        assert not ends.verify(tmp_path / source, place(old, name), ledger).failed_checks
    assert not verify(tmp_path / "west-old.db", tmp_path / "west.db").failed_checks


KILLED = """
import os, signal, sys
from pathlib import Path
from person_unify.fleet.tasks import carry_out
from person_unify.fleet.tenants import read_tenants
from person_unify.options import MigrateOptions
from person_unify.postgres import record
record.settled = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
carry_out(read_tenants(Path(sys.argv[1]), MigrateOptions)[0])
"""


def test_a_worker_killed_after_its_commit_has_delivered(tmp_path: Path, empty: Database) -> None:
    source = write_small(tmp_path / "old.db")
    tenants = listed(tmp_path, f"old.db,{empty.url},new.ledger.db")
    (tenant,) = read_tenants(tenants, MigrateOptions)

    killed = subprocess.run([sys.executable, "-c", KILLED, tenants], check=False)
    before = result_of(tenant, 1, "killed")
    answer = carry_out(tenant)
    after = result_of(tenant, *answer)

    assert killed.returncode == -9
    assert (before.state, before.report, before.good) == ("undelivered", None, False)
    assert answer == (0, "")
    assert (after.state, after.good) == ("finished", True)
    assert outcomes(tmp_path / "new.ledger.db") == ["committed"]
    assert not ends.verify(source, place(empty), tmp_path / "new.ledger.db").failed_checks


def test_what_could_not_be_delivered_is_delivered_by_the_next_call(
    tmp_path: Path, empty: Database
) -> None:
    write_small(tmp_path / "old.db")
    tenants = listed(tmp_path, f"old.db,{empty.url},new.ledger.db")
    (tenant,) = read_tenants(tenants, partial(MigrateOptions, busy_timeout=0.1))
    ends.make(tenant)

    with Server(place(empty)) as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE public.persons IN SHARE MODE")
        answer = carry_out(tenant)
    told = result_of(tenant, *answer)

    assert answer[0] == 3
    assert "another connection has tables of" in answer[1]
    assert (told.state, told.good, told.code) == ("undelivered", False, 3)
    assert carry_out(tenant) == (0, "")
    assert result_of(tenant, 0, "").good


def test_a_finished_tenant_of_another_schema_is_not_taken_for_it(
    tmp_path: Path, old: Database
) -> None:
    write_sample(tmp_path / "first.db", SampleOptions(persons=5, seed=3, faults=0.0))
    fill(old, tmp_path / "first.db")
    (tenant,) = read_tenants(listed(tmp_path, f"{old.url},new.db,"), MigrateOptions)
    (other,) = read_tenants(listed(tmp_path, f"{old.url}&schema=b,new.db,"), MigrateOptions)

    answers = [carry_out(tenant), carry_out(tenant), carry_out(other)]

    assert answers[:2] == [(0, ""), (0, "")]
    assert answers[2][0] == 3
    assert "from another source" in answers[2][1]


@pytest.mark.parametrize("column", ["source", "target"])
def test_a_password_in_the_list_is_refused_and_not_shown(column: str, tmp_path: Path) -> None:
    write_small(tmp_path / "old.db")
    secret = "postgresql://app:correct-horse@db/clinic?schema=north"
    ends_ = {"source": "old.db", "target": "new.db", column: secret}
    tenants = listed(tmp_path, f"{ends_['source']},{ends_['target']},new.ledger.db")
    before = sorted(tmp_path.iterdir())

    done = CliRunner().invoke(app, ["fleet", str(tenants)])

    assert done.exit_code == 3
    assert "line 2: postgresql://app@db/clinic?schema=north stands there with a pass" in done.output
    assert "correct-horse" not in done.output
    assert sorted(tmp_path.iterdir()) == before


def test_a_rehearsal_and_its_final_run_give_the_same_ids(tmp_path: Path, old: Database) -> None:
    source = write_small(tmp_path / "old.db")
    for schema in ("rehearsal", "final"):
        old.execute(f"CREATE SCHEMA {schema}", f"SET search_path = {schema}", *statements(UNIFIED))
    rehearsal = listed(tmp_path, f"old.db,{old.url}&schema=rehearsal,first.ledger.db")
    assert run("fleet", rehearsal, "--quiet").returncode == 0
    final = tmp_path / "final.csv"
    final.write_text(
        f"source,target,ledger,ids_from\nold.db,{old.url}&schema=final,last.ledger.db,"
        "first.ledger.db\n"
    )

    assert run("fleet", final, "--quiet").returncode == 0

    first, last = tmp_path / "first.ledger.db", tmp_path / "last.ledger.db"
    known = "SELECT * FROM patient_to_person ORDER BY 1, 2"
    maps = [query(ledger, known) for ledger in (first, last)]
    persons = [
        old.rows(f"SELECT id FROM {schema}.persons ORDER BY id")
        for schema in ("rehearsal", "final")
    ]
    assert maps[0] == maps[1] != []
    assert persons[0] == persons[1] != []
    address = place(old, "final")
    assert not ends.verify(source, address, last, ids_from=first).failed_checks
    words = ("--ledger", last, "--ids-from", first, "--quiet")
    told = run("verify", source, f"{old.url}&schema=final", *words)
    assert told.returncode == 0, told.stderr
