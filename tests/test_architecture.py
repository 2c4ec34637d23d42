"""The imports of the package run down only; the tables below are the whole architecture."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import person_unify

PACKAGE = "person_unify"
ROOT = Path(person_unify.__file__).parent

# From top to bottom.  A unit imports from its own row and the rows below.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"__main__"}),
    frozenset({"cli"}),
    frozenset({"explore", "fleet", "postgres"}),
    frozenset({"pipeline"}),
    frozenset({"linkage", "review", "run"}),
    frozenset({"evidence", "page"}),
    frozenset({"sample", "stages"}),
    frozenset({"frames"}),
    frozenset({"mappings"}),
    frozenset({"files"}),
    frozenset({"allocators", "background", "escaping", "options", "progress", "report", "schema"}),
    frozenset({"__init__", "errors", "findings"}),
)

# Who may import a library; everyone may import what is not listed.
OWNERS: dict[str, frozenset[str]] = {
    "typer": frozenset({"cli"}),
    "rich": frozenset({"cli"}),
    "altair": frozenset({"explore"}),
    "dask": frozenset({"fleet"}),
    "distributed": frozenset({"fleet"}),
    "rapidfuzz": frozenset({"linkage"}),
    "jinja2": frozenset({"page"}),
    "sqlite3": frozenset({"files.copies"}),
    "connectorx": frozenset({"files.database"}),
    "adbc_driver_manager": frozenset({"files.database", "postgres", "sample"}),
    "adbc_driver_postgresql": frozenset({"postgres"}),
    "adbc_driver_sqlite": frozenset({"files.database", "sample"}),
}

# Imports that the layers would allow.
FORBIDDEN: dict[tuple[str, str], str] = {
    ("stages.verify", "frames.values"): "the verifier shares no code with the transform",
    ("stages.verify", "frames.conversions"): "the verifier shares no code with the transform",
    ("stages.verify", "frames.collations"): "the verifier shares no code with the transform",
    ("mappings", "frames"): "mappings are written without Polars",
}


# Stages that stand on another; the others meet in the run alone.
STANDS_ON: frozenset[tuple[str, str]] = frozenset(
    {("stages.verify", "stages.rebuild")}  # the inverse is part of every verification
)


def modules() -> dict[str, Path]:
    """Every module of the package, named without the package: ``stages.load``, ``__init__``."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """Full names that a file imports, anywhere in it; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(name: str, known: dict[str, Path]) -> str | None:
    """The module of ours that a full name stands for or lives in, or None."""
    head, *parts = name.split(".")
    if head != PACKAGE:
        return None
    while parts and ".".join(parts) not in known:
        parts.pop()
    return ".".join(parts) or "__init__"


def arrows() -> list[tuple[str, str]]:
    known = modules()
    return sorted(
        (module, target)
        for module, path in known.items()
        for name in imported(path)
        if (target := own(name, known)) is not None and target != module
    )


def unit(module: str) -> str:
    """What counts as one part: a top-level module or package, or one stage."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "stages" else parts[0]


def layer(module: str) -> int:
    return next(row for row, units in enumerate(LAYERS) if module.split(".")[0] in units)


def within(module: str, owner: str) -> bool:
    return module == owner or module.startswith(f"{owner}.")


def test_every_module_has_a_place() -> None:
    places = frozenset().union(*LAYERS)

    assert {module.split(".")[0] for module in modules()} <= places


def test_imports_run_down_only() -> None:
    assert [(a, b) for a, b in arrows() if layer(a) > layer(b)] == []


def test_no_stage_imports_another() -> None:
    crossing = [
        (a, b)
        for a, b in arrows()
        if within(a, "stages")
        and within(b, "stages")
        and unit(a) != unit(b)
        and (unit(a), unit(b)) not in STANDS_ON
    ]

    assert crossing == []


def test_no_part_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {}
    for a, b in arrows():
        if unit(a) != unit(b):
            graph.setdefault(unit(a), set()).add(unit(b))

    TopologicalSorter(graph).prepare()  # raises CycleError and names the cycle


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_stays_with_its_owner(library: str) -> None:
    users = {
        module
        for module, path in modules().items()
        for name in imported(path)
        if name.split(".")[0] == library
    }

    assert {user for user in users if not any(within(user, o) for o in OWNERS[library])} == set()


@pytest.mark.parametrize(("above", "below"), FORBIDDEN)
def test_forbidden_imports(above: str, below: str) -> None:
    found = [(a, b) for a, b in arrows() if within(a, above) and within(b, below)]

    assert found == [], FORBIDDEN[above, below]
