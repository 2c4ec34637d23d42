"""What the fault tests share: a place for trials, and their count."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.site import Site, make_pristine
from tests.faults.trials import Trials


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pristine(tmp_path_factory.mktemp("pristine"))


@pytest.fixture(params=["created", "existing"])
def site(tmp_path: Path, pristine: Path, request: pytest.FixtureRequest) -> Site:
    """A fresh place, once without and once with an empty target that exists."""
    made = Site(tmp_path, pristine, in_place=request.param == "existing")
    made.reset()
    return made


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> Iterator[Trials]:
    """The count of a test's trials; the first line of the test's docstring says what they are."""
    function = request.node.function
    assert function.__doc__, f"{function.__name__} does not say what it tries"
    counted = Trials(function.__doc__.splitlines()[0].rstrip("."))
    yield counted
    # Two files have tests of one name.
    counted.record(re.sub(r"\W+", "-", f"{request.node.path.stem} {request.node.name}"))
    counted.require_none_failed()
