"""``report``: a finished run as the page that people read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from person_unify.cli.arguments import NewDb, file_argument
from person_unify.cli.ending import honest_exit
from person_unify.cli.paths import on_screen
from person_unify.cli.streams import write_line
from person_unify.files import NewFiles

if TYPE_CHECKING:
    from person_unify.report import Report


def report(
    new_db: NewDb,
    page: Annotated[Path, file_argument("HTML", "The page to create.", new=True)],
) -> None:
    """Write the report of a run as one self-contained page; it holds counts and names, no cell."""
    with honest_exit():
        from person_unify.evidence.finished import finished_report, target_of

        with page_at(page) as write:
            write(finished_report(target_of(new_db)))
        write_line(f"wrote {on_screen(page)}")


@contextmanager
def page_at(path: Path | None) -> Iterator[Callable[[Report], None]]:
    """A page that is written once its report is there; its place is tried before the work."""
    with NewFiles() as new:
        file = None if path is None else new.open(path)

        def write(report: Report) -> None:
            if file is not None:
                from person_unify.page import render_page

                file.write(render_page(report).encode())

        yield write
