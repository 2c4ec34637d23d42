"""The notebooks run from top to bottom, teach public names only, and are stored without output."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from tests.stripped import NOTEBOOKS, stripped
from traitlets.config import Config

from person_unify.sample import SampleOptions, write_sample

ROOT = Path(__file__).parent.parent
BOOKS = sorted(NOTEBOOKS.glob("*.ipynb"))
SETTINGS = ("PERSON_UNIFY_OLD", "PERSON_UNIFY_NEW")
SHUTDOWN = 120.0
"""Seconds that a kernel has to end by itself."""

QUIET = pytest.mark.filterwarnings("default:::zmq", "default::DeprecationWarning")
each = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)


@dataclass(frozen=True)
class Execution:
    """The code cells of a notebook with their outputs, and where it ran."""

    cells: list[Any]
    directory: Path


def cells(path: Path, kind: str) -> Iterator[str]:
    """The source of every cell of a kind."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == kind:
            yield "".join(cell["source"])


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Execution]:
    """Runs a notebook once, with a sample of its own; raises where a cell does."""
    return cache(lambda path: _execute(path, tmp_path_factory.mktemp(path.stem)))


def _execute(path: Path, directory: Path, **settings: str) -> Execution:
    book = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    with pytest.MonkeyPatch.context() as patch:
        for name in SETTINGS:
            patch.delenv(name, raising=False)
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.setenv("PERSON_UNIFY_BENCH", str(ROOT / "bench" / "results"))
        patch.setenv("PYTHONPATH", str(ROOT / "src"))
        patch.setenv("TMPDIR", str(directory))
        patch.setenv("IPYTHONDIR", str(directory / "ipython"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(directory / "runtime"))
        place = {"metadata": {"path": str(directory)}}
        # A kernel that is killed while it ends, on a busy machine, leaves its temporary files.
        patient = Config({"KernelManager": {"shutdown_wait_time": SHUTDOWN}})
        client = NotebookClient(
            book, timeout=300, kernel_name="python3", resources=place, config=patient
        )
        client.execute()
    return Execution([cell for cell in book.cells if cell.cell_type == "code"], directory)


def test_there_are_four() -> None:
    assert [path.stem for path in BOOKS] == [
        "01_first_look",
        "02_discrepancies",
        "03_after_the_migration",
        "04_timing",
    ]


@each
@QUIET
def test_a_notebook_runs_from_top_to_bottom(
    path: Path, executed: Callable[[Path], Execution]
) -> None:
    found = executed(path)

    outputs = [output for cell in found.cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"execute_result", "display_data"}
    assert sum("image/svg+xml" in output.data for output in outputs) >= 2
    # Whatever a notebook made is gone with its kernel.
    assert not list(found.directory.rglob("*.db"))


@QUIET
def test_the_decision_of_the_second_notebook_is_applied_and_then_stale(
    executed: Callable[[Path], Execution],
) -> None:
    found = executed(NOTEBOOKS / "02_discrepancies.ipynb")
    texts = [output.data["text/plain"] for cell in found.cells for output in cell.outputs]

    outcomes = [re.findall(r"applied|stale", text) for text in texts if "outcome" in text]
    assert outcomes == [["applied"], ["applied"], ["stale"]]
    (counts,) = [text for text in texts if "checks_failed" in text]
    first, second = (re.findall(r"\d+", line) for line in counts.splitlines() if "┆ 0" in line)
    assert int(second[0]) == int(first[0]) + 1
    (log,) = [text for text in texts if "message_after" in text]
    assert "by decision" in " ".join(re.findall(r"\w+", log))


@QUIET
def test_decisions_about_a_real_file_leave_nothing_beside_it(tmp_path: Path) -> None:
    source, scratch = tmp_path / "clinic" / "old.db", tmp_path / "scratch"
    source.parent.mkdir()
    scratch.mkdir()
    write_sample(source, SampleOptions(persons=40, seed=3, faults=0.01))
    before = source.read_bytes()

    _execute(NOTEBOOKS / "02_discrepancies.ipynb", scratch, PERSON_UNIFY_OLD=str(source))

    assert list(source.parent.iterdir()) == [source]
    assert source.read_bytes() == before
    assert not list(scratch.rglob("*.db"))


@each
def test_a_notebook_is_stored_without_output(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert stripped(text) == text, "run: make format"


@each
def test_a_notebook_uses_public_names_only(path: Path) -> None:
    tree = ast.parse("\n".join(cells(path, "code")))
    names = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names += [*str(node.module).split("."), *(alias.name for alias in node.names)]

    assert names
    assert not [name for name in names if name.startswith("_")]


@each
def test_a_notebook_explains_itself_and_its_links_lead_somewhere(path: Path) -> None:
    prose = "\n".join(cells(path, "markdown"))
    links = re.findall(r"\]\(([^):]+)\)", prose)

    assert prose.startswith("# ")
    assert len(prose.split()) > 150
    assert [link for link in links if not (path.parent / link).is_file()] == []


def test_output_counts_and_noise_are_stripped() -> None:
    worn = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": 7,
                "id": "a",
                "metadata": {"execution": {"iopub.status.busy": "2026"}, "tags": ["x"]},
                "outputs": [{"output_type": "stream", "name": "stdout", "text": ["Asha Rao"]}],
                "source": ["1"],
            },
            {"cell_type": "markdown", "id": "b", "metadata": {"jp": 1}, "source": ["# é"]},
        ],
        "metadata": {"kernelspec": {"name": "mine"}, "language_info": {"version": "3.12"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }

    clean = stripped(json.dumps(worn))
    read = json.loads(clean)

    assert "Asha" not in clean
    assert "2026" not in clean
    assert "mine" not in clean
    assert read["cells"][0]["execution_count"] is None
    assert [cell["source"] for cell in read["cells"]] == [["1"], ["# é"]]
    assert "é" in clean
    assert stripped(clean) == clean
