"""The application: which commands there are, in the order that help lists them.

Whatever is heavy is imported inside a command, so that ``--help`` and usage errors are instant.
"""

from __future__ import annotations

from typing import Annotated

import typer

from person_unify import __version__
from person_unify.cli.commands.data import sample, schema
from person_unify.cli.commands.evidence import diff, lineage, trace
from person_unify.cli.commands.export import export
from person_unify.cli.commands.fleet import fleet
from person_unify.cli.commands.leftovers import leftovers
from person_unify.cli.commands.page import report
from person_unify.cli.commands.postgres import deliver
from person_unify.cli.commands.rebuilding import rebuild
from person_unify.cli.commands.review import review
from person_unify.cli.commands.run import check, migrate, verify
from person_unify.cli.commands.safety import purge, rollback
from person_unify.cli.commands.status import doctor, status
from person_unify.cli.commands.suspects import suspects
from person_unify.cli.ending import EXIT_CODES
from person_unify.cli.help import EXAMPLES, Command, Program, epilog
from person_unify.cli.streams import write_line

app = typer.Typer(
    name="person-unify",
    cls=Program,
    help="Migrate a clinical platform's SQLite database to its unified person schema.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        write_line(f"person-unify {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


COMMANDS = (
    *(sample, check, doctor, schema),
    *(migrate, fleet, deliver, status, rollback, purge),
    *(verify, rebuild, diff, trace, lineage),
    *(report, leftovers, suspects, export),
)
app.add_typer(review)
for command in COMMANDS:
    app.command(cls=Command, epilog=epilog(*EXAMPLES[command.__name__]))(command)
