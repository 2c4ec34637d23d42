"""The verdict of a report in one sentence, and what its reader does next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from person_unify.report import Report


@dataclass(frozen=True, slots=True)
class Verdict:
    """``good``: nothing failed and everything adds up; ``lines`` say what that rests on."""

    good: bool
    headline: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, with the command that does it where there is one."""

    text: str
    command: str | None = None


def verdict(report: Report) -> Verdict:
    """What the report comes down to."""
    if report.failed_checks:
        failed, total = len(report.failed_checks), len(report.verification)
        return Verdict(False, f"{failed:,} of {total:,} checks failed", _basis(report))
    if report.unexplained:
        names = ", ".join(report.unexplained)
        return Verdict(False, f"does not add up: {names}", _basis(report))
    headline = {
        "migrate": "Migrated, verified and published",
        "verify": "Verified: the new database holds what the old one held",
        "check": "Ready to migrate; nothing was written",
    }.get(report.command, report.outcome)
    return Verdict(True, headline, _basis(report))


def _basis(report: Report) -> tuple[str, ...]:
    lines = []
    rows = sum(t.source_rows for t in report.tables)
    if rows:
        kept = sum(sum(t.archived.values()) for t in report.tables)
        lines.append(
            f"{rows:,} rows of {sum(1 for t in report.tables if t.source_rows):,} tables: "
            f"{rows - kept:,} into the new database, {kept:,} into the ledger only."
        )
    if report.verification:
        passed = sum(1 for c in report.verification if c.outcome == "passed")
        lines.append(f"{passed:,} checks passed, {len(report.failed_checks):,} failed.")
    errors = _count(report, "error")
    if report.discrepancies:
        lines.append(
            f"{errors:,} discrepancies of severity error and {_count(report, 'warning'):,} "
            "warnings to look at."
        )
    return tuple(lines)


def next_steps(report: Report) -> list[Step]:
    """What to do after this report, in order."""
    return list(_steps(report))


def _steps(report: Report) -> Iterator[Step]:
    target = report.target.path if report.target else None
    if report.failed_checks or report.unexplained:
        yield from _after_failure(report, target)
        return
    old = as_argument(report.source.path)
    yield from _prisma(report)
    if report.command == "check":
        if report.discrepancies:
            yield Step("Read the discrepancies below; correct in the old database what you can.")
        yield Step("Stop whatever writes to the old database, so that nothing comes too late.")
        yield Step("Migrate.", f"person-unify migrate {old} NEW_DB")
        return
    if target is None or report.ledger is None:
        return
    new, ledger = as_argument(target), as_argument(report.ledger)
    if report.discrepancies:
        yield Step(
            "Give the discrepancies to somebody who can judge them; decisions can be fed back "
            "into a further run.",
            f"person-unify review export {ledger} review.xlsx",
        )
    if report.command == "migrate":
        yield Step(
            "Make sure that nobody wrote to the old database since the run began, and start the "
            "platform on the new one. Until then the run can be proved again or taken back.",
            f"person-unify verify {old} {new}\nperson-unify rollback {new}",
        )
        yield Step(
            "Keep the new database and its ledger together: the ledger holds what the new schema "
            "has no home for."
        )
        yield Step(
            "When the new database is accepted, remove the copies that the run left behind. They "
            "hold personal data.",
            f"person-unify purge {new}",
        )


def _prisma(report: Report) -> Iterator[Step]:
    """What Prisma asks for before it deploys further migrations to the target."""
    for name in report.failed_migrations:
        yield Step(
            f"The target's _prisma_migrations holds {name} for failed, and Prisma deploys nothing "
            "more (P3009) until it is told: --rolled-back, or --applied if all of it is there.",
            f"npx prisma migrate resolve --rolled-back {as_argument(name)}",
        )
    if report.needs_baseline and report.command == "migrate":
        yield Step(
            "Prisma finds no migration recorded in the new database and will ask for a baseline "
            "(P3005): mark each migration up to the unified schema as applied, in order.",
            "npx prisma migrate resolve --applied MIGRATION",
        )


def _after_failure(report: Report, target: str | None) -> Iterator[Step]:
    if report.command == "verify" and target is not None:
        table = next((c.table for c in report.failed_checks if c.table), "TABLE")
        yield Step(
            "Has the platform written to the new database already? Then rows differ for that "
            "reason. Otherwise look at the rows by key.",
            diff_command(report.source.path, target, table),
        )
    else:
        yield Step("Nothing was published; the old database is as it was.")
    yield Step("Report the failed checks with their counts; this page holds no personal data.")


def diff_command(*words: str) -> str:
    """The command that shows the rows of a failed check."""
    return " ".join(["person-unify diff", *map(as_argument, words)])


def _count(report: Report, severity: str) -> int:
    return sum(d.count for d in report.discrepancies if d.severity == severity)


def as_argument(path: str) -> str:
    """A path as a shell takes it; one that starts with a dash would be read as an option."""
    return shlex.quote(f"./{path}" if PurePath(path).name == path and path[:1] == "-" else path)
