"""Help as people read it: commands in groups, an example each, no words of the implementation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from person_unify.cli.ending import EXIT_CODES
from person_unify.cli.streams import without_password

GROUPS = {
    "See what would happen": ("sample", "check", "doctor", "schema"),
    "Migrate": ("migrate", "fleet", "deliver", "status", "rollback", "purge"),
    "Prove it": ("verify", "rebuild", "diff", "trace", "lineage"),
    "Judge what was found": ("report", "review", "leftovers", "suspects", "export"),
}
EXAMPLES = {
    "sample": ["sample old.db --persons 2000 --seed 7"],
    "check": ["check old.db", "check old.db --target new.db --html check.html"],
    "doctor": ["doctor old.db new.db"],
    "schema": ["schema --unified --into empty.db"],
    "migrate": [
        "migrate old.db new.db",
        "migrate --source-env DATABASE_URL new.db --decisions decisions.toml --strict",
    ],
    "deliver": [
        "deliver new.db postgresql://app@db.internal/clinic",
        "deliver new.db --target-env DATABASE_URL",
    ],
    "fleet": [
        "fleet tenants.csv --html fleet.html",
        "fleet tenants.csv --scheduler tcp://host:8786",
    ],
    "status": ["status new.db"],
    "rollback": ["rollback new.db"],
    "purge": ["purge new.db", "purge new.db --yes"],
    "verify": ["verify old.db new.db --html verified.html"],
    "rebuild": ["rebuild new.db rebuilt.db --compare old.db"],
    "diff": ["diff old.db new.db", "diff old.db new.db persons --column last_name"],
    "trace": ["trace new.db child 74be8041", "trace new.db 01a21720"],
    "lineage": ["lineage patients.first_name", "lineage new.db children"],
    "report": ["report new.db report.html"],
    "leftovers": ["leftovers new.db --kind orphaned_record", "leftovers new.db --output l.csv"],
    "suspects": ["suspects old.db --output suspects.csv"],
    "export": ["export new.db tables --format parquet"],
}


class Command(TyperCommand):
    """A command whose help shows names instead of types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """``[OPTIONS] OLD_DB NEW_DB``."""
        named = (getattr(p, "metavar", None) for p in self.params if _is_argument(p))
        return ["[OPTIONS]", *filter(None, named)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments and options, without the types that Python knows them by."""
        records: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                names = re.sub(r" <[^|>]*>$", "", record[0])
                says = record[1].replace("[required]", "").rstrip()
                records["Arguments" if _is_argument(param) else "Options"].append((names, says))
        for title, rows in records.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Commands(TyperGroup):
    """The commands in the groups of ``groups``, or in one, each with all that it says of itself."""

    groups: Mapping[str, Sequence[str]] = {}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """One list per group."""
        for title, names in (self.groups or {"Commands": self.list_commands(ctx)}).items():
            found = [(n, c) for n in names if (c := self.get_command(ctx, n)) is not None]
            with formatter.section(title):
                formatter.write_dl([(n, c.get_short_help_str(200)) for n, c in found])


class Program(Commands):
    """The whole program: its commands in the order in which one needs them."""

    groups = GROUPS

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what is said of wrong usage quotes words, and shows no password."""
        try:
            return super().invoke(ctx)
        except TyperException as error:
            error.message = without_password(error.message)
            raise


def epilog(*examples: str) -> str:
    """Examples and exit codes, as they stand at the end of a command's help."""
    lines = [f"  person-unify {example}" for example in examples]
    return "\n".join(["\b", "Examples:", *lines]) + "\n\n" + EXIT_CODES


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")
