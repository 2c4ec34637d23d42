"""``rebuild``: the way back, and the proof that nothing was lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from person_unify.cli.arguments import Json, NewDb, Quiet, file_argument, file_option
from person_unify.cli.ending import honest_exit
from person_unify.cli.live import watch
from person_unify.cli.paths import on_screen
from person_unify.cli.render import sized
from person_unify.cli.streams import printable, write_line, write_result

if TYPE_CHECKING:
    from person_unify.evidence.rebuilding import RebuildReport


def rebuild(
    new_db: NewDb,
    rebuilt_db: Annotated[Path, file_argument("REBUILT_DB", "The file to create.", new=True)],
    compare: Annotated[
        Path | None, file_option("OLD_DB", "Compare the result with this database.", "--compare")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make the old database again from NEW_DB and its ledger alone."""
    with honest_exit(as_json):
        from person_unify.evidence import rebuilding
        from person_unify.evidence.finished import target_of

        with watch(quiet=quiet, as_json=as_json) as progress:
            report = rebuilding.rebuild(target_of(new_db), rebuilt_db, compare, progress)
        if as_json:
            write_result(report=report.to_json())
            return
        for line in _lines(report, new_db, compare):
            write_line(line)


def _lines(report: RebuildReport, new_db: Path, old_db: Path | None) -> Iterator[str]:
    from person_unify import __version__

    yield f"person-unify {__version__}  rebuild"
    for label, path in (("target", new_db), ("rebuilt", report.path)):
        yield f"  {label:<8}{on_screen(path)}  {sized(path.stat().st_size)}"
    yield ""
    yield "Tables"
    width = max(5, *(len(printable(table.name)) for table in report.tables))
    header = f"  {'table':<{width}}  {'rows':>11}  {'from target':>13}  {'from archive':>13}"
    yield header
    yield "  " + "-" * (len(header) - 2)
    for table in report.tables:
        if table.rows:
            yield _row(
                f"{printable(table.name):<{width}}",
                (table.rows, table.from_target, table.from_archive),
            )
    sums = (
        report.rows,
        sum(table.from_target for table in report.tables),
        sum(table.from_archive for table in report.tables),
    )
    yield _row(f"{'all':<{width}}", sums)
    for name in report.not_created:
        yield f"  not created, its definition is in the ledger: {printable(name)}"
    yield ""
    if old_db is not None:
        yield (
            f"every table equals {on_screen(old_db)}: {report.compared} compared, "
            f"{len(report.comparison) - report.compared} without a row"
        )
    empty = sum(not table.rows for table in report.tables)
    yield (
        f"rebuilt {len(report.tables)} tables ({empty} without a row), {report.rows:,} rows, "
        f"in {report.seconds:.1f} s"
    )


def _row(label: str, numbers: tuple[int, int, int]) -> str:
    rows, target, archive = numbers
    return f"  {label}  {rows:>11,}  {target:>13,}  {archive:>13,}"
