"""Passwords: every way to give one works, and none shows it, whatever goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.postgres.server import SECRET, Database
from tests.postgres.support import Run, fill, rows_of
from typer.testing import CliRunner

from person_unify.cli.app import app
from person_unify.errors import UsageError
from person_unify.postgres.address import address
from person_unify.sample import SampleOptions, write_sample

HALF = "hunter"


@given(
    middle=st.text("/?#@:&=%[],. x7", max_size=5),
    shape=st.sampled_from(
        [
            "postgresql://app:{}@db:5432/clinic",
            "postgres://app@tenant:{}@db/clinic?schema=one",
            "postgresql://:{}@/clinic",
            "postgresql://db/clinic?user=app&password={}",
            "postgresql://db/clinic?sslpassword={}",
        ]
    ),
)
def test_no_password_is_part_of_what_is_shown(middle: str, shape: str) -> None:
    """Also of one that should be encoded and is not."""
    try:
        found = address(shape.format(f"{HALF}{middle}{HALF}"))
    except UsageError as error:
        shown = str(error)
    else:
        shown = f"{found} {found!r}"
        assert found.has_password
    assert HALF not in shown


@given(st.text(min_size=1))
def test_an_encoded_password_is_understood(password: str) -> None:
    found = address(f"postgresql://app:{quote(password, safe='')}@db/clinic")

    written = found.uri.removeprefix("postgresql://app:").removesuffix("@db/clinic")
    assert (unquote(written), str(found)) == (password, "postgresql://app@db/clinic")


def test_an_at_sign_may_stand_as_it_is() -> None:
    """Prisma takes the last one for the end of the password, libpq the first."""
    assert address("postgresql://app:a@b@db/clinic").uri == "postgresql://app:a%40b@db/clinic"


def ways(database: Database, directory: Path) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Way to give the password -> the words that name the database, and the environment."""
    passes, services = directory / "pgpass", directory / "services"
    passes.write_text(f"*:*:{database.name}:guarded:{SECRET}\n")
    passes.chmod(0o600)
    facts = {"host": database.server.directory, "dbname": database.name, "user": "guarded"}
    lines = [f"{name}={value}" for name, value in {**facts, "password": SECRET}.items()]
    services.write_text("\n".join(["[clinic]", *lines, ""]))
    with_password = database.guarded.replace("guarded@", f"guarded:{SECRET}@")
    return {
        "PGPASSWORD": ([database.guarded], {"PGPASSWORD": SECRET}),
        ".pgpass": ([database.guarded], {"PGPASSFILE": str(passes)}),
        "service": (["postgresql:///?service=clinic"], {"PGSERVICEFILE": str(services)}),
        "URL": (["--target-env", "DATABASE_URL"], {"DATABASE_URL": with_password}),
    }


def call(*words: str | Path, **environment: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(word) for word in words], env=environment)
    return done.exit_code, done.output


def require_untold(directory: Path, *outputs: str) -> None:
    """The password is in no output and no file."""
    assert not any(SECRET in output for output in outputs)
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert len(files) >= 3
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("way", ["PGPASSWORD", ".pgpass", "service", "URL"])
def test_every_way_to_give_it_works(
    way: str, run: Run, empty: Database, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    words, environment = ways(empty, tmp_path_factory.mktemp("secrets"))[way]

    delivered = call("deliver", run.target, *words, **environment)
    assert rows_of(empty) > 0
    undone = call("rollback", *words, "--ledger", run.ledger, "--json", **environment)

    assert (delivered[0], undone[0]) == (0, 0), delivered[1] + undone[1]
    assert rows_of(empty) == 0
    require_untold(tmp_path, delivered[1], undone[1])


def watched(directory: Path, *words: str, **environment: str) -> tuple[set[str], str]:
    """Run a command; the command lines of all processes meanwhile, and what it printed."""
    command = [sys.executable, "-m", "person_unify", *words]
    seen: set[str] = set()
    with (directory / "printed").open("w+") as printed:
        running = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **environment},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        while running.poll() is None:
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):  # it has ended
                    seen.add((process / "cmdline").read_text(errors="replace"))
            with suppress(subprocess.TimeoutExpired):
                running.wait(0.1)
        printed.seek(0)
        said = printed.read()
    assert running.returncode == 0, said
    assert any(" ".join(words) in line.replace("\0", " ") for line in seen)
    return seen, said


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_shows_it(tmp_path: Path, old: Database, empty: Database) -> None:
    write_sample(tmp_path / "sample.db", SampleOptions(persons=15, seed=3, faults=0.0))
    fill(old, tmp_path / "sample.db")
    urls = {
        name: database.guarded.replace("guarded@", f"guarded:{SECRET}@")
        for name, database in (("SOURCE", old), ("TARGET", empty))
    }
    ends = ("--source-env", "SOURCE", "--target-env", "TARGET", "--ledger", "new.ledger.db")

    seen, migrated = watched(tmp_path, "migrate", *ends, **urls)
    with pytest.MonkeyPatch.context() as here:
        here.chdir(tmp_path)
        code, verified = call("verify", *ends, "--html", "verified.html", "--json", **urls)

    assert code == 0, verified
    assert not any(SECRET in line for line in seen)
    require_untold(tmp_path, migrated, verified)


WRONG = f"not-{SECRET}"


@pytest.mark.parametrize(
    ("user", "environment", "says"),
    [
        (f"guarded:{WRONG}", {}, "password authentication failed"),
        ("guarded", {"PGPASSWORD": WRONG}, "password authentication failed"),
        ("guarded", {"PGPASSFILE": "/dev/null"}, "no password supplied"),
        (f"{SECRET}:{SECRET}/", {}, "that is no PostgreSQL URL"),
    ],
    ids=["URL", "PGPASSWORD", "none", "not encoded"],
)
def test_one_that_is_not_accepted(
    user: str,
    environment: dict[str, str],
    says: str,
    run: Run,
    empty: Database,
    tmp_path: Path,
) -> None:
    url = empty.url.replace("postgres@", f"{user}@")

    code, output = call(
        "deliver", run.target, "--target-env", "URL", "--json", URL=url, **environment
    )

    assert code in (1, 2)
    assert says in " ".join(output.split())
    require_untold(tmp_path, output)


def test_a_statement_that_is_refused(run: Run, empty: Database, tmp_path: Path) -> None:
    """The server's own words would quote the row."""
    empty.execute("ALTER TABLE users ADD CONSTRAINT named CHECK (email = 'nobody@example.org')")
    url = empty.guarded.replace("guarded@", f"guarded:{SECRET}@")

    code, output = call("deliver", run.target, "--target-env", "URL", URL=url)

    assert code == 3
    assert "a CHECK is violated (23514), named, nothing was delivered" in output
    assert "Failing row" not in output
    require_untold(tmp_path, output)
    assert rows_of(empty) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["deliver", "new.db", "postgresql://db/clinic", "{}"],
        ["migrate", "--source-env", "URL", "new.db", "{}"],
        ["{}"],
        ["deliver", "new.db", "postgresql://app:correct-horse"],
        ["check", "old.db", "--for", "{}"],
        ["check", "old.db", "--timezone", "{}"],
        ["check", "host=db password=correct-horse"],
        ["migrate", "old.db", "host=db password = correct-horse"],
        ["deliver", "new.db", "--target-env", "KEYWORDS"],
    ],
    ids=" ".join,
)
def test_a_url_in_the_wrong_place(words: list[str]) -> None:
    url = f"postgresql://app:{SECRET}@db/clinic"
    keywords = f"host=db password={SECRET}"

    code, output = call(*(w.format(url) for w in words), URL=url, KEYWORDS=keywords)

    assert code in (2, 3)
    assert output
    assert SECRET not in output
