"""``leftovers``: what a run logged for those who keep the databases, as groups, rows or CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from person_unify.cli.arguments import Json, NewDb, file_option
from person_unify.cli.ending import honest_exit
from person_unify.cli.paths import on_screen
from person_unify.cli.streams import printable, write_line, write_result
from person_unify.errors import UsageError
from person_unify.findings import FINDINGS

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("kind", "severity", "source_table", "source_id", "related_id", "field", "message")


def leftovers(
    new_db: NewDb,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="Name the rows of this kind of discrepancy.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many rows to name.")] = 20,
    output: Annotated[
        Path | None, file_option("CSV", "Write all rows to this new file.", "--output", new=True)
    ] = None,
    as_json: Json = False,
) -> None:
    """List what a run could not carry over as it was, for an engineer to look through.

    Ids and names are shown, never a cell. What only people can judge is for review export.
    """
    with honest_exit(as_json):
        from person_unify.escaping.tables import write_csv
        from person_unify.evidence.finished import target_of
        from person_unify.files import NewFiles

        if kind is not None and kind not in FINDINGS:
            raise UsageError(f"{kind} is no kind of discrepancy: give one of {', '.join(FINDINGS)}")
        with NewFiles() as new:
            file = None if output is None else new.open(output)
            found = _found(target_of(new_db), kind)
            if file is not None:
                write_csv(found, file)
        if as_json:
            write_result(leftovers=found.to_dicts())
            return
        _print(found, kind, limit)
        if output is not None:
            write_line(f"wrote {on_screen(output)}: {found.height:,} rows")


def _found(target: Path, kind: str | None) -> pl.DataFrame:
    """The logged rows of one kind, or of all that an engineer can settle."""
    import polars as pl

    from person_unify.evidence.finished import finished_run
    from person_unify.frames.ledger import CATALOG

    kinds = [kind] if kind else [k for k, finding in FINDINGS.items() if finding.acts == "engineer"]
    listed = ", ".join(f"'{name}'" for name in kinds)
    with finished_run(target) as database:
        rows = database.rows(
            f"SELECT {', '.join(COLUMNS)} FROM {CATALOG}.discrepancies WHERE kind IN ({listed}) "
            "ORDER BY kind, source_table, field, rowid"
        )
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


def _print(found: pl.DataFrame, kind: str | None, limit: int) -> None:
    grouped = found.group_by("kind", "source_table", "field", maintain_order=True).len()
    width = max((len(k) for k in grouped["kind"]), default=0)
    for name, table, column, count in grouped.iter_rows():
        place = printable(f"{table}.{column}" if column else table)
        write_line(f"{name:<{width}}  {count:>7,}  {place}")
    if kind is not None:
        for row in found.head(limit).iter_rows(named=True):
            place = ".".join(filter(None, (row["source_table"], row["field"])))
            line = f"  {place}  {row['source_id']}: {row['message']}"
            write_line(printable(line))
        if found.height > limit:
            write_line(f"  and {found.height - limit:,} more (--limit, --output)")
    elif not found.is_empty():
        write_line("rows: leftovers NEW_DB --kind KIND, or all of them with --output")
    if found.is_empty():
        write_line("nothing is left over")
