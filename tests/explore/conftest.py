"""A migrated sample with faults, shared by the tests that only look at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from person_unify.explore import Run, open_check, open_run
from person_unify.pipeline import MigrateOptions, migrate
from person_unify.sample import SampleOptions, write_sample


@dataclass(frozen=True)
class Sample:
    """The files of one migration of a sample."""

    source: Path
    target: Path
    ledger: Path


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    directory = tmp_path_factory.mktemp("explore")
    source, target = directory / "old.db", directory / "new.db"
    write_sample(source, SampleOptions(persons=120, seed=11, faults=0.1))
    migrate(MigrateOptions(source, target))
    return Sample(source, target, directory / "new.ledger.db")


@pytest.fixture(scope="session")
def run(sample: Sample) -> Run:
    return open_run(sample.ledger)


@pytest.fixture(scope="session")
def revealed(sample: Sample) -> Run:
    return open_run(sample.ledger, reveal=True)


@pytest.fixture(scope="session")
def checked(sample: Sample) -> Run:
    return open_check(sample.source, archives=True)
