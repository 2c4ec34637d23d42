"""The session's PostgreSQL servers, and databases on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from tests.postgres.server import Database, Server, newest, shared
from tests.postgres.support import Run, finished


@pytest.fixture(scope="session")
def servers(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Callable[[int], Server]]:
    """Version -> its server, which is started when it is first asked for."""
    base = tmp_path_factory.getbasetemp()
    own = base if worker_id == "master" else base.parent
    with ExitStack() as running:

        @cache
        def of_version(version: int) -> Server:
            return running.enter_context(shared(own / f"postgres-{version}.json", version))

        yield of_version


@pytest.fixture(scope="session")
def server(servers: Callable[[int], Server]) -> Server:
    """The server of the newest version at hand."""
    return servers(newest())


@pytest.fixture
def empty(request: pytest.FixtureRequest, servers: Callable[[int], Server]) -> Iterator[Database]:
    """A database with the unified schema and no row; ``every_version`` names the version."""
    with servers(getattr(request, "param", newest())).database("unified") as database:
        yield database


@pytest.fixture
def old(request: pytest.FixtureRequest, servers: Callable[[int], Server]) -> Iterator[Database]:
    """A database with the old schema and no row, in the same way."""
    with servers(getattr(request, "param", newest())).database("old") as database:
        yield database


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of a sample without faults; only to be copied."""
    return finished(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def run(pristine: Run, tmp_path: Path) -> Run:
    return pristine.copied(tmp_path)
