"""What a person sees: real terminals of 80 and 140 columns, help, status, doctor."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from tests.migration.support import SMALL, old_database
from tests.processes import killed, run
from typer.testing import CliRunner

from person_unify.cli.app import COMMANDS, app
from person_unify.cli.help import EXAMPLES, GROUPS
from person_unify.cli.live import Done
from person_unify.options import CheckOptions, MigrateOptions
from person_unify.page.advice import next_steps
from person_unify.pipeline import check, migrate
from person_unify.progress import (
    Event,
    PhaseFinished,
    Planned,
    TableAdvanced,
    TableFinished,
    TableStarted,
)
from person_unify.run.directory import RunDirectory
from person_unify.sample import SampleOptions, write_sample

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(columns: int, *words: str | Path) -> tuple[int, str]:
    """Exit code and everything that a command writes on a terminal that wide."""
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    inherited = {n: v for n, v in os.environ.items() if n not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", "person_unify", *map(str, words)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**inherited, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                block = os.read(mine, 65536)
            except OSError:  # the other side has been closed
                break
            if not block:
                break
            written += block
        code = process.wait()
    os.close(mine)
    return code, written.decode("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 140])
def test_progress_and_summary_fit_the_terminal(columns: int, tmp_path: Path) -> None:
    write_sample(tmp_path / "old.db", SampleOptions(persons=60, seed=3, faults=0.3))

    code, written = on_terminal(columns, "migrate", tmp_path / "old.db", tmp_path / "new.db")

    lines = [ESCAPES.sub("", line) for line in re.split(r"[\r\n]+", written)]
    progress = [line for line in lines if "━" in line or "rows/s" in line]
    assert code == 0
    assert progress
    assert max(map(len, progress)) <= columns
    assert any("100%" in line for line in progress)
    assert any(re.search(r"\d+ of \d+ tables", line) for line in lines)
    assert len([line for line in lines if "verify" in line and "✓" in line]) >= 1
    start = next(i for i, line in enumerate(lines) if line.startswith("person-unify 0"))
    summary = [line for line in lines[start:] if str(tmp_path) not in line]
    assert len(lines[start:]) <= 41
    assert max(map(len, summary)) <= columns


def test_a_run_is_measured_by_what_was_planned() -> None:
    done = Done()
    shares = []
    story: list[Event] = [
        TableStarted("extract", "users"),
        Planned(100, 2, ("extract", "load", "verify")),
        TableAdvanced("extract", "users", 40),
        TableFinished("extract", "users", 60, 0.1),
        TableFinished("extract", "tags", 40, 0.1),
        PhaseFinished("extract", 100, 0.2),
        TableFinished("load", "users", 60, 0.1),
        PhaseFinished("load", 90, 0.2),
        TableStarted("verify", "users"),
        TableStarted("verify", "users"),
        TableStarted("verify", "tags"),
        TableStarted("verify", "more than planned"),
        PhaseFinished("verify", 0, 0.2),
    ]
    for event in story:
        done.see(event)
        shares.append(done.share)

    assert shares[0] is None
    known = [share for share in shares if share is not None]
    assert known == sorted(known)
    assert (known[0], known[-1]) == (0.0, 1.0)
    assert done.tables("verify") == "2 of 2 tables"
    assert done.rows["extract"] == 100


def test_events_say_how_much_there_is_to_do(tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    events: list[Event] = []

    migrate(MigrateOptions(source, tmp_path / "new.db"), events.append)

    (planned,) = [event for event in events if isinstance(event, Planned)]
    extracted = next(
        e.rows for e in events if isinstance(e, PhaseFinished) and e.phase == "extract"
    )
    assert planned.rows == extracted > 0
    assert {"extract", "load", "verify"} <= set(planned.phases)


def test_check_shows_its_progress(tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", SMALL)

    loud, quiet = run("check", source), run("check", source, "--quiet")

    assert "transform" in loud.stderr
    assert quiet.stderr == ""
    assert quiet.stdout == loud.stdout


def test_a_check_ends_with_its_bar_full(tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    seen = Done()

    check(CheckOptions(source), seen.see)

    assert seen.planned is not None
    assert set(seen.planned.phases) <= seen.ended
    assert seen.share == pytest.approx(1)


COMMANDS_OF_HELP = [[c.__name__] for c in COMMANDS] + [["review", "export"], ["review", "import"]]


@pytest.mark.parametrize("words", COMMANDS_OF_HELP, ids=" ".join)
def test_help_has_an_example_and_no_word_of_the_implementation(words: list[str]) -> None:
    done = CliRunner().invoke(app, [*words, "--help"])

    assert done.exit_code == 0
    assert not re.search(r"<(str|int|float|Path|list)|\[str\]|Value ?[eE]rror", done.stdout)
    assert "Exit codes:" in done.stdout
    if len(words) == 1:
        assert f"person-unify {words[0]}" in done.stdout.split("Examples:")[1]


def test_every_command_is_in_one_group_and_has_an_example() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    known = {command.__name__ for command in COMMANDS}

    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {*known, "review"}
    assert set(EXAMPLES) == known
    stdout = CliRunner().invoke(app, ["--help"]).stdout
    assert [title for title in GROUPS if f"{title}:" in stdout] == list(GROUPS)


def test_commands_of_a_group_say_all_of_themselves() -> None:
    stdout = " ".join(CliRunner().invoke(app, ["review", "--help"]).stdout.split())

    assert "..." not in stdout.partition("Commands:")[2].partition("Exit codes")[0]
    assert "for the people who can judge." in stdout


def test_help_is_instant() -> None:
    took = []
    for _ in range(3):
        started = os.times()
        subprocess.run(
            [sys.executable, "-m", "person_unify", "--help"], check=True, capture_output=True
        )
        ended = os.times()
        took.append(ended.children_user + ended.children_system)
        took[-1] -= started.children_user + started.children_system

    assert min(took) < 0.3  # seconds of CPU: other programs may have the machine


def test_status_tells_none_stopped_under_way_and_finished(tmp_path: Path) -> None:
    source, target = old_database(tmp_path / "old.db", SMALL), tmp_path / "new.db"
    first = run("status", target)
    killed("run.migration:run_checks >1", "migrate", source, target, "-q")
    stopped = run("status", target)
    directory = RunDirectory.claim(target)
    busy = json.loads(run("status", target, "--json").stdout)
    directory.leave()
    migrate(MigrateOptions(source, target, resume=True))
    finished = json.loads(run("status", target.with_name("new.ledger.db"), "--json").stdout)

    assert "no run into" in first.stdout
    assert "was stopped" in stopped.stdout
    assert "load" in stopped.stdout
    assert (busy["state"], busy["pid"]) == ("under way", os.getpid())
    assert finished["state"] == "finished"
    assert "publish" in finished["phases"]


def _checkpoints(moment: str, rows: str) -> str:
    return (
        f'[{{"timestamp": "{moment}", "phase": "load", "table": "t", "recordsProcessed": {rows}}}]'
    )


@pytest.mark.parametrize(
    "content",
    [
        *("", "[", "{}", "[1]", '[{"table": 1}]', "[" * 100_000, None),
        _checkpoints("2026-11-30T12:00:00", "1"),
        _checkpoints("0001-01-01T00:00:00+23:00", "1"),
        _checkpoints("2026-11-30T12:00:00Z", "Infinity"),
        _checkpoints("2026-11-30T12:00:00Z", "9" * 4300),
    ],
)
def test_checkpoints_of_others_are_no_obstacle_to_status(
    content: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "new.checkpoints.json"
    os.mkfifo(path) if content is None else path.write_text(content)

    done = CliRunner().invoke(app, ["status", str(tmp_path / "new.db")])

    assert (done.exit_code, done.stdout.count("\n")) == (0, 1)


def test_doctor_says_what_stands_in_the_way(tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", SMALL)

    good = CliRunner().invoke(app, ["doctor", str(source), str(tmp_path / "new.db")])
    gone = CliRunner().invoke(app, ["doctor", str(source), str(tmp_path / "gone/new.db")])
    (tmp_path / "new.ledger.db").touch()
    taken = CliRunner().invoke(app, ["doctor", str(source), str(tmp_path / "new.db")])

    assert good.exit_code == 0, good.stdout
    assert "polars" in good.stdout
    assert (gone.exit_code, taken.exit_code) == (3, 3)
    assert "NO  " in gone.stdout
    assert "rollback" in taken.stdout


def test_leftovers_are_grouped_named_and_written(tmp_path: Path) -> None:
    tables = {
        **SMALL,
        "patient_contacts": [{"id": f"lost{n}", "patient_id": "nobody"} for n in range(3)],
    }
    source = old_database(tmp_path / "old.db", tables)
    migrate(MigrateOptions(source, tmp_path / "new.db"))
    new, written = str(tmp_path / "new.db"), tmp_path / "l.csv"

    grouped = CliRunner().invoke(app, ["leftovers", new, "--output", str(written)])
    named = CliRunner().invoke(app, ["leftovers", new, "--kind", "orphaned_record", "--limit", "2"])
    wrong = CliRunner().invoke(app, ["leftovers", new, "--kind", "orphan"])

    assert re.search(r"orphaned_record +3  patient_contacts.patient_id", grouped.stdout)
    assert written.read_text("utf-8-sig").count("lost") == 3
    assert written.stat().st_mode & 0o777 == 0o600
    assert "lost0: " in named.stdout
    assert "lost2: " not in named.stdout
    assert "and 1 more" in named.stdout
    assert (grouped.exit_code, named.exit_code, wrong.exit_code) == (0, 0, 2)


@pytest.mark.parametrize("name", ["new.db", "new.ledger.db"])
def test_what_the_next_steps_say_works_for_database_and_ledger(name: str, tmp_path: Path) -> None:
    write_sample(tmp_path / "old.db", SampleOptions(persons=30, seed=3, faults=0.3))
    report = migrate(MigrateOptions(tmp_path / "old.db", tmp_path / "new.db"))

    commands = [c for step in next_steps(report) for c in step.commands if "person-unify" in c]
    assert {c.split()[1] for c in commands} == {
        "review",
        "leftovers",
        "verify",
        "rollback",
        "purge",
    }
    for command in commands:
        words = shlex.split(command.replace("review.xlsx", str(tmp_path / "r.csv")))[1:]
        words = [str(tmp_path / name) if word.endswith("new.db") else word for word in words]
        if words[0] != "rollback":
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, done.output


def test_lineage_of_one_table_or_column(tmp_path: Path) -> None:
    one = CliRunner().invoke(app, ["lineage", "patients.first_name"])
    table = CliRunner().invoke(app, ["lineage", "Persons"])
    none = CliRunner().invoke(app, ["lineage", "nothing"])

    assert one.stdout.splitlines()[0] == "patients -> persons"
    assert len(one.stdout.splitlines()) == 3
    assert {"patients", "children"} <= {
        line.split()[0] for line in table.stdout.splitlines() if line and line[0] != " "
    }
    assert none.exit_code == 2


def test_diff_compares_all_tables_where_none_is_named(tmp_path: Path) -> None:
    source = old_database(tmp_path / "old.db", SMALL)
    migrate(MigrateOptions(source, tmp_path / "new.db"))

    done = CliRunner().invoke(app, ["diff", str(source), str(tmp_path / "new.db")])

    assert done.exit_code == 0, done.output
    assert re.match(r"compared \d\d tables\n", done.stdout)


def test_trace_takes_the_beginning_of_an_id(tmp_path: Path) -> None:
    patients = [{**SMALL["patients"][0], "id": "patient-one"}]
    source = old_database(tmp_path / "old.db", {"users": SMALL["users"], "patients": patients})
    migrate(MigrateOptions(source, tmp_path / "new.db"))
    new = str(tmp_path / "new.db")

    begun = CliRunner().invoke(app, ["trace", new, "patient", "pati"])
    short = CliRunner().invoke(app, ["trace", new, "patient", "pat"])
    odd = CliRunner().invoke(app, ["trace", new, "pa'%_t"])

    assert begun.exit_code == 0, begun.output
    assert "patients patient-one" in begun.stdout
    assert (short.exit_code, odd.exit_code) == (2, 2)


def test_completion_is_offered() -> None:
    assert "--install-completion" in CliRunner().invoke(app, ["--help"]).stdout
