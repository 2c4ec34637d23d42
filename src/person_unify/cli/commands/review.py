"""``review export`` and ``review import``: questions out to people, decisions back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from person_unify.cli.arguments import NewDb, file_argument, file_option
from person_unify.cli.ending import EXIT_CODES, honest_exit
from person_unify.cli.help import Command, Commands, epilog
from person_unify.cli.paths import on_screen
from person_unify.cli.streams import write_line

if TYPE_CHECKING:
    import polars as pl

review = typer.Typer(
    name="review",
    cls=Commands,
    help="Have people decide what no program can: questions out, decisions back.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@review.command("export", cls=Command, epilog=epilog("review export new.db review.xlsx"))
def export(
    new_db: NewDb,
    file: Annotated[Path, file_argument("FILE", "A new .xlsx or .csv file.", new=True)],
    suspects: Annotated[
        bool,
        typer.Option("--suspects", help="Add a sheet of records that are alike but not the same."),
    ] = False,
    only_open: Annotated[
        bool, typer.Option("--open", help="Leave out what is decided; see import --onto.")
    ] = False,
) -> None:
    """Write the questions of a finished migration for the people who can judge."""
    with honest_exit():
        from person_unify.evidence.finished import target_of
        from person_unify.review import export_review
        from person_unify.stages.publish import ledger_path

        target = target_of(new_db)
        pairs = _suspects(target) if suspects else None
        written = export_review(ledger_path(target), file, pairs, only_open=only_open)
        total = sum(written.values())
        write_line(f"wrote {on_screen(file)}: {total:,} questions")
        _print_counts(written)
        write_line(
            "it holds names and birth dates, and only you can read it (mode 0600): pass it on "
            "encrypted"
        )


def _suspects(target: Path) -> pl.DataFrame:
    """Pairs of the new database's persons that may be one human, the likeliest 1,000."""
    from person_unify.linkage import find_suspects, read_people

    return find_suspects(read_people(target)).pairs.head(1000)


@review.command(
    "import", cls=Command, epilog=epilog("review import review.xlsx --output decisions.toml")
)
def import_(
    file: Annotated[Path, file_argument("FILE", "The file that came back.")],
    output: Annotated[
        Path, file_option("FILE", "A new decisions.toml.", "--output", "-o", new=True)
    ],
    onto: Annotated[
        Path | None, file_option("FILE", "Keep these earlier decisions, too.", "--onto")
    ] = None,
) -> None:
    """Check every answer, and write the decisions for migrate --decisions."""
    with honest_exit():
        from person_unify.review import import_review, read_decisions, write_decisions

        found = import_review(file)
        count = len(found.decisions)
        whole = found if onto is None else found.onto(read_decisions(onto))
        write_decisions(whole, output)
        write_line(f"wrote {on_screen(output)}: {len(whole.decisions):,} decisions")
        _print_counts(Counter(sorted(decision.kind for decision in whole.decisions)))
        if found.asked is not None:
            write_line(f"{count:,} of {found.asked:,} questions are answered")
        if whole.decisions:
            write_line("next: person-unify check OLD_DB --decisions FILE")


def _print_counts(counts: Mapping[str, int]) -> None:
    width = max(map(len, counts), default=0)
    for kind, count in counts.items():
        write_line(f"  {kind:<{width}}  {count:>6,}")
