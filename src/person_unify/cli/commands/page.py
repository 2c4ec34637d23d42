"""``report``: a report that was written as JSON, as the page that people read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from person_unify.cli.ending import honest_exit
from person_unify.cli.streams import printable, write_line
from person_unify.errors import UsageError
from person_unify.files import create_private

if TYPE_CHECKING:
    from person_unify.report import Report


def report(
    report_json: Annotated[
        Path, typer.Argument(metavar="REPORT_JSON", help="The new.report.json of a run.")
    ],
    page: Annotated[Path, typer.Argument(metavar="HTML", help="The page to create.")],
) -> None:
    """Write a report as one self-contained HTML page; it holds counts and names, no cell."""
    with honest_exit():
        from person_unify.report import Report

        try:
            read = Report.from_json(json.loads(report_json.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(
                f"{report_json} is not a report: give the new.report.json of a run"
            ) from error
        write_page(read, page)
        write_line(f"wrote {printable(str(page))}", sys.stdout)


def write_page(report: Report, path: Path) -> None:
    """Create the page; raises :class:`UsageError` when there is such a file already."""
    from person_unify.page import render_page

    create_private(path, render_page(report).encode())
