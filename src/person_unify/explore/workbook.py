"""One Excel workbook with a sheet per table, within the limits that Excel sets."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import IO, Any

import polars as pl
import xlsxwriter  # type: ignore[import-untyped]

from person_unify.errors import UsageError
from person_unify.escaping.tables import in_spreadsheet

WORKBOOK = "ledger.xlsx"
MAX_ROWS = 1_048_576 - 1
"""Rows that a sheet holds below its heading."""
PIECE = 16_000
"""Characters that always fit a cell of 32,767 UTF-16 units, an apostrophe before them included."""
MAX_COLUMNS = 16_384
MAX_NAME = 31

_CONTENTS = "Contents"
_OPTIONS = {
    "in_memory": True,  # no copy with names in the temporary directory
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def fitted(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with every text too long for a cell continued in further columns.

    They follow the column as ``<column> (2)``, ``<column> (3)`` and so on.  Where a column has such
    a text, all of its texts are cut after each :data:`PIECE` characters.
    """
    columns: dict[str, pl.Series] = {}
    for name, dtype in frame.schema.items():
        # Polars would take some names of columns for patterns.
        text, longest = frame[name].alias("text"), 0
        if dtype == pl.String:
            longest = int(text.str.len_chars().max() or 0)  # type: ignore[arg-type]
        columns[name] = text.str.slice(0, PIECE) if longest > PIECE else text
        for part, start in enumerate(range(PIECE, longest, PIECE), 2):
            piece = text.str.slice(start, PIECE).set(text.str.len_chars() <= start, None)
            columns[_free(f"{name} ({part})", frame.columns)] = piece
    return pl.DataFrame(columns)


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name


def write_workbook(file: IO[bytes], frames: Mapping[str, pl.DataFrame]) -> None:
    """Write a sheet per table, several where its rows need them, behind a table of contents.

    Raises :class:`UsageError` for what no sheet holds, and :class:`OSError` for what the disk does
    not take.
    """
    frames = {table: fitted(frame) for table, frame in frames.items()}
    wide = [table for table, frame in frames.items() if frame.width > MAX_COLUMNS]
    if wide:
        raise UsageError(
            f"{wide[0]} holds texts too long for the columns of a sheet: export it as csv, json or "
            "parquet, and name the other tables with --table"
        )
    listed = [
        (table, part, sheet)
        for (table, part), sheet in sheet_names(
            {table: frame.height for table, frame in frames.items()}
        ).items()
    ]
    contents = pl.DataFrame(
        [
            (sheet, table, len(_part(frames[table], part)), frames[table].height)
            for table, part, sheet in listed
        ],
        schema={"sheet": pl.String, "table": pl.String, "rows here": pl.Int64, "rows": pl.Int64},
        orient="row",
    )
    # In memory, where its cells are anyway: XlsxWriter says of a disk only that there was an error.
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, _OPTIONS) as workbook:
        workbook.use_zip64()  # it is used only where a part is larger than zip files could be once
        _write_sheet(workbook, _CONTENTS, contents)
        for table, part, sheet in listed:
            _write_sheet(workbook, sheet, _part(frames[table], part))
    file.write(buffer.getbuffer())


def _part(frame: pl.DataFrame, part: int) -> pl.DataFrame:
    return frame.slice(part * MAX_ROWS, MAX_ROWS)


def _write_sheet(workbook: Any, sheet: str, frame: pl.DataFrame) -> None:
    safe = in_spreadsheet(frame)
    written = workbook.add_worksheet(sheet)
    written.write_row(0, 0, safe.columns, workbook.add_format({"bold": True}))
    for place, column in enumerate(safe.get_columns()):
        written.write_column(1, place, column.to_list())
    written.freeze_panes(1, 0)
    written.autofilter(0, 0, safe.height, max(0, safe.width - 1))
    written.set_column(0, max(0, safe.width - 1), 18)


def sheet_names(heights: Mapping[str, int]) -> dict[tuple[str, int], str]:
    """(table, part) -> a sheet name that Excel takes: short, without special characters, unique.

    >>> sheet_names({"archive_appointment_participants": 5, "run": 1}).values()
    dict_values(['archive_appointment_participan', 'run'])
    """
    taken = {_CONTENTS.lower(), "history"}
    names = {}
    for table, height in heights.items():
        for part in range(max(1, -(-height // MAX_ROWS))):
            plain = re.sub(r"[\[\]:*?/\\\x00-\x1f]", "_", table).strip("' ") or "table"
            suffix, number = f" {part + 1}" if part else "", 1
            while True:
                name = plain[: MAX_NAME - 1 - len(suffix)].rstrip("' ") + suffix
                if name.lower() not in taken:
                    break
                number += 1
                suffix = f" {part + 1}-{number}" if part else f"~{number}"
            taken.add(name.lower())
            names[table, part] = name
    return names
