"""The session's PostgreSQL server, and databases on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres.server import Database, Server, binaries, shared
from tests.postgres.support import Run, finished


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Server]:
    if not binaries():
        pytest.fail(
            "no PostgreSQL server is at hand: run make setup, or apt-get install postgresql"
        )
    own = tmp_path_factory.getbasetemp()
    with shared((own if worker_id == "master" else own.parent) / "postgres.json") as running:
        yield running


@pytest.fixture
def empty(server: Server) -> Iterator[Database]:
    """A database with the unified schema and no row."""
    with server.database("unified") as database:
        yield database


@pytest.fixture
def old(server: Server) -> Iterator[Database]:
    """A database with the old schema and no row."""
    with server.database("old") as database:
        yield database


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of a sample without faults; only to be copied."""
    return finished(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def run(pristine: Run, tmp_path: Path) -> Run:
    return pristine.copied(tmp_path)
