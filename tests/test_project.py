"""What the repository promises to whoever checks it out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from tests.faults.site import write_small

import person_unify

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"
MADE = {".git", ".venv", "build", "dist", "__pycache__", ".hypothesis", ".mypy_cache"}
MADE |= {".pytest_cache", ".ruff_cache"}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked() -> dict[str, list[str]]:
    """``name==version`` of every locked package, with its hashes."""
    logical = LOCK.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    entries = [line.split() for line in logical if line and not line.startswith("#")]
    return {entry[0]: [word for word in entry if word.startswith("--hash=")] for entry in entries}


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file that is not made by a tool."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in MADE]
        for name in sorted({*names} - MADE):  # in a linked work tree .git is a file
            path = Path(folder, name)
            try:
                yield path.relative_to(ROOT), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_no_package_lies_about() -> None:
    """Whoever downloads one by hand is not to commit it: the lock file says what is installed."""
    kinds = (".whl", ".tar.gz", ".zip", ".tgz")
    kept = [
        Path(folder, name).relative_to(ROOT)
        for folder, _, names in os.walk(ROOT)
        if not MADE.intersection(Path(folder).relative_to(ROOT).parts)
        for name in names
        if name.endswith(kinds)
    ]

    assert not kept


def test_lock_pins_and_hashes_every_package() -> None:
    for pinned, hashes in locked().items():
        assert re.fullmatch(r"[a-z0-9-]+==[^=]+", pinned)
        assert hashes, pinned
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in hashes)


def test_lock_names_no_index() -> None:
    text = LOCK.read_text(encoding="utf-8")

    assert "://" not in text
    assert "index" not in text


def test_lock_satisfies_every_declared_requirement() -> None:
    described = project()["project"]
    declared = [*described["dependencies"]]
    declared += chain.from_iterable(described["optional-dependencies"].values())
    declared += project()["build-system"]["requires"]
    versions = dict(pinned.split("==") for pinned in locked())

    for requirement in map(Requirement, declared):
        assert versions[requirement.name] in requirement.specifier, str(requirement)


def test_version_is_stated_once() -> None:
    described = project()

    assert described["project"]["dynamic"] == ["version"]
    assert (ROOT / described["tool"]["hatch"]["version"]["path"]).samefile(person_unify.__file__)


def test_installed_version_is_the_stated_one() -> None:
    try:
        installed = metadata.version("person-unify")
    except metadata.PackageNotFoundError:
        pytest.skip("runs from the sources, not installed")

    assert installed == person_unify.__version__


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "Makefile", "src/person_unify/py.typed"])
def test_file_exists(name: str) -> None:
    assert (ROOT / name).is_file()


def test_continuous_integration_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"

    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").splitlines()[-1] == "exec make test"


@pytest.mark.parametrize(
    "pattern",
    [
        rf"(?<![\w.])/{'work'}/",
        rf"/{'opt'}/(pypi|wheels)",
        rf"shared/{'CONTRACT'}",
        rf"\b{'TO' + 'DO'}\b|\b{'FIX' + 'ME'}\b",
    ],
)
def test_no_file_names_a_workplace_or_something_left_over(pattern: str) -> None:
    found = [str(path) for path, text in texts() if re.search(pattern, text)]

    assert found == []


@pytest.mark.parametrize(
    ("package", "words", "said"),
    [
        (
            "adbc_driver_postgresql",
            ("migrate", "old.db", "postgresql://h/d", "--ledger", "new.ledger.db"),
            "PostgreSQL needs its driver: pip install '.[postgres]' in the checkout",
        ),
        (
            "distributed",
            ("fleet", "tenants.csv"),
            "fleet needs Dask distributed: install it with pip install '.[fleet]' in the checkout",
        ),
    ],
)
def test_a_missing_extra_is_named(
    package: str, words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    write_small(tmp_path / "old.db")
    (tmp_path / "tenants.csv").write_text("source,target\nold.db,new.db\n")
    before = sorted(tmp_path.iterdir())
    code = f"import sys; sys.modules[{package!r}] = None; from person_unify.cli import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (2, f"person-unify: {said}\n")
    assert sorted(tmp_path.iterdir()) == before
