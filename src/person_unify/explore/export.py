"""Tables of a ledger as files that other programs open: parquet, csv, xlsx and json.

The files hold whatever the ledger holds, personal data included, and are their owner's alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Literal

import polars as pl

from person_unify.errors import UsageError
from person_unify.escaping.tables import write_csv
from person_unify.explore.cells import (
    class_names,
    class_of,
    classes_in,
    spelled,
    stored_bytes,
    text,
)
from person_unify.explore.files import ARCHIVE, Files, find_ledger
from person_unify.explore.store import ArchivedCells
from person_unify.explore.workbook import WORKBOOK, write_workbook
from person_unify.files import NewFiles
from person_unify.frames.odd import escaped, odd_field
from person_unify.schema import Catalogue

Format = Literal["parquet", "csv", "xlsx", "json"]

_LONGEST = 200
"""Bytes of a file name, well below the 255 that every file system takes."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: files, tables and their rows, bytes."""

    files: tuple[Path, ...]
    tables: int
    rows: int
    bytes: int


def export_ledger(
    ledger: str | Path,
    directory: Path,
    format_: Format,
    tables: Sequence[str] = (),
    *,
    overwrite: bool = False,
) -> Exported:
    """Write tables of a ledger (all, if none is named) into ``directory``, which may be absent.

    Either every file appears or none.  Raises :class:`UsageError` for a table that does not exist,
    a file that does, and what no workbook holds; :class:`TargetError` where there is no ledger.
    """
    files = Files(find_ledger(Path(ledger)))
    chosen = _chosen(files, tables)
    if format_ == "xlsx":
        names = [WORKBOOK]
    else:
        names = [f"{file_name(table)}.{format_}" for table in chosen]
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file: name a directory")
    there = [name for name in names if (directory / name).exists()]
    if there and not overwrite:
        raise UsageError(
            f"{directory / there[0]} exists already"
            + (f", and {len(there) - 1} more" if there[1:] else "")
            + ": name another directory, or allow it with --overwrite"
        )
    directory.mkdir(mode=0o700, exist_ok=True)
    paths = [directory / name for name in names]
    with NewFiles(overwrite=overwrite) as new:
        rows = _write(files, chosen, format_, map(new.open, paths))
    return Exported(tuple(paths), len(chosen), rows, sum(path.stat().st_size for path in paths))


def _chosen(files: Files, tables: Sequence[str]) -> list[str]:
    there = Catalogue({name: name for name in files.tables})
    unknown = [name for name in tables if name not in there]
    if unknown:
        raise UsageError(
            f"the ledger has no table {unknown[0]}: it has {', '.join(sorted(files.tables))}"
        )
    return list(dict.fromkeys(there[name] for name in tables)) or list(files.tables)


def _write(
    files: Files, tables: Sequence[str], format_: Format, opened: Iterator[IO[bytes]]
) -> int:
    """Write every table; returns the rows written."""
    if format_ == "xlsx":
        frames = {table: _spelled(files, table) for table in tables}
        write_workbook(next(opened), frames)
        return sum(frame.height for frame in frames.values())
    rows = 0
    for table in tables:
        frame = _typed(files, table) if format_ == "parquet" else _spelled(files, table)
        try:
            _WRITERS[format_](frame, next(opened))
        except pl.exceptions.PolarsError as error:
            raise OSError from error  # a frame can be written: it is the disk that does not take it
        rows += frame.height
    return rows


_WRITERS: dict[str, Callable[[pl.DataFrame, IO[bytes]], object]] = {
    "parquet": lambda frame, file: frame.write_parquet(file),
    "csv": write_csv,
    "json": lambda frame, file: file.write(frame.write_json().encode()),
}


def _spelled(files: Files, table: str) -> pl.DataFrame:
    """A table for formats of text and numbers: every archived cell as text, with its class."""
    if not table.startswith(ARCHIVE):
        return files.table(table)
    found = files.archive(table.removeprefix(ARCHIVE))
    cells = spelled(found, (*found.key, *found.columns), found.archived)
    return pl.concat([cells, found.frame.select(found.archived, found.reason)], how="horizontal")


def _typed(files: Files, table: str) -> pl.DataFrame:
    """A table for parquet: a column of one class has its type; others are bytes and a class."""
    if not table.startswith(ARCHIVE):
        return files.table(table)
    found = files.archive(table.removeprefix(ARCHIVE))
    names = class_names((*found.key, *found.columns))
    columns = [
        expression
        for name in (*found.key, *found.columns)
        for expression in _exactly(found, name, names[name])
    ]
    return found.frame.select(*columns, found.archived, found.reason)


def _exactly(found: ArchivedCells, name: str, class_name: str) -> Iterator[pl.Expr]:
    seen = classes_in(found, name)
    cell = pl.col(escaped(name))
    if seen == {"integer"}:
        whole = found.frame.schema[escaped(name)] == pl.Int64
        plain = cell if whole else pl.lit(None, dtype=pl.Int64)
        yield found.either(name, plain, pl.col(odd_field(name, "integer"))).alias(name)
    elif seen in ({"real"}, {"blob"}):
        part = "real" if seen == {"real"} else "bytes"
        yield found.apart(name, pl.col(odd_field(name, part))).alias(name)
    elif seen <= {"text"}:
        yield text(found, name)
    else:
        yield stored_bytes(found, name)
        yield class_of(found, name).alias(class_name)


def file_name(table: str) -> str:
    """A table's name as a file name that no system misunderstands.

    >>> file_name("archive_ieps"), file_name("../a b")
    ('archive_ieps', '%2E%2E%2Fa%20b')
    """
    safe = re.sub(r"[^A-Za-z0-9_-]", _percent, table)
    if len(safe) <= _LONGEST:
        return safe
    return f"{safe[:_LONGEST]}~{sha256(table.encode()).hexdigest()[:16]}"


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found.group().encode("utf-8", "surrogatepass"))
