"""Three finished migrations: of a clean database, of one with the usual faults, of one with all.

The last is verified part by part, as large tables are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from .support import Migrated, migrate_sample

USUAL = pytest.param(0.05, id="usual")
OTHERS = [
    pytest.param(0.0, id="clean", marks=pytest.mark.slow),
    pytest.param(1.0, id="broken", marks=pytest.mark.slow),
]


@pytest.fixture(scope="session")
def migration(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Migrated]:
    """A sample of 120 persons and that many faults, and its migration, made at the first call."""
    return cache(lambda faults: migrate_sample(tmp_path_factory.mktemp("migrated"), faults))


@pytest.fixture(scope="session", params=[USUAL, *OTHERS])
def migrated(request: pytest.FixtureRequest, migration: Callable[[float], Migrated]) -> Migrated:
    return migration(request.param)


@pytest.fixture(scope="session")
def broken(migration: Callable[[float], Migrated]) -> Migrated:
    """The migration of a database with every fault."""
    return migration(1.0)
