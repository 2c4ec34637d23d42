"""Databases that the tests of the sample generator share: a clean one, a broken one, a worn one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from person_unify.sample import SampleOptions, write_sample


def _opened(path: Path, options: SampleOptions) -> sqlite3.Connection:
    write_sample(path, options)
    connection = sqlite3.connect(path)
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    return connection


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("sample") / "clean.db"
    connection = _opened(path, SampleOptions(persons=1000, faults=0))
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def worn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """So few faults that each structural one is there by its minimum of one row."""
    path = tmp_path_factory.mktemp("sample") / "worn.db"
    connection = _opened(path, SampleOptions(persons=1000, faults=0.001))
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("sample") / "broken.db"
    connection = _opened(path, SampleOptions(persons=1000, faults=1))
    yield connection
    connection.close()
