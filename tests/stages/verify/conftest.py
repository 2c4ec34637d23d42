"""Three finished migrations: of a clean database, of one with the usual faults, of one with all."""

from __future__ import annotations

import pytest

from .support import Migrated, migrate_sample

DATABASES = [
    pytest.param(0.0, id="clean", marks=pytest.mark.slow),
    pytest.param(0.05, id="usual"),
    pytest.param(1.0, id="broken", marks=pytest.mark.slow),
]


@pytest.fixture(scope="session", params=DATABASES)
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    """A sample of 120 persons and its migration."""
    return migrate_sample(tmp_path_factory.mktemp("migrated"), request.param)


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    """The migration of a database with every fault."""
    return migrate_sample(tmp_path_factory.mktemp("broken"), 1.0)
