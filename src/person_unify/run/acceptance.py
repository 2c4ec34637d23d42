"""What a result must be before it is published: proven, adding up, and as strict as was asked."""

from __future__ import annotations

from person_unify.errors import SourceError, StrictStop, VerificationFailed
from person_unify.mappings.bind import Plan
from person_unify.progress import Progress, TableStarted
from person_unify.report import CheckResult, Report
from person_unify.stages import verify
from person_unify.stages.verify import Files, VerifyOptions


def run_checks(
    files: Files, plan: Plan, options: VerifyOptions, progress: Progress
) -> list[CheckResult]:
    """Run every check of section 10 on a target, its ledger and a snapshot of the source."""

    def said(name: str) -> None:
        progress(TableStarted("verify", name))

    return [
        CheckResult(c.name, c.table, c.expected, c.actual, c.outcome, c.detail)
        for c in verify.verify(files, plan, options, said)
    ]


def require_sound(report: Report) -> None:
    """Refuse a result with a failed check or with rows that nothing explains.

    Raises :class:`VerificationFailed`, and :class:`SourceError` where the source is what is wrong:
    whoever reads it by an index that disagrees with its table sees other rows.
    """
    failed = report.failed_checks
    damaged = [c.detail for c in failed if c.name == "source_indexes" and c.outcome == "failed"]
    if damaged:
        raise SourceError(
            f"{report.source.path} is damaged: its indexes do not agree with its tables "
            f"({damaged[0]}); restore it from a backup, or REINDEX a copy"
        )
    if failed:
        names = ", ".join(
            dict.fromkeys(f"{c.name} ({c.table})" if c.table else c.name for c in failed)
        )
        raise VerificationFailed(
            f"{len(failed)} of {len(report.verification)} checks failed, nothing was "
            f"published: {names}"
        )
    if report.unexplained:
        raise VerificationFailed(
            f"the reconciliation of {', '.join(report.unexplained)} does not add up, nothing "
            "was published: please report this with the counts that check prints"
        )


def require_no_errors(errors: int) -> None:
    """What ``--strict`` asks for; raises :class:`StrictStop`."""
    if errors:
        raise StrictStop(
            f"there are {errors} discrepancies of severity error and --strict was "
            "given, nothing was published: look at them with check, or run without --strict"
        )
