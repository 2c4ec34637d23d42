"""The kinds as the page that people read, ``docs/FINDINGS.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from person_unify.findings import FINDINGS


def render() -> str:
    """The kinds as Markdown: what stands in ``docs/FINDINGS.md``."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "# Findings\n"
    yield "<!-- printed by make docs from src/person_unify/findings/kinds.py -->\n"
    yield (
        "What a run logs in `discrepancies`, in the order in which a person should look at it. An\n"
        "*error* means that a row, a cell or a link of the old database did not make it into the\n"
        "new one as it was; nothing is lost, the ledger has it. A *warning* is a decision that\n"
        "somebody should confirm. *Info* is worth knowing.\n"
    )
    yield "| kind | severity | what it says | what to do | who |"
    yield "| --- | --- | --- | --- | --- |"
    for kind, one in FINDINGS.items():
        yield f"| `{kind}` | {one.severity} | {one.says} | {one.advice} | {one.acts} |"
    yield (
        "\nMessages name ids, never personal values; `child_value`, `patient_value` and\n"
        "`chosen_value` hold what a reviewer must compare. `source_table` and `source_id` name\n"
        "the record; `person_id` is the person that it became or belongs to.\n"
    )
    yield "| kind | one row per | `related_id` | `field` | [what may be decided](REVIEW.md) |"
    yield "| --- | --- | --- | --- | --- |"
    for kind, one in FINDINGS.items():
        words = ", ".join(f"`{word}`" for word in one.question.decisions) if one.question else ""
        yield f"| `{kind}` | {one.row} | {one.related} | {one.column} | {words} |"


if __name__ == "__main__":
    sys.stdout.write(render())
