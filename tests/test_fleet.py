"""A fleet over real files, workers and schedulers: workers die, and nothing is lost or repeated."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import psutil  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.faults.site import write_small
from tests.fleets import PATIENCE, started, wait_for
from tests.migration.support import change, query
from tests.processes import run

from person_unify.errors import TargetInUse, TenantsRefused
from person_unify.fleet.tasks import carry_out
from person_unify.fleet.tenants import read_tenants
from person_unify.options import MigrateOptions
from person_unify.page.fleet import TenantResult, exit_code_of, render_fleet, total
from person_unify.pipeline import migrate, verify
from person_unify.postgres import ends
from person_unify.report import Report
from person_unify.run.directory import LOCK, Facts, RunDirectory, holder, run_directory
from person_unify.run.unfinished import state_of
from person_unify.stages.publish import ledger_path


def tenants(directory: Path, count: int, **more: str) -> Path:
    """A list of so many small databases, which are made, and further lines of target and source."""
    lines = ["source,target"]
    for number in range(1, count + 1):
        write_small(directory / f"old{number}.db")
        lines.append(f"old{number}.db,new{number}.db")
    lines += [f"{source},{target}" for target, source in more.items()]
    path = directory / "tenants.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def require_complete(directory: Path, count: int) -> None:
    """Every database is migrated once: verified, one run in its ledger, one copy of its source."""
    for number in range(1, count + 1):
        source, target = directory / f"old{number}.db", directory / f"new{number}.db"
        assert verify(source, target).failed_checks == ()
        assert len(query(ledger_path(target), "SELECT id FROM run")) == 1
        assert len(list(directory.glob(f"old{number}.db.backup-*"))) == 1
        assert not run_directory(target).exists()


def facts_of(target: Path) -> Facts | None:
    """What the run directory of a target says, as it stands."""
    with contextlib.suppress(Exception):
        return RunDirectory(run_directory(target), -1, target).facts()
    return None


def kill_worker(targets: Iterable[Path], phase: str | None, killed: set[int]) -> tuple[Path, str]:
    """Kill the next process that is in a run once a phase is over; the target and the run's id."""

    def found() -> tuple[int, Path, str] | None:
        for target in targets:
            facts, lock = facts_of(target), run_directory(target) / LOCK
            if facts is None or not (phase is None or phase in facts.phases):
                continue
            with contextlib.suppress(OSError, ValueError):
                # Read, for whoever looks whether it is locked may be in the way of who locks it.
                pid = int(lock.read_text("ascii"))
                if pid not in killed:
                    return pid, target, facts.id
        return None

    pid, target, id_ = wait_for(found)
    killed.add(pid)
    os.kill(pid, signal.SIGKILL)
    return target, id_


def begun(*targets: Path) -> Path | None:
    """A target whose run is begun."""
    return next((target for target in targets if facts_of(target) is not None), None)


def test_killed_workers_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    listed = tenants(tmp_path, 3)
    new = [tmp_path / f"new{number}.db" for number in (1, 2, 3)]
    with started(listed, "--workers", "1", "--html", tmp_path / "fleet.html") as process:
        killed: set[int] = set()
        ids = [kill_worker(new, phase, killed) for phase in (None, "snapshot", "load", "load")]
        out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, err
    assert "3 databases migrated, verified and published" in out
    assert "3 finished" in (tmp_path / "fleet.html").read_text("utf-8")
    require_complete(tmp_path, 3)
    for target, id_ in ids:
        assert query(ledger_path(target), "SELECT id FROM run") == [{"id": id_}]


def listening(pid: int) -> set[str]:
    """The addresses at which a process and its children listen."""
    parent = psutil.Process(pid)
    sockets = [s for p in (parent, *parent.children(recursive=True)) for s in p.net_connections()]
    return {s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN}


def test_a_killed_fleet_leaves_no_worker_and_goes_on_when_it_is_called_again(
    tmp_path: Path,
) -> None:
    listed = tenants(tmp_path, 2)
    new = [tmp_path / "new1.db", tmp_path / "new2.db"]
    with started(listed, "--workers", "2") as process:
        first = wait_for(partial(begun, *new))
        facts = facts_of(first)
        heard = listening(process.pid)
        assert process.stderr is not None
        with urlopen(process.stderr.readline().removeprefix("tasks at ").strip()) as dashboard:
            shown = dashboard.read()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(lambda: True if {holder(target) for target in new} == {None} else None)

    again = run("fleet", listed, "--workers", "2", "--quiet")
    content = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    third = run("fleet", listed, "--quiet", "--json")

    assert again.returncode == third.returncode == 0, (again.stderr, third.stderr)
    assert heard == {"127.0.0.1"}
    assert b"<title>Dask Diagnostic UI</title>" in shown
    assert facts is not None
    assert query(ledger_path(first), "SELECT id FROM run") == [{"id": facts.id}]
    require_complete(tmp_path, 2)
    assert {path: path.read_bytes() for path in content} == content


def test_a_database_that_fails_stops_no_other_and_is_named(tmp_path: Path) -> None:
    listed = tenants(tmp_path, 1, **{"bad.db": "no.db", "done.db": "old9.db"})
    (tmp_path / "no.db").write_bytes(b"no database")
    migrate(MigrateOptions(write_small(tmp_path / "old9.db"), tmp_path / "done.db"))
    change(tmp_path / "old9.db", "UPDATE users SET email = email || '.org'")

    done = run("fleet", listed, "--html", tmp_path / "fleet.html")

    assert done.returncode == 1, done.stderr  # one is refused (3), one has changed since (6)
    require_complete(tmp_path, 1)
    assert "2 of 3 databases are not migrated as they should be" in done.stdout
    assert [state_of(tmp_path / name) for name in ("bad.db", "done.db")] == ["none", "finished"]
    page = (tmp_path / "fleet.html").read_text("utf-8")
    assert "no.db" in page
    assert "has changed since its snapshot" in page


def test_somebody_elses_scheduler_carries_it_out(tmp_path: Path) -> None:
    listed = tenants(tmp_path, 2)
    from distributed import LocalCluster

    settings_ = {"dashboard_address": "127.0.0.1:0", "silence_logs": 60, "memory_limit": 0}
    with LocalCluster(n_workers=1, threads_per_worker=2, host="127.0.0.1", **settings_) as cluster:
        done = run("fleet", listed, "--scheduler", cluster.scheduler_address)
        address = cluster.scheduler_address
    nobody = run("fleet", listed, "--scheduler", address)

    assert done.returncode == 0, done.stderr
    require_complete(tmp_path, 2)
    assert nobody.returncode == 1
    assert nobody.stderr.splitlines()[-1].startswith("person-unify: no scheduler of Dask answers")


def test_another_run_into_a_listed_target_is_not_taken_for_it(tmp_path: Path) -> None:
    write_small(tmp_path / "old1.db")
    source, target = tmp_path / "old1.db", tmp_path / "new1.db"
    migrate(MigrateOptions(source, target, implied_grants="none"))

    code, message = carry_out(ends.Run.between(source, target, MigrateOptions(source, target)))

    assert code == 3
    assert "from another source or with other options" in message


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (ValueError("Asha Rao"), (1, "internal error: ValueError")),
        (TargetInUse("locked"), (3, "locked")),
    ],
)
def test_what_goes_wrong_in_a_task_quotes_no_cell(
    error: Exception, answer: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(run: ends.Run) -> Report:
        raise error

    monkeypatch.setattr(ends, "make", fails)
    source, target = tmp_path / "old.db", tmp_path / "new.db"

    answered = carry_out(ends.Run.between(source, target, MigrateOptions(source, target)))

    assert answered == answer


REFUSED = {
    "": "line 1: the headings",
    "source,target\n": "there is no database in it",
    "source,ziel\na.db,x.db\n": "line 1: the headings",
    "source,target,source\n": "line 1: the headings",
    "source,target\na.db\n": "line 2: 2 cells are needed",
    "source,target\na.db,\n": "line 2: 2 cells are needed",
    "source,target\na.db,x.db,y\n": "line 2: 2 cells are needed",
    'source,target\na.db,"x.db\n': "a quote is stray",
    "source,target\na.db,x\0.db\n": "line 2",
    "source,target\nmissing.db,x.db\n": "line 2: ",
    "source,target\na.db,nowhere/x.db\n": "is not a directory",
    "source,target\na.db,x.db\nb.db,./x.db\n": "line 3: ",
    "source,target\na.db,x.db\nb.db,x.sqlite\n": "would be written by line 2 too",
    "source,target\na.db,x.db\nb.db,x.ledger.db\n": "would be written by line 2 too",
    "source,target\na.db,x.db\na.db,y.db\n": "is the source of line 2 already",
    "source,target\na.db,x.db\nlink.db,y.db\n": "is the source of line 2 already",
    "source,target\na.db,b.db\nb.db,y.db\n": "is read, and line 2 writes it",
    "source,target\na.db,a.db\n": "is read, and line 2 writes it",
    "source,target\na.db,hard.db\nb.db,y.db\n": "is read, and line 2 writes it",
    "source,target,decisions\na.db,x.db,y.db\nb.db,y.db,\n": "is not a file",
    "source,target\na.db,postgresql://h/d\n": "line 2: postgresql://h/d needs the place of its l",
    "source,target,ledger\na.db,x.db,x.ledger.db\n": "line 2: a ledger goes with a URL",
    "source,target,ledger\na.db,postgres://h/d,x.db\n": "line 2: x.db is no name of a ledger",
    "source,target\na.db,postgres://u:p/w@h/d\n": "line 2: that is no PostgreSQL URL",
    "source,target\na.db,postgres://u:pw@h/d\n": "line 2: postgresql://u@h/d stands there with",
    "source,target\npostgres://h/d?password=pw,x.db\n": "line 2: postgresql://h/d stands there",
    "source,target\na.db,postgresql+pg8000://u:pw@h/d\n": "line 2: postgresql+pg8000:// names no",
    "source,target\nmysql://u:pw@h/d,x.db\n": "line 2: mysql:// names no SQLite file",
    "source,target\na.db,host=h dbname=d password=pw\n": "line 2: a password stands where a path",
    "source,target,decisions\na.db,x.db,https://u:pw@h/d\n": "line 2: https:// names no",
    "source,target,ledger\na.db,postgres://u@h/d,x.ledger.db\n"
    "b.db,postgresql://H:5432/d?schema=public,y.ledger.db\n": "would be written by line 2 too",
    "source,target,ledger\na.db,postgres://h/d?schema=a,x.ledger.db\n"
    "b.db,postgres://h/d?schema=b,x.ledger.db\n": "would be written by line 2 too",
    "source,target,ledger\na.db,postgres://h/d,x.ledger.db\nb.db,x.db,\n": "by line 2 too",
    "source,target\npostgres://h/d,x.db\npostgres://u@h/d,y.db\n": "is the source of line 2",
    "source,target\npostgres://h/d,x.db\nb.db,x.source.db\n": "would be written by line 2 too",
    "source,target,ledger\npostgres://h/d,x.db,\na.db,postgres://h/d,y.ledger.db\n": (
        "is read, and line 3 writes it"
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_list_that_cannot_be_carried_out_is_refused_before_anything(
    text: str, tmp_path: Path
) -> None:
    for name in ("a.db", "b.db"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "link.db").symlink_to("a.db")
    (tmp_path / "hard.db").hardlink_to(tmp_path / "b.db")
    path = tmp_path / "tenants.csv"
    path.write_text(text, encoding="utf-8")
    before = sorted(tmp_path.iterdir())

    with pytest.raises(TenantsRefused) as refused:
        read_tenants(path, MigrateOptions)

    assert any(REFUSED[text] in problem for problem in refused.value.problems)
    assert not any(secret in str(refused.value) for secret in ("p/w", ":pw", "=pw"))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("content", [b"source,target\n\xff", None])
def test_what_is_no_text_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "tenants.csv"
    if content is not None:
        path.write_bytes(content)

    done = run("fleet", path)

    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path][: content is not None]


NAMES = st.sampled_from(["a.db", "b.db", "c.db", "d.db", "d.sqlite", "d.ledger.db", "./e", "e"])


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=4))
@example([("a.db", "d.db"), ("b.db", "d.sqlite")])
def test_runs_of_a_list_share_no_file(pairs: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder).resolve()
        for name in ("a.db", "b.db", "c.db", "d.db", "e"):
            (directory / name).touch()
        path = directory / "tenants.csv"
        path.write_text("source,target\n" + "".join(f"{s},{t}\n" for s, t in pairs))
        sources = [directory / source for source, _ in pairs]
        stems = [Path(target).stem for _, target in pairs]
        written = {
            name for _, t in pairs for name in (str(directory / t), str(ledger_path(directory / t)))
        }
        apart = (
            len(set(sources)) == len(sources)
            and all(source.exists() for source in sources)
            and len(set(stems)) == len(stems)
            and len(written) == 2 * len(pairs)
            and written.isdisjoint(map(str, sources))
        )
        try:
            runs = read_tenants(path, partial(MigrateOptions, timezone="UTC"))
        except TenantsRefused:
            assert not apart
        else:
            assert apart
            assert [(r.source, r.options.target) for r in runs] == [
                (directory / s, directory / t) for s, t in pairs
            ]


def test_the_summary_adds_up_what_the_reports_count(report: Report) -> None:
    good = TenantResult("x.db", "finished", report)
    none = TenantResult("y.db", "none", None, 3, "b.db is <no> database")

    both = total([good, good, none])
    page = render_fleet([good, good, none], "tenants.csv")

    assert [t.source_rows for t in both.tables] == [2 * t.source_rows for t in report.tables]
    assert [e.left for e in both.equations] == [2 * e.left for e in report.equations]
    assert both.unexplained == ()
    assert {d.kind: d.count for d in both.discrepancies} == {
        d.kind: 2 * d.count for d in report.discrepancies
    }
    assert "1 of 3 databases are not migrated as they should be" in page
    assert "b.db is &lt;no&gt; database" in page
    assert "person-unify fleet tenants.csv" in page


def test_the_exit_code_is_what_all_that_failed_share() -> None:
    def ended(*codes: int) -> int:
        results = (TenantResult("b", "stopped", None, code) for code in codes)
        return exit_code_of(results)

    assert (ended(), ended(3, 3), ended(3, 6), ended(0)) == (0, 3, 1, 1)
