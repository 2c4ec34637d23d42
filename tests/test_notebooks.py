"""The notebooks run from top to bottom, teach public names only, and are stored without output."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from tests.stripped import NOTEBOOKS, stripped

ROOT = Path(__file__).parent.parent
BOOKS = sorted(NOTEBOOKS.glob("*.ipynb"))
SETTINGS = ("PERSON_UNIFY_OLD", "PERSON_UNIFY_NEW")

each = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> Iterator[str]:
    """The source of every cell of a kind."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == kind:
            yield "".join(cell["source"])


def executed(path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The code cells of a notebook with their outputs; raises where a cell does."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PERSON_UNIFY_BENCH", str(ROOT / "bench" / "results"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setenv("IPYTHONDIR", str(directory / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(directory / "runtime"))
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(
        book,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(directory)}},
    )
    client.execute()
    return [cell for cell in book.cells if cell.cell_type == "code"]


def test_there_are_four() -> None:
    assert [path.stem for path in BOOKS] == [
        "01_first_look",
        "02_discrepancies",
        "03_after_the_migration",
        "04_timing",
    ]


@each
@pytest.mark.filterwarnings("default:::zmq", "default::DeprecationWarning")
def test_a_notebook_runs_from_top_to_bottom(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = executed(path, tmp_path, monkeypatch)

    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {
        "execute_result",
        "display_data",
        "stream",
    }
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert sum("image/svg+xml" in output.get("data", {}) for output in outputs) >= 2
    # Whatever a notebook made is gone with its kernel.
    assert not list(tmp_path.rglob("*.db"))


@pytest.mark.filterwarnings("default:::zmq", "default::DeprecationWarning")
def test_the_decision_of_the_second_notebook_is_applied_and_then_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = executed(NOTEBOOKS / "02_discrepancies.ipynb", tmp_path, monkeypatch)
    printed = ["".join(str(o.get("data", {}).get("text/plain")) for o in c.outputs) for c in code]

    outcomes = [re.findall(r"applied|stale", text) for text in printed if "outcome" in text]
    assert outcomes == [["applied"], ["applied"], ["stale"]]


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
