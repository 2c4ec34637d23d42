"""The verdict of a report in one sentence, and what its reader does next."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from person_unify.findings import FINDINGS, Acts
from person_unify.page.sections import checks_in_words, open_findings
from person_unify.report import Report


@dataclass(frozen=True, slots=True)
class Verdict:
    """``good``: nothing failed and everything adds up; ``lines`` say what that rests on."""

    good: bool
    headline: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, with the commands that do it where there are any."""

    text: str
    commands: tuple[str, ...] = ()


def verdict(report: Report) -> Verdict:
    """What the report comes down to."""
    if report.failed_checks:
        failed, total = len(report.failed_checks), len(report.verification)
        said = f"NOT VERIFIED: {failed:,} of {total:,} checks failed"
        return Verdict(False, said, _basis(report))
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
        tables = sum(1 for t in report.tables if t.source_rows)
        lines.append(
            f"{rows:,} rows of {tables:,} tables: {rows - kept:,} into the new database, {kept:,} "
            "into the ledger only"
        )
    if report.verification:
        lines.append(checks_in_words(report))
    if report.source_changed:
        lines.append("The old database has changed since its snapshot: what came later is missing")
    if rows and not report.discrepancies:
        lines.append("No record contradicts another")
    return tuple(lines)


def next_steps(report: Report) -> list[Step]:
    """What to do after this report, in order."""
    return list(_steps(report))


def _steps(report: Report) -> Iterator[Step]:
    target = report.target.path if report.target else None
    if report.failed_checks or report.unexplained:
        yield from _after_failure(report, target)
        return
    if report.command == "check":
        yield from _prisma(report)
        yield from _before(report)
    elif target is not None and report.ledger is not None:
        yield from _judging(report, target)
        yield from _prisma(report)
        if report.command == "migrate":
            yield from _after(report, target)


def _before(report: Report) -> Iterator[Step]:
    if report.discrepancies:
        yield Step("Read the discrepancies below; correct in the old database what you can.")
    yield Step("Stop whatever writes to the old database, so that nothing comes too late.")
    yield Step("Migrate.", (command("migrate", report.source.path, "NEW_DB"),))


def _judging(report: Report, target: str) -> Iterator[Step]:
    count: Counter[Acts] = Counter()
    for found in open_findings(report):
        count[FINDINGS[found.kind].acts] += found.count
    if count["clinic"]:
        findings = "finding" if count["clinic"] == 1 else "findings"
        yield Step(
            f"{count['clinic']:,} {findings} for the clinic's staff: export them, have them "
            "judged, and feed the decisions into a further run.",
            (command("review export", target, "review.xlsx"),),
        )
    if count["engineer"]:
        left = "leftover" if count["engineer"] == 1 else "leftovers"
        yield Step(
            f"{count['engineer']:,} {left} for the engineer: look through them by kind, table and "
            "column.",
            (command("leftovers", target),),
        )


def _after(report: Report, target: str) -> Iterator[Step]:
    yield Step(
        "Make sure that nobody wrote to the old database since the run began, and start the "
        "platform on the new one. Until then the run can be proved again or taken back.",
        (command("verify", report.source.path, target), command("rollback", target)),
    )
    yield Step(
        "Keep the new database and its ledger together: the ledger holds what the new schema "
        "has no home for."
    )
    yield Step(
        "When the new database is accepted, remove the copies that the run left behind. They "
        "hold personal data.",
        (command("purge", target),),
    )


def _prisma(report: Report) -> Iterator[Step]:
    """What Prisma asks for before it deploys further migrations to the target."""
    for name in report.failed_migrations:
        yield Step(
            f"The target's _prisma_migrations holds {name} for failed, and Prisma deploys nothing "
            "more (P3009) until it is told: --rolled-back, or --applied if all of it is there.",
            (f"npx prisma migrate resolve --rolled-back {as_argument(name)}",),
        )
    if report.needs_baseline and report.command == "migrate":
        yield Step(
            "Prisma finds no migration recorded in the new database and will ask for a baseline "
            "(P3005): mark each migration up to the unified schema as applied, in order.",
            ("npx prisma migrate resolve --applied MIGRATION",),
        )


def _after_failure(report: Report, target: str | None) -> Iterator[Step]:
    if report.command == "verify" and target is not None:
        yield Step(
            "Has the platform written to the new database already? Then rows differ for that "
            "reason. Otherwise look at the rows by key.",
            (command("diff", report.source.path, target),),
        )
    else:
        yield Step("Nothing was published; the old database is as it was.")
    yield Step("Report the failed checks with their counts; this page holds no personal data.")


def command(name: str, *words: str) -> str:
    """A command of ours, as a shell takes it."""
    return " ".join([f"person-unify {name}", *map(as_argument, words)])


def as_argument(path: str) -> str:
    """A path as a shell takes it; one that starts with a dash would be read as an option."""
    return shlex.quote(f"./{path}" if PurePath(path).name == path and path[:1] == "-" else path)
