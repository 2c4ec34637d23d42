"""The list of a fleet: a run for each line, none of which is in the way of another."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from person_unify.errors import TenantsRefused, UsageError
from person_unify.files import NotRead, read_bounded
from person_unify.files.urls import plain_path
from person_unify.options import MigrateOptions
from person_unify.postgres.address import Address, address, is_address, working_file
from person_unify.postgres.ends import Run
from person_unify.run.directory import run_directory
from person_unify.stages.publish import checkpoints_path, ledger_path, page_path, report_path

MOST_BYTES = 4_000_000
REQUIRED, OPTIONAL = ("source", "target"), ("ledger", "decisions", "ids_from")
_WRITTEN = frozenset({"target", "ledger"})


def read_tenants(path: Path, common: Callable[..., MigrateOptions]) -> list[Run]:
    """The runs of a list; relative paths in it begin at its own directory.

    common: makes the options of a run from its own.  Raises :class:`TenantsRefused` with every
    problem at once, also where the files of one run are those of another.
    """
    try:
        text = read_bounded(path, MOST_BYTES).decode("utf-8-sig")
    except NotRead as error:
        raise TenantsRefused(f"{path} {error}: give a CSV file of source,target") from error
    except UnicodeDecodeError as error:
        raise TenantsRefused(f"{path} is not UTF-8 text: save it as CSV UTF-8") from error
    problems: list[str] = []
    runs: dict[int, Run] = {}
    for line, cells in _rows(text, problems):
        try:
            runs[line] = _run(path.parent, cells, common)
        except UsageError as error:
            problems.append(f"line {line}: {error}")
    problems += _conflicts(runs)
    if not runs and not problems:
        problems.append("there is no database in it")
    if problems:
        raise TenantsRefused(f"{path} is refused, nothing was written:", problems)
    return list(runs.values())


def _rows(text: str, problems: list[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The lines with their cells by heading; adds what is wrong with their form."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        heads = [cell.strip().lower() for cell in next(reader, [])]
        known = {*REQUIRED, *OPTIONAL}
        if len(set(heads)) < len(heads) or not known >= set(heads) >= set(REQUIRED):
            problems.append(
                "line 1: the headings are source and target, and ledger, decisions and ids_from "
                "where there are such files"
            )
            return
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            found = dict(zip(heads, map(str.strip, cells), strict=False))
            if len(cells) != len(heads) or not all(found[name] for name in REQUIRED):
                problems.append(f"line {reader.line_num}: {len(heads)} cells are needed")
            elif any("\0" in cell for cell in cells):
                problems.append(f"line {reader.line_num}: no path has a NUL")
            else:
                yield reader.line_num, found
    except csv.Error:
        problems.append(f"line {reader.line_num}: a quote is stray or not closed")


def _run(directory: Path, cells: Mapping[str, str], common: Callable[..., MigrateOptions]) -> Run:
    """The run of a line; raises :class:`UsageError` where it has not what it takes."""
    ends = {name: _end(directory, name, cells[name]) for name in REQUIRED}
    files = {n: _resolved(directory, n, cells[n]) for n in OPTIONAL if cells.get(n)}
    source, target, ledger = ends["source"], ends["target"], files.pop("ledger", None)
    if isinstance(target, Path):
        if ledger is not None:
            raise UsageError("a ledger goes with a URL: beside a file it has its place")
        file = target
    elif ledger is None:
        raise UsageError(f"{target} needs the place of its ledger: give it in a column ledger")
    else:
        file = working_file(ledger)
    return Run.between(source, target, common(source=Path(), target=file, **files))


def _end(directory: Path, name: str, text: str) -> Path | Address:
    if not is_address(text):
        return _resolved(directory, name, text)
    found = address(text)
    if found.has_password:
        raise UsageError(
            f"{found} stands there with a password, which everybody who reads the list has then: "
            "give it by PGPASSWORD, .pgpass or a service file"
        )
    return found


def _resolved(directory: Path, name: str, text: str) -> Path:
    """A path as the command line would take it: links are followed, but for what is written.

    Raises :class:`UsageError` for a URL of something else.
    """
    path = Path(os.path.normpath(directory.absolute() / plain_path(text, directory)))
    if name in _WRITTEN:
        return Path(os.path.realpath(path.parent)) / path.name
    return Path(os.path.realpath(path))


def _conflicts(runs: Mapping[int, Run]) -> Iterator[str]:
    """Where a file is missing, or two runs want one place, or one writes what another reads."""
    written: dict[object, int] = {}
    read: dict[object, int] = {}
    for line, run in runs.items():
        for place in _read(run):
            if isinstance(place, Path) and not place.is_file():
                yield f"line {line}: {place} is not a file"
        if not run.options.target.parent.is_dir():
            yield f"line {line}: {run.options.target.parent} is not a directory: create it first"
        for key in _keys(run.source):
            if read.setdefault(key, line) != line:
                yield f"line {line}: {run.source} is the source of line {read[key]} already"
                break
    for line, run in runs.items():
        for place in _written(run):
            taken = [written.setdefault(key, line) for key in _keys(place)]
            other = next((n for n in taken if n != line), None)
            if other is not None:
                yield f"line {line}: {place} would be written by line {other} too"
                break
    for line, run in runs.items():
        for place in _read(run):
            other = next((written[key] for key in _keys(place) if key in written), None)
            if other is not None:
                yield f"line {line}: {place} is read, and line {other} writes it"


def _read(run: Run) -> list[Path | Address]:
    files = (run.options.decisions, run.options.ids_from)
    return [run.source, *(file for file in files if file is not None)]


def _written(run: Run) -> Iterator[Path | Address]:
    file = run.options.target
    yield run.target
    yield file
    for beside in (ledger_path, report_path, page_path, checkpoints_path, run_directory):
        yield beside(file)
    if isinstance(run.source, Address):
        yield run.options.source  # its snapshot


def _keys(place: Path | Address) -> list[object]:
    """What names a place: of a file its path, and which file it is where it exists."""
    if isinstance(place, Address):
        return [place.place]
    try:
        found = place.stat()
    except OSError:
        return [place]
    return [place, (found.st_dev, found.st_ino)]
